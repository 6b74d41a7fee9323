"""Folding runs into status."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bcp_operator.api.run import RunReport
from bcp_operator.continuity import runs
from bcp_operator.continuity.observed import RunView

from tests.unit import simulated_tenant as sim


def test_a_node_whose_clock_is_ahead_makes_no_recovery_point_look_fresher() -> None:
    world = sim.settled(sync={"enabled": True})
    end = world.clock.wall - timedelta(hours=3)
    report = RunReport(result="Succeeded", start_time=end + timedelta(days=2), seconds=1)
    run = RunView("acme-sync-1", "u", end - timedelta(minutes=1), active=False, end_time=end, report=report)
    seen = replace(world.seen, sync=replace(world.seen.sync, runs=(run,)))
    assert runs.fold(seen, world.clock).last_success_time == end
