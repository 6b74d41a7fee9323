"""Since when a fence stands, as far as this process saw it: the time after which a writer is silent."""

from __future__ import annotations

from datetime import timedelta

from bcp_operator.continuity.observed import Now
from bcp_operator.controllers.state import TenantState
from bcp_operator.kube.lease import WriterState

from tests.unit.simulated_tenant import START


def lease(holder: str, transitions: int, uid: str = "u1") -> WriterState:
    """A writer Lease."""
    return WriterState(holder, None, None, None, transitions, "1", {"metadata": {"uid": uid}})


def at(seconds: float) -> Now:
    """A moment."""
    return Now(START + timedelta(seconds=seconds), seconds)


def since(state: TenantState) -> float | None:
    return state.memory.fence_since_seconds


def test_the_time_runs_while_the_same_fence_stands() -> None:
    state = TenantState()
    state.fence_seen(lease("fence/a", 1), at(10), fresh=True)
    state.fence_seen(lease("fence/a", 1), at(20), fresh=True)
    assert since(state) == 10
    state.fence_seen(lease("", 2), at(21), fresh=True)
    assert since(state) is None
    state.fence_seen(None, at(22), fresh=True)
    assert since(state) is None


def test_a_fence_of_the_same_name_that_changed_hands_unseen_is_another_one() -> None:
    state = TenantState()
    state.fence_seen(lease("fence/a", 1), at(10), fresh=True)
    state.fence_seen(lease("fence/a", 4), at(20), fresh=True)  # taken off, held by a run, fenced again
    assert since(state) == 20


def test_renaming_our_own_fence_keeps_the_time_and_another_ones_does_not() -> None:
    state = TenantState()
    state.fence_seen(lease("fence/a", 1), at(10), fresh=True)
    state.fence_set(lease("fence/b", 2), at(15))
    state.fence_seen(lease("fence/b", 2), at(20), fresh=True)
    assert since(state) == 10
    state.fence_set(lease("fence/c", 5), at(25))  # what was swapped was not what was seen
    state.fence_seen(lease("fence/c", 5), at(30), fresh=True)
    assert since(state) == 30


def gone(state: TenantState) -> float | None:
    return state.memory.lease_gone_seconds


def test_a_lease_that_was_away_or_is_another_one_or_an_old_one_was_lost_then() -> None:
    for back in (lease("", 2), lease("run/b", 7, "u2"), lease("run/a", 6)):
        state = TenantState()
        state.fence_seen(lease("run/a", 7), at(10), fresh=True)
        if back.transitions == 2:
            state.fence_seen(None, at(20), fresh=True)
            state.fence_seen(None, at(21), fresh=True)
        state.fence_seen(back, at(20), fresh=True)
        assert gone(state) == 20
        state.fence_seen(back, at(30), fresh=True)
        assert gone(state) == 20  # then, and not again and again
        state.fence_seen(None, at(40), fresh=True)
        assert gone(state) == 40


def test_a_lease_that_is_new_or_goes_on_was_never_lost() -> None:
    state = TenantState()
    state.fence_seen(lease("", 0), at(10), fresh=True)
    state.fence_seen(lease("run/a", 1), at(11), fresh=True)
    state.fence_seen(lease("", 1), at(12), fresh=True)
    state.fence_seen(lease("fence/a", 2), at(13), fresh=True)
    assert gone(state) is None
    state = TenantState()
    state.fence_seen(None, at(1), fresh=True)
    state.lease_begun()  # ours, and nobody was before it
    state.fence_seen(lease("", 0), at(2), fresh=True)
    assert gone(state) is None


def test_a_fence_over_a_lease_that_was_brought_back_unseen_shows_by_its_number() -> None:
    state = TenantState()
    state.fence_seen(lease("run/a", 7), at(10), fresh=True)
    state.fence_set(lease("fence/a", 8), at(11))
    assert gone(state) is None
    state.fence_seen(lease("fence/a", 8), at(12), fresh=True)
    state.fence_set(lease("fence/b", 5), at(13))
    assert gone(state) == 13


def test_a_watch_that_lags_behind_tells_of_no_loss_and_hides_none() -> None:
    state = TenantState()
    state.fence_seen(lease("fence/a", 7), at(10), fresh=True)
    state.fence_seen(lease("run/a", 6), at(11), fresh=False)
    state.fence_seen(lease("fence/a", 7), at(12), fresh=True)
    assert gone(state) is None
    state.fence_seen(lease("run/b", 8), at(13), fresh=False)
    state.fence_seen(lease("run/a", 6), at(14), fresh=True)
    assert gone(state) == 14
