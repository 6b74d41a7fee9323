"""Reconcile one tenant: observe, plan, act, status if it changed; again until nothing is left to do."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity import deletion, halt
from bcp_operator.continuity.actions import Note, Plan, VerifyLogin
from bcp_operator.continuity.observed import Problem
from bcp_operator.continuity.plan import blocked, plan
from bcp_operator.kube.client import TENANT, Kube, Object
from bcp_operator.kube.errors import Conflict, Forbidden, NotFound
from bcp_operator.kube.events import Events
from bcp_operator.routes.base import RouteChanged

from .act import Actor
from .cache import Cache
from .notifying import Notifier
from .observe import Observer
from .queue import Key
from .sight import Sight, Unreadable, deleting, has_finalizer, parse_status
from .state import TenantState, now

log = logging.getLogger(__name__)

LONGEST_CHAIN = 25
"""Passes in a row before other tenants get their turn; a switch needs about six."""
AGAIN_SECONDS = 0.5
UNREADABLE_SECONDS = 60.0
BLOCKED_SECONDS = 30.0
BLOCKED_SWITCH_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """What one pass came to: settled for some seconds, or another look; `known` spares the reading."""

    settled: bool = False
    wake_seconds: float | None = None
    known: Sight | None = None


class TenantReconciler:
    """Brings tenants to what their spec asks for."""

    def __init__(
        self, kube: Kube, cache: Cache, observer: Observer, actor: Actor, events: Events, *, notifier: Notifier
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._observer = observer
        self._actor = actor
        self._events = events
        self._notifier = notifier
        self.states: dict[Key, TenantState] = defaultdict(TenantState)
        self.others_switch: Callable[[], bool] = lambda: False
        """Whether other switches wait for a worker: their routes are written before this one's answer is waited for."""

    def forget(self, key: Key) -> None:
        """The tenant is gone."""
        self.states.pop(key, None)
        self._observer.forget(key)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one tenant as far as it goes now; the answer is when to look again, in seconds."""
        try:
            return await self._settle(key, self.states[key])
        except Unreadable as error:
            return await self._unreadable(key, str(error))
        except Forbidden as error:
            return await self._unseen(key, error)

    async def _settle(self, key: Key, state: TenantState) -> float | None:
        fresh = False
        sight: Sight | None = None
        for _ in range(LONGEST_CHAIN):
            sight = sight or await self._observer.look(key, state, fresh=fresh)
            if sight is None:
                self.forget(key)
                return None
            decided = plan(sight.seen, now())
            if _nothing(decided, sight):
                return decided.wake_seconds
            asks = bool(decided.actions) and all(isinstance(action, VerifyLogin) for action in decided.actions)
            outcome = await self._do(key, decided, sight, state) if sight.fresh or asks else Outcome()
            if outcome.settled:
                return outcome.wake_seconds
            fresh = fresh or sight.fresh or not asks  # asking from outside changes nothing here
            sight = outcome.known
        log.warning("still not settled, others first", extra=_where(key))
        return AGAIN_SECONDS

    async def _do(self, key: Key, decided: Plan, sight: Sight, state: TenantState) -> Outcome:
        """Act and write status."""
        known: Sight | None = None
        try:
            for action in decided.actions:
                if isinstance(action, VerifyLogin) and action.operation_id and self.others_switch():
                    return Outcome(settled=True, wake_seconds=AGAIN_SECONDS)  # their routes before our answer
                log.debug("%s", action, extra=_where(key))
                await self._actor.carry_out(action, sight, state)
            if _written(decided.status) != _written(sight.seen.status):
                written = await self._write_status(decided.status, sight.obj)
                known = replace(sight, obj=written, seen=replace(sight.seen, status=decided.status))
        except Forbidden as error:
            return await self._blocked(key, sight, error)
        except (Conflict, RouteChanged, NotFound) as error:
            log.debug("the world has moved on: %s", error, extra=_where(key))
            await self._observer.refresh(key)
            return Outcome()
        for note in decided.notes:
            self._tell(note, sight.obj, decided.status)
        if _asked_in_vain(decided, state):
            return Outcome(
                settled=True, wake_seconds=AGAIN_SECONDS
            )  # others first: their routes may not be written yet
        if decided.actions or decided.wake_seconds != 0.0:
            return Outcome(settled=not decided.actions, wake_seconds=decided.wake_seconds)
        # An operation was recorded and nothing else has changed: what was seen a moment ago still holds.
        return Outcome(known=known if decided.status.operation else None)

    # -- what can't go on: said once, in status and by an event

    async def _blocked(self, key: Key, sight: Sight, error: Forbidden) -> Outcome:
        """An action was not allowed."""
        why = _not_allowed(error)
        decided = blocked(sight.seen, why, now())
        note = Note(why.reason, why.message, warning=True)
        await self._say(key, sight.obj, sight.seen.status, decided.status, (note, *decided.notes))
        return Outcome(settled=True, wake_seconds=_patience(sight.seen.status))

    async def _unseen(self, key: Key, error: Forbidden) -> float | None:
        """The tenant's world may not be looked at."""
        obj = self._cache.get(TENANT, key.namespace, key.name)
        if obj is None:
            return None
        known = parse_status(obj)
        await self._halt(key, obj, known, _not_allowed(error))
        return _patience(known)

    async def _unreadable(self, key: Key, why: str) -> float | None:
        """The spec says nothing to this version. It can still be deleted: a route that can't be read is left alone."""
        obj = self._cache.get(TENANT, key.namespace, key.name)
        if obj is None:
            return None
        known = parse_status(obj)
        if not (deleting(obj) and has_finalizer(obj)):
            await self._halt(key, obj, known, Problem("Unreadable", why))
            return UNREADABLE_SECONDS
        try:
            await self._actor.set_finalizer(obj, False)
        except (Conflict, NotFound):
            await self._observer.refresh(key)
            return AGAIN_SECONDS
        self._tell(deletion.not_restored(why), obj, known)
        return None

    async def _halt(self, key: Key, obj: Object, known: BCPTenantStatus, why: Problem) -> None:
        after = halt.status(known, why, obj["metadata"].get("generation", 1), now())
        await self._say(key, obj, known, after, (Note(why.reason, why.message, warning=True),))

    async def _say(
        self, key: Key, obj: Object, before: BCPTenantStatus, after: BCPTenantStatus, notes: Iterable[Note]
    ) -> None:
        """Write the status and tell the notes, unless they were said before."""
        if _written(after) == _written(before):
            return
        try:
            await self._write_status(after, obj)
        except (Conflict, NotFound) as error:
            log.debug("its own event is on the way: %s", error, extra=_where(key))
        except Forbidden as error:
            log.warning("status can't even be written: %s", error, extra=_where(key))
        for note in notes:
            self._tell(note, obj, after)

    async def _write_status(self, status: BCPTenantStatus, obj: Object) -> Object:
        """Write it, on the condition that the object is as it was seen; the object with it."""
        self._actor.check()
        metadata = obj["metadata"]
        written = await self._kube.patch_status(
            TENANT, metadata["namespace"], metadata["name"], _written(status), metadata["resourceVersion"]
        )
        self._cache.put(TENANT, written)
        return written

    def _tell(self, note: Note, obj: Object, status: BCPTenantStatus) -> None:
        """An event for everybody, a notice for whom the tenant names, a log line for the operator's own record."""
        regarding = {"apiVersion": TENANT.api_version, "kind": TENANT.kind} | obj
        self._events.emit(regarding, note.reason, note.message, type_="Warning" if note.warning else "Normal")
        self._notifier.tell(obj, note, status)
        running = status.operation or status.last_operation
        extra: dict[str, object] = {
            "tenant": obj["metadata"]["name"],
            "namespace": obj["metadata"]["namespace"],
            "reason": note.reason,
        }
        if note.audit:
            extra |= {"audit": True} | ({"operation": running.id} if running else {})
        log.log(logging.WARNING if note.warning else logging.INFO, "%s", note.message, extra=extra)


def _not_allowed(error: Forbidden) -> Problem:
    """What the API server does not let the operator do, and what to grant where that would help."""
    right = error.missing_right
    if not right:
        return Problem("Forbidden", f"the API server refused a call of the operator: {error.message}")
    return Problem(
        "Forbidden",
        f"the operator may not {right} in this namespace: grant that to its ServiceAccount (the chart does, for each "
        f"of watchNamespaces). The API server said: {error.message}",
    )


def _patience(status: BCPTenantStatus) -> float:
    """A right that is granted makes no event: it is tried again, sooner where a switch waits for it."""
    return BLOCKED_SWITCH_SECONDS if status.operation is not None else BLOCKED_SECONDS


def _asked_in_vain(decided: Plan, state: TenantState) -> bool:
    asked = any(isinstance(action, VerifyLogin) and action.operation_id for action in decided.actions)
    return asked and state.memory.verified is not None and not state.memory.verified.ok


def _nothing(decided: Plan, sight: Sight) -> bool:
    return not decided.actions and _written(decided.status) == _written(sight.seen.status)


def _written(status: BCPTenantStatus) -> Object:
    """The status as it is stored: equal worlds give equal objects."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _where(key: Key) -> dict[str, str]:
    return {"tenant": key.name, "namespace": key.namespace}
