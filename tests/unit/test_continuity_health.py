"""From answers to a verdict: no single answer is news, and not knowing is never healthy."""

from __future__ import annotations

from bcp_operator.continuity import health
from bcp_operator.continuity.health import Limits, Sample, Track
from hypothesis import given, settings
from hypothesis import strategies as st

BY = Limits(interval=60, timeout=5, slow_after=2, failures=3)
GOOD, BAD, SLOW, NONE = (
    Sample("Healthy", "HTTP 200", 0.1),
    Sample("Failed", "HTTP 503", 0.1),
    Sample("Healthy", "HTTP 200", 3.0),
    Sample("Unknown", "the operator was too busy", 0.0),
)


def after(*samples: Sample, start: Track | None = None, by: Limits = BY) -> Track:
    track = start or Track()
    for sample in samples:
        track = health.advance(track, sample, by)
    return track


def test_down_after_some_failures_and_back_after_two_good_answers() -> None:
    track = after(GOOD, BAD, BAD)
    assert (track.state, track.unsettled) == ("Healthy", True)
    track = after(BAD, start=track)
    assert (track.state, track.detail, track.unsettled) == ("Down", "HTTP 503", False)
    track = after(Sample("Failed", "HTTP 502"), start=track)
    assert track.detail == "HTTP 503", "the words of the moment stay, so that status needs no write"
    track = after(GOOD, start=track)
    assert (track.state, track.unsettled) == ("Down", True)
    assert after(GOOD, start=track).state == "Healthy"


def test_slow_after_some_slow_answers_and_quick_again_after_two() -> None:
    track = after(GOOD, SLOW, SLOW)
    assert (track.state, track.unsettled) == ("Healthy", True)
    track = after(SLOW, start=track)
    assert (track.state, track.detail) == ("Slow", "answers take longer than 2 s")
    track = after(GOOD, start=track)
    assert (track.state, track.unsettled) == ("Slow", True)
    assert after(GOOD, start=track).state == "Healthy"


def test_flapping_is_neither_down_nor_healthy_until_it_calms_down() -> None:
    track = after(GOOD, BAD, GOOD, BAD, GOOD)
    assert track.state == "Flapping"
    track = after(*[GOOD] * 5, start=track)
    assert track.state == "Flapping"
    assert after(*[GOOD] * 5, start=track).state == "Healthy"
    assert after(*[BAD] * 3, start=track).state == "Down"


def test_not_knowing_is_not_healthy() -> None:
    assert Track().state == "Unknown"
    assert after(BAD).state == "Unknown"
    assert after(GOOD, NONE, NONE).state == "Healthy"
    assert after(GOOD, NONE, NONE, NONE).state == "Unknown"
    assert after(GOOD, NONE, NONE, NONE, GOOD).state == "Healthy"


def test_a_restart_goes_on_from_the_condition() -> None:
    down = after(BAD, BAD, BAD)
    again = health.restored(down.state, down.detail)
    assert after(BAD, start=again) != down
    assert after(BAD, start=again).state == "Down"
    assert after(BAD, start=again).detail == down.detail
    assert health.restored("Nonsense", "x") == Track()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([GOOD, BAD, SLOW, NONE]), max_size=40), st.integers(1, 10))
def test_the_verdict_is_settled_by_as_many_answers_as_the_threshold(samples: list[Sample], failures: int) -> None:
    by = Limits(60, 5, 2, failures)
    track = after(*samples, by=by)
    assert len(track.recent) <= health.REMEMBERED
    assert after(*[BAD] * failures, start=track, by=by).state == "Down"
    assert after(*[NONE] * failures, start=track, by=by).state == "Unknown"
    assert after(*[GOOD] * health.REMEMBERED, start=track, by=by).state == "Healthy"
    if samples and samples[-1] is BAD and track.state == "Healthy":
        assert track.unsettled


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10), st.sampled_from([5.0, 60.0, 600.0]))
def test_a_system_that_dies_is_down_within_two_intervals(failures: int, interval: float) -> None:
    by = Limits(interval, 0.0, 2, failures)
    track, seconds = after(GOOD, by=by), 0.0
    while track.state != "Down":
        seconds += by.soon if track.unsettled else by.interval
        track = after(BAD, start=track, by=by)
    assert seconds < 2 * interval + 0.001
    seconds = 0.0
    for _ in range(health.GOOD_IN_A_ROW):
        seconds += by.soon if track.unsettled else by.interval
        track = after(GOOD, start=track, by=by)
    assert str(track.state) == "Healthy"
    assert seconds <= 2 * interval
