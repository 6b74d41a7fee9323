"""What a run withheld is visible, says how to approve it, and is an event once."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from bcp_operator.api.conditions import Condition
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.run import RunCounts, RunReport
from bcp_operator.api.tenant import BCPTenantSpec
from bcp_operator.continuity.observed import RunView
from bcp_operator.kube import jobs

from tests.unit import simulated_tenant as sim

HASH, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def ran(world: sim.World, name: str, **report: Any) -> list[str]:
    """A run starts and ends; returns the reasons of the events, that of its start included."""
    world.tick(60)
    view = RunView(name, "u", world.clock.wall, active=True, start_time=world.clock.wall)
    reasons = show(world, view)
    world.tick(60)
    parts = {"result": "Partial", "start_time": world.clock.wall, "seconds": 1.0} | report
    return reasons + show(world, replace(view, active=False, report=RunReport(**parts)))


def show(world: sim.World, view: RunView) -> list[str]:
    others = tuple(run for run in world.seen.sync.runs if run.name != view.name)
    world.seen = replace(world.seen, sync=replace(world.seen.sync, runs=(*others, view)))
    return [note.reason for note in world.step().notes]


def withheld(number: int = 24, digest: str = HASH, message: str = "24 actions withheld") -> dict[str, Any]:
    return {"counts": RunCounts(withheld=number), "withheld_hash": digest, "message": message}


def condition(world: sim.World, kind: str = "SyncGuarded") -> Condition:
    return next(c for c in world.seen.status.conditions if c.type == kind)


def synced() -> sim.World:
    return sim.settled(sync={"enabled": True})


def test_a_tripped_guard_is_a_condition_and_an_event_with_the_command() -> None:
    world = synced()
    assert condition(world).status == "Unknown"
    assert "GuardTripped" in ran(world, "r1", **withheld())
    last = world.seen.status.sync.last_run  # type: ignore[union-attr]
    assert last is not None
    assert (last.withheld_hash, last.counts["withheld"]) == (HASH, 24)
    found = condition(world)
    assert (found.status, found.reason) == ("True", "GuardTripped")
    command = shlex.split(found.message[found.message.index("kubectl") :])
    assert command[:5] == ["kubectl", "-n", "tenants", "patch", "bcptenant"]
    assert command[-1] == f'{{"spec":{{"sync":{{"approve":"{HASH}"}}}}}}'
    assert condition(world, "Ready").status == "True"  # users are where they belong


def test_the_command_is_whole_however_long_the_message() -> None:
    world = synced()
    ran(world, "r1", **withheld(message="x" * 5000))
    message = condition(world).message
    assert len(message) <= 1024
    assert message.endswith(f"{HASH}\"}}}}}}'")


def test_the_same_actions_are_one_event_others_another() -> None:
    world = synced()
    ran(world, "r1", **withheld())
    assert "GuardTripped" not in ran(world, "r2", **withheld())
    assert "GuardTripped" in ran(world, "r3", **withheld(25, OTHER))


@pytest.mark.parametrize("result", ["Held", "Failed"])
def test_a_run_that_did_not_plan_changes_nothing(result: str) -> None:
    world = synced()
    ran(world, "r1", **withheld())
    ran(world, "r2", result=result)
    assert condition(world).reason == "GuardTripped"


def test_approved_then_done() -> None:
    world = synced()
    ran(world, "r1", **withheld())
    document = world.seen.spec.model_dump(by_alias=True)
    document["sync"]["approve"] = HASH
    world.seen = replace(world.seen, spec=BCPTenantSpec.model_validate(document), generation=2)
    world.step()
    assert (condition(world).status, condition(world).reason) == ("True", "Approved")
    ran(world, "r2", result="Succeeded")
    assert (condition(world).status, condition(world).reason) == ("False", "NothingWithheld")


def test_a_dry_run_is_no_recovery_point() -> None:
    world = synced()
    assert "SyncPlanned" in ran(world, "r1", result="Planned")
    sync = world.seen.status.sync
    assert sync is not None
    assert sync.last_run is not None
    assert (sync.last_run.result, sync.last_success_time) == ("Planned", None)


def test_policy_and_approval_reach_the_run() -> None:
    policy = SyncPolicySpec.model_validate(
        {"guard": {"maxRemovals": 7, "maxCreatePercent": 300}, "approval": "Always", "dryRun": True}
    )
    spec = sim.spec(sync={"enabled": True, "approve": HASH})
    config = jobs.run_config(jobs.Owner("tenants", "acme", "u"), spec, policy, 60)
    assert (config.guard.max_removals, config.guard.max_removal_percent, config.guard.max_create_percent) == (7, 5, 300)
    assert (config.approval, config.approve, config.dry_run) == ("Always", HASH, True)
