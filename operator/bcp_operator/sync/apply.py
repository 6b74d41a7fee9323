"""Carrying out a plan: phase after phase, some writes at a time, every correlation on disk before and after its create.

One entity that fails doesn't stop the others. What does stop the run: the writer lease is lost, the store fails, or
the secondary refuses or can't be reached many times in a row.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from bcp_operator.systems.content import REMOVED, Changes, Content, content_hash, diff, hash_of, settle, written_hashes
from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.traits import NOTHING, Traits
from bcp_operator.systems.writer import WritableClient, Written

from .conflicts import Contention, aside, claim_of
from .correlations.committer import Committer
from .correlations.store import FieldHashes, Row, Status, Store, correlation_id
from .crew import work_through, worker_count
from .identify import NOT_CREATED, Found, Identifier, Unidentified
from .plan import desired_content, immutable_fields, missing
from .read import ListingError, Reader
from .report import Tally
from .spool import Spool
from .world import Action, Head, Match, Scope

MAX_FAILURES_IN_A_ROW = 20
_SYSTEM_FAILURES = frozenset({"Unauthorized", "Throttled"})  # and no answer at all; a 500 may be this entity's alone
log = logging.getLogger(__name__)


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
        self._settling = False
        self._late: list[Action] = []  # to be done again when the conflicts are settled
        self._failures_in_a_row = 0

    async def run(self) -> None:
        """Everything. Raises FenceLost (from the client's gate), StoreError, SecondaryDown."""
        group = -1
        try:
            self._workers = await worker_count(self._client, self._scope.chosen, self._concurrency)
            for phase in self._spool.phases():
                if phase // 2 != group:
                    await self._settle_conflicts()
                    group = phase // 2
                await self._together(self._spool.actions(phase))
                log.info(
                    "phase done",
                    extra={
                        "phase": phase,
                        "counts": {name: dict(counter) for name, counter in self._tally.counts.items()},
                    },
                )
            await self._settle_conflicts()
        finally:
            await self._committer.drain()  # what was written is known, however the run ends

    async def _settle_conflicts(self) -> None:
        """Try again what was refused as a duplicate, each once and after those that give up what it wants."""
        again, self._conflicts = self._conflicts, []
        self._settling = True
        contention = Contention([claim_of(self._scope, self._spool, action) for action in again])
        while contention:
            ready = contention.ready()
            if ready:
                await self._together((again[number] for number in ready), last_try=True)
                contention.settle(ready)
            else:
                number, fields = contention.step_aside()
                await self._step_aside(again[number], fields)
        self._settling = False
        late, self._late = self._late, []
        if late:
            await self._together(iter(late), last_try=True)

    async def _step_aside(self, action: Action, fields: Collection[str]) -> None:
        """Let an entity go by another name for a moment. A run that dies now leaves it to the next to name it."""
        match = self._spool.match(action.type, action.primary_id or "")
        if match is None or match.secondary_id is None:
            return
        mark = correlation_id(self._scope.pair, action.type, action.primary_id or "")
        current = self._spool.body("secondary", action.type, match.secondary_id)
        changes = {name: aside(current[name], mark) for name in fields}
        log.info("steps aside", extra={"type": action.type, "key": action.key, "fields": sorted(fields)})
        try:
            written = await self._client.update(
                action.type,
                match.secondary_id,
                desired=current | changes,
                changes=changes,
                current=current,
                correlation_id=mark,
                traits=self._traits(action.type, match.secondary_id),
            )
            self._noted(action.type, written)
        except CallFailed as error:  # those that wait for it will say that they are duplicates
            log.warning("could not step aside", extra={"type": action.type, "key": action.key, "reason": str(error)})

    async def _together(self, actions: Iterator[Action], *, last_try: bool = False) -> None:
        """Some at a time. Ahead of the writes, rows of the creates to come are made PENDING, many in one transaction."""

        async def prepare(batch: Sequence[Action]) -> None:
            await self._committer.save([self._pending(action) for action in batch if action.kind == "create"])

        await work_through(
            actions, workers=self._workers, prepare=prepare, do=lambda action: self._one(action, last_try)
        )
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
            self._failures_in_a_row += error.reason in _SYSTEM_FAILURES or not error.answered
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
            case "delete":
                await self._delete(action)
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
            if error.reason in NOT_CREATED:
                await asyncio.to_thread(self._store.forget, [pending])
            if error.reason != "OutcomeUnknown":
                raise
            written, lost = Written(None, None), error
        self._failures_in_a_row = 0
        if written.id is None:
            self._unidentified.append(Unidentified(action, pending.correlation_id, sent, lost))
        else:
            await self._created(action, written.id, sent, self._stored(name, written))

    async def _created(self, action: Action, secondary_id: str, sent: Content, stored: Found | None) -> None:
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
        settling = self._settling or bool(self._conflicts)  # what is missing may still be made
        if match is None or match.secondary_id is None:
            if settling:
                self._late.append(action)
            return  # a link whose create failed: counted there
        wanted = desired_content(self._scope, self._spool, name, primary_id)
        lacking = {path for path, _ in wanted.awaited}
        awaits = bool(lacking) and settling
        if awaits and missing(self._scope, name, lacking):
            self._late.append(action)
            return
        if not awaits and self._left_out(action, lacking):
            return
        current = self._spool.body("secondary", name, match.secondary_id)
        own = self._scope.secondary.types[name]
        row = self._store.by_primary(name, primary_id) if match.how == "row" else None
        last: FieldHashes = row.fields if row else {}
        desired, _ = settle(wanted.content, current, immutable_fields(own, wanted.content, current), last)
        changes = {} if action.kind == "refresh" else diff(desired, current, last)
        stored: Content | None = current
        if awaits and not changes:
            self._late.append(action)
            return
        if changes:
            stored = await self._update(action, match.secondary_id, desired, changes, current)
            self._failures_in_a_row = 0
        await self._save(action, match.secondary_id, desired, stored)
        if awaits:
            self._spool.learn("secondary", name, match.secondary_id, desired if stored is None else stored)
            self._late.append(replace(action, kind="link"))
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
        stored = self._noted(name, written)
        row = self._store.by_primary(name, action.primary_id or "") if stored is None else None
        # Silent a second time: what it listed in between is believed.
        return current if row is not None and row.unread(content_hash(desired)) else stored

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
        if self._spool.head("primary", name, action.primary_id or "") is None:
            await self._save(action, secondary_id, None, stored, "INACTIVE")
        else:
            await self._resave(action, stored)
        if action.secondary_id:
            self._tally.count(name, "deactivated")

    async def _delete(self, action: Action) -> None:
        name, secondary_id = action.type, action.secondary_id or ""
        await self._client.delete(name, secondary_id, self._traits(name, secondary_id))
        self._failures_in_a_row = 0
        await self._save(action, None, None, None, "INACTIVE")
        self._tally.count(name, "deleted")

    async def _revive(self, action: Action) -> None:
        name, secondary_id = action.type, action.secondary_id or ""
        written = await self._client.revive(name, secondary_id, self._traits(name, secondary_id))
        self._failures_in_a_row = 0
        await self._resave(action, self._noted(name, written))
        self._tally.count(name, "updated")

    async def _resave(self, action: Action, stored: Content | None) -> None:
        row = self._store.by_primary(action.type, action.primary_id or "")
        if row is not None:
            await self._committer.later(replace(row, secondary_hash=hash_of(stored), status="ACTIVE"))

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
            hash_of(sent),
            hash_of(stored),
            written_hashes(sent or {}, stored if stored is not None else sent or {}),
            status,
        )
        await self._committer.later(row)

    def _stored(self, name: str, written: Written) -> Found | None:
        """What the secondary made of a write, comparable with its next listing."""
        try:
            return None if written.entity is None else self._readers[name].entity(written.entity)
        except (ListingError, ValueError):
            return None  # learned from the next listing

    def _noted(self, name: str, written: Written) -> Content | None:
        """The same, and noted as what the entity holds now."""
        stored = self._stored(name, written)
        if stored is not None:
            self._spool.put("secondary", name, *stored)
        return None if stored is None else stored[1]

    def _traits(self, name: str, secondary_id: str) -> Traits:
        head = self._spool.head("secondary", name, secondary_id)
        return head.traits if head else NOTHING
