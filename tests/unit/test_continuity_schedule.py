"""When the sync runs: the minute of enabling, zones with daylight saving, and what Kubernetes' cron parser refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.tenant import SyncSpec
from bcp_operator.continuity import durations, schedule
from bcp_operator.continuity.schedule import Schedule
from hypothesis import given
from hypothesis import strategies as st


@given(
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
)
def test_without_a_policy_it_is_the_minute_of_enabling_in_the_tenants_zone(at: datetime, zone: str) -> None:
    found = schedule.resolve(SyncSpec(time_zone=zone), None, at, "team/acme")
    upcoming = schedule.next_after(found, at)
    assert timedelta(0) < upcoming - at <= timedelta(hours=25)
    assert schedule.check(SyncSpec(time_zone=zone), None) is None


def test_a_policy_wins_and_may_leave_the_zone_to_the_tenant() -> None:
    policy = SyncPolicySpec.model_validate({"schedule": {"cron": "30 2 * * *"}})
    found = schedule.resolve(SyncSpec(time_zone="Europe/Berlin"), policy, datetime(2026, 1, 1, tzinfo=UTC), "team/acme")
    assert found == Schedule("30 2 * * *", "Europe/Berlin")
    night = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)  # the clocks go forward over 02:30
    assert schedule.next_after(found, night) - night < timedelta(hours=26)


@pytest.mark.parametrize("cron", ["0 2 * * *", "*/5 * * * 1-5", "0 0 1,15 JAN-JUN MON", "0 0 ? * SUN"])
def test_what_kubernetes_takes_is_taken(cron: str) -> None:
    assert schedule.check_cron(cron) is None


@pytest.mark.parametrize(
    "cron",
    ["0 2 * *", "61 * * * *", "0 0 31 2 *", "0 0 * * 7", "0 0 L * *", "0 0 * * 1#2", "@daily x x x x", "*/0 * * * *"],
)
def test_what_kubernetes_refuses_or_never_comes_is_a_problem_with_words(cron: str) -> None:
    problem = schedule.check_cron(cron)
    assert problem is not None
    assert problem.reason == "InvalidSchedule"
    assert cron in problem.message


tenants = st.text("abc-", min_size=1, max_size=12).map(lambda name: f"team/{name}")


@given(
    st.integers(0, 59), st.none() | st.integers(0, 23), st.integers(0, 2000), tenants, st.sampled_from(["*", "MON,THU"])
)
def test_jitter_moves_a_tenant_by_its_own_time_within_the_hour_or_the_day(
    minute: int, hour: int | None, most: int, tenant: str, weekday: str
) -> None:
    hours = "*/2" if hour is None else str(hour)
    policy = SyncPolicySpec.model_validate(
        {"schedule": {"cron": f"{minute} {hours} * * {weekday}", "jitter": f"{most}m"}}
    )
    at = datetime(2026, 1, 1, tzinfo=UTC)
    found = schedule.resolve(SyncSpec(), policy, at, tenant)
    assert found == schedule.resolve(SyncSpec(), policy, at + timedelta(days=99), tenant)
    assert schedule.check_cron(found.cron) is None
    plain = Schedule(f"{minute} {hours} * * {weekday}", "UTC")
    before, after = (schedule.next_after(one, at - timedelta(seconds=1)) for one in (plain, found))
    assert timedelta(0) <= after - before <= timedelta(minutes=most)
    assert (before.hour if hour is None else before.date()) == (after.hour if hour is None else after.date())


def test_jitter_spreads_tenants_and_leaves_what_has_no_single_minute() -> None:
    minutes = {schedule.later("0 2 * * *", timedelta(minutes=30), f"team/t{n}") for n in range(200)}
    assert minutes == {f"{minute} 2 * * *" for minute in range(31)}
    assert schedule.later("*/5 2 * * *", timedelta(minutes=30), "team/acme") == "*/5 2 * * *"


def test_times_between_are_those_of_the_schedule_also_when_the_clocks_change() -> None:
    nightly = Schedule("30 1 * * *", "Europe/Berlin")
    first = datetime(2026, 10, 24, 0, 0, tzinfo=UTC)
    found = schedule.times_between(nightly, first, datetime(2026, 10, 27, 0, 30, tzinfo=UTC))
    assert [time.astimezone(UTC).isoformat()[:16] for time in found] == [
        "2026-10-24T23:30",
        "2026-10-26T00:30",
        "2026-10-27T00:30",
    ]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "localtime", "../etc/passwd", ""])
def test_an_unknown_zone_is_a_problem(zone: str) -> None:
    assert not schedule.zone_exists(zone)


@pytest.mark.parametrize(("text", "seconds"), [("26h", 93600), ("1h30m", 5400), ("90s", 90), ("99999h", 359996400)])
def test_durations_are_read_as_go_writes_them(text: str, seconds: int) -> None:
    assert durations.parse(text) == timedelta(seconds=seconds)
    with pytest.raises(ValueError, match="is not a duration"):
        durations.parse("1 day")
