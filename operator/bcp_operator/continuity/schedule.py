"""When the sync runs: the policy's schedule, else daily at the minute of enabling."""

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.tenant import SyncSpec

from .observed import Problem

# What Kubernetes' own cron parser takes; it knows neither L, W and # nor Sunday as 7.
_PARTS = (r"\d+", r"\d+", r"\d+", r"(\d+|[A-Za-z]{3})", r"([0-6]|[A-Za-z]{3})")


@dataclass(frozen=True)
class Schedule:
    """Five cron fields in an IANA time zone."""

    cron: str
    time_zone: str


def resolve(sync: SyncSpec, policy: SyncPolicySpec | None, enabled_at: datetime) -> Schedule:
    """The schedule of a tenant. Raises ZoneInfoNotFoundError for an unknown zone: `check` the zone first."""
    if policy is not None and policy.schedule is not None:
        return Schedule(policy.schedule.cron, policy.schedule.time_zone or sync.time_zone)
    local = enabled_at.astimezone(ZoneInfo(sync.time_zone))
    return Schedule(f"{local.minute} {local.hour} * * *", sync.time_zone)


def check(sync: SyncSpec, policy: SyncPolicySpec | None) -> Problem | None:
    """Say what is wrong with the time zone or the cron expression; None when the schedule can be kept."""
    own = policy.schedule if policy is not None else None
    zone = (own.time_zone if own else None) or sync.time_zone
    if not zone_exists(zone):
        return Problem("InvalidTimeZone", f"{zone!r} is not an IANA time zone, e.g. Europe/Berlin")
    return check_cron(own.cron) if own else None


def check_cron(cron: str) -> Problem | None:
    """Say what is wrong with a cron expression."""
    fields = cron.split()
    if len(fields) != 5 or not all(_field_is_plain(text, part) for text, part in zip(fields, _PARTS, strict=True)):
        message = f"{cron!r} is not minute hour day month weekday as Kubernetes reads them (Sunday is 0)"
        return Problem("InvalidSchedule", message)
    try:
        next(CronSim(_plain(cron), datetime(2024, 1, 1)))
    except (CronSimError, StopIteration):
        return Problem("InvalidSchedule", f"{cron!r} names a time that never comes")
    return None


def zone_exists(name: str) -> bool:
    """Whether this is a zone of the IANA database; Local is not."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return name != "localtime"


def next_after(schedule: Schedule, after: datetime) -> datetime:
    """The first time after `after` (aware), in the schedule's zone."""
    upcoming: datetime = next(CronSim(_plain(schedule.cron), after.astimezone(ZoneInfo(schedule.time_zone))))
    return upcoming


def _plain(cron: str) -> str:
    """Kubernetes reads ? as *, cronsim doesn't know it."""
    return cron.replace("?", "*")


def _field_is_plain(text: str, part: str) -> bool:
    item = rf"(\*|\?|{part}(-{part})?)(/[1-9]\d*)?"
    return re.fullmatch(rf"{item}(,{item})*", text) is not None
