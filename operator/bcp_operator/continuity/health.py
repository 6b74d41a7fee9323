"""From single answers of a system to one word about it: Healthy, Slow, Flapping, Down, or Unknown.

Pure. A system is Down after some failures in a row and Healthy again after two good answers, so that neither one lost
packet nor one lucky answer is news. Unknown, our own failure to ask, is never Healthy.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from bcp_operator.api.tenant import Health as HealthSpec
from bcp_operator.api.tenant import SystemSpec

from . import durations

State = Literal["Healthy", "Slow", "Flapping", "Down", "Unknown"]

REMEMBERED = 10
"""Answers that are looked at for flapping."""
FLAPS = 4
"""So many changes between good and failed within the remembered answers are flapping; it ends with at most one."""
GOOD_IN_A_ROW = 2

_DEFAULT = HealthSpec(path="/")


@dataclass(frozen=True)
class Limits:
    """How a system's answers are judged; times in seconds."""

    interval: float
    timeout: float
    slow_after: float
    failures: int

    @property
    def soon(self) -> float:
        """The pause while an answer contradicts the verdict: it is settled within about one more interval."""
        return self.interval / self.failures


@dataclass(frozen=True)
class Sample:
    """One answer, or the lack of one; `seconds` is how long it took."""

    result: Literal["Healthy", "Failed", "Unknown"]
    detail: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Track:
    """What the answers so far come to. `detail` is of the moment in which the state was entered, and stays with it."""

    state: State = "Unknown"
    detail: str = "it has not been asked yet"
    recent: tuple[bool, ...] = ()
    failed: int = 0
    good: int = 0
    quick: int = 0
    slow: int = 0
    unknown: int = 0

    @property
    def unsettled(self) -> bool:
        """The last answer was of another kind than the state."""
        if self.unknown or (self.failed and self.state != "Down") or (self.good and self.state == "Down"):
            return True
        return bool(self.quick if self.state == "Slow" else self.slow)


def limits(system: SystemSpec) -> Limits:
    """The limits of a system; those of a default health check where it has none."""
    spec = system.health or _DEFAULT
    seconds = [durations.parse(text).total_seconds() for text in (spec.interval, spec.timeout, spec.slow_after)]
    return Limits(seconds[0], seconds[1], seconds[2], spec.failure_threshold)


def restored(reason: str, message: str) -> Track:
    """Go on from a condition that an earlier process wrote."""
    return Track(reason, message) if reason in get_args(State) else Track()  # type: ignore[arg-type]


def advance(track: Track, sample: Sample, by: Limits) -> Track:
    """One more answer."""
    if sample.result == "Unknown":
        counted = replace(track, unknown=track.unknown + 1)
        return _enter(counted, "Unknown", sample.detail) if counted.unknown >= by.failures else counted
    good = sample.result == "Healthy"
    slow = good and sample.seconds > by.slow_after
    counted = replace(
        track,
        recent=(*track.recent, good)[-REMEMBERED:],
        failed=0 if good else track.failed + 1,
        good=track.good + 1 if good else 0,
        quick=track.quick + 1 if good and not slow else 0,
        slow=track.slow + 1 if slow else 0,
        unknown=0,
    )
    return _enter(counted, *_verdict(counted, sample, by))


def _verdict(track: Track, sample: Sample, by: Limits) -> tuple[State, str]:
    changes = sum(1 for one, next_ in zip(track.recent, track.recent[1:], strict=False) if one != next_)
    if track.failed >= by.failures:
        return "Down", sample.detail
    if changes >= FLAPS or (track.state == "Flapping" and changes > 1):
        return "Flapping", "good and failed answers take turns"
    if track.failed or (track.state == "Down" and track.good < GOOD_IN_A_ROW):
        return track.state, track.detail
    if track.slow >= by.failures or (track.state == "Slow" and track.quick < GOOD_IN_A_ROW):
        return "Slow", f"answers take longer than {by.slow_after:g} s"
    return "Healthy", "answers as it should"


def _enter(track: Track, state: State, detail: str) -> Track:
    return track if state == track.state else replace(track, state=state, detail=detail[:512])
