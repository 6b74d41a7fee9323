"""Carrying out a plan: phase after phase, some writes at a time, every correlation on disk before and after its create.

One entity that fails doesn't stop the others. What does stop the run: the writer lease is lost, the store fails, or
the secondary refuses or can't be reached many times in a row.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, assert_never

from bcp_operator.systems.content import REMOVED, Changes, Content, content_hash, diff, field_hashes, settle
from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.traits import NOTHING, Traits
from bcp_operator.systems.writer import WritableClient, Written

from .correlations.committer import Committer
from .correlations.store import FieldHashes, Row, Status, Store, correlation_id
from .identify import Identifier, Unidentified
from .plan import desired_content, immutable_fields, missing
from .read import ListingError, Reader
from .report import Tally
from .spool import Spool
from .world import Action, Head, Match, Scope

MAX_FAILURES_IN_A_ROW = 20
AHEAD = 64  # actions
MAX_WORKERS = 512
_SYSTEM_FAILURES = frozenset({"Unauthorized", "Unreachable"})
_NOT_CREATED = frozenset({"Duplicate", "Refused", "Unauthorized", "Unreachable", "Throttled", "NotFound"})
log = logging.getLogger(__name__)


Stored = tuple[Head, Content]


class SecondaryDown(Exception):
    """The secondary refused or could not be reached so often in a row that going on is pointless."""


class Applier:
    """Carries out the actions in the spool against the secondary."""

    def __init__(
        self,
        scope: Scope,
        spool: Spool,
        store: Store,
        client: WritableClient,
        *,
        readers: Mapping[str, Reader],
        tally: Tally,
        concurrency: int,
    ) -> None:
        self._scope, self._spool, self._store, self._client = scope, spool, store, client
        self._readers, self._tally, self._concurrency = readers, tally, concurrency
        self._committer = Committer(store)
        self._identifier = Identifier(client, spool, readers)
        self._unidentified: list[Unidentified] = []
        self._workers = concurrency
        self._conflicts: list[Action] = []
        self._failures_in_a_row = 0

    async def run(self) -> None:
        """Everything. Raises FenceLost (from the client's gate), StoreError, SecondaryDown."""
        group = -1
        try:
            self._workers = await self._worker_count()
            for phase in self._spool.phases():
                if phase // 2 != group:
                    await self._retry_conflicts()
                    group = phase // 2
                await self._together(self._spool.actions(phase))
                log.info("phase done", extra={"phase": phase, "counts": self._summary()})
            await self._retry_conflicts()
        finally:
            await self._committer.drain()  # what was written is known, however the run ends

    async def _worker_count(self) -> int:
        """As many as may be in flight; where requests carry many entities, enough to fill them."""
        sizes = [await self._client.batch_size(name) for name in sorted(self._scope.chosen)]
        return min(MAX_WORKERS, self._concurrency * max(sizes, default=1))

    async def _retry_conflicts(self) -> None:
        """Try again what was refused as a duplicate: another entity may have given up the name since."""
        again, self._conflicts = self._conflicts, []
        if again:
            await self._together(iter(again), last_try=True)

    async def _together(self, actions: Iterator[Action], *, last_try: bool = False) -> None:
        """Some at a time. Ahead of the writes, rows of the creates to come are made PENDING, many in one transaction."""
        size = max(AHEAD, self._workers)
        ahead: asyncio.Queue[Action | None] = asyncio.Queue(2 * size)

        async def prepare() -> None:
            while batch := list(islice(actions, size)):
                await self._committer.save([self._pending(action) for action in batch if action.kind == "create"])
                for action in batch:
                    await ahead.put(action)
            for _ in range(self._workers):
                await ahead.put(None)

        async def work() -> None:
            while action := await ahead.get():
                await self._one(action, last_try)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(prepare())
                for _ in range(self._workers):
                    group.create_task(work())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        await self._identify()
        await self._committer.drain()

    def _pending(self, action: Action) -> Row:
        primary_id = action.primary_id or ""
        shared_id = correlation_id(self._scope.pair, action.type, primary_id)
        return Row(action.type, primary_id, shared_id, key=action.key)

    async def _one(self, action: Action, last_try: bool) -> None:
        try:
            if not last_try:
                self._note_unresolved(action, action.unresolved)
            await self._do(action)
        except CallFailed as error:
            if error.reason == "Duplicate" and not last_try:
                self._conflicts.append(action)
                return
            self._tally.error(action.type, action.key or action.primary_id, str(error))
            log.warning("entity failed", extra={"type": action.type, "key": action.key, "reason": str(error)})
            self._failures_in_a_row += error.reason in _SYSTEM_FAILURES
            if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                raise SecondaryDown(f"{MAX_FAILURES_IN_A_ROW} writes in a row failed, the last with {error}") from None

    async def _do(self, action: Action) -> None:
        match action.kind:
            case "create":
                await self._create(action)
            case "link" | "update" | "adopt" | "refresh":
                await self._change(action)
            case "revive":
                await self._revive(action)
            case "deactivate":
                await self._deactivate(action)
            case "tombstone":
                await self._tombstone(action)
            case "unchanged":
                self._tally.count(action.type, "unchanged")
            case "keep":
                self._tally.keep(action.type, action.key or action.secondary_id, action.reason)
            case "skip":
                self._tally.error(action.type, action.key or action.primary_id, action.reason, "skipped")
            case _:
                assert_never(action.kind)

    async def _create(self, action: Action) -> None:
        name, primary_id = action.type, action.primary_id or ""
        wanted = desired_content(self._scope, self._spool, name, primary_id)
        pending = self._pending(action)  # on disk by now
        if self._left_out(action, {path for path, _ in wanted.awaited} - set(action.fields)):
            await asyncio.to_thread(self._store.forget, [pending])
            return
        attached = self._scope.secondary.types[name].attached
        sent = {field: value for field, value in wanted.content.items() if field not in attached}
        lost: CallFailed | None = None
        try:
            written = await self._client.create(name, sent, pending.correlation_id)
        except CallFailed as error:
            if error.reason in _NOT_CREATED:
                await asyncio.to_thread(self._store.forget, [pending])
            if error.reason != "OutcomeUnknown":
                raise
            written, lost = Written(None, None), error
        self._failures_in_a_row = 0
        if written.id is None:
            self._unidentified.append(Unidentified(action, pending.correlation_id, sent, lost))
        else:
            await self._created(action, written.id, sent, self._stored(name, written))

    async def _created(self, action: Action, secondary_id: str, sent: Content, stored: Stored | None) -> None:
        """Note what a create has made."""
        name = action.type
        self._spool.set_match(name, action.primary_id or "", Match("row", secondary_id))
        head = Head(secondary_id, action.key, None, False, "") if stored is None else stored[0]
        self._spool.put("secondary", name, head, sent if stored is None else stored[1])
        await self._save(action, secondary_id, sent, None if stored is None else stored[1])
        self._tally.count(name, "created")

    async def _identify(self) -> None:
        """Look for what creates have made without telling; what isn't found stays PENDING, for the next run to find."""
        lost, self._unidentified = self._unidentified, []
        for name in sorted({one.action.type for one in lost}):
            several = [one for one in lost if one.action.type == name]
            found = await self._identifier.find(name, several)
            for one in several:
                stored = found.get(one.action.primary_id or "")
                if stored is not None:
                    await self._created(one.action, stored[0].id, one.sent, stored)
                else:
                    said = str(one.error or "OutcomeUnknown: created, but it is not in the listing")
                    self._tally.error(name, one.action.key or one.action.primary_id, said)

    async def _change(self, action: Action) -> None:
        name, primary_id = action.type, action.primary_id or ""
        match = self._spool.match(name, primary_id)
        if match is None or match.secondary_id is None:
            return  # a link whose create failed: counted there
        wanted = desired_content(self._scope, self._spool, name, primary_id)
        if self._left_out(action, {path for path, _ in wanted.awaited}):
            return
        current = self._spool.body("secondary", name, match.secondary_id)
        own = self._scope.secondary.types[name]
        last = self._last_written(match, name, primary_id)
        desired, _ = settle(wanted.content, current, immutable_fields(own, wanted.content, current), last)
        changes = {} if action.kind == "refresh" else diff(desired, current, last)
        stored: Content | None = current
        if changes:
            stored = await self._update(action, match.secondary_id, desired, changes, current)
            self._failures_in_a_row = 0
        await self._save(action, match.secondary_id, desired, stored)
        if action.kind == "adopt":
            self._tally.count(name, "adopted")
        elif action.kind != "link":
            self._tally.count(name, "updated" if changes else "unchanged")

    async def _update(
        self, action: Action, secondary_id: str, desired: Content, changes: Changes, current: Content
    ) -> Content | None:
        """Send a change; gives what the secondary made of it. Raises CallFailed."""
        name = action.type
        reader, before = self._readers[name], content_hash(current)
        try:
            written = await self._client.update(
                name,
                secondary_id,
                desired=desired,
                changes=changes,
                current=current,
                correlation_id=correlation_id(self._scope.pair, name, action.primary_id or ""),
                traits=self._traits(name, secondary_id),
                same=lambda raw: content_hash(reader.content(raw)) == before,
            )
        except CallFailed as error:
            if error.reason != "Stale":
                raise
            written = await self._as_wanted(name, secondary_id, changes)
        return self._noted(name, written)

    async def _as_wanted(self, name: str, secondary_id: str, changes: Changes) -> Written:
        """An update met another version: perhaps our own, whose answer was lost. Raises CallFailed."""
        entity = await self._client.read(name, secondary_id)
        content = {} if entity is None else self._readers[name].content(entity)
        after = {field: content.get(field, REMOVED) for field in changes}
        if entity is None or after != changes:
            raise CallFailed("Stale", "changed in the secondary since it was listed; the next run looks at it again")
        return Written(secondary_id, entity)

    def _left_out(self, action: Action, lacking: Collection[str]) -> bool:
        """Whether an entity is skipped, as the policy or the profile says, for a target that was to be made by now, and
        was not.
        """
        needed = missing(self._scope, action.type, lacking)
        if needed and action.kind != "link":  # that one is made already
            reason = f"UnresolvedReference: {', '.join(sorted(needed))}"
            self._tally.error(action.type, action.key or action.primary_id, reason, "skipped")
            return True
        self._note_unresolved(action, lacking)
        return False

    def _note_unresolved(self, action: Action, fields: Iterable[str]) -> None:
        """References left out: no such target; or it was to be made by now, and was not."""
        for path in sorted(fields):
            self._tally.unresolved_reference(action.type, action.key, path)

    def _last_written(self, match: Match, name: str, primary_id: str) -> FieldHashes:
        row = self._store.by_primary(name, primary_id) if match.how == "row" else None
        return row.fields if row else {}

    async def _deactivate(self, action: Action) -> None:
        name, secondary_id = action.type, action.secondary_id or ""
        if not secondary_id:
            match = self._spool.match(name, action.primary_id or "")
            if match is None or match.secondary_id is None:
                return  # made inactive after a create that failed: counted there
            secondary_id = match.secondary_id
        written = await self._client.deactivate(name, secondary_id, self._traits(name, secondary_id))
        self._failures_in_a_row = 0
        stored = self._noted(name, written)
        row = self._store.by_primary(name, action.primary_id or "")
        if self._spool.head("primary", name, action.primary_id or "") is None:
            await self._save(action, secondary_id, None, stored, "INACTIVE")
        elif row is not None:
            await self._committer.later(replace(row, secondary_hash=_hash(stored)))
        if action.secondary_id:
            self._tally.count(name, "deactivated")

    async def _revive(self, action: Action) -> None:
        name, secondary_id = action.type, action.secondary_id or ""
        written = await self._client.revive(name, secondary_id, self._traits(name, secondary_id))
        self._failures_in_a_row = 0
        stored = self._noted(name, written)
        row = self._store.by_primary(name, action.primary_id or "")
        if row is not None:
            await self._committer.later(replace(row, secondary_hash=_hash(stored), status="ACTIVE"))
        self._tally.count(name, "updated")

    async def _tombstone(self, action: Action) -> None:
        row = self._store.by_primary(action.type, action.primary_id or "")
        if row is not None and row.secondary_id is None and row.status == "PENDING":
            await asyncio.to_thread(self._store.forget, [row])  # never made, and wanted no longer
        else:
            await self._save(action, action.secondary_id, None, None, "INACTIVE")

    async def _save(
        self,
        action: Action,
        secondary_id: str | None,
        sent: Content | None,
        stored: Content | None,
        status: Status = "ACTIVE",
    ) -> None:
        primary_id = action.primary_id or ""
        row = Row(
            action.type,
            primary_id,
            correlation_id(self._scope.pair, action.type, primary_id),
            secondary_id,
            action.key,
            None if sent is None else content_hash(sent),
            _hash(stored),
            _both(sent or {}, stored if stored is not None else sent or {}),
            status,
        )
        await self._committer.later(row)

    def _stored(self, name: str, written: Written) -> Stored | None:
        """What the secondary made of a write, comparable with its next listing."""
        try:
            return None if written.entity is None else self._readers[name].entity(written.entity)
        except (ListingError, ValueError):
            return None  # learned from the next listing

    def _noted(self, name: str, written: Written) -> Content | None:
        """The same, and noted as what the entity holds now."""
        stored = self._stored(name, written)
        if stored is None:
            return None
        self._spool.put("secondary", name, *stored)
        return stored[1]

    def _traits(self, name: str, secondary_id: str) -> Traits:
        head = self._spool.head("secondary", name, secondary_id)
        return NOTHING if head is None else head.traits

    def _summary(self) -> dict[str, Any]:
        return {name: dict(counter) for name, counter in self._tally.counts.items()}


def _hash(content: Content | None) -> str | None:
    return None if content is None else content_hash(content)


def _both(sent: Content, stored: Content) -> FieldHashes:
    ours, theirs = field_hashes(sent), field_hashes(stored)
    return {name: (ours.get(name), theirs.get(name)) for name in ours.keys() | theirs.keys()}
