"""Random worlds, edits and faults against a model: whatever happens, nobody is there twice and nothing dangles; left in peace,
the secondary says what the primary says.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from aiohttp import web
from bcp_operator.api.run import RunReport
from bcp_operator.systems import session
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.systems.crash.hooks import DIE, Hooks
from tests.systems.ledger import Entity, Ledger, ledgers, sync
from tests.systems.proxy import (
    Exchange,
    Fault,
    Passing,
    Proxy,
    answered,
    instead,
    proxying,
    reset_after,
    reset_before,
    slow,
    truncated,
)

ANCHOR = "anchor"  # never leaves: an empty listing stops its type, as it should
RESULTS = {"Succeeded", "Partial", "Failed"}


async def dies(passing: Passing) -> web.StreamResponse:
    """The run ends when it has read this answer."""
    answer = await passing.forward()
    answer.headers[DIE] = "1"
    return answer


FAULTS: dict[str, Fault] = {
    "reset before": reset_before,
    "reset after": reset_after,
    "500 instead": answered(500),
    "502 though handled": answered(502, b"<html>gateway</html>", handled=True),
    "503 later": answered(503, Retry_After="1"),
    "429": answered(429),
    "429 later": answered(429, Retry_After="2"),
    "429 much later": answered(429, Retry_After="Thu, 01 Jan 2099 00:00:00 GMT"),
    "401": answered(401),
    "slow": slow(0.05),
    "too slow": slow(0.6),
    "truncated": truncated,
    "html": instead(b"<html>maintenance</html>"),
    "null": instead(b"null"),
    "list": instead(b"[[]]"),
    "empty object": instead(b"{}"),
    "nested": instead(b"[" * 5000 + b"]" * 5000),
    "the run dies": dies,
}
FINE = "fine"
WEATHER = st.one_of(st.just(FINE), st.sampled_from(sorted(FAULTS)))
EDITS = [
    "hire",
    "hire_two_who_manage_each_other",
    "edit",
    "rename",
    "leave",
    "come_back",
    "found_a_team",
    "a_stranger_in_the_secondary",
    "somebody_who_is_known_by_name",
    "meddle",
    "lose_one",
]
SIDES: tuple[Ledger, Ledger]
PROXY: Proxy


class Died(Exception):
    """The process ended here."""


def die() -> None:
    """Instead of SIGKILL, which the crash sweep uses."""
    raise Died


@contextmanager
def impatient() -> Iterator[None]:
    """No waiting between attempts and for answers."""
    with (
        mock.patch.object(
            session, "retry_delay_seconds", lambda attempt, headers, now: 0.001 if attempt < 3 else 100.0
        ),
        mock.patch.object(session, "WRITE_DEADLINE_SECONDS", 0.4),
        mock.patch.object(session, "READ_DEADLINE_SECONDS", 0.4),
    ):
        yield


class Company(RuleBasedStateMachine):
    """A primary that people edit, a secondary that others edit a little, and runs in between, some of them in bad weather."""

    def __init__(self) -> None:
        super().__init__()
        self.primary, self.secondary = SIDES
        for side in SIDES:
            side.entities = {"people": {}, "teams": {}}
            side.methods.clear()
        self.strangers: dict[str, Entity] = {}
        self.names = 0
        self.folder = tempfile.TemporaryDirectory()
        self.gone: dict[str, Entity] = {}

    def teardown(self) -> None:
        """At the end of every example the weather clears up."""
        if self.primary.entities["people"]:
            self.peace()
        self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        boss = self.primary.add("people", {"login": ANCHOR, "on": True})
        self.primary.add("teams", {"name": ANCHOR, "lead": boss, "members": [boss]})
        assert self.sync().result == "Succeeded"

    @rule(
        data=st.data(),
        edits=st.lists(st.sampled_from(EDITS), min_size=1, max_size=6),
        writes=st.lists(WEATHER, min_size=2, max_size=12),
        page=st.one_of(st.just(FINE), st.just(FINE), WEATHER),
        pages=st.integers(0, 8),
    )
    def a_day_and_a_night(self, data: Any, edits: list[str], writes: list[str], page: str, pages: int) -> None:
        for edit in edits:
            getattr(self, edit)(data)
        self.sync_in_bad_weather(writes, page, pages)

    # --- what people do in the primary

    def somebody(self, data: Any, *, but_anchor: bool = False) -> str:
        people = self.primary.entities["people"]
        return str(
            data.draw(st.sampled_from(sorted(p for p in people if not (but_anchor and people[p]["login"] == ANCHOR))))
        )

    def fresh(self) -> str:
        self.names += 1
        return f"Name{self.names}"

    def hire(self, data: Any) -> None:
        boss = self.somebody(data)
        self.primary.add("people", {"login": self.fresh(), "on": data.draw(st.booleans()), "boss": boss})

    def hire_two_who_manage_each_other(self, data: Any) -> None:
        one = self.primary.add("people", {"login": self.fresh(), "on": True})
        other = self.primary.add("people", {"login": self.fresh(), "on": True, "boss": one})
        self.primary.entities["people"][one]["boss"] = other

    def edit(self, data: Any) -> None:
        title = data.draw(st.sampled_from(["a", "b", "ü", None]))
        person = self.primary.entities["people"][self.somebody(data)]
        person["boss"] = self.somebody(data)
        person |= {"title": title} if title else {}

    def rename(self, data: Any) -> None:
        if len(self.primary.entities["people"]) == 1:
            return
        self.primary.entities["people"][self.somebody(data, but_anchor=True)]["login"] = self.fresh()

    def leave(self, data: Any) -> None:
        if len(self.primary.entities["people"]) == 1:
            return
        leaver = self.somebody(data, but_anchor=True)
        self.gone[leaver] = self.primary.entities["people"].pop(leaver)
        for collection in self.primary.entities.values():
            for entity in collection.values():
                for name in [name for name in ("boss", "lead") if entity.get(name) == leaver]:
                    del entity[name]
                entity["members"] = [member for member in entity.get("members", []) if member != leaver]

    def come_back(self, data: Any) -> None:
        if not self.gone:
            return
        identifier = data.draw(st.sampled_from(sorted(self.gone)))
        self.primary.entities["people"][identifier] = {
            name: value for name, value in self.gone.pop(identifier).items() if name in ("login", "on", "title")
        }

    def found_a_team(self, data: Any) -> None:
        teams = self.primary.entities["teams"]
        members = data.draw(
            st.lists(st.sampled_from([*sorted(self.primary.entities["people"]), *sorted(teams)]), max_size=3)
        )
        new = self.primary.add("teams", {"name": self.fresh(), "lead": self.somebody(data), "members": members})
        if data.draw(st.booleans()):
            teams[sorted(teams)[0]].setdefault("members", []).append(new)

    # --- what people do in the secondary

    def ours(self, data: Any) -> str | None:
        """Somebody whom a run has made or adopted. Drawn by number: who is there by now depends on the weather."""
        number = data.draw(st.integers(0, 99))
        known = sorted(self.secondary.entities["people"].keys() - self.strangers.keys())
        return known[number % len(known)] if known else None

    def a_stranger_in_the_secondary(self, _: Any) -> None:
        body = {"login": f"stranger-{self.fresh()}", "on": True}
        self.strangers[self.secondary.add("people", body)] = dict(body)

    def somebody_who_is_known_by_name(self, data: Any) -> None:
        login = self.fresh()
        self.secondary.add("people", {"login": login.upper(), "on": False, "title": "there before"})
        self.primary.add("people", {"login": login, "on": True})

    def meddle(self, data: Any) -> None:
        if ours := self.ours(data):
            self.secondary.entities["people"][ours]["title"] = "meddled"

    def lose_one(self, data: Any) -> None:
        people = self.secondary.entities["people"]
        lost = self.ours(data)
        if lost and people[lost]["login"] != ANCHOR:
            del people[lost]
            for entity in [*people.values(), *self.secondary.entities["teams"].values()]:
                for name in [name for name in ("boss", "lead") if entity.get(name) == lost]:
                    del entity[name]
                if lost in entity.get("members", []):
                    entity["members"] = [member for member in entity["members"] if member != lost]

    # --- runs

    def sync_in_bad_weather(self, writes: list[str], page: str, pages: int) -> None:
        """One fault after the other befalls the writes and what is read back, one of the pages before them."""
        due = {"page": iter([FINE] * pages + [page]), "rest": iter(writes)}

        def fault(exchange: Exchange) -> Fault | None:
            kind = "page" if "skip=" in exchange.target else "rest"
            return FAULTS.get(next(due[kind], FINE))

        PROXY.fault = fault
        with Hooks(die), impatient():
            try:
                report = self.sync()
            except Died:
                return
            except ExceptionGroup as several:
                if several.split(Died)[1] is not None:
                    raise
                return
            finally:
                PROXY.wait_idle()
                PROXY.fault = lambda _: None
                self.never()
        assert report.result in RESULTS
        assert report.result == "Succeeded" or report.message

    def peace(self) -> None:
        """Runs without faults, until nothing is left to do."""
        for _ in range(4):
            report = self.sync()
            if not any(report.counts.model_dump()[name] for name in ("created", "updated", "adopted", "deactivated")):
                break
        assert report.result == "Succeeded", report.message
        assert report.counts.updated == report.counts.created == 0, "it does not come to rest"
        self.never()
        self.says_the_same()

    def sync(self) -> RunReport:
        return sync(PROXY, Path(self.folder.name))

    # --- the model

    def never(self) -> None:
        """What must not be at any time."""
        assert self.primary.methods <= {"GET"}
        everybody = {identifier for collection in self.secondary.entities.values() for identifier in collection}
        for collection in self.secondary.entities.values():
            notes = [entity["note"] for entity in collection.values() if "note" in entity]
            assert len(notes) == len(set(notes)), "two of the secondary claim to be one of the primary"
            for entity in collection.values():
                assert {entity[name] for name in ("boss", "lead") if name in entity} <= everybody, "dangling"
                assert set(entity.get("members", [])) <= everybody, "dangling"
        for identifier, body in self.strangers.items():
            assert self.secondary.entities["people"][identifier] == body, "a stranger was touched"

    def says_the_same(self) -> None:
        """Everything of the primary is in the secondary, once, and says the same; who has left is out of use."""
        for collection, key in (("people", "login"), ("teams", "name")):
            here = self.said(self.primary, collection, key)
            there = self.said(self.secondary, collection, key)
            for who, what in here.items():
                assert there.pop(who, None) == what
            for who, what in there.items():
                if collection == "people" and not who.startswith("stranger"):
                    assert all(json.loads(one)["on"] is False for one in what), f"{who} has left and is in use"

    def said(self, side: Ledger, collection: str, key: str) -> dict[str, list[str]]:
        """Name -> what the entities of that name say, references by name."""
        names = {i: f"{e.get('login', e.get('name'))}".lower() for c in side.entities.values() for i, e in c.items()}
        found: dict[str, list[str]] = {}
        for entity in side.entities[collection].values():
            plain = {name: value for name, value in entity.items() if name != "note" and value not in ([], None)}
            plain |= {name: names[plain[name]] for name in ("boss", "lead") if name in plain}
            if "members" in plain:
                plain["members"] = sorted({names[member] for member in plain["members"]})
            who = str(entity[key]).lower()
            found.setdefault(who, []).append(json.dumps(plain, sort_keys=True))
        return found


def test_random_worlds_edits_and_faults() -> None:
    global SIDES, PROXY  # noqa: PLW0603 (a state machine is made by hypothesis, without arguments)
    with ExitStack() as stack:
        one, two = stack.enter_context(ledgers("p", "s"))
        SIDES = (one, two)
        PROXY = stack.enter_context(proxying({"primary": one.base, "secondary": two.base}))
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        how = settings(max_examples=15, stateful_step_count=8, deadline=None, suppress_health_check=checks)
        run_state_machine_as_test(Company, settings=how)
