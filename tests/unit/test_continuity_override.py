"""override: [RouteOwned]: it counts whenever it is asked for, and is proposed only where it helps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bcp_operator.api.common import System
from bcp_operator.continuity import actions
from bcp_operator.continuity.transitions import notes

from tests.unit import simulated_tenant as sim
from tests.unit.simulated_tenant import World, failover

FOREIGN = "annotation redirect is set by pipeline: remove it there"
OVERRIDE = {"override": ["RouteOwned"], "reason": "INC-1"}


def foreign(world: World, *names: str, overridable: bool = True) -> None:
    """Somebody else's redirect is on these routes."""
    sides: tuple[System, ...] = ("Secondary",) if overridable else ()
    routes = tuple(
        replace(route, shows="Unknown", current=False, conflict=FOREIGN, overridable=sides)
        if route.name in names
        else route
        for route in world.seen.routes
    )
    world.seen = replace(world.seen, routes=routes)


def last_apply(world: World) -> actions.ApplyRoutes:
    return [action for action in world.done if isinstance(action, actions.ApplyRoutes)][-1]


def test_after_except_route_x_an_override_takes_that_route_too() -> None:
    world = sim.settled()
    foreign(world, "b")
    world.tick(3600)
    world.request(**failover("Secondary", world.clock.wall))
    world.settle()
    assert world.seen.status.last_operation is not None
    assert "except route b" in world.seen.status.last_operation.message
    first = world.seen.status.last_operation.id
    world.tick(60)
    world.request(**failover("Secondary", world.clock.wall, **OVERRIDE))
    world.step()
    assert world.seen.status.operation is not None
    assert world.seen.status.operation.id != first
    world.settle()
    assert last_apply(world) == actions.ApplyRoutes("Secondary", ("b",), override=True)
    assert world.seen.status.last_operation.result == "Completed"
    assert "except" not in world.seen.status.last_operation.message


def test_an_override_that_comes_while_the_switch_waits_for_it_counts() -> None:
    world = sim.settled()
    world.tick(3600)
    world.request(**failover("Secondary", world.clock.wall))
    world.step()
    running = world.seen.status.operation
    assert running is not None
    foreign(world, "a", "b")
    world.tick(5)
    world.request(**failover("Secondary", world.clock.wall, **OVERRIDE))
    before = world.seen.status
    told = notes(before, world.step().status)
    absorbed = world.seen.status.operation
    assert absorbed is not None
    assert (absorbed.id, absorbed.override, absorbed.reason) == (running.id, ["RouteOwned"], "INC-1")
    assert absorbed.requested_at == world.clock.wall
    assert absorbed.start_time == running.start_time
    assert [note.reason for note in told] == ["OverrideUsed"]
    world.settle()
    assert last_apply(world) == actions.ApplyRoutes("Secondary", ("a", "b"), override=True)
    assert [entry.result for entry in world.seen.status.history] == ["Completed"]


def test_the_consent_is_used_up_by_the_operation_that_took_it_in() -> None:
    world = sim.settled()
    world.tick(3600)
    world.request(**failover("Secondary", world.clock.wall))
    world.step()
    stamp = world.clock.wall
    world.tick(5)
    world.request(**failover("Secondary", world.clock.wall, **OVERRIDE))
    stamp = world.clock.wall
    world.settle()
    foreign(world, "b")
    world.tick(60)
    world.request(**failover("Secondary", stamp, override=["RouteOwned"], reason="again"))
    world.settle()
    assert len(world.seen.status.history) == 1


def test_an_override_that_is_old_or_helps_nothing_starts_nothing() -> None:
    world = sim.failed_over()
    foreign(world, "b", overridable=False)
    world.tick(60)
    world.request(**failover("Secondary", world.clock.wall, **OVERRIDE))
    world.settle()
    assert len(world.seen.status.history) == 1


@pytest.mark.parametrize("overridable", [True, False])
def test_a_refusal_proposes_the_override_only_where_it_helps(overridable: bool) -> None:
    world = sim.settled()
    foreign(world, "a", "b", overridable=overridable)
    world.tick(3600)
    world.request(**failover("Secondary", world.clock.wall))
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert last.result == "Refused"
    assert FOREIGN in last.message
    assert ("spec.failover.override" in last.message) == overridable


def test_what_no_override_passes_over_is_not_hidden_behind_one() -> None:
    world = sim.settled()
    foreign(world, "a", "b", overridable=False)
    world.seen = replace(world.seen, probe=replace(world.seen.probe, result="Failed", detail="connection refused"))
    world.tick(3600)
    world.request(**failover("Secondary", world.clock.wall))
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert "Once the rest is put right" in last.message
    assert "[TargetHealthy]" in last.message
