"""Between switches: keep the settled side, never change it."""

from datetime import datetime

from bcp_operator.api.common import System

from . import divergence, fence, runs
from .actions import (
    Action,
    ApplyRoutes,
    ApplySync,
    CreateLease,
    DeleteCronJob,
    MarkEnabled,
    SetFinalizer,
    StartComparison,
    StartRun,
    VerifyLogin,
)
from .observed import Now, Observed, RouteView
from .request import other, pending
from .request import read as read_request

VERIFY_FIRST_SECONDS = 1.0
VERIFY_LONGEST_SECONDS = 60.0
RECHECK_SECONDS = 60.0
"""Between two looks at a login URL that sends users to the secondary."""


def conflict(seen: Observed) -> str:
    """Why intent and world disagree in a way that only a person may resolve; empty when they don't."""
    side = seen.status.settled_system
    if side is None or seen.status.operation is not None:
        return ""
    drifted = [route.name for route in seen.routes if route.shows == other(side) and not route.conflict]
    if drifted:
        return (
            f"route {', '.join(drifted)} sends users to the {other(side).lower()}, but nobody asked for that under "
            f"spec.failover: users stay where they are and the sync is held. Set spec.failover.activeSystem to what "
            f"you want, with a new requestedAt"
        )
    if held_since_creation(seen):
        return (
            f"spec.failover.activeSystem was {read_request(seen.spec, seen.status).desired} when this object was "
            "created, but not all routes sent users there: nothing is moved. Set spec.failover.activeSystem to what you "
            "want, with a new requestedAt"
        )
    return ""


def held_since_creation(seen: Observed) -> bool:
    """Held before and spec.failover not touched since."""
    if pending(seen) or read_request(seen.spec, seen.status).desired == seen.status.settled_system:
        return False
    return any(c.type == "IntentConflict" and c.status == "True" for c in seen.status.conditions)


def actions(seen: Observed, now: Now) -> tuple[Action, ...]:
    """What is missing for the settled side."""
    side = seen.status.settled_system
    if side is None:
        return ()
    if conflict(seen):
        return fence.hold(seen, fence.standing_holder(seen, "conflict"))
    return (
        *_finalizer(seen),
        *_held(seen),
        *_repair(seen, side, now),
        *_lease(seen, side, now),
        *_sync(seen, now, side),
    )


def verification(seen: Observed, now: Now) -> tuple[VerifyLogin | None, float | None]:
    """Ask the login URL until it was seen on the settled side, and again and again while that is the secondary.

    The question, or the seconds until the next one.
    """
    side = seen.status.settled_system
    names = tuple(route.name for route in seen.routes if not route.conflict)
    if side is None or not names or conflict(seen) or not all(_shows(route, side) for route in seen.routes):
        return None, None
    known = seen.memory.verified
    if known is None or known.target != side:
        at_rest = side == "Primary" and _verified_before(seen, side)
        return (None, None) if at_rest else (VerifyLogin(side, names, ""), None)
    if known.ok and side == "Primary":
        return None, None
    pause = min(VERIFY_LONGEST_SECONDS, VERIFY_FIRST_SECONDS * 2.0 ** min(10, seen.memory.verify_attempts))
    pause = RECHECK_SECONDS if known.ok else pause
    left = known.at.monotonic_seconds + pause - now.monotonic_seconds
    return (VerifyLogin(side, names, ""), None) if left <= 0 else (None, left)


def _shows(route: RouteView, side: System) -> bool:
    return bool(route.conflict) or route.shows == side


def _verified_before(seen: Observed, side: System) -> bool:
    """LoginVerified carries the side as its reason, so that a restart asks nobody again."""
    return any(c.type == "LoginVerified" and c.status == "True" and c.reason == side for c in seen.status.conditions)


def _finalizer(seen: Observed) -> tuple[Action, ...]:
    wanted = seen.spec.deletion_policy == "Restore"
    return (SetFinalizer(wanted),) if wanted != seen.finalizer else ()


def _held(seen: Observed) -> tuple[Action, ...]:
    """A standing fence tolerates no CronJob and no run, whoever made them."""
    if seen.status.settled_system == "Secondary":
        return fence.hold(seen, fence.standing_holder(seen, "lost"))
    return fence.clear(seen) if seen.lease is not None and seen.lease.fenced else ()


def _repair(seen: Observed, side: System, now: Now) -> tuple[Action, ...]:
    """Our own content, on the same side. Adopted routes are reported, not repaired."""
    if seen.spec.suspend or now.monotonic_seconds < (seen.memory.route_retry_seconds or 0.0):
        return ()
    names = tuple(
        route.name
        for route in seen.routes
        if route.managed and not route.conflict and not route.error and (route.shows != side or not route.current)
    )
    return (ApplyRoutes(side, names),) if names else ()


def _lease(seen: Observed, side: System, now: Now) -> tuple[Action, ...]:
    """A missing Lease holds every run; it comes back free only when status and all routes say Primary.

    And only when whoever held it has ended: a fence of the new one would know nothing of that writer.
    """
    if seen.lease is not None or side == "Secondary" or fence.mourning_seconds(seen, now) > 0:
        return ()
    free = all(route.shows == "Primary" for route in seen.routes)
    return (CreateLease(""),) if free else ()


def _sync(seen: Observed, now: Now, side: System) -> tuple[Action, ...]:
    if seen.lease is None:
        return ()
    if not seen.spec.sync.enabled:
        stop: tuple[Action, ...] = (DeleteCronJob(),) if seen.sync.cronjob and not seen.lease.fenced else ()
        return (*stop, MarkEnabled(None)) if seen.lease.enabled_at else stop
    if seen.sync_problem is not None:
        return ()
    enabled_at = seen.lease.enabled_at
    if enabled_at is None:
        recorded = seen.status.sync.enabled_at if seen.status.sync else None
        return (MarkEnabled(recorded or now.wall.replace(microsecond=0)),)
    if side == "Secondary":
        return _look(seen, now)
    stopped = seen.lease.fenced or seen.sync.cronjob_ending
    return () if stopped else _runs(seen, now, enabled_at)


def _look(seen: Observed, now: Now) -> tuple[Action, ...]:
    """No run may write; a trigger asks for what was changed meanwhile."""
    at = divergence.asked(seen, now)
    return () if at is None else (StartComparison(at),)


def _runs(seen: Observed, now: Now, enabled_at: datetime) -> tuple[Action, ...]:
    """What starts runs: the CronJob by its schedule, this process at once."""
    if seen.sync.retimed and seen.sync.cronjob:
        return (DeleteCronJob(),)
    apply: tuple[Action, ...] = (ApplySync(enabled_at),) if seen.sync.stale else ()
    due = runs.first_run_due(seen, now) or runs.trigger_due(seen)
    return (*apply, StartRun(due)) if due else apply
