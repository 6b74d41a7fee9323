"""Deleting a tenant: bounded, and possible with everything outside dead."""

from .actions import Note, Plan, RestoreRoutes, SetFinalizer
from .observed import Now, Observed

ATTEMPTS = 3


def not_restored(why: str) -> Note:
    """The tenant goes although its routes may still send users to the secondary."""
    return Note("RouteNotRestored", f"{why}: the login URL was left as it is, see to it by hand", warning=True)


def plan(seen: Observed, now: Now) -> Plan:
    """Restore the primary's route where that was asked for; then let the object go, whatever happened."""
    if not seen.finalizer:
        return Plan(status=seen.status)
    if seen.spec.deletion_policy != "Restore":
        return _let_go(seen)
    if seen.refused is not None:
        return _let_go(seen, not_restored(seen.refused.message))
    if seen.claimed is not None:
        return _let_go(seen, not_restored(seen.claimed.message))
    return _restore(seen, now)


def _restore(seen: Observed, now: Now) -> Plan:
    there = [route for route in seen.routes if (route.exists or route.error) and not route.conflict]
    left = [route.name for route in there if route.shows != "Primary"]
    if not left:
        return _let_go(seen, Note("RouteRestored", "the login URL sends users to the primary again"))
    if seen.memory.restore_attempts >= ATTEMPTS:
        return _let_go(seen, not_restored(f"route {', '.join(left)} could not be restored in {ATTEMPTS} attempts"))
    pause = (seen.memory.route_retry_seconds or 0.0) - now.monotonic_seconds
    if pause > 0:
        return Plan(status=seen.status, wake_seconds=pause)
    return Plan(status=seen.status, actions=(RestoreRoutes(),))


def _let_go(seen: Observed, *notes: Note) -> Plan:
    return Plan(status=seen.status, actions=(SetFinalizer(False),), notes=notes)
