"""The end of a planned switch: new log-ins go to the secondary already, and those who work in the primary may finish."""

from datetime import timedelta

from bcp_operator.api.tenant_status import Operation

from . import durations
from .observed import Now, Observed

ASK_SECONDS = 5.0


def wait_seconds(seen: Observed, operation: Operation, now: Now) -> float | None:
    """Seconds until the drain signal is to be asked for; None when nothing is left to wait for."""
    spec = seen.spec.safety.drain
    if operation.mode != "Planned" or spec is None or seen.memory.drained == operation.id:
        return None
    until = operation.verified_time
    if until is not None and now.wall >= until + durations.parse(spec.timeout):
        return None
    asked = seen.memory.drain_asked_seconds
    return 0.0 if asked is None else max(0.0, asked + ASK_SECONDS - now.monotonic_seconds)


def outcome(seen: Observed, operation: Operation) -> str:
    """How it ended, for people; empty where nothing was waited for."""
    spec = seen.spec.safety.drain
    if operation.mode != "Planned" or spec is None:
        return ""
    return "; drained" if seen.memory.drained == operation.id else f"; not drained within {spec.timeout}"


def timeout(seen: Observed) -> timedelta:
    """How long it may take."""
    spec = seen.spec.safety.drain
    return durations.parse(spec.timeout) if spec is not None else timedelta()
