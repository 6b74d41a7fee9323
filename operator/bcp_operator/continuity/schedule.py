"""When the sync runs: the policy's schedule, else daily at the minute of enabling."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.tenant import SyncSpec

from . import durations
from .observed import Problem

HOUR_MINUTES, DAY_MINUTES = 60, 24 * 60
MOST_TIMES = 1000

# What Kubernetes' own cron parser takes; it knows neither L, W and # nor Sunday as 7.
_PARTS = (r"\d+", r"\d+", r"\d+", r"(\d+|[A-Za-z]{3})", r"([0-6]|[A-Za-z]{3})")


@dataclass(frozen=True)
class Schedule:
    """Five cron fields in an IANA time zone."""

    cron: str
    time_zone: str


def resolve(sync: SyncSpec, policy: SyncPolicySpec | None, enabled_at: datetime, tenant: str) -> Schedule:
    """The schedule of a tenant, whose namespace and name decide on its jitter.

    Raises ZoneInfoNotFoundError for an unknown zone: `check` the zone first.
    """
    own = policy.schedule if policy is not None else None
    if own is not None:
        cron = own.cron if own.jitter is None else later(own.cron, durations.parse(own.jitter), tenant)
        return Schedule(cron, own.time_zone or sync.time_zone)
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


def times_between(schedule: Schedule, first: datetime, last: datetime) -> list[datetime]:
    """Times of the schedule from `first` to `last`, both included; at most MOST_TIMES, the earliest."""
    found: list[datetime] = []
    upcoming = next_after(schedule, first - timedelta(seconds=1))
    while upcoming <= last and len(found) < MOST_TIMES:
        found.append(upcoming)
        upcoming = next_after(schedule, upcoming)
    return found


def later(cron: str, jitter: timedelta, tenant: str) -> str:
    """The expression moved by this tenant's own share of the jitter, in whole minutes; always the same one.

    Only a single minute can be moved, within its hour; with a single hour, within its day.
    """
    minute, hour, *rest = cron.split()
    if not minute.isdecimal():
        return cron
    start, end = (int(hour) * 60 + int(minute), DAY_MINUTES) if hour.isdecimal() else (int(minute), HOUR_MINUTES)
    most = min(int(jitter.total_seconds()) // 60, end - 1 - start)
    share = int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big") % (most + 1)
    moved = start + share
    return " ".join([str(moved % 60), str(moved // 60) if hour.isdecimal() else hour, *rest])


def _plain(cron: str) -> str:
    """Kubernetes reads ? as *, cronsim doesn't know it."""
    return cron.replace("?", "*")


def _field_is_plain(text: str, part: str) -> bool:
    item = rf"(\*|\?|{part}(-{part})?)(/[1-9]\d*)?"
    return re.fullmatch(rf"{item}(,{item})*", text) is not None
