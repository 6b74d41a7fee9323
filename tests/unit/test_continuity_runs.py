"""Folding runs into status."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bcp_operator.api.run import RunReport
from bcp_operator.continuity import runs
from bcp_operator.continuity.assess import Assessment
from bcp_operator.continuity.observed import RunView

from tests.unit import simulated_tenant as sim


def test_a_node_whose_clock_is_ahead_makes_no_recovery_point_look_fresher() -> None:
    world = sim.settled(sync={"enabled": True})
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
