"""Folding runs into status, and when one is due: by the schedule, by a trigger, and not by chance."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from bcp_operator.api import names
from bcp_operator.api.run import RunReport
from bcp_operator.api.tenant_status import SyncStatus
from bcp_operator.continuity import runs
from bcp_operator.continuity.actions import Action, ApplySync, DeleteCronJob, StartRun
from bcp_operator.continuity.assess import Assessment
from bcp_operator.continuity.observed import RunView
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import simulated_tenant as sim

DAY = 24 * 3600


def synced(**parts: Any) -> sim.World:
    """A tenant whose first run is done and in status."""
    return sim.settled(sync={"enabled": True}, **parts)


def sync_of(world: sim.World) -> SyncStatus:
    assert world.seen.status.sync is not None
    return world.seen.status.sync


def started(world: sim.World) -> list[Action]:
    return [action for action in world.done if isinstance(action, StartRun)]


def reasons(world: sim.World) -> list[str]:
    """Events of the next pass that finds nothing to do."""
    while (decided := world.step()).actions:
        pass
    return [note.reason for note in decided.notes]


def test_a_node_whose_clock_is_ahead_makes_no_recovery_point_look_fresher() -> None:
    world = synced()
    end = world.clock.wall - timedelta(hours=3)
    report = RunReport(result="Succeeded", start_time=end + timedelta(days=2), seconds=1)
    run = RunView("acme-sync-1", "u", end - timedelta(minutes=1), active=False, end_time=end, report=report)
    seen = replace(world.seen, sync=replace(world.seen.sync, runs=(run,)))
    assert runs.fold(seen, world.clock).last_success_time == end


def test_what_users_would_miss_is_what_the_last_run_that_looked_has_found() -> None:
    world = sim.settled(sync={"enabled": True})
    end = world.clock.wall - timedelta(hours=3)

    def run(name: str, hours: int, **report: Any) -> RunView:
        time = end + timedelta(hours=hours)
        told = RunReport.model_validate({"result": "Partial", "startTime": time, "seconds": 1, **report})
        return RunView(name, name, time, active=False, end_time=time, report=told)

    numbers = {"usersWithoutLogin": 3, "unsyncedTypes": 1, "unresolved": 2}
    unsynced = [{"type": "group", "key": "", "reason": "NotChosen: left out by the policy"}]
    looked = run("acme-sync-1", 0, readiness=numbers, unsynced=unsynced)
    held = run("acme-sync-2", 1)
    seen = replace(world.seen, sync=replace(world.seen.sync, runs=(looked, held)))
    found = runs.readiness(seen)
    assert found is not None
    assert (found.users_without_login, found.unsynced_types, found.unresolved) == (3, ["group"], 2)
    gone = replace(seen, sync=replace(seen.sync, runs=()), status=seen.status.model_copy(update={"readiness": found}))
    assert runs.readiness(gone) == found  # Jobs are cleared away, what is known stays
    assert Assessment(gone, gone.status, world.clock).status().readiness == found


# --- trigger


def test_a_trigger_starts_one_run_and_is_echoed() -> None:
    world = synced()
    assert len(started(world)) == 1  # of enabling
    world.tick(3600)
    world.change(sync={"enabled": True, "trigger": world.clock.wall})
    assert "SyncTriggered" in reasons(world)
    assert started(world)[1:] == [StartRun(world.clock.wall)]
    assert sync_of(world).last_trigger == world.clock.wall
    world.seen = replace(world.seen, sync=replace(world.seen.sync, runs=()))  # its Job is long gone
    world.tick(8 * DAY)
    world.settle()
    assert len(started(world)) == 2


def test_a_trigger_waits_for_the_run_that_is_under_way() -> None:
    world = synced()
    world.tick(3600)
    world.ran(active=True)
    world.change(sync={"enabled": True, "trigger": world.clock.wall})
    world.settle()
    assert len(started(world)) == 1
    assert sync_of(world).last_trigger is None
    world.seen = replace(world.seen, sync=replace(world.seen.sync, runs=world.seen.sync.runs[:1]))
    world.settle()
    assert len(started(world)) == 2


def test_an_older_trigger_asks_for_nothing() -> None:
    world = synced()
    world.tick(3600)
    world.change(sync={"enabled": True, "trigger": world.clock.wall})
    world.settle()
    world.change(sync={"enabled": True, "trigger": world.clock.wall - timedelta(minutes=1)})  # a revert in Git
    world.settle()
    assert len(started(world)) == 2


def test_a_trigger_from_before_enabling_is_the_run_of_enabling() -> None:
    world = sim.fresh(sync={"enabled": True, "trigger": sim.START})
    world.settle()
    assert len(started(world)) == 1


@pytest.mark.parametrize("how", ["suspended", "failed over"])
def test_a_trigger_while_the_sync_is_held_is_passed_over_for_good(how: str) -> None:
    world = synced() if how == "suspended" else sim.failed_over(sync={"enabled": True})
    world.change(suspend=how == "suspended")
    world.settle()
    before = len(started(world))
    world.tick(60)
    world.change(sync={"enabled": True, "trigger": world.clock.wall})
    assert "TriggerIgnored" in reasons(world)
    assert sync_of(world).last_trigger == world.clock.wall
    world.tick(3600)
    if how == "suspended":
        world.change(suspend=False)
    else:
        world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.settle()
    assert len(started(world)) == before
    world.tick(60)
    world.change(sync={"enabled": True, "trigger": world.clock.wall})
    world.settle()
    assert len(started(world)) == before + 1


# --- the schedule


def test_a_changed_schedule_is_a_new_time_and_a_new_cronjob() -> None:
    world = synced()
    assert sync_of(world).next_sync_time == sim.START + timedelta(days=1)
    world.tick(1800)
    world.done.clear()
    world.policy(schedule={"cron": "5 10 * * *", "timeZone": "UTC"})  # 25 minutes ago: Kubernetes would make up for it
    world.settle()
    assert [type(action) for action in world.done] == [DeleteCronJob, ApplySync]
    assert sync_of(world).next_sync_time == sim.START + timedelta(days=1, minutes=5)


def test_a_cronjob_that_is_on_its_way_out_is_waited_for() -> None:
    world = synced()
    world.seen = replace(world.seen, sync=replace(world.seen.sync, cronjob=False, cronjob_ending=True, retimed=True))
    world.done.clear()
    world.settle()
    assert world.done == []


def test_unpausing_fires_nothing() -> None:
    world = synced()
    world.policy(suspend=True)
    world.settle()
    assert (sync_of(world).held_by, sync_of(world).next_sync_time) == ("Suspended", None)
    world.tick(3 * DAY + 60)  # a minute after a time of the schedule
    world.settle()
    world.done.clear()
    world.policy(suspend=False)
    world.settle()
    assert [type(action) for action in world.done] == [DeleteCronJob, ApplySync]
    assert sync_of(world).missed is None
    assert sync_of(world).next_sync_time == sim.START + timedelta(days=4)


def test_a_run_that_does_not_start_is_counted_until_one_does() -> None:
    world = synced()
    due = sync_of(world).next_sync_time
    world.tick(DAY + 5)
    world.settle()
    assert (sync_of(world).next_sync_time, sync_of(world).missed) == (due, None)  # it may still start
    world.tick(600)
    assert "SyncMissed" in reasons(world)
    assert (sync_of(world).next_sync_time, sync_of(world).missed) == (sim.START + timedelta(days=2), 1)
    world.tick(3 * DAY)  # the operator was away, and the control plane, too
    world.settle()
    assert sync_of(world).missed == 4
    world.tick(DAY - 605)
    world.ran()
    world.settle()
    assert (sync_of(world).next_sync_time, sync_of(world).missed) == (sim.START + timedelta(days=6), None)


def test_it_wakes_for_a_run_that_is_missed() -> None:
    world = synced()
    world.tick(DAY + 5)
    while (decided := world.step()).actions:
        pass
    assert decided.wake_seconds is not None
    assert 0 < decided.wake_seconds <= 600


def test_a_run_that_started_while_nobody_looked_is_none_that_was_missed() -> None:
    world = synced()
    world.tick(DAY + 2)
    world.ran()
    world.tick(5 * 3600)
    world.settle()
    assert (sync_of(world).next_sync_time, sync_of(world).missed) == (sim.START + timedelta(days=2), None)


@given(st.lists(st.tuples(st.integers(1, 3 * DAY), st.booleans()), max_size=8))
def test_what_is_shown_is_due_or_ahead_and_time_alone_never_starts_a_run(steps: list[tuple[int, bool]]) -> None:
    world = synced()
    for seconds, ran in steps:
        world.tick(seconds)
        if ran:
            world.ran()
        world.settle()
        shown = sync_of(world).next_sync_time
        assert isinstance(shown, datetime)
        assert world.clock.wall - runs.START_GRACE < shown <= world.clock.wall + timedelta(days=1)
    assert len(started(world)) == 1


def test_runs_at_once_are_named_by_the_time_of_asking() -> None:
    assert names.job_at("acme", sim.START) == f"acme-sync-{int(sim.START.timestamp())}"
