"""Deleting a tenant: bounded, and possible with everything outside dead."""

from .actions import Note, Plan, RestoreRoutes, SetFinalizer
from .observed import Now, Observed

ATTEMPTS = 3


def plan(seen: Observed, now: Now) -> Plan:
    """Restore the primary's route where that was asked for; then let the object go, whatever happened."""
    if not seen.finalizer:
        return Plan(status=seen.status)
    if seen.spec.deletion_policy != "Restore" or seen.refused or seen.claimed:
        return Plan(status=seen.status, actions=(SetFinalizer(False),))
    there = [route for route in seen.routes if (route.exists or route.error) and not route.conflict]
    left = [route.name for route in there if route.shows != "Primary"]
    if not left:
        note = Note("RouteRestored", "the login URL sends users to the primary again")
        return Plan(status=seen.status, actions=(SetFinalizer(False),), notes=(note,))
    if seen.memory.restore_attempts >= ATTEMPTS:
        text = f"route {', '.join(left)} could not be restored in {ATTEMPTS} attempts and was left as it is"
        note = Note("RouteNotRestored", text, warning=True)
        return Plan(status=seen.status, actions=(SetFinalizer(False),), notes=(note,))
    pause = (seen.memory.route_retry_seconds or 0.0) - now.monotonic_seconds
    if pause > 0:
        return Plan(status=seen.status, wake_seconds=pause)
    return Plan(status=seen.status, actions=(RestoreRoutes(),))
