"""Reconcile one tenant: observe, plan, act, status if it changed; again until nothing is left to do."""

import logging
from collections import defaultdict
from dataclasses import dataclass, replace

from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity.actions import Note, Plan
from bcp_operator.continuity.plan import plan
from bcp_operator.kube.client import TENANT, Kube, Object
from bcp_operator.kube.errors import Conflict, NotFound
from bcp_operator.kube.events import Events
from bcp_operator.routes.base import RouteChanged

from .act import Actor
from .cache import Cache
from .observe import Observer
from .queue import Key
from .sight import Sight, Unreadable
from .state import TenantState, now

log = logging.getLogger(__name__)

LONGEST_CHAIN = 25
"""Passes in a row before other tenants get their turn; a switch needs about six."""
AGAIN_SECONDS = 0.5
UNREADABLE_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """What one pass came to: settled for now, or another look; `known` spares the reading."""

    settled: bool = False
    known: Sight | None = None


class TenantReconciler:
    """Brings tenants to what their spec asks for."""

    def __init__(self, kube: Kube, cache: Cache, observer: Observer, actor: Actor, events: Events) -> None:
        self._kube = kube
        self._cache = cache
        self._observer = observer
        self._actor = actor
        self._events = events
        self.states: dict[Key, TenantState] = defaultdict(TenantState)

    def forget(self, key: Key) -> None:
        """The tenant is gone."""
        self.states.pop(key, None)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one tenant as far as it goes now; the answer is when to look again, in seconds."""
        state = self.states[key]
        fresh = False
        sight: Sight | None = None
        for _ in range(LONGEST_CHAIN):
            try:
                sight = sight or await self._observer.look(key, state, fresh=fresh)
            except Unreadable as error:
                log.error("%s", error, extra=_where(key))
                return UNREADABLE_SECONDS
            if sight is None:
                self.forget(key)
                return None
            decided = plan(sight.seen, now())
            if _nothing(decided, sight):
                return decided.wake_seconds
            outcome = await self._do(key, decided, sight, state) if sight.fresh else Outcome()
            if outcome.settled:
                return decided.wake_seconds
            sight = outcome.known
            fresh = True
        log.warning("still not settled, others first", extra=_where(key))
        return AGAIN_SECONDS

    async def _do(self, key: Key, decided: Plan, sight: Sight, state: TenantState) -> Outcome:
        """Act and write status."""
        known: Sight | None = None
        try:
            for action in decided.actions:
                log.debug("%s", action, extra=_where(key))
                await self._actor.carry_out(action, sight, state)
            if _written(decided.status) != _written(sight.seen.status):
                known = await self._write_status(decided.status, sight)
        except (Conflict, RouteChanged, NotFound) as error:
            log.debug("the world has moved on: %s", error, extra=_where(key))
            await self._observer.refresh(key)
            return Outcome()
        for note in decided.notes:
            self._tell(note, sight, decided.status)
        if decided.actions or decided.wake_seconds != 0.0:
            return Outcome(settled=not decided.actions)
        # An operation was recorded and nothing else has changed: what was seen a moment ago still holds.
        return Outcome(known=known if decided.status.operation else None)

    async def _write_status(self, status: BCPTenantStatus, sight: Sight) -> Sight:
        """Write it, on the condition that the object is as it was seen; the sight with it."""
        self._actor.check()
        metadata = sight.obj["metadata"]
        written = await self._kube.patch_status(
            TENANT, metadata["namespace"], metadata["name"], _written(status), metadata["resourceVersion"]
        )
        self._cache.put(TENANT, written)
        return replace(sight, obj=written, seen=replace(sight.seen, status=status))

    def _tell(self, note: Note, sight: Sight, status: BCPTenantStatus) -> None:
        """An event for everybody, a log line for the operator's own record."""
        regarding = {"apiVersion": TENANT.api_version, "kind": TENANT.kind} | sight.obj
        self._events.emit(regarding, note.reason, note.message, type_="Warning" if note.warning else "Normal")
        running = status.operation or status.last_operation
        extra: dict[str, object] = {
            "tenant": sight.seen.name,
            "namespace": sight.seen.namespace,
            "reason": note.reason,
        }
        if note.audit:
            extra |= {"audit": True} | ({"operation": running.id} if running else {})
        log.log(logging.WARNING if note.warning else logging.INFO, "%s", note.message, extra=extra)


def _nothing(decided: Plan, sight: Sight) -> bool:
    return not decided.actions and _written(decided.status) == _written(sight.seen.status)


def _written(status: BCPTenantStatus) -> Object:
    """The status as it is stored: equal worlds give equal objects."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _where(key: Key) -> dict[str, str]:
    return {"tenant": key.name, "namespace": key.namespace}
