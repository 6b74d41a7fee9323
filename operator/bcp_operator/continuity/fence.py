"""The fence: when no run can write to the secondary any more."""

from dataclasses import dataclass
from typing import Literal

from bcp_operator.api.names import FENCE_PREFIX, RUN_PREFIX, WRITER_LEASE_SECONDS

from .actions import Action, CreateLease, DeleteCronJob, DeleteRun, HoldWriter
from .observed import Now, Observed, WriterView

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Silence:
    """Open = runs may write; Waiting = fenced, but a writer may still be alive; Silent = no write is sent any more."""

    state: Literal["Open", "Waiting", "Silent"]
    wait_seconds: float = 0.0


def holder(operation_id: str) -> str:
    """Holder identity of the fence of an operation."""
    return f"{FENCE_PREFIX}{operation_id}"


def standing_holder(seen: Observed, why: str) -> str:
    """The fence that is there already, else a new one that says why (lost, conflict)."""
    if seen.lease is not None and seen.lease.fenced:
        return seen.lease.holder
    return holder(f"{why}-{seen.generation}-{seen.uid[:8]}")


def silence(seen: Observed, now: Now) -> Silence:
    """Judge the fence.

    Silent at once when nobody held the Lease, when the holder's container has ended, or when it was proven before
    and the fence never left; otherwise after a full lease duration on this process's own clock. Whom the Lease names
    counts only where it is the one that was known all the time: who lost it may write on for as long as it lasted.
    """
    lease = seen.lease
    if lease is None or not lease.fenced:
        return Silence("Open")
    if _proven(seen):
        return Silence("Silent")
    if _lost_seconds(seen, now) <= 0 and (lease.previous_holder == "" or _ended(lease, seen)):
        return Silence("Silent")
    since = seen.memory.fence_since_seconds
    waited = 0.0 if since is None else now.monotonic_seconds - since
    if waited >= WRITER_LEASE_SECONDS:
        return Silence("Silent")
    return Silence("Waiting", min(POLL_SECONDS, WRITER_LEASE_SECONDS - waited))


def hold(seen: Observed, fence: str) -> tuple[Action, ...]:
    """What is missing for the fence: first the Lease, then everything that could start or be a run."""
    actions: list[Action] = []
    if seen.lease is None:
        actions.append(CreateLease("" if _never_synced(seen) else fence))
    elif seen.lease.holder != fence:
        actions.append(HoldWriter(fence))
    return (*actions, *clear(seen))


def clear(seen: Observed) -> tuple[Action, ...]:
    """Delete the CronJob, so that nothing starts, and the Jobs that are active.

    Being deleted is enough: such a one starts nothing, and may stay for as long as a controller or a node is down.
    """
    cronjob: tuple[Action, ...] = (DeleteCronJob(),) if seen.sync.cronjob else ()
    return (*cronjob, *(DeleteRun(run.name, run.uid) for run in seen.sync.runs if run.active and not run.deleting))


def outlived(seen: Observed, todo: tuple[Action, ...]) -> bool:
    """A fence is to be set while status still tells of one that was taken off: that has to be told first.

    The condition is the proof of silence; the new fence must not inherit it.
    """
    fenced = seen.lease is not None and seen.lease.fenced
    return not fenced and _proven(seen) and any(isinstance(action, HoldWriter | CreateLease) for action in todo)


def mourning_seconds(seen: Observed, now: Now) -> float:
    """How much longer a lost Lease has to stay away, in seconds: until a writer that held it must have ended."""
    if seen.lease is not None or _never_synced(seen):
        return 0.0
    return WRITER_LEASE_SECONDS if seen.memory.lease_gone_seconds is None else _lost_seconds(seen, now)


def _lost_seconds(seen: Observed, now: Now) -> float:
    """How much longer somebody may write who held a Lease that was lost, in seconds."""
    gone = seen.memory.lease_gone_seconds
    return 0.0 if gone is None else max(0.0, gone + WRITER_LEASE_SECONDS - now.monotonic_seconds)


def _never_synced(seen: Observed) -> bool:
    """No run can ever have been: then a missing Lease is a new one, made free, and its fence needs no wait."""
    known = seen.status.sync
    past = known is not None and (known.enabled_at is not None or known.last_run is not None)
    return not past and not seen.sync.cronjob and not seen.sync.runs


def _ended(lease: WriterView, seen: Observed) -> bool:
    previous = lease.previous_holder or ""
    pod = previous.removeprefix(RUN_PREFIX).split("/")[0]
    return previous.startswith(RUN_PREFIX) and pod in seen.sync.terminated_writers


def _proven(seen: Observed) -> bool:
    return any(c.type == "SyncFenced" and c.status == "True" for c in seen.status.conditions)
