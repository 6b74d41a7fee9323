"""Four-eyes: a switch waits until somebody else than who asked has agreed, and says how; alone only by breaking the glass."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest
from bcp_operator.continuity import runbook
from bcp_operator.continuity.observed import Requester
from bcp_operator.continuity.transitions import notes

from tests.unit import simulated_tenant as sim
from tests.unit.simulated_tenant import World, failover

ALICE, BOB = "alice", "bob"


def watched(world: World, *, on: bool = True) -> World:
    """The operator runs with four-eyes."""
    world.seen = replace(world.seen, four_eyes=on)
    return world


def settled() -> World:
    return watched(sim.settled())


def ask(world: World, who: str = ALICE, *, verified: bool = True, new: bool = False, **block: Any) -> None:
    """Somebody asks, `new` with the time of now: admission stamps them, and clears an approval."""
    world.tick(3600)
    block |= {"requestedAt": world.clock.wall} if new else {}
    world.request(**block)
    world.seen = replace(world.seen, requester=Requester(who, verified))


def approve(world: World, who: str = BOB) -> None:
    """Somebody approves: admission writes their name."""
    block = world.seen.spec.failover
    assert block is not None
    world.request(**block.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True) | {"approvedBy": who})


def test_nothing_moves_until_somebody_else_has_approved() -> None:
    world = settled()
    ask(world, **failover("Secondary", reason="INC-1"))
    world.settle()
    assert (world.side(), world.seen.status.operation) == ("Primary", None)
    assert world.condition("ApprovalPending").status == "True"
    assert (world.condition("Ready").status, world.condition("Ready").reason) == ("False", "ApprovalPending")
    assert world.condition("Reconciling").status == "True"
    world.restart()
    world.tick(90000)
    world.settle()
    assert world.side() == "Primary"
    approve(world)
    world.settle()
    assert world.side() == "Secondary"
    assert world.condition("ApprovalPending").status == "False"
    last = world.seen.status.last_operation
    assert last is not None
    assert (last.initiator, last.initiator_verified, last.approved_by, last.reason) == (ALICE, True, BOB, "INC-1")


@pytest.mark.parametrize(("approver", "verified"), [(ALICE, True), ("", True), (BOB, False)])
def test_it_does_not_count_when_it_proves_nobody_else(approver: str, verified: bool) -> None:
    world = settled()
    ask(world, verified=verified, **failover("Secondary", approvedBy=approver))
    world.settle()
    assert world.side() == "Primary"
    assert world.condition("ApprovalPending").status == "True"
    told = world.condition("ApprovalPending").message
    assert ("set a newer spec.failover.requestedAt" in told) is not verified


def test_the_way_back_waits_too_and_needs_an_approval_of_its_own() -> None:
    world = settled()
    ask(world, **failover("Secondary"))
    approve(world)
    world.settle()
    ask(world, new=True, **failover("Primary", secondaryChanges="Discard"))
    world.settle()
    assert world.side() == "Secondary"
    approve(world)
    world.settle()
    assert world.side() == "Primary"
    assert [entry.approved_by for entry in world.seen.status.history] == [BOB, BOB]


def test_an_approval_is_no_request() -> None:
    world = settled()
    ask(world, **failover("Secondary"))
    approve(world)
    world.settle()
    approve(world, "carol")
    world.settle()
    assert len(world.seen.status.history) == 1


def test_the_message_is_the_command_for_whoever_agrees() -> None:
    world = settled()
    ask(world, **failover("Secondary", reason="INC-1"))
    before = world.seen.status
    decided = world.step()
    told = [note for note in notes(before, decided.status) if note.reason == "ApprovalNeeded"]
    assert len(told) == 1
    assert told[0].warning
    assert told[0].message == world.condition("ApprovalPending").message == world.condition("Ready").message
    assert told[0].message.startswith("alice asks for a failover (INC-1)")
    command = shlex.split(told[0].message.split(": ", 1)[1].split(" - When")[0])
    assert command[:8] == ["kubectl", "-n", "tenants", "patch", "bcptenant", "acme", "--type", "json"]
    assert json.loads(command[9]) == [
        {"op": "test", "path": "/metadata/generation", "value": world.seen.generation},
        {"op": "add", "path": "/spec/failover/approvedBy", "value": "me"},
    ]
    again = world.seen.status
    world.tick(60)
    assert notes(again, world.step().status) == ()


def test_an_endless_name_and_reason_leave_the_command_whole() -> None:
    world = settled()
    ask(world, "a" * 400, **failover("Secondary", reason="r" * 512))
    world.step()
    message = world.condition("ApprovalPending").message
    assert "/spec/failover/approvedBy" in message
    assert message.endswith("(ClusterRole bcp-break-glass)")
    assert len(message) < 1024


def test_breaking_the_glass_goes_at_once_and_is_told_of() -> None:
    world = settled()
    ask(world, new=True, **failover("Secondary", override=["FourEyes"], reason="INC-1, alone"))
    before = world.seen.status
    told = notes(before, world.step().status)
    assert [(note.reason, note.warning, note.audit) for note in told[:2]] == [
        ("FailoverRequested", False, True),
        ("OverrideUsed", True, True),
    ]
    assert told[1].message == "passed over FourEyes: INC-1, alone"
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert (last.override, last.approved_by, world.side()) == (["FourEyes"], "", "Secondary")


def test_a_glass_broken_last_time_is_whole_again() -> None:
    world = settled()
    block = failover("Secondary", world.clock.wall, override=["FourEyes"], reason="INC-1")
    ask(world, **block)
    world.settle()
    ask(world, new=True, **failover("Primary", secondaryChanges="Discard"))
    approve(world)
    world.settle()
    assert world.side() == "Primary"
    ask(world, **block | {"reason": "INC-2"})
    world.settle()
    assert world.side() == "Primary"


def test_a_switch_under_way_goes_on_while_a_change_of_it_waits() -> None:
    world = settled()
    ask(world, **failover("Secondary"))
    approve(world)
    world.step()
    world.login_down = True
    for _ in range(4):
        world.step()
    running = world.seen.status.operation
    assert running is not None
    ask(world, "carol", new=True, **failover("Secondary", override=["RouteOwned"], reason="INC-2"))
    world.step()
    assert world.seen.status.operation is not None
    assert world.seen.status.operation.override == []
    assert world.condition("ApprovalPending").status == "True"
    approve(world)
    world.step()
    assert world.seen.status.operation.override == ["RouteOwned"]
    assert world.seen.status.operation.id == running.id


def test_turning_round_in_the_middle_waits_for_an_approval() -> None:
    world = settled()
    ask(world, **failover("Secondary"))
    approve(world)
    world.step()
    ask(world, new=True, **failover("Primary", secondaryChanges="Discard"))
    world.settle()
    assert world.side() == "Secondary"
    assert world.condition("ApprovalPending").status == "True"
    world.tick(3600)
    approve(world)
    world.settle()
    assert world.side() == "Primary"


def test_a_request_that_moves_nothing_waits_for_nobody() -> None:
    world = settled()
    ask(world, **failover("Primary", reason="a note"))
    world.settle()
    assert world.condition("ApprovalPending").status == "False"
    assert world.condition("Ready").status == "True"


def test_a_withdrawn_request_leaves_nothing_behind() -> None:
    world = settled()
    ask(world, **failover("Secondary"))
    world.settle()
    ask(world, **failover("Primary"))
    world.settle()
    assert world.condition("Ready").status == "True"
    assert world.seen.status.history == []


def test_a_request_of_before_anything_was_known_waits_too() -> None:
    world = watched(sim.fresh())
    ask(world, **failover("Secondary"))
    world.seen = replace(world.seen, routes=tuple(replace(r, shows="Primary", exists=True) for r in world.seen.routes))
    world.settle()
    assert (world.side(), world.condition("ApprovalPending").status) == ("Primary", "True")
    approve(world)
    world.settle()
    assert world.side() == "Secondary"


def test_without_four_eyes_nothing_waits_and_nothing_is_claimed() -> None:
    world = watched(sim.settled(), on=False)
    ask(world, **failover("Secondary", approvedBy="anybody"))
    world.settle()
    assert world.side() == "Secondary"
    assert world.seen.status.last_operation is not None
    assert world.seen.status.last_operation.approved_by == ""
    assert all(c.type != "ApprovalPending" for c in world.seen.status.conditions)


@pytest.mark.parametrize(("on", "passed"), [(True, ["FourEyes"]), (False, None)])
def test_the_runbook_breaks_the_glass(on: bool, passed: list[str] | None) -> None:
    world = watched(sim.settled(), on=on)
    patch = shlex.split(runbook.steps(world.seen, "Primary")[0].command)[-1].replace("$(date -u +%FT%TZ)", "now")
    assert json.loads(patch)["spec"]["failover"]["override"] == passed
