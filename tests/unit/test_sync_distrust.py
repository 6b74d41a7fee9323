"""A listing that is short and yet agrees with itself: what it leaves out is asked for before anything is made of it."""

from __future__ import annotations

from typing import Any

import pytest
from bcp_operator.sync import confirm
from bcp_operator.systems.errors import CallFailed

from tests.unit.sync_worlds import PROFILE, Pair, System, profile


@pytest.fixture
def made() -> Pair:
    """Six people, and a team of two of them, copied once."""
    pair = Pair()
    pair.primary.entities["person"] = {f"p{n}": {"login": f"l{n}", "on": True} for n in range(6)}
    pair.primary.entities["team"] = {"t": {"name": "red", "members": [{"id": "p0"}, {"id": "p1"}]}}
    pair.run()
    return pair


def unlist(system: System, *people: str) -> None:
    """They are still there, but no listing says so."""
    for person in people:
        system.unlisted["person"][person] = system.entities["person"].pop(person)


def secondary_id(pair: Pair, primary_id: str) -> str:
    row = pair.store.by_primary("person", primary_id)
    assert row is not None
    return row.secondary_id or ""


def test_nobody_is_put_out_of_use_who_is_still_there(made: Pair) -> None:
    unlist(made.primary, "p0", "p5")
    del made.primary.entities["person"]["p1"]  # gone indeed, but by the word of the same listing
    made.primary.entities["person"]["p2"]["title"] = "new"
    before = len(made.secondary.writes)
    tally = made.run()
    assert len(made.secondary.writes) == before
    assert tally.broken["person"].startswith("Incomplete: primary: its listing leaves out l0, which is there")
    assert tally.broken["team"].startswith("Blocked")
    assert tally.counts == {}
    assert [action for action in made.plan()[0] if action.type == "person"] == []


def test_nobody_is_made_twice_whom_the_secondary_still_has(made: Pair) -> None:
    unlist(made.secondary, secondary_id(made, "p3"))
    before = len(made.secondary.writes)
    tally = made.run()
    assert len(made.secondary.writes) == before
    assert tally.broken["person"].startswith("Incomplete: secondary: its listing leaves out l3")


def test_who_is_gone_indeed_is_asked_for_once_and_put_out_of_use(made: Pair) -> None:
    del made.primary.entities["person"]["p4"]
    asked: list[str] = []
    made.primary.fail = lambda verb, _type, entity_id: asked.append(entity_id) if verb == "read" else None
    assert made.run().total("deactivated") == 1
    assert asked == ["p4"]
    made.run()
    assert asked == ["p4"]


def test_an_unchanged_world_is_asked_nothing(made: Pair) -> None:
    asked: list[str] = []
    for system in (made.primary, made.secondary):
        system.fail = lambda verb, _type, _id: asked.append(verb)
    assert made.run().total("unchanged") == 7
    assert asked == []


def test_who_is_out_of_use_may_be_left_out_of_a_listing(made: Pair) -> None:
    unlist(made.primary, "p4")
    made.primary.unlisted["person"]["p4"]["on"] = False
    assert made.run().total("deactivated") == 1


def test_a_read_that_fails_says_nothing(made: Pair) -> None:
    def refuse(verb: str, _type: str, _id: Any) -> None:
        if verb == "read":
            raise CallFailed("Unauthorized", "HTTP 403")

    del made.primary.entities["person"]["p4"]
    made.primary.fail = refuse
    assert made.run().total("deactivated") == 1


def test_without_a_read_call_the_listing_counts() -> None:
    made = Pair(profile=profile(PROFILE.replace('    read: {path: "/people/{id}"}\n', "")))
    made.primary.entities["person"] = {f"p{n}": {"login": f"l{n}", "on": True} for n in range(3)}
    made.run()
    unlist(made.primary, "p1")
    assert made.run().total("deactivated") == 1


def test_not_more_are_asked_for_than_makes_sense(made: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "MOST_READ", 2)
    asked: list[str] = []
    made.primary.fail = lambda verb, _type, entity_id: asked.append(entity_id) if verb == "read" else None
    for gone in ("p3", "p4", "p5"):
        del made.primary.entities["person"][gone]
    assert made.run().total("deactivated") == 3
    assert asked == ["p3", "p4"]
