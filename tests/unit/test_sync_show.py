"""A plan as it is shown: complete, with reasons, and the same byte for byte for an equal world."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from typing import Any

import pytest
from bcp_operator.sync.planning import decide
from bcp_operator.sync.report import Tally
from bcp_operator.sync.run import note_plan
from bcp_operator.sync.show import show_plan
from bcp_operator.sync.spool import Spool

from tests.unit.sync_worlds import Pair


@pytest.fixture
def made() -> Pair:
    """A world in which everything happens: 60 people of whom 24 vanish, one is renamed, one comes, one is unclear."""
    pair = Pair(policy={})
    pair.primary.entities["person"] = {f"p{n:02}": {"login": f"l{n:02}", "on": True} for n in range(60)}
    pair.primary.entities["team"] = {"t": {"name": "red"}}
    pair.run()
    people = pair.primary.entities["person"]
    for n in range(24):
        del people[f"p{n:02}"]
    people["p30"]["title"] = "new"
    people["new"] = {"login": "new", "on": True, "boss": {"id": "ghost"}}
    pair.primary.entities["team"]["u"] = {"name": "blue"}
    pair.secondary.entities["team"] |= {"x": {"name": "blue"}, "y": {"name": "blue"}, "z": {"name": "green"}}
    return pair


def shown(pair: Pair, output: str) -> str:
    spool, tally, text = Spool(), Tally(), io.StringIO()
    clients: Any = {"primary": pair.primary, "secondary": pair.secondary}
    asyncio.run(decide(pair.setup(), clients, pair.store, spool, tally, keep=False))
    with contextlib.redirect_stdout(text):
        show_plan(spool, tally, output)
    note_plan(spool, tally)
    assert tally.plan_hash is not None
    assert tally.plan_hash in text.getvalue()  # a dry run's report names the same plan
    return text.getvalue()


def test_for_machines_it_is_one_document_with_every_action_and_its_reason(made: Pair) -> None:
    plan = json.loads(shown(made, "json"))
    assert plan["counts"] == {
        "person": {"create": 1, "unchanged": 35, "update": 1, "withheld": 24},
        "team": {"keep": 3, "skip": 1, "unchanged": 1},
    }
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for action in plan["actions"]:
        by_kind.setdefault(action["action"], []).append(action)
    assert all(action["reason"] for kind in ("deactivate", "skip", "keep") for action in by_kind[kind])
    assert all(action["withheld"] for action in by_kind["deactivate"])
    assert by_kind["update"][0]["fields"] == ["title"]
    assert by_kind["create"][0]["unresolved"] == ["boss.id"]
    assert plan["limits"][0]["planned"] == 24
    assert plan["withheldHash"].startswith("sha256:")


def test_for_people_it_is_a_table_of_counts_below_its_lines(made: Pair) -> None:
    lines = shown(made, "text").splitlines()
    assert "withheld deactivate person           l00  vanished from the primary" in lines
    assert "create              person           new  leads nowhere: boss.id" in lines
    skip = next(line for line in lines if line.startswith("skip"))
    assert "Ambiguous: more than one entity of the secondary could be 'blue'" in skip
    head = next(number for number, line in enumerate(lines) if line.startswith("TYPE"))
    assert lines[head].split() == ["TYPE", "CREATE", "KEEP", "SKIP", "UNCHANGED", "UPDATE", "WITHHELD"]
    assert lines[head + 1].split() == ["person", "1", "0", "0", "35", "1", "24"]
    assert lines[head + 2].split() == ["team", "0", "3", "1", "1", "0", "0"]
    assert any(line.startswith("guard person: 24 removals, 3 need no approval") for line in lines)


@pytest.mark.parametrize("output", ["json", "text"])
def test_two_plans_of_an_unchanged_world_are_the_same_and_of_a_changed_one_are_not(made: Pair, output: str) -> None:
    first = shown(made, output)
    assert shown(made, output) == first
    people = made.primary.entities["person"]
    made.primary.entities["person"] = dict(reversed(people.items()))  # listed in another order
    assert shown(made, output) == first
    del people["p40"]
    made.primary.entities["person"] = people
    assert shown(made, output) != first


def test_a_plan_of_nothing_is_a_document_too(made: Pair) -> None:
    blank = Pair()
    assert json.loads(shown(blank, "json"))["actions"] == []
    assert shown(blank, "text").startswith("TYPE")
