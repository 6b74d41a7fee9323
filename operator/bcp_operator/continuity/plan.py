"""plan(observed, now): the one decision. Pure; called again after every effect until nothing is left to do."""

from collections.abc import Iterator
from dataclasses import replace

from bcp_operator.api.tenant_status import BCPTenantStatus, Operation

from . import assess, deletion, fence, operation, steady, transitions
from .actions import Plan
from .judge import judge, refuse
from .observed import Now, Observed, Problem

UNREADABLE_RETRY_SECONDS = 5.0
UNWATCHED = ("ProfileNotFound", "ProfileInvalid", "UnknownEntityType")
"""Reasons that lie in a ConfigMap: when somebody puts it right no watch says so."""
UNWATCHED_RETRY_SECONDS = 60.0
STANDING_FENCE_POLL_SECONDS = 1.0


def plan(seen: Observed, now: Now) -> Plan:
    """Decide. The operation is in status before its first effect, so a plan that records one has no actions."""
    if seen.deleting:
        return deletion.plan(seen, now)
    if seen.refused is not None:
        return _write(seen, seen.status, now)
    if seen.claimed is not None:
        return _stand_aside(seen, seen.claimed, now)
    judged = judge(seen, now)
    if judged is not None:
        return _write(seen, judged, now, wake_seconds=0.0)
    if seen.status.operation is not None:
        return _advance(seen, seen.status.operation, now)
    return _keep(seen, now)


def _stand_aside(seen: Observed, claimed: Problem, now: Now) -> Plan:
    """What it names belongs to another tenant: unscheduled, and nothing else. A request is refused, lest it waits."""
    todo = fence.clear(seen)
    if todo:
        return Plan(status=seen.status, actions=todo)
    return _write(seen, refuse(seen, claimed.message, now), now)


def blocked(seen: Observed, why: Problem, now: Now) -> Plan:
    """An action was not allowed: nothing but to say so, beside all that is seen."""
    return _write(replace(seen, blocked=why), seen.status, now)


def _advance(seen: Observed, running: Operation, now: Now) -> Plan:
    progress = operation.advance(seen, running, now)
    if fence.outlived(seen, progress.actions):
        return _write(seen, seen.status, now, wake_seconds=0.0)
    if progress.done:
        return _write(seen, operation.complete(seen, running, now), now, wake_seconds=0.0)
    now_running = operation.seen_there(seen, running).model_copy(update={"step": progress.step})
    if progress.failed:
        return _write(seen, operation.refuse(seen, now_running, progress.failed, now), now, wake_seconds=0.0)
    base = seen.status.model_copy(update={"operation": now_running})
    # Nothing quick any more: say where it stands, and what was synced.
    waits = running.step in ("FinalSync", "Compare") or progress.step in ("Compare", "Drain")
    slow = waits or operation.held_up(seen, running)
    if progress.actions and slow:
        told = _write(seen, base, now, wake_seconds=0.0)
        if told.status != seen.status:
            return told
    if progress.actions:
        return Plan(status=seen.status, actions=progress.actions)
    return _write(seen, base, now, wake_seconds=progress.wait_seconds)


def _keep(seen: Observed, now: Now) -> Plan:
    todo = steady.actions(seen, now)
    unrecorded = list(seen.claims) != seen.status.claims  # what it holds is in status before it is used
    if unrecorded or fence.outlived(seen, todo):
        return _write(seen, seen.status, now, wake_seconds=0.0)
    if todo:
        return Plan(status=seen.status, actions=todo)
    ask, pause = steady.verification(seen, now)
    if ask is not None:
        return Plan(status=seen.status, actions=(ask,))
    return _write(seen, seen.status, now, wake_seconds=_soonest(pause, *_retries(seen, now)))


def _retries(seen: Observed, now: Now) -> Iterator[float]:
    """When to look again at what is not as it should be."""
    if seen.status.settled_system is None or any(route.error for route in seen.routes):
        yield UNREADABLE_RETRY_SECONDS
    if fence.silence(seen, now).state == "Waiting":
        yield STANDING_FENCE_POLL_SECONDS
    mourning = fence.mourning_seconds(seen, now)
    if mourning > 0 and seen.status.settled_system == "Primary":
        yield mourning
    if seen.sync_problem is not None and seen.sync_problem.reason in UNWATCHED:
        yield UNWATCHED_RETRY_SECONDS
    pause = (seen.memory.route_retry_seconds or 0.0) - now.monotonic_seconds
    if pause > 0:
        yield pause


def _soonest(*seconds: float | None) -> float | None:
    return min((value for value in seconds if value is not None), default=None)


def _write(seen: Observed, base: BCPTenantStatus, now: Now, wake_seconds: float | None = None) -> Plan:
    status = assess.status(seen, base, now)
    due = _soonest(wake_seconds, assess.next_change(seen, status, now))
    return Plan(status=status, notes=transitions.notes(seen.status, status), wake_seconds=due)
