"""A switch that is under way: FinalSync where planned, Fence, Compare on the way back, Route, Verify, Drain, Finish. The step follows from what is seen, so any crash resumes it."""

from dataclasses import dataclass
from datetime import timedelta

from bcp_operator.api.common import System
from bcp_operator.api.tenant_status import BCPTenantStatus, Operation, Step

from . import divergence, drain, fence, finalsync, history
from .actions import Action, ApplyRoutes, AskDrained, ReleaseWriter, VerifyLogin
from .observed import Now, Observed, RouteView

DEADLINE = timedelta(seconds=120)
RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """Where a switch stands: what to do now, or how long to wait; `done` when nothing is left but to record it.

    `failed`: it ends before anybody was moved; why.
    """

    step: Step
    actions: tuple[Action, ...] = ()
    wait_seconds: float | None = None
    done: bool = False
    failed: str = ""


def target(operation: Operation) -> System:
    """The side that the operation moves users to."""
    return "Secondary" if operation.type == "Failover" else "Primary"


def overdue(operation: Operation, now: Now) -> bool:
    """Past its deadline: Stalled, but it goes on, and is never reversed."""
    return operation.deadline is not None and now.wall > operation.deadline


def advance(seen: Observed, operation: Operation, now: Now) -> Progress:
    """The next thing to do for this operation."""
    if verified(seen, operation):
        return _drain(seen, operation, now) or _finish(seen, operation)
    final = finalsync.left(seen, operation, now)
    if final is not None:
        wait = None if final.actions else finalsync.POLL_SECONDS
        return Progress("FinalSync", final.actions, wait_seconds=wait, failed=final.failed)
    hold = fence.hold(seen, fence.holder(operation.id))
    if hold:
        return Progress("Fence", hold)
    quiet = fence.silence(seen, now)
    if quiet.state != "Silent":
        return Progress("Fence", wait_seconds=quiet.wait_seconds or fence.POLL_SECONDS)
    look = divergence.left(seen, operation)
    if look is not None:
        wait = None if look.actions else divergence.POLL_SECONDS
        return Progress("Compare", look.actions, wait_seconds=wait, failed=look.failed)
    return _route(seen, operation, now)


def verified(seen: Observed, operation: Operation) -> bool:
    """Seen from outside for this operation, and every route that is ours still says so."""
    known = seen.memory.verified
    if known is None or known.operation_id != operation.id or not known.ok:
        return False
    return all(written(route, target(operation)) for route in _ours(seen, operation))


def held_up(seen: Observed, operation: Operation) -> bool:
    """The login URL has been asked for this operation, and not shown its side yet."""
    known = seen.memory.verified
    return known is not None and known.operation_id == operation.id and not known.ok


def complete(seen: Observed, operation: Operation, now: Now) -> BCPTenantStatus:
    """status with the operation ended: the side is settled, the times are measured."""
    side = target(operation)
    known = seen.memory.verified
    at = known.at if known is not None and known.operation_id == operation.id else now
    foreign = [route.name for route in seen.routes if route.conflict and not written(route, side)]
    message = f"the login URL sends users to the {side.lower()}"
    if foreign:
        message = f"{message}, except route {', '.join(foreign)}: a foreign redirect is on it"
    message += drain.outcome(seen, operation) + divergence.outcome(seen, operation)
    finished = history.finish(
        operation.model_copy(update={"step": "Finish"}),
        "Completed",
        at.wall if operation.verified_time is None else now.wall,
        message,
        rto_seconds=history.rto_seconds(operation, seen.memory, seen.status.request_hash or "", at),
        recovery_point_age_seconds=history.recovery_point_age_seconds(seen.status, operation.start_time),
    )
    settled = seen.status.model_copy(update={"operation": None, "settled_system": side})
    return history.remember(settled, finished)


def refuse(seen: Observed, operation: Operation, why: str, now: Now) -> BCPTenantStatus:
    """status with the operation ended before it moved anybody."""
    ended = seen.status.model_copy(update={"operation": None})
    return history.remember(ended, history.finish(operation, "Refused", now.wall, why))


def seen_there(seen: Observed, operation: Operation) -> Operation:
    """The operation with the time at which a planned switch was seen on its side first."""
    known = seen.memory.verified
    if (
        operation.mode != "Planned"
        or operation.verified_time is not None
        or known is None
        or not verified(seen, operation)
    ):
        return operation
    return operation.model_copy(update={"verified_time": known.at.wall})


def _drain(seen: Observed, operation: Operation, now: Now) -> Progress | None:
    wait = drain.wait_seconds(seen, operation, now)
    if wait is None or seen.spec.safety.drain is None:
        return None
    ask: tuple[Action, ...] = (AskDrained(seen.spec.safety.drain, operation.id),) if wait <= 0 else ()
    return Progress("Drain", ask, wait_seconds=wait or None)


def _finish(seen: Observed, operation: Operation) -> Progress:
    """Unfencing comes last, after the login URL was seen on the primary."""
    if operation.type == "Failback" and seen.lease is not None and seen.lease.fenced:
        return Progress("Finish", (*divergence.clear(seen), ReleaseWriter()))
    return Progress("Finish", done=True)


def _route(seen: Observed, operation: Operation, now: Now) -> Progress:
    side, ours = target(operation), _ours(seen, operation)
    missing = tuple(route.name for route in ours if not route.error and not written(route, side))
    if not ours:
        # Nothing that we may write: done only when users are seen there all the same, else it waits for a route.
        return Progress("Route", (VerifyLogin(side, tuple(route.name for route in seen.routes), operation.id),))
    step: Step = "Route" if missing or any(route.error for route in ours) else "Verify"
    pause = (seen.memory.route_retry_seconds or 0.0) - now.monotonic_seconds
    if pause > 0:
        return Progress(step, wait_seconds=pause)
    override = "RouteOwned" in operation.override
    apply: tuple[Action, ...] = (ApplyRoutes(side, missing, override),) if missing else ()
    if not missing and step == "Route":
        return Progress(step, wait_seconds=RETRY_SECONDS)
    return Progress(step, (*apply, VerifyLogin(side, tuple(route.name for route in ours), operation.id)))


def _ours(seen: Observed, operation: Operation) -> list[RouteView]:
    """Routes to switch. A foreign redirect is left alone, with its route, unless that rule was overridden and it helps."""
    passed, side = "RouteOwned" in operation.override, target(operation)
    return [route for route in seen.routes if not route.conflict or (passed and side in route.overridable)]


def written(route: RouteView, side: System) -> bool:
    """It sends users to the side, as we write it."""
    return route.shows == side and route.current and not route.error
