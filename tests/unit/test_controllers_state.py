"""Since when a fence stands, as far as this process saw it: the time after which a writer is silent."""

from __future__ import annotations

from datetime import timedelta

from bcp_operator.continuity.observed import Now
from bcp_operator.controllers.state import TenantState
from bcp_operator.kube.lease import WriterState

from tests.unit.simulated_tenant import START


def lease(holder: str, transitions: int) -> WriterState:
    """A writer Lease."""
    return WriterState(holder, None, None, None, transitions, "1", {})


def at(seconds: float) -> Now:
    """A moment."""
    return Now(START + timedelta(seconds=seconds), seconds)


def since(state: TenantState) -> float | None:
    return state.memory.fence_since_seconds


def test_the_time_runs_while_the_same_fence_stands() -> None:
    state = TenantState()
    state.fence_seen(lease("fence/a", 1), at(10))
    state.fence_seen(lease("fence/a", 1), at(20))
    assert since(state) == 10
    state.fence_seen(lease("", 2), at(21))
    assert since(state) is None
    state.fence_seen(None, at(22))
    assert since(state) is None


def test_a_fence_of_the_same_name_that_changed_hands_unseen_is_another_one() -> None:
    state = TenantState()
    state.fence_seen(lease("fence/a", 1), at(10))
    state.fence_seen(lease("fence/a", 4), at(20))  # taken off, held by a run, fenced again
    assert since(state) == 20


def test_renaming_our_own_fence_keeps_the_time_and_another_ones_does_not() -> None:
    state = TenantState()
    state.fence_seen(lease("fence/a", 1), at(10))
    state.fence_renamed(lease("fence/b", 2))
    state.fence_seen(lease("fence/b", 2), at(20))
    assert since(state) == 10
    state.fence_renamed(lease("fence/c", 5))  # what was swapped was not what was seen
    state.fence_seen(lease("fence/c", 5), at(30))
    assert since(state) == 30
