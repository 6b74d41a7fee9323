"""A fence that was silent once proves nothing after somebody took it off."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bcp_operator.api.names import WRITER_LEASE_SECONDS
from bcp_operator.continuity import actions, fence
from bcp_operator.continuity.observed import Memory, WriterView

from tests.unit import simulated_tenant as sim


def condition(world: sim.World) -> tuple[str, str]:
    """SyncFenced."""
    found = next(c for c in world.seen.status.conditions if c.type == "SyncFenced")
    return found.status, found.reason


def test_a_fence_taken_off_by_hand_is_waited_for_anew() -> None:
    world = sim.failed_over(sync={"enabled": True})
    assert condition(world) == ("True", "Fenced")
    world.seen = replace(
        world.seen, lease=WriterView("run/pod/1"), memory=replace(world.seen.memory, fence_since_seconds=None)
    )
    while not any(isinstance(action, actions.HoldWriter) for action in world.step().actions):
        pass
    world.step()
    assert fence.silence(world.seen, world.clock).state == "Waiting"
    assert condition(world) == ("False", "WaitingForWriter")
    world.settle()
    assert condition(world) == ("True", "Fenced")


def test_a_crash_after_unfencing_does_not_make_the_next_fence_silent_at_once() -> None:
    world = sim.failed_over(sync={"enabled": True})
    world.tick(3600)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    while not any(isinstance(action, actions.ReleaseWriter) for action in world.step().actions):
        pass
    world.seen = replace(world.seen, lease=WriterView("run/pod/2"), memory=Memory())
    assert world.seen.status.operation is not None
    moves: list[float] = []
    begun = world.clock.monotonic_seconds
    world.restart()
    begun = world.clock.monotonic_seconds
    for _ in range(200):
        decided = world.step()
        if any(isinstance(action, actions.VerifyLogin | actions.ApplyRoutes) for action in decided.actions):
            moves.append(world.clock.monotonic_seconds - begun)
            break
        world.tick(decided.wake_seconds or 0.05)
    assert moves[0] >= WRITER_LEASE_SECONDS


def test_a_holder_too_long_for_status_does_not_hold_the_switch_up() -> None:
    world = sim.settled()
    world.seen = replace(world.seen, lease=WriterView("fence/" + "x" * 400, ""))
    world.request(**sim.failover("Secondary"))
    world.settle()
    assert world.side() == "Secondary"


@pytest.mark.parametrize("previous", ["", "run/old-pod/1"])
def test_a_lease_brought_back_from_a_backup_says_nothing_of_who_writes(previous: str) -> None:
    """A backup names nobody, or a run that has ended long ago; the writer that lost it is alive for a lease's length."""
    world = sim.settled(sync={"enabled": True})
    fenced = WriterView("fence/op", previous)
    ended = replace(world.seen.sync, terminated_writers=frozenset({"old-pod"}))
    seen = replace(world.seen, lease=fenced, sync=ended)

    def judged(gone_seconds_ago: float | None) -> str:
        now = world.clock.monotonic_seconds
        gone = None if gone_seconds_ago is None else now - gone_seconds_ago
        known = replace(seen, memory=Memory(fence_since_seconds=now, lease_gone_seconds=gone))
        return fence.silence(known, world.clock).state

    assert judged(None) == "Silent"
    assert judged(1.0) == "Waiting"
    assert judged(WRITER_LEASE_SECONDS) == "Silent"
