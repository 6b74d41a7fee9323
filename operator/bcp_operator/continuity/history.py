"""How an operation ends and what is remembered of it."""

from datetime import datetime

from bcp_operator.api.tenant_status import BCPTenantStatus, FinishedOperation, Operation, OperationResult

from .observed import Memory, Now

LENGTH = 10


def finish(
    operation: Operation,
    result: OperationResult,
    end_time: datetime,
    message: str,
    *,
    rto_seconds: float | None = None,
    recovery_point_age_seconds: float | None = None,
) -> FinishedOperation:
    """The operation as it goes into lastOperation and history."""
    return FinishedOperation(
        **operation.model_dump(exclude={"deadline"}),
        result=result,
        end_time=end_time,
        message=message[:1024],
        rto_seconds=rto_seconds,
        recovery_point_age_seconds=recovery_point_age_seconds,
    )


def remember(status: BCPTenantStatus, finished: FinishedOperation) -> BCPTenantStatus:
    """Put it first. The last ten stay, and always the last completed one: later rules need its times."""
    history = [finished, *status.history]
    kept = history[:LENGTH]
    if not any(entry.result == "Completed" for entry in kept):
        kept[LENGTH - 1 :] = [entry for entry in history[LENGTH - 1 :] if entry.result == "Completed"][:1]
    return status.model_copy(update={"last_operation": finished, "history": kept})


def last_completed(status: BCPTenantStatus) -> FinishedOperation | None:
    """The last switch that was carried out."""
    return next((entry for entry in status.history if entry.result == "Completed"), None)


def rto_seconds(operation: Operation, memory: Memory, request_hash: str, verified: Now) -> float:
    """From the request to the verified login URL.

    On the monotonic clock when this process saw the request itself; across a restart, and when the start was taken
    from managedFields, on the wall clock, like a planned switch, which may end long after it was seen.
    """
    if operation.verified_time is not None:
        return round(max(0.0, (operation.verified_time - operation.start_time).total_seconds()), 3)
    seen = memory.request_seen
    if seen is not None and memory.request_hash == request_hash and not operation.start_time_bound:
        seconds = verified.monotonic_seconds - seen.monotonic_seconds
    else:
        seconds = (verified.wall - operation.start_time).total_seconds()
    return round(max(0.0, seconds), 3)


def recovery_point_age_seconds(status: BCPTenantStatus, at: datetime) -> float | None:
    """Age of the last successful sync at that moment; None when there never was one."""
    last = status.sync.last_success_time if status.sync else None
    return None if last is None else round(max(0.0, (at - last).total_seconds()), 3)
