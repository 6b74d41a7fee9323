"""One kind of bad weather at a time: what the run makes of it, and that the next one finishes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from bcp_operator.api.run import RunReport
from bcp_operator.sync.apply import MAX_FAILURES_IN_A_ROW
from bcp_operator.systems import session

from tests.systems.crash.sweep import WRITES
from tests.systems.ledger import Ledger, ledgers, sync
from tests.systems.proxy import Exchange, Fault, Proxy, answered, instead, proxying, reset_after, reset_before, slow
from tests.systems.proxy import truncated as cut

PEOPLE = 60


@dataclass
class Desk:
    """Two directories, the proxy between them and the engine, and a store."""

    primary: Ledger
    secondary: Ledger
    proxy: Proxy
    folder: Path

    def sync(self, fault: Callable[[Exchange], Fault | None] = lambda _: None) -> RunReport:
        """A run in that weather."""
        self.proxy.forget()
        self.proxy.fault = fault
        try:
            return sync(self.proxy, self.folder)
        finally:
            self.proxy.wait_idle()
            self.proxy.fault = lambda _: None

    def writes(self) -> int:
        """Writes of the last run that came as far as the proxy."""
        return sum(exchange.method in WRITES for exchange in self.proxy.seen)

    def finished(self) -> bool:
        """In peace, one run brings over what is missing, and everybody is there once."""
        report = self.sync()
        assert report.result == "Succeeded", report.message
        here, there = (
            sorted(p["login"] for p in side.entities["people"].values()) for side in (self.primary, self.secondary)
        )
        return here == there and len(self.secondary.entities["teams"]) == len(self.primary.entities["teams"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ledgers("p", "s") as (one, two), proxying({"primary": one.base, "secondary": two.base}) as proxy:
        for number in range(PEOPLE):
            one.add("people", {"login": f"n{number}", "on": True, "boss": "p0"})
        team = one.add("teams", {"name": "all", "lead": "p1", "members": [f"p{n}" for n in range(PEOPLE)]})
        one.add("teams", {"name": "ring", "members": [team]})
        one.entities["teams"][team]["members"].append(f"p{PEOPLE + 1}")
        yield Desk(one, two, proxy, tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts."""
    monkeypatch.setattr(session, "retry_delay_seconds", lambda attempt, headers, now: 0.001)


def writes_after(number: int, fault: Fault) -> Callable[[Exchange], Fault | None]:
    """That many writes go well, and none after."""
    left = iter(range(number))
    return lambda exchange: fault if exchange.method in WRITES and next(left, None) is None else None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "fault",
    [
        reset_before,
        reset_after,
        answered(500),
        answered(502, handled=True),
        answered(429),
        cut,
        instead(b"<p>"),
        slow(0.8),
    ],
    ids=["reset before", "reset after", "500", "502 though handled", "429", "truncated", "no JSON", "slow"],
)
def test_every_third_request_goes_wrong_and_nothing_half_done_stays(desk: Desk, fault: Fault) -> None:
    number = iter(range(10_000))
    with mock.patch.object(session, "WRITE_DEADLINE_SECONDS", 0.5):
        report = desk.sync(lambda exchange: fault if exchange.method in WRITES and next(number) % 3 == 0 else None)
    assert report.result in {"Succeeded", "Partial"}
    assert report.result == "Succeeded" or report.message
    assert len(desk.secondary.entities["people"]) >= PEOPLE // 2
    assert desk.finished()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (answered(401), "Unauthorized: HTTP 401"),
        (answered(429), "Throttled: HTTP 429"),
    ],
    ids=["token expired", "throttled for good"],
)
def test_a_secondary_that_is_lost_for_good_ends_the_run_with_the_reason(desk: Desk, fault: Fault, said: str) -> None:
    report = desk.sync(writes_after(10, fault))
    assert report.result == "Failed"
    assert f"{MAX_FAILURES_IN_A_ROW} writes in a row failed, the last with {said}" in report.message
    assert len({exchange.digest for exchange in desk.proxy.seen if exchange.method in WRITES}) < PEOPLE - 10
    assert desk.finished()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [reset_before, reset_after], ids=["gone before", "gone after"])
def test_a_secondary_that_answers_no_update_any_more_ends_the_run_with_the_reason(desk: Desk, fault: Fault) -> None:
    assert desk.finished()
    for person in desk.primary.entities["people"].values():
        person["title"] = "edited"
    report = desk.sync(writes_after(10, fault))
    assert report.result == "Failed"
    said = f"{MAX_FAILURES_IN_A_ROW} writes in a row failed, the last with OutcomeUnknown: connection failed"
    assert said in report.message
    assert desk.finished()
    assert {person["title"] for person in desk.secondary.entities["people"].values()} == {"edited"}


@pytest.mark.usefixtures("impatient")
def test_a_system_that_fails_over_some_entities_alone_does_not_end_the_run(desk: Desk) -> None:
    bad = {b"n1", b"n2", b"n3"}
    report = desk.sync(lambda exchange: answered(500) if any(b'"' + name in exchange.body for name in bad) else None)
    assert report.result == "Partial"
    failed = {issue.key for issue in report.errors}
    assert failed
    assert report.counts.created == PEOPLE + 2 - len(failed)
    assert desk.finished()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("side", ["primary", "secondary"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (answered(401), "Unauthorized: HTTP 401"),
        (answered(503), "Transient: HTTP 503"),
        (cut, "OutcomeUnknown: connection failed"),
        (instead(b'{"items": [], "total": 0'), "BadAnswer: the body"),
        (instead(b'{"items": {}, "total": 9}'), "BadAnswer: the answer holds no list"),
        (instead(b'{"items": [7], "total": 9}'), "the listing holds something that is no entity"),
        (instead(b"[" * 9999 + b"]" * 9999), "nested too deeply"),
    ],
    ids=["token expired", "down", "truncated", "half a JSON", "no list", "no entity", "nested"],
)
def test_a_page_that_stays_broken_leaves_the_type_out_and_writes_nothing(
    desk: Desk, side: str, fault: Fault, said: str
) -> None:
    assert desk.finished()
    del desk.primary.entities["people"]["p7"]  # due to be put out of use, on what could be a misreading
    for team in desk.primary.entities["teams"].values():
        team["members"] = [member for member in team["members"] if member != "p7"]
    report = desk.sync(lambda asked: fault if asked.side == side and "/people?skip=0" in asked.target else None)
    assert report.result == "Failed"
    assert said in report.message
    assert desk.writes() == 0
    report = desk.sync()
    assert (report.result, report.counts.deactivated) == ("Succeeded", 1)


@pytest.mark.parametrize("told", ["0", "Thu, 01 Jan 2026 00:00:00 GMT", "\N{SUPERSCRIPT TWO}"])
def test_being_throttled_for_a_while_costs_nothing_but_time(desk: Desk, told: str) -> None:
    calls = iter(range(10_000))
    fault = answered(429, Retry_After=told)
    report = desk.sync(lambda exchange: fault if exchange.method == "POST" and next(calls) in (3, 5) else None)
    assert report.result == "Succeeded"
    assert desk.finished()


def test_clocks_that_jump_change_nothing(desk: Desk) -> None:
    real, day = time.time, 86_400.0
    jumps = iter(range(10_000_000))
    calls = iter(range(10_000))
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(real()))
    fault = answered(503, Retry_After=at)
    with mock.patch.object(time, "time", side_effect=lambda: real() + day * (next(jumps) % 3 - 1)):
        report = desk.sync(lambda exchange: fault if exchange.method == "POST" and next(calls) in (3, 5) else None)
    assert report.result in {"Succeeded", "Partial"}  # told to wait until tomorrow, an entity waits for the next run
    assert report.counts.created >= PEOPLE
    assert desk.finished()
