"""A planned switch copies once more first, and touches nothing when that fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from bcp_operator.api import names
from bcp_operator.api.run import RunReport
from bcp_operator.api.safety import Drain
from bcp_operator.continuity import actions
from bcp_operator.continuity.observed import Probe
from bcp_operator.kube.client import JOB
from bcp_operator.systems.hosts import HostPolicy

from tests.unit import operator_harness as harness
from tests.unit import simulated_tenant as sim
from tests.unit.http_server import serve
from tests.unit.operator_harness import NAMESPACE
from tests.unit.simulated_tenant import World

TOUCHES = actions.HoldWriter | actions.DeleteCronJob | actions.DeleteRun | actions.ApplyRoutes


def planned(**parts: Any) -> World:
    """A planned switch was asked for, and its last sync runs."""
    world = sim.settled(**({"sync": {"enabled": True}} | parts))
    world.runs_last = True
    world.tick(3600)
    world.done.clear()
    world.request(**sim.failover("Secondary", world.clock.wall, mode="Planned"))
    for _ in range(6):
        world.step()
    return world


def end_run(world: World, result: str) -> None:
    """The last run ends; Unknown is an end without a report."""
    last = world.seen.sync.runs[-1]
    said = {"result": result, "startTime": world.clock.wall, "seconds": 1.0, "message": "m"}
    report = None if result == "Unknown" else RunReport.model_validate(said)
    ended = replace(last, active=False, report=report)
    world.seen = replace(world.seen, sync=replace(world.seen.sync, runs=(*world.seen.sync.runs[:-1], ended)))


def step(world: World) -> str | None:
    """Where the switch stands."""
    return world.seen.status.operation.step if world.seen.status.operation else None


def touched(world: World) -> list[str]:
    """What was done to anything but the sync's Job."""
    return [type(action).__name__ for action in world.done if isinstance(action, TOUCHES)]


def test_it_syncs_then_fences_then_moves() -> None:
    world = planned()
    assert step(world) == "FinalSync"
    assert touched(world) == []
    assert world.condition("Reconciling").status == "True"
    world.tick(600)
    world.step()
    assert world.condition("Stalled").status == "False", "a run may take its time"
    end_run(world, "Succeeded")
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert (last.result, last.mode, last.recovery_point_age_seconds) == ("Completed", "Planned", 0.0)
    assert [type(action).__name__ for action in world.done] == [
        "StartRun",
        "HoldWriter",
        "DeleteCronJob",
        "ApplyRoutes",
        "VerifyLogin",
    ]


@pytest.mark.parametrize("result", ["Failed", "Held", "Partial", "Unknown"])
def test_a_last_sync_that_did_not_succeed_refuses_and_touches_nothing(result: str) -> None:
    world = planned()
    end_run(world, result)
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert last.result == "Refused"
    assert f"ended as {result}" in last.message
    assert touched(world) == []
    assert world.side() == "Primary"
    assert world.seen.lease is not None
    assert not world.seen.lease.fenced
    world.restart()
    world.settle()
    assert touched(world) == [], "and nothing starts by itself later on"


@pytest.mark.parametrize("others", [True, False])
def test_a_last_sync_that_is_lost_is_started_anew(others: bool) -> None:
    world = planned()
    left = world.seen.sync.runs[:-1] if others else ()
    world.seen = replace(world.seen, sync=replace(world.seen.sync, runs=left))
    for _ in range(4):
        world.step()
    assert sum(isinstance(action, actions.StartRun) for action in world.done) == 2
    assert (step(world), touched(world)) == ("FinalSync", [])


def test_a_restart_starts_no_second_run() -> None:
    world = planned()
    for _ in range(3):
        world.restart()
        world.step()
        world.tick(10)
    assert sum(isinstance(action, actions.StartRun) for action in world.done) == 1
    assert step(world) == "FinalSync"


def test_a_run_that_is_under_way_is_waited_for() -> None:
    world = sim.settled(sync={"enabled": True})
    world.runs_last = True
    first = replace(world.seen.sync.runs[-1], name="acme-sync-29401234", active=True)
    world.seen = replace(world.seen, sync=replace(world.seen.sync, runs=(first,)))
    world.tick(60)
    world.done.clear()
    world.request(**sim.failover("Secondary", world.clock.wall, mode="Planned"))
    for _ in range(4):
        world.step()
    assert world.done == []
    end_run(world, "Succeeded")
    for _ in range(4):
        world.step()
    assert [type(action).__name__ for action in world.done] == ["StartRun"]


def test_without_a_sync_it_is_refused_at_once() -> None:
    world = planned(sync={"enabled": False})
    last = world.seen.status.last_operation
    assert last is not None
    assert last.result == "Refused"
    assert "mode: Planned begins with a sync" in last.message


def test_a_plain_request_in_the_meantime_wins() -> None:
    world = planned()
    world.tick(5)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    assert [(entry.type, entry.result, entry.mode) for entry in world.seen.status.history] == [
        ("Failover", "Completed", "Unplanned"),
        ("Failover", "Superseded", "Planned"),
    ]
    assert actions.DeleteRun in {type(action) for action in world.done}


def test_another_reason_changes_nothing_of_a_plan() -> None:
    world = planned()
    assert world.seen.spec.failover is not None
    block = world.seen.spec.failover
    world.request(**sim.failover("Secondary", block.requested_at, mode="Planned", reason="better words"))
    world.step()
    assert step(world) == "FinalSync"
    assert world.seen.status.history == []


def test_a_change_of_mind_in_the_meantime_wins() -> None:
    world = planned()
    world.tick(5)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.settle()
    assert [(entry.type, entry.result) for entry in world.seen.status.history] == [
        ("Failback", "Completed"),
        ("Failover", "Superseded"),
    ]
    assert world.seen.lease is not None
    assert not world.seen.lease.fenced


def test_users_who_are_there_already_are_never_synced_onto() -> None:
    world = planned()
    world.seen = replace(world.seen, routes=tuple(replace(r, shows="Secondary") for r in world.seen.routes))
    world.settle()
    assert world.side() == "Secondary"
    assert touched(world)[0] == "HoldWriter"


DRAIN = {"drain": {"url": "https://calls.example/drained", "timeout": "30m"}}


def draining() -> World:
    """A planned switch that has been seen on the secondary, and waits for the drain."""
    world = planned(safety=DRAIN)
    end_run(world, "Succeeded")
    world.done.clear()
    for _ in range(12):
        world.step()
    assert step(world) == "Drain"
    return world


def test_it_waits_for_the_drain_at_its_end_and_measures_the_switch_alone() -> None:
    world = draining()
    assert {route.shows for route in world.seen.routes} == {"Secondary"}, "new log-ins don't wait"
    assert world.condition("LoginVerified").status == "True"
    for _ in range(60):
        world.tick(10)
        world.step()
    assert step(world) == "Drain"
    assert world.condition("Stalled").status == "False"
    assert 20 < sum(isinstance(action, actions.AskDrained) for action in world.done) < 70
    world.restart()
    world.drained = True
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert last.result == "Completed"
    assert last.message.endswith("; drained")
    assert last.rto_seconds is not None
    assert last.rto_seconds < 5
    assert (last.end_time - last.start_time).total_seconds() >= 600


def test_a_drain_that_never_comes_ends_the_switch_all_the_same() -> None:
    world = draining()
    for _ in range(40):
        world.tick(60)
        world.step()
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert last.result == "Completed"
    assert last.message.endswith("; not drained within 30m")
    assert world.side() == "Secondary"


def test_a_way_back_during_the_drain_wins() -> None:
    world = draining()
    world.tick(60)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.settle()
    assert world.side() == "Primary"
    assert [entry.result for entry in world.seen.status.history] == ["Completed", "Superseded"]


def test_an_unplanned_switch_waits_for_no_drain() -> None:
    world = sim.settled(safety=DRAIN)
    world.request(**sim.failover("Secondary"))
    world.settle()
    assert not any(isinstance(action, actions.AskDrained) for action in world.done)
    assert world.seen.status.last_operation is not None
    assert "drain" not in world.seen.status.last_operation.message


async def test_the_drain_signal_is_a_200_of_a_real_server(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    made.actor._hosts = HostPolicy.parse("127.0.0.1", "127.0.0.1")
    sight = await made.tenants._observer.look(harness.KEY, made.tenants.states[harness.KEY], fresh=True)
    assert sight is not None
    answers = [204, 503, 302, 200]
    found = []
    async with serve(lambda _: (answers[0], None, {"Location": "http://127.0.0.1:1/"})) as server:
        ask = actions.AskDrained(Drain(url=f"{server.url}/drained"), "op-1")
        while answers:
            await made.actor.carry_out(ask, sight, made.tenants.states[harness.KEY])
            found.append(made.tenants.states[harness.KEY].memory.drained)
            answers.pop(0)
    assert found == ["", "", "", "op-1"]


def test_all_three_consents_left_behind_count_for_nothing_months_later() -> None:
    world = sim.settled(sync={"enabled": True})
    left: dict[str, Any] = {
        "mode": "Planned",
        "override": ["TargetHealthy"],
        "reason": "INC-1",
        "secondaryChanges": "Discard",
    }
    world.runs_last = True
    world.seen = replace(world.seen, probe=Probe("Failed", "down"))
    world.tick(60)
    first: datetime = world.clock.wall
    world.request(**sim.failover("Secondary", first, **left))
    for _ in range(3):
        world.step()
    end_run(world, "Succeeded")
    world.settle()
    assert world.side() == "Secondary"
    world.tick(90 * 86400)
    world.seen = replace(world.seen, probe=Probe("Healthy"))
    back = world.clock.wall
    world.request(**sim.failover("Primary", back, **left))
    world.settle()
    assert world.side() == "Primary"

    world.tick(90 * 86400)
    world.done.clear()
    world.request(**sim.failover("Secondary", back, **left))  # the line that matters, all else as it was left behind
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert (last.result, last.mode, last.override, last.secondary_changes) == ("Completed", "Unplanned", [], "Keep")
    assert not any(isinstance(action, actions.StartRun) for action in world.done)
    world.tick(90 * 86400)
    world.changes = 1
    world.request(**sim.failover("Primary", world.clock.wall, mode="Planned"))
    world.settle()
    assert world.side() == "Secondary", "the way back needs its consent anew"


async def test_the_job_of_the_last_sync_is_made_on_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    for key, job in list(made.kube.world.objects.items()):
        if key[0] == JOB:
            job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    made.tick(3600)
    stamp = made.clock.wall.isoformat().replace("+00:00", "Z")
    await made.request(activeSystem="Secondary", mode="Planned", requestedAt=stamp)
    for _ in range(4):
        await made.reconcile()
    assert made.status["operation"]["step"] == "FinalSync"
    begun = datetime.fromisoformat(made.status["operation"]["startTime"].replace("Z", "+00:00"))
    last = made.get(JOB, names.job_at("acme", begun))
    assert last is not None
    assert last["metadata"]["namespace"] == NAMESPACE
    calls = [call for call in made.kube.world.writes if call[:2] == ("create", "Job")]
    assert len(calls) == 2, "the run at once of the beginning, and this one"
