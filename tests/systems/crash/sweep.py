"""Kill the run at three points of every request it sends, one run per point, and see what the next run makes of it.

The points are found by a run that is left alone; its outcome is what every other one must come to. What is lost, twice or
dangling is counted by a reader that imports nothing of the engine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from tests.systems.crash.hooks import DIE
from tests.systems.crash.stage import Stage, kill
from tests.systems.proxy import Exchange, Fault, Passing
from tests.systems.reader import Count, Portrait, count, portrait

Moment = Literal["unsent", "unread", "uncommitted"]
MOMENTS: tuple[Moment, ...] = ("unsent", "unread", "uncommitted")
ATTEMPTS = 5
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Point:
    """When to kill: before the request reaches the system; when it was handled and the answer isn't read; when the answer was
    read and the store has committed nothing since.
    """

    moment: Moment
    exchange: Exchange

    @property
    def kind(self) -> tuple[str, ...]:
        """Points of one kind differ only in the entity."""
        return (self.moment, self.exchange.side, self.exchange.method, self.exchange.collection, *_says(self.exchange))

    def __str__(self) -> str:
        asked = self.exchange
        return f"{self.moment} {asked.side} {asked.method} {asked.target} {asked.digest} #{asked.occurrence}"


@dataclass(frozen=True)
class Outcome:
    """What came of one point."""

    point: Point
    reached: bool
    count: Count
    problem: str  # what the finishing run said that it should not have said
    restless: int  # writes of one more run
    seconds: float

    @property
    def fine(self) -> bool:
        """As if nothing had happened."""
        clean = self.count == Count(0, 0, 0) and not self.problem and not self.restless
        return clean and self.reached


@dataclass(frozen=True)
class Expected:
    """What the run that was left alone came to."""

    points: list[Point]
    secondary: Portrait
    report: dict[str, Any]


def explore(stage: Stage) -> Expected:
    """Let a run alone, and list the points of its requests."""
    stage.reset()
    report = stage.run(expect=3)  # somebody is ambiguous
    points = [Point(moment, exchange) for exchange in stage.proxy.seen for moment in MOMENTS]
    expected = Expected(points, portrait(stage.pair.directories()[1]), report)
    assert not expected.secondary.dangling
    stage.proxy.forget()
    stage.run(expect=3)
    assert _writes(stage) == 0, "the world does not come to rest even without a crash"
    return expected


def one_of_each(points: Iterable[Point]) -> list[Point]:
    """The last point of each kind: the one with most behind it."""
    return list({point.kind: point for point in points}.values())


def sweep(stage: Stage, expected: Expected, points: Iterable[Point], *, once_more: bool) -> Iterator[Outcome]:
    """One run per point, one that finishes it, and, `once_more`, one that should have nothing to do."""
    for point in points:
        began = time.monotonic()
        # Which of two who refer to each other comes first, and so what is sent, is up to the runs' workers.
        reached = any(_killed_at(stage, point) for _ in range(ATTEMPTS))
        stage.proxy.forget()
        stage.zygote.start(stage.command())
        ended = stage.zygote.wait()
        problem = _differs(expected.report, ended.code, ended.printed)
        found = count(expected.secondary, portrait(stage.pair.directories()[1]))
        stage.proxy.forget()
        if once_more:
            stage.zygote.start(stage.command())
            stage.zygote.wait()
        yield Outcome(point, reached, found, problem, _writes(stage), time.monotonic() - began)


def _killed_at(stage: Stage, point: Point) -> bool:
    """Start a run anew and kill it there; False: it never came there."""
    stage.reset()
    groups: list[int] = []

    async def unsent(passing: Passing) -> web.StreamResponse:
        kill(groups[0])
        return passing.drop()

    async def unread(passing: Passing) -> web.StreamResponse:
        await passing.forward()
        kill(groups[0])
        return passing.drop()

    async def uncommitted(passing: Passing) -> web.StreamResponse:
        answer = await passing.forward()
        answer.headers[DIE] = "1"
        return answer

    faults: dict[Moment, Fault] = {"unsent": unsent, "unread": unread, "uncommitted": uncommitted}
    stage.proxy.fault = lambda exchange: faults[point.moment] if groups and exchange == point.exchange else None
    groups.append(stage.zygote.start(stage.command()))
    ended = stage.zygote.wait()
    stage.proxy.fault = lambda _: None
    stage.proxy.wait_idle()  # what was under way may still be handled by the system, as in life, but not during the next run
    return ended.code == -9


def _writes(stage: Stage) -> int:
    return sum(exchange.method in WRITES for exchange in stage.proxy.seen)


def _differs(wanted: dict[str, Any], code: int, printed: str) -> str:
    """What a finishing run says beside what one that was left alone says; how much of it was its own work may differ."""
    try:
        report = json.loads(printed)
    except ValueError:
        return f"ended with {code} and without a report"
    names = ("result", "errors", "unresolved", "kept", "withheld")
    odd = [f"{name}: {report.get(name)}" for name in names if report.get(name) != wanted.get(name)]
    return "; ".join(odd)


def _says(exchange: Exchange) -> tuple[str, ...]:
    """What a request is about, without the names of entities."""
    if exchange.method == "GET":
        return ("page",) if "startIndex" in exchange.target else ("entity",)
    if exchange.method != "PATCH":
        return ()
    paths = {str(operation.get("path")) for operation in json.loads(exchange.body)["Operations"]}
    references = any("manager" in path or "members" in path for path in paths)
    return ("references" if references else "active" if paths == {"active"} else "fields",)
