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

from bcp_operator.systems.client import WritableClient, Written
from bcp_operator.systems.content import Content, content_hash, diff, field_hashes
from bcp_operator.systems.errors import CallFailed

from .conflicts import Claim, Contention, aside, claim
from .correlations.committer import Committer
from .correlations.store import FieldHashes, Row, Status, Store, correlation_id
from .plan import desired_content
from .read import Reader
from .report import Tally
from .spool import Spool
from .world import Action, Head, Match, Scope

MAX_FAILURES_IN_A_ROW = 20
AHEAD = 64  # actions
_SYSTEM_FAILURES = frozenset({"Unauthorized", "Throttled"})  # and no answer at all; a 500 may be this entity's alone
_NOT_CREATED = frozenset({"Duplicate", "Refused", "Unauthorized", "Unreachable", "Throttled", "NotFound"})
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
        self._conflicts: list[Action] = []
        self._settling = False
        self._late: list[Action] = []  # to be done again when the conflicts are settled
        self._failures_in_a_row = 0

    async def run(self) -> None:
        """Everything. Raises FenceLost (from the client's gate), StoreError, SecondaryDown."""
        group = -1
        try:
            for phase in self._spool.phases():
                if phase // 2 != group:
                    await self._settle_conflicts()
                    group = phase // 2
                await self._together(self._spool.actions(phase))
                log.info("phase done", extra={"phase": phase, "counts": self._summary()})
            await self._settle_conflicts()
        finally:
            await self._committer.drain()  # what was written is known, however the run ends

    async def _settle_conflicts(self) -> None:
        """Try again what was refused as a duplicate, each once and after those that give up what it wants."""
        again, self._conflicts = self._conflicts, []
        self._settling = True
        contention = Contention([self._claim(action) for action in again])
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

    def _claim(self, action: Action) -> Claim:
        wanted = desired_content(self._scope, self._spool, action.type, action.primary_id or "").content
        match = self._spool.match(action.type, action.primary_id or "")
        if match is None or match.secondary_id is None:
            return claim(action.type, wanted)
        return claim(action.type, wanted, self._spool.body("secondary", action.type, match.secondary_id))

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
            await self._client.update(
                action.type,
                match.secondary_id,
                desired=current | changes,
                changes=changes,
                current=current,
                correlation_id=mark,
            )
        except CallFailed as error:  # those that wait for it will say that they are duplicates
            log.warning("could not step aside", extra={"type": action.type, "key": action.key, "reason": str(error)})

    async def _together(self, actions: Iterator[Action], *, last_try: bool = False) -> None:
        """Some at a time. Ahead of the writes, rows of the creates to come are made PENDING, many in one transaction."""
        ahead: asyncio.Queue[Action | None] = asyncio.Queue(2 * AHEAD)

        async def prepare() -> None:
            while batch := list(islice(actions, AHEAD)):
                await self._committer.save([self._pending(action) for action in batch if action.kind == "create"])
                for action in batch:
                    await ahead.put(action)
            for _ in range(self._concurrency):
                await ahead.put(None)

        async def work() -> None:
            while action := await ahead.get():
                await self._one(action, last_try)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(prepare())
                for _ in range(self._concurrency):
                    group.create_task(work())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
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
        missing = {path for path, _ in wanted.awaited} - set(action.fields)
        if self._left_out(action, missing):
            await asyncio.to_thread(self._store.forget, [pending])
            return
        try:
            written = await self._client.create(name, wanted.content, pending.correlation_id)
        except CallFailed as error:
            if error.reason in _NOT_CREATED:
                await asyncio.to_thread(self._store.forget, [pending])
            raise
        self._failures_in_a_row = 0
        stored = self._content(name, written)
        self._spool.set_match(name, primary_id, Match("row", written.id))
        if action.fields:
            head = Head(written.id, action.key, None, False, "")
            self._spool.add("secondary", name, [(head, stored or wanted.content)])
        await self._save(action, written.id, wanted.content, stored)
        self._tally.count(name, "created")

    async def _change(self, action: Action) -> None:
        name, primary_id = action.type, action.primary_id or ""
        match = self._spool.match(name, primary_id)
        settling = self._settling or bool(self._conflicts)  # what is missing may still be made
        if match is None or match.secondary_id is None:
            if settling:
                self._late.append(action)
            return  # a link whose create failed: counted there
        wanted = desired_content(self._scope, self._spool, name, primary_id)
        missing = {path for path, _ in wanted.awaited}
        awaits = bool(missing) and settling
        if awaits and self._scope.skips_unresolved:
            self._late.append(action)
            return
        if not awaits and self._left_out(action, missing):
            return
        current = self._spool.body("secondary", name, match.secondary_id)
        row = self._store.by_primary(name, primary_id) if match.how == "row" else None
        changes = {} if action.kind == "refresh" else diff(wanted.content, current, row.fields if row else {})
        stored: Content | None = current
        if awaits and not changes:
            self._late.append(action)
            return
        if changes:
            written = await self._client.update(
                name,
                match.secondary_id,
                desired=wanted.content,
                changes=changes,
                current=current,
                correlation_id=correlation_id(self._scope.pair, name, primary_id),
            )
            self._failures_in_a_row = 0
            stored = self._content(name, written) or _believed(row, wanted.content, current)
        await self._save(action, match.secondary_id, wanted.content, stored)
        if awaits:
            self._spool.learn("secondary", name, match.secondary_id, wanted.content if stored is None else stored)
            self._late.append(replace(action, kind="link"))
        if action.kind == "adopt":
            self._tally.count(name, "adopted")
        elif action.kind != "link":
            self._tally.count(name, "updated" if changes else "unchanged")

    def _left_out(self, action: Action, missing: Collection[str]) -> bool:
        """Whether an entity is skipped as the policy says, for a target that was to be made by now, and was not."""
        if missing and self._scope.skips_unresolved and action.kind != "link":  # that one is made already
            reason = f"UnresolvedReference: {', '.join(sorted(missing))}"
            self._tally.error(action.type, action.key or action.primary_id, reason, "skipped")
            return True
        self._note_unresolved(action, missing)
        return False

    def _note_unresolved(self, action: Action, fields: Iterable[str]) -> None:
        """References left out: no such target; or it was to be made by now, and was not."""
        for path in sorted(fields):
            self._tally.unresolved_reference(action.type, action.key, path)

    async def _deactivate(self, action: Action) -> None:
        name, secondary_id = action.type, action.secondary_id or ""
        written = await self._client.deactivate(name, secondary_id)
        self._failures_in_a_row = 0
        stored = self._content(name, written)
        await self._save(action, secondary_id, None, stored, "INACTIVE")
        self._tally.count(name, "deactivated")

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
            None if stored is None else content_hash(stored),
            _both(sent or {}, stored if stored is not None else sent or {}),
            status,
        )
        await self._committer.later(row)

    def _content(self, name: str, written: Written) -> Content | None:
        """What the secondary made of a write, comparable with its next listing."""
        return None if written.entity is None else self._readers[name].content(written.entity)

    def _summary(self) -> dict[str, Any]:
        return {name: dict(counter) for name, counter in self._tally.counts.items()}


def _believed(row: Row | None, sent: Content, listed: Content) -> Content | None:
    """What a secondary made of a write, where it has not said so twice: what it listed in between."""
    return listed if row is not None and row.unread(content_hash(sent)) else None


def _both(sent: Content, stored: Content) -> FieldHashes:
    ours, theirs = field_hashes(sent), field_hashes(stored)
    return {name: (ours.get(name), theirs.get(name)) for name in ours.keys() | theirs.keys()}
