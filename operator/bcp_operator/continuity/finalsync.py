"""The last sync of a planned switch: one more run, before anything is fenced."""

from dataclasses import dataclass
from datetime import timedelta

from bcp_operator.api import names
from bcp_operator.api.tenant_status import LastRun, Operation

from . import durations, fence, runs
from .actions import Action, StartRun
from .observed import Now, Observed

POLL_SECONDS = 5.0
"""Jobs make events; this is for the one that got lost."""
DEFAULT_TIMEOUT = timedelta(hours=2)


@dataclass(frozen=True)
class FinalSync:
    """What is left to do of it: actions, waiting, or `failed`, which ends the switch before it has begun."""

    actions: tuple[Action, ...] = ()
    failed: str = ""


def left(seen: Observed, operation: Operation, now: Now) -> FinalSync | None:
    """What is left; None when it is done, was not asked for, or must not be: never onto a side where users are."""
    fenced = seen.lease is not None and seen.lease.holder == fence.holder(operation.id)
    if operation.mode != "Planned" or fenced or any(route.shows == "Secondary" for route in seen.routes):
        return None
    name = names.job_at(seen.name, operation.start_time)
    ended = _ended(seen, name, now)
    if ended is not None:
        text = f"the last sync before the switch ended as {ended.result}, {ended.message or ended.counts}"
        return None if ended.result == "Succeeded" else FinalSync(failed=f"{text}; {ADVICE}")
    if any(run.active for run in seen.sync.runs):
        return FinalSync()
    if not seen.sync.cronjob:
        return FinalSync(failed=f"there is no CronJob to make the last sync from; {ADVICE}")
    return FinalSync((StartRun(operation.start_time),))


def timeout(seen: Observed) -> timedelta:
    """How long the run may take."""
    return durations.parse(seen.policy.limits.timeout) if seen.policy is not None else DEFAULT_TIMEOUT


def _ended(seen: Observed, name: str, now: Now) -> LastRun | None:
    """How the run ended, by its Job or by what status remembers of it; None while it runs, before, or when it is lost."""
    run = next((run for run in seen.sync.runs if run.name == name), None)
    if run is not None and run.active:
        return None
    if run is not None and run.report is not None:
        return runs.describe(run)
    last = runs.fold(seen, now).last_run
    if last is not None and last.name == name and last.result not in ("Running", "Unknown"):
        return last
    return runs.describe(run) if run is not None else None


ADVICE = (
    "nothing was fenced and nobody moved. Put it right and ask again with a newer requestedAt, or without mode: Planned"
)
