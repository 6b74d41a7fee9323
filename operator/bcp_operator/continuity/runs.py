"""Folding sync runs into status: the last run, the recovery point, the next run."""

from datetime import UTC, datetime, timedelta

from bcp_operator.api import names
from bcp_operator.api.tenant_status import LastRun, Readiness, SyncStatus

from . import schedule
from .observed import Now, Observed, RunView

FIRST_RUN_WINDOW = timedelta(hours=1)
"""A run at once belongs to enabling, or to the way back after it; when status was wiped later on, the daily run is enough."""


def fold(seen: Observed, now: Now) -> SyncStatus:
    """status.sync as it is now. What was known stays when Jobs and pods have gone."""
    known = seen.status.sync or SyncStatus()
    enabled = seen.spec.sync.enabled
    last_run = _last_run(known.last_run, seen)
    return SyncStatus(
        enabled_at=seen.lease.enabled_at if enabled and seen.lease else None,
        last_success_time=_last_success(known.last_success_time, seen),
        last_run=last_run,
        next_sync_time=_next(seen, now),
        held_by=held_by(seen),
    )


def readiness(seen: Observed) -> Readiness | None:
    """What users would miss, by the last run that looked; a run that was held, or ended early, says nothing of it."""
    told = [run for run in seen.sync.runs if run.report is not None and run.report.readiness is not None]
    latest = max(told, key=lambda run: (run.created, run.name), default=None)
    if latest is None or latest.report is None or latest.report.readiness is None:
        return seen.status.readiness
    numbers = latest.report.readiness
    return Readiness(
        users_without_login=numbers.users_without_login,
        unsynced_types=[issue.type[:63] for issue in latest.report.unsynced[:64]],
        unresolved=numbers.unresolved,
    )


def held_by(seen: Observed) -> str | None:
    """What keeps the sync from running: the fence, Suspended, or nothing."""
    if seen.lease is not None and seen.lease.fenced:
        return seen.lease.holder[:253]  # anybody may have written it, and status has to hold it
    return "Suspended" if seen.spec.sync.enabled and suspended(seen) else None


def suspended(seen: Observed) -> bool:
    """Suspended by the tenant or by its policy."""
    return seen.spec.suspend or (seen.policy is not None and seen.policy.suspend)


def first_run_due(seen: Observed, now: Now) -> datetime | None:
    """The enabling time after which no run has been started yet; None when there is none to start.

    A sync that was enabled while users were on the secondary could not run: for that one the time counts from the
    moment at which the fence was taken off.
    """
    if seen.lease is None or seen.lease.enabled_at is None or suspended(seen):
        return None
    enabled_at = seen.lease.enabled_at
    possible_since = max(enabled_at, seen.lease.held_since or enabled_at)
    if now.wall - possible_since > FIRST_RUN_WINDOW or _ran_since(seen, enabled_at):
        return None
    return enabled_at


def _ran_since(seen: Observed, enabled_at: datetime) -> bool:
    first = names.first_job(seen.name, enabled_at)
    if any(run.name == first or run.created >= enabled_at for run in seen.sync.runs):
        return True
    known = seen.status.sync
    run = known.last_run if known else None
    if known is None or run is None:
        return False
    times = [time for time in (run.start_time, known.last_success_time) if time is not None]
    return run.name == first or any(time >= enabled_at for time in times)


def _last_run(known: LastRun | None, seen: Observed) -> LastRun | None:
    latest = max(seen.sync.runs, key=lambda run: (run.created, run.name), default=None)
    if latest is None or (
        known is not None and known.name == latest.name and known.result not in ("Running", "Unknown")
    ):
        return _gone(known, seen)
    return describe(latest)


def _gone(known: LastRun | None, seen: Observed) -> LastRun | None:
    if known is None or known.result != "Running" or any(run.name == known.name for run in seen.sync.runs):
        return known
    message = "its Job was deleted before it reported"
    return known.model_copy(update={"result": "Unknown", "message": message})


def describe(run: RunView) -> LastRun:
    """One run for status. A run without a report is Unknown, never a success."""
    if run.active:
        return LastRun(name=run.name, result="Running", start_time=run.start_time)
    if run.report is None:
        code = "" if run.exit_code is None else f" (exit code {run.exit_code})"
        return LastRun(
            name=run.name, result="Unknown", start_time=run.start_time, message=f"it ended without a report{code}"
        )
    report = run.report
    return LastRun(
        name=run.name,
        result=report.result,
        start_time=report.start_time,
        seconds=report.seconds,
        counts=report.counts.model_dump(),
        withheld_hash=report.withheld_hash,
        message=report.message[:1024],
    )


def _last_success(known: datetime | None, seen: Observed) -> datetime | None:
    """The recovery point is the start of a successful run: what changed later may be missing.

    By the pod's own clock, but never after the end of its Job: a node whose clock is ahead would make it look fresh.
    """
    good = [(run, run.report.start_time) for run in seen.sync.runs if run.report and run.report.result == "Succeeded"]
    times = [min(start, run.end_time or start) for run, start in good]
    return max([*times, *([known] if known else [])], default=None)


def _next(seen: Observed, now: Now) -> datetime | None:
    if not (seen.sync.cronjob and seen.lease and seen.lease.enabled_at and seen.spec.sync.enabled):
        return None
    if seen.sync_problem is not None or held_by(seen) is not None:
        return None
    plan = schedule.resolve(seen.spec.sync, seen.policy, seen.lease.enabled_at)
    return schedule.next_after(plan, now.wall).astimezone(UTC)
