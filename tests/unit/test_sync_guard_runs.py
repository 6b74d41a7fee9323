"""Runs with the guard on: what is done all the same, what is withheld, and what an approval lets through."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pytest
from bcp_operator.sync.guard import FLOOR
from bcp_operator.sync.report import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sync_worlds import Pair

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def company(people: int, teams: int = 0, **policy: Any) -> Pair:
    """People, each in the team with the same number if there is one, copied once, with the guard on."""
    made = Pair(policy=policy)
    made.primary.entities["person"] = {f"p-{n:03}": {"login": f"login{n:03}", "on": True} for n in range(people)}
    made.primary.entities["team"] = {
        f"t-{n:03}": {"name": f"team{n:03}", "members": [{"id": f"p-{n:03}"}]} for n in range(teams)
    }
    tally = made.run()
    assert (tally.total("created"), tally.total("withheld")) == (people + teams, 0)
    return made


def lose(made: Pair, number: int) -> None:
    for key in list(made.primary.entities["person"])[:number]:
        del made.primary.entities["person"][key]


def approve(made: Pair, tally: Tally) -> None:
    assert tally.withheld_hash is not None
    made.policy |= {"approve": tally.withheld_hash}


def out_of_use(made: Pair) -> int:
    return sum(person.get("on") is False for person in made.secondary.entities["person"].values())


def test_a_shrunken_listing_removes_nobody_and_the_rest_is_done() -> None:
    made = company(60)
    lose(made, 24)
    people = made.primary.entities["person"]
    people["p-030"]["tags"] = ["x"]
    people["new"] = {"login": "new", "on": True}
    tally = made.run()
    assert out_of_use(made) == 0
    assert (tally.total("created"), tally.total("updated"), tally.total("deactivated")) == (1, 1, 0)
    assert (tally.total("withheld"), tally.result(2)) == (24, "Partial")
    assert [(t.type, t.kind, t.planned, t.allowed, t.correlated) for t in tally.tripped] == [
        ("person", "remove", 24, 3, 60)
    ]
    assert made.twin("person", "p-030")["tags"] == ["x"]

    before, withheld = len(made.secondary.writes), tally.withheld_hash
    assert made.run().withheld_hash == withheld  # an unchanged world: the same hash, nothing written
    assert len(made.secondary.writes) == before


def test_an_approval_lets_through_what_was_withheld_once() -> None:
    made = company(60)
    lose(made, 24)
    approve(made, made.run())
    tally = made.run()
    assert (tally.total("deactivated"), tally.total("withheld"), tally.result(2)) == (24, 0, "Succeeded")
    assert out_of_use(made) == 24

    for person in made.secondary.entities["person"].values():
        person["on"] = True  # somebody puts them back by hand: the same actions would be due again
    tally = made.run()
    assert (tally.total("deactivated"), tally.total("withheld")) == (0, 24)
    assert "was used up" in tally.report(tally.result(2), NOW, 1).message
    assert tally.withheld_hash != made.policy["approve"]
    approve(made, tally)
    assert made.run().total("deactivated") == 24


def test_an_approval_covers_a_part_and_not_what_came_later() -> None:
    made = company(60)
    lose(made, 20)
    approve(made, made.run())
    people = made.primary.entities["person"]
    del people["p-040"]
    people["p-000"] = {"login": "login000", "on": True}  # one is back
    tally = made.run()
    assert (tally.total("deactivated"), tally.total("withheld")) == (19, 1)
    assert [issue.key for issue in tally.withheld] == ["login040"]
    assert made.twin("person", "p-000")["on"] is True


def test_an_approval_of_an_older_hash_still_counts_but_not_an_unknown_one() -> None:
    made = company(60)
    lose(made, 20)
    older = made.run()
    del made.primary.entities["person"]["p-040"]
    newer = made.run()
    assert newer.withheld_hash != older.withheld_hash
    made.policy |= {"approve": "sha256:" + "0" * 64}
    tally = made.run()
    assert tally.total("withheld") == 21
    assert "no run withheld that" in tally.report(tally.result(2), NOW, 1).message
    approve(made, older)
    tally = made.run()
    assert (tally.total("deactivated"), tally.total("withheld")) == (20, 1)


def test_an_approval_that_nothing_waits_for_any_longer_is_used_up_too() -> None:
    made = company(60)
    lost = dict(itertools.islice(made.primary.entities["person"].items(), 20))
    lose(made, 20)
    approve(made, made.run())
    made.primary.entities["person"] |= lost
    assert made.run().total("withheld") == 0
    lose(made, 0)
    for key in lost:
        del made.primary.entities["person"][key]
    assert made.run().total("withheld") == 20  # weeks later nobody means that approval


def test_a_run_that_is_killed_goes_on_with_its_approval() -> None:
    made = company(60)
    lose(made, 24)
    approve(made, Tally(withheld_hash=made.plan()[1].withheld_hash))  # known from a plan alone
    left = itertools.count(10, -1)

    def die(verb: str, _type: str, _body: Any) -> None:
        if verb == "deactivate" and next(left) <= 0:
            raise KeyboardInterrupt

    made.secondary.fail = die
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert 0 < out_of_use(made) < 24
    made.secondary.fail = lambda _verb, _type, _body: None
    tally = made.run()
    assert (tally.total("withheld"), out_of_use(made)) == (0, 24)


def test_putting_out_of_use_in_the_primary_is_a_removal_whatever_call_does_it() -> None:
    made = company(60)
    for key in list(made.primary.entities["person"])[:24]:
        made.primary.entities["person"][key]["on"] = False
    tally = made.run()
    assert (out_of_use(made), tally.total("withheld")) == (0, 24)
    assert {tripped.kind for tripped in tally.tripped} == {"remove"}
    approve(made, tally)
    made.run()
    assert out_of_use(made) == 24


def test_a_leaver_in_a_small_directory_trips_nothing() -> None:
    made = company(4)
    lose(made, 1)
    assert made.run().total("deactivated") == 1


def test_teams_keep_members_whose_removal_is_withheld() -> None:
    made = company(60, teams=30)
    lose(made, 24)
    made.primary.entities["team"]["t-029"]["name"] = "renamed"
    tally = made.run()
    assert made.twin("team", "t-000")["members"]  # the primary's team still names that person
    assert made.twin("team", "t-029")["name"] == "renamed"
    assert tally.counts["team"]["withheld"] == 24
    approve(made, tally)
    made.run()
    assert out_of_use(made) == 24
    assert not made.twin("team", "t-000").get("members")


def test_mass_updates_are_withheld_and_removals_within_their_limit_are_not() -> None:
    made = company(60)
    lose(made, 1)
    for person in made.primary.entities["person"].values():
        person["tags"] = ["x"]
    tally = made.run()
    assert (tally.total("updated"), tally.total("deactivated"), tally.total("withheld")) == (0, 1, 59)
    approve(made, tally)
    assert made.run().total("updated") == 59


def test_mass_creates_are_withheld_with_their_second_pass_and_may_refer_to_each_other() -> None:
    made = company(10)
    made.primary.entities["person"] |= {
        f"n-{n}": {"login": f"new{n}", "on": True, "boss": {"id": f"n-{(n + 1) % 20}"}} for n in range(20)
    }
    tally = made.run()
    assert (tally.total("created"), tally.total("withheld")) == (0, 20)
    assert len(made.secondary.entities["person"]) == 10
    approve(made, tally)
    tally = made.run()
    assert (tally.total("created"), tally.total("withheld"), tally.unresolved) == (20, 0, [])
    assert made.twin("person", "n-0")["boss"]["id"] == made.store.by_primary("person", "n-1").secondary_id  # type: ignore[union-attr]


def test_an_initial_copy_that_was_cut_short_goes_on_unasked() -> None:
    made = Pair(policy={})
    made.primary.entities["person"] = {f"p-{n}": {"login": f"l{n}", "on": True} for n in range(40)}
    left = itertools.count(5, -1)

    def die(verb: str, _type: str, _body: Any) -> None:
        if verb == "create" and next(left) <= 0:
            raise KeyboardInterrupt

    made.secondary.fail = die
    with pytest.raises(KeyboardInterrupt):
        made.run()
    made.secondary.fail = lambda _verb, _type, _body: None
    tally = made.run()
    assert (tally.total("withheld"), len(made.secondary.entities["person"])) == (0, 40)


def test_always_waits_for_every_write_and_never_for_none() -> None:
    made = Pair(policy={"approval": "Always"})
    made.primary.entities["person"] = {"a": {"login": "a", "on": True}}
    tally = made.run()
    assert (tally.total("withheld"), made.secondary.writes) == (1, [])
    approve(made, tally)
    assert made.run().total("created") == 1
    made.policy = {"approval": "Never"}
    made.primary.entities["person"] |= {f"p-{n}": {"login": f"l{n}", "on": True} for n in range(40)}
    made.run()
    lose(made, 30)
    assert made.run().total("deactivated") == 30


def test_a_plan_shows_the_hash_and_notes_nothing() -> None:
    made = company(60)
    lose(made, 24)
    planned = made.plan()[1].withheld_hash
    assert planned is not None
    assert not made.store.withheld(planned)
    assert made.run().withheld_hash == planned


world = st.sets(st.integers(0, 19))


@settings(max_examples=60, deadline=None)
@given(
    before=world,
    after=world,
    changed=world,
    removals=st.integers(0, 8),
    removal_percent=st.integers(0, 100),
    update_percent=st.integers(0, 100),
)
def test_no_run_does_more_than_its_limits_and_every_run_adds(
    before: set[int], after: set[int], changed: set[int], removals: int, removal_percent: int, update_percent: int
) -> None:
    limits = {"maxRemovals": removals, "maxRemovalPercent": removal_percent, "maxUpdatePercent": update_percent}
    made = Pair(policy={"guard": limits | {"maxCreatePercent": 10000}})
    made.primary.entities["person"] = _people(before, ())
    made.run()
    made.primary.entities["person"] = _people(after, changed)
    written = len(made.secondary.writes)
    tally = made.run()
    verbs = [verb for verb, _, _ in made.secondary.writes[written:]]
    allowed_removals = min(
        removals, max(FLOOR["remove"], len(before) * removal_percent // 100) if removal_percent else 0
    )
    assert verbs.count("deactivate") <= allowed_removals
    assert verbs.count("deactivate") in (0, len(before - after) if after else 0)  # all of a kind, or none of it
    if before and update_percent < 100:
        assert verbs.count("update") <= (
            max(FLOOR["update"], len(before) * update_percent // 100) if update_percent else 0
        )
    if after or not before:
        assert verbs.count("create") == len(after - before)
    withheld = tally.total("withheld")
    if withheld:
        approve(made, tally)
        written = len(made.secondary.writes)
        assert made.run().total("withheld") == 0
        assert len(made.secondary.writes) - written == withheld  # exactly those


def _people(numbers: Collection[int], changed: Collection[int]) -> dict[str, dict[str, Any]]:
    return {f"p{n}": {"login": f"l{n}", "on": True, "tags": ["x"] if n in changed else ["y"]} for n in numbers}


def test_after_a_way_back_without_discard_the_first_run_overwrites_nothing_unasked() -> None:
    made = company(20)
    made.primary.entities["person"]["p-003"]["tags"] = ["x"]
    made.policy |= {"review": "op-7", "approval": "Never"}
    tally = made.run()
    assert (tally.total("updated"), tally.total("withheld"), tally.result(2)) == (0, 1, "Partial")
    assert "without Discard" in tally.report("Partial", NOW, 1.0).message
    assert made.run().total("withheld") == 1, "until somebody has agreed"
    approve(made, tally)
    assert made.run().total("updated") == 1
    made.primary.entities["person"]["p-004"]["tags"] = ["y"]
    tally = made.run()
    assert (tally.total("updated"), tally.total("withheld")) == (1, 0), "and from then on runs are as they were"
    made.policy |= {"review": "op-8"}
    made.primary.entities["person"]["p-005"]["tags"] = ["z"]
    assert made.run().total("withheld") == 1, "another way back is another matter"


def test_a_first_run_with_nothing_to_write_is_review_enough() -> None:
    made = company(20)
    made.policy |= {"review": "op-7"}
    assert made.run().total("withheld") == 0
    made.primary.entities["person"]["p-004"]["tags"] = ["y"]
    assert made.run().total("updated") == 1
