"""Folding sync runs into status: the last run, the recovery point, the next run."""

from datetime import UTC, datetime, timedelta

from bcp_operator.api import names
from bcp_operator.api.tenant_status import LastRun, Readiness, SyncStatus

from . import divergence, schedule
from .observed import Now, Observed, RunView

START_GRACE = timedelta(minutes=10)
"""A run that has not started so long after its time is missed; Kubernetes starts none later (startingDeadlineSeconds)."""
CLOCK_SKEW = timedelta(seconds=30)
INSTANT = timedelta(seconds=1)
FIRST_RUN_WINDOW = timedelta(hours=1)
"""A run at once belongs to enabling, or to the way back after it; when status was wiped later on, the daily run is enough."""


def fold(seen: Observed, now: Now) -> SyncStatus:
    """status.sync as it is now. What was known stays when Jobs and pods have gone."""
    known = seen.status.sync or SyncStatus()
    enabled = seen.spec.sync.enabled
    last_run = _last_run(known.last_run, seen)
    next_sync_time, missed = _next(known, seen, now)
    return SyncStatus(
        enabled_at=seen.lease.enabled_at if enabled and seen.lease else None,
        last_success_time=_last_success(known.last_success_time, seen),
        last_run=last_run,
        next_sync_time=next_sync_time,
        missed=missed or None,
        last_trigger=_last_trigger(known.last_trigger, seen, now),
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
    first = names.job_at(seen.name, enabled_at)
    if any(run.name == first or run.created >= enabled_at for run in seen.sync.runs):
        return True
    known = seen.status.sync
    run = known.last_run if known else None
    if known is None or run is None:
        return False
    times = [time for time in (run.start_time, known.last_success_time) if time is not None]
    return run.name == first or any(time >= enabled_at for time in times)


def trigger_due(seen: Observed) -> datetime | None:
    """The trigger that asks for a run which may be started now: none is running, and everything for it is in place."""
    known = seen.status.sync.last_trigger if seen.status.sync else None
    trigger = seen.spec.sync.trigger
    if trigger is None or not _newer(trigger, known) or held_by(seen) is not None or _dealt_with(trigger, seen):
        return None
    ready = seen.sync.cronjob and not seen.sync.stale and not any(run.active for run in seen.sync.runs)
    return trigger if ready else None


def _last_trigger(known: datetime | None, seen: Observed, now: Now) -> datetime | None:
    trigger = seen.spec.sync.trigger
    if trigger is None or not _newer(trigger, known):
        return known
    looks = divergence.possible(seen, now) and not divergence.looked(seen, trigger)
    done = not looks if held_by(seen) is not None else _dealt_with(trigger, seen)
    return trigger if done else known


def _dealt_with(trigger: datetime, seen: Observed) -> bool:
    """Its run was started, or there is to be none: the sync was enabled only later, which is a run itself."""
    if any(run.name == names.job_at(seen.name, trigger) for run in seen.sync.runs):
        return True
    enabled_at = seen.lease.enabled_at if seen.lease else None
    return enabled_at is not None and trigger <= enabled_at


def _newer(trigger: datetime, known: datetime | None) -> bool:
    return known is None or trigger > known


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


def _next(known: SyncStatus, seen: Observed, now: Now) -> tuple[datetime | None, int]:
    """When the next run is due, and how many in a row did not start.

    A time that has come stays until its run has started or is missed, and goes at once when it is none of the schedule
    any more.
    """
    plan = _schedule(seen)
    missed = 0 if _started_since(known, seen) else known.missed or 0
    if plan is None:
        return None, missed
    due = known.next_sync_time
    if due is None or due > now.wall or _ran(due, seen) or schedule.next_after(plan, due - INSTANT) != due:
        return _upcoming(plan, now.wall), missed
    latest_missed = now.wall - START_GRACE
    times = schedule.times_between(plan, due, latest_missed)
    return (_upcoming(plan, latest_missed) if times else due), missed + len(times)


def _schedule(seen: Observed) -> schedule.Schedule | None:
    """By which runs may start now; None while there is none that could."""
    if not (seen.sync.cronjob and seen.lease and seen.lease.enabled_at and seen.spec.sync.enabled):
        return None
    if seen.sync_problem is not None or held_by(seen) is not None:
        return None
    return schedule.resolve(seen.spec.sync, seen.policy, seen.lease.enabled_at, f"{seen.namespace}/{seen.name}")


def _upcoming(plan: schedule.Schedule, after: datetime) -> datetime:
    return schedule.next_after(plan, after).astimezone(UTC)


def _ran(due: datetime, seen: Observed) -> bool:
    return any(run.created >= due - CLOCK_SKEW for run in seen.sync.runs)


def _started_since(known: SyncStatus, seen: Observed) -> bool:
    """Whether there is a newer run than the last one that status knows."""
    latest = max(seen.sync.runs, key=lambda run: (run.created, run.name), default=None)
    return latest is not None and (known.last_run is None or known.last_run.name != latest.name)
