"""An empty store beside a secondary that is not empty: what was copied before is found again, and nothing is made twice."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sync_worlds import Pair


def people(*logins: str) -> dict[str, dict[str, Any]]:
    return {f"p-{login}": {"login": login, "on": True} for login in logins}


def lost(primary: dict[str, Any], secondary: dict[str, Any], **policy: Any) -> Pair:
    """A pair whose store is gone. People of the secondary have IDs of their own."""
    made = Pair(policy=policy)
    made.primary.entities["person"] = primary
    made.secondary.entities["person"] = secondary
    return made


def approve(made: Pair, digest: str | None) -> None:
    assert digest is not None
    made.policy |= {"approve": digest}


def settle(made: Pair) -> None:
    """Run, approve what was withheld, run again."""
    tally = made.run()
    if tally.withheld_hash is not None:
        approve(made, tally.withheld_hash)
        assert made.run().withheld_hash is None


def test_what_is_there_is_adopted_and_nothing_is_made_until_approved() -> None:
    made = lost(people("a", "b", "new"), {"x": {"login": "a", "on": True}, "y": {"login": "b", "on": False}})
    made.primary.entities["team"] = {"t": {"name": "red", "members": [{"id": "p-a"}]}}  # none there, but who knows
    tally = made.run()
    assert (tally.total("adopted"), tally.total("created"), tally.total("withheld")) == (2, 0, 2)
    assert made.secondary.entities["person"].keys() == {"x", "y"}
    message = tally.report(tally.result(2), datetime.now(UTC), 1).message
    assert "no correlation was known beside a secondary that is not empty" in message

    again = made.run()  # the store isn't empty any more, and still nobody has said yes
    assert (again.total("created"), again.total("withheld"), again.withheld_hash) == (0, 2, tally.withheld_hash)
    approve(made, tally.withheld_hash)
    assert made.run().total("created") == 2
    made.primary.entities["person"] |= people("later")
    assert made.run().total("created") == 1  # rebuilt: as ever


def test_a_plan_alone_sees_the_same_and_notes_nothing() -> None:
    made = lost(people("a", "new"), {"x": {"login": "a", "on": True}})
    planned = made.plan()[1].withheld_hash
    assert not made.store.copied("rebuild:person")
    assert made.run().withheld_hash == planned


def test_an_empty_secondary_is_filled_unasked_also_after_an_interruption() -> None:
    made = lost(people(*"abcdefgh"), {})
    left = itertools.count(3, -1)

    def die(verb: str, _type: str, _body: Any) -> None:
        if verb == "create" and next(left) <= 0:
            raise KeyboardInterrupt

    made.secondary.fail = die
    with pytest.raises(KeyboardInterrupt):
        made.run()
    made.secondary.fail = lambda *_: None
    assert made.run().total("withheld") == 0
    assert len(made.secondary.entities["person"]) == 8


def test_a_run_that_is_killed_while_it_rebuilds_forgets_nothing() -> None:
    made = lost(people("a", "b", "new"), {"x": {"login": "a", "on": False}, "y": {"login": "b", "on": False}})
    made.concurrency = 1

    def die(verb: str, _type: str, body: Any) -> None:
        if verb == "update" and body["login"] == "b":
            raise KeyboardInterrupt

    made.secondary.fail = die
    with pytest.raises(KeyboardInterrupt):
        made.run()
    made.secondary.fail = lambda *_: None
    tally = made.run()
    assert (tally.total("created"), tally.total("withheld")) == (0, 1)


def test_never_adopts_only_what_was_approved() -> None:
    made = lost(people("a", "new"), {"x": {"login": "a", "on": False}}, adopt="Never")
    tally = made.run()
    assert (tally.total("withheld"), made.secondary.writes) == (2, [])
    assert made.run().withheld_hash == tally.withheld_hash
    approve(made, tally.withheld_hash)
    tally = made.run()
    assert (tally.total("adopted"), tally.total("created")) == (1, 1)
    assert made.twin("person", "p-a")["on"] is True


def test_without_a_guard_nobody_is_asked() -> None:
    made = lost(people("a", "new"), {"x": {"login": "a", "on": True}}, approval="Never")
    assert (made.run().total("created"), len(made.secondary.entities["person"])) == (1, 2)


def test_a_type_that_is_chosen_later_is_copied_unasked() -> None:
    made = lost(people("a"), {})
    made.chosen = frozenset({"person"})
    made.run()
    made.chosen = frozenset({"person", "team"})
    made.primary.entities["team"] = {"t": {"name": "red"}}
    made.secondary.entities["team"] = {"z": {"name": "theirs"}}
    assert made.run().total("created") == 1


logins = st.sets(st.sampled_from("abcdefgh"))


@settings(max_examples=60, deadline=None)
@given(before=logins, after=logins, theirs=logins)
def test_a_lost_store_makes_nobody_twice(before: set[str], after: set[str], theirs: set[str]) -> None:
    made = lost(people(*before), {f"own-{login}": {"login": login, "on": True} for login in theirs - before})
    settle(made)
    again = Pair(secondary=made.secondary, policy={})
    again.primary.entities["person"] = people(*after)
    there = set(made.secondary.entities["person"])
    again.run()
    if there:
        assert set(made.secondary.entities["person"]) == there
        settle(again)
    found = [person["login"] for person in made.secondary.entities["person"].values()]
    assert sorted(found) == sorted(set(found))
    assert after <= set(found)
