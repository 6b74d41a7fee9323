"""Judging a change under spec.failover: nothing to do, refused, held, or the start of an operation.

Only status comes out of it: an operation is recorded before its first effect outside.
"""

import hashlib
from datetime import timedelta

from bcp_operator.api.common import System
from bcp_operator.api.conditions import Condition
from bcp_operator.api.tenant_status import BCPTenantStatus, Operation

from . import approval, drain, finalsync, history, operation, rules
from .observed import Now, Observed
from .request import Request, pending, read

BOUND = timedelta(seconds=2)
"""managedFields knows whole seconds; only a field this much older than its sighting was set while nobody looked."""


def judge(seen: Observed, now: Now) -> BCPTenantStatus | None:
    """The next status when spec.failover asks for something new; None when it doesn't, or can't be judged yet."""
    unknown = seen.status.settled_system is None and seen.status.operation is None
    if not pending(seen) and not unknown:
        return None
    request = read(seen.spec, seen.status)
    if unknown:
        return _first(seen, request, now)
    if not _moves(seen, request):
        return seen.status.model_copy(update={"request_hash": request.hash})
    if not approval.agreed(seen, request):
        return None
    running = seen.status.operation
    if running is not None and request.desired == operation.target(running) and not _hurried(seen, running):
        return seen.status.model_copy(
            update={"request_hash": request.hash, "operation": _absorb(seen, running, request)}
        )
    return _decide(seen, request, now)


def waiting(seen: Observed) -> Request | None:
    """The request that waits until somebody else has agreed; what is under way goes on meanwhile."""
    if seen.status.settled_system is None or not pending(seen):
        return None
    request = read(seen.spec, seen.status)
    return request if _moves(seen, request) and not approval.agreed(seen, request) else None


def _moves(seen: Observed, request: Request) -> bool:
    """It asks for a switch, or changes the one under way."""
    running = seen.status.operation
    if running is None:
        return request.desired != seen.status.settled_system or _unsettled_wish(seen, request)
    return request.desired != operation.target(running) or _hurried(seen, running) or _adds_consent(running, request)


def _adds_consent(running: Operation, request: Request) -> bool:
    """The same side is asked for again during a switch, and more may be passed over, or lost."""
    more = not request.override <= {*running.override} or _discards(running, request)
    return request.desired == operation.target(running) and more


def _discards(running: Operation, request: Request) -> bool:
    return request.discard and running.type == "Failback" and running.secondary_changes == "Keep"


def refuse(seen: Observed, why: str, now: Now) -> BCPTenantStatus:
    """The status when nothing may be done: what is asked for ends here. A switch under way stands still instead."""
    if not pending(seen) or seen.status.operation is not None:
        return seen.status
    request = read(seen.spec, seen.status)
    noted = seen.status.model_copy(update={"request_hash": request.hash})
    if request.desired == (seen.status.settled_system or "Primary"):
        return noted
    return history.remember(noted, history.finish(_operation(seen, request, now), "Refused", now.wall, why))


def _hurried(seen: Observed, running: Operation) -> bool:
    """Planned was taken back while its last sync still runs: switch at once."""
    block = seen.spec.failover
    plain = block is not None and block.mode != "Planned"
    return plain and running.mode == "Planned" and running.step in ("Record", "FinalSync")


def _absorb(seen: Observed, running: Operation, request: Request) -> Operation:
    """What is agreed to is added to the switch under way, and used up by it."""
    discards = _discards(running, request)
    return running.model_copy(
        update={
            "override": sorted({*running.override, *request.override}),
            "secondary_changes": "Discard" if discards else running.secondary_changes,
            "reason": request.reason,
            "requested_at": request.requested_at,
            "approved_by": approval.approver(seen, request) or running.approved_by,
        }
    )


def _first(seen: Observed, request: Request, now: Now) -> BCPTenantStatus | None:
    """Nothing is known of this tenant: the routes are the record of where users are."""
    readable = [route for route in seen.routes if not route.error]
    wish_came_later = request.desired == "Secondary" and not seen.requester.at_creation and pending(seen)
    if len(readable) < len(seen.routes) and not (wish_came_later and readable):
        return None
    shows = {route.shows for route in readable if not route.conflict}
    found: System = "Secondary" if shows == {"Secondary"} else "Primary"
    settled = seen.status.model_copy(update={"settled_system": found})
    if wish_came_later and found == "Primary":
        if not approval.agreed(seen, request):
            return settled
        return _decide(seen, request, now, settled)
    noted = settled.model_copy(update={"request_hash": request.hash})
    return noted if request.desired == found else _held(noted, now)


def _held(status: BCPTenantStatus, now: Now) -> BCPTenantStatus:
    """Intent and world disagreed when they were first seen: nothing moves until spec.failover changes."""
    flag = Condition(type="IntentConflict", status="True", reason="Held", last_transition_time=now.wall)
    others = [c for c in status.conditions if c.type != "IntentConflict"]
    return status.model_copy(update={"conditions": [*others, flag]})


def _unsettled_wish(seen: Observed, request: Request) -> bool:
    """The same side is asked for once more, and now it needs a switch.

    After drift, to lift a left-over fence, or to take a route along after all that was left to somebody else.
    """
    if not request.newer:
        return False
    left_out = [route for route in seen.routes if route.conflict and not operation.written(route, request.desired)]
    if "RouteOwned" in request.override and any(request.desired in route.overridable for route in left_out):
        return True
    moved = any(route.shows not in (request.desired, "Unknown") for route in seen.routes)
    fenced = seen.lease is not None and seen.lease.fenced
    return moved or (fenced and request.desired == "Primary" and request.discard)


def _decide(seen: Observed, request: Request, now: Now, base: BCPTenantStatus | None = None) -> BCPTenantStatus:
    status = base or seen.status
    candidate = _operation(seen, request, now)
    violations = rules.preflight(seen, request, now)
    candidate = candidate.model_copy(update={"warnings": rules.warnings(violations)})
    reason = rules.refusal(violations, request)
    if reason:
        refused = history.finish(candidate, "Refused", now.wall, reason)
        return history.remember(status, refused).model_copy(update={"request_hash": request.hash})
    if status.operation is not None:
        replaced = history.finish(
            status.operation, "Superseded", now.wall, f"a newer request for {request.type} came in"
        )
        status = history.remember(status, replaced)
    deadline = now.wall + operation.DEADLINE + _patience(seen, candidate)
    recorded = candidate.model_copy(update={"step": "Record", "deadline": deadline})
    return status.model_copy(update={"operation": recorded, "request_hash": request.hash})


def _patience(seen: Observed, candidate: Operation) -> timedelta:
    """How long it may wait for a Job, or for people, beside the switch itself."""
    if candidate.mode == "Planned":
        return finalsync.timeout(seen) + drain.timeout(seen)
    looks = candidate.type == "Failback" and candidate.secondary_changes == "Keep"
    return finalsync.timeout(seen) if looks else timedelta()


def _operation(seen: Observed, request: Request, now: Now) -> Operation:
    identity = f"{seen.uid}/{seen.generation}/{request.hash}"
    known = seen.memory.request_seen if seen.memory.request_hash == request.hash else None
    sighted = (known or now).wall
    field_time = seen.requester.time
    bound = field_time is not None and sighted - field_time > BOUND
    return Operation(
        id=hashlib.sha256(identity.encode()).hexdigest()[:12],
        type=request.type,
        step="Preflight",
        generation=seen.generation,
        requested_at=request.requested_at,
        start_time=field_time if bound and field_time else sighted,
        start_time_bound=bound,
        initiator=seen.requester.name[:512],
        initiator_verified=seen.requester.verified,
        approved_by=approval.approver(seen, request),
        reason=request.reason,
        override=sorted(request.override),
        mode=request.mode,
        secondary_changes="Discard" if request.discard else "Keep",
    )
