"""Random worlds whose store is lost, or is yesterday's: the next run finds everybody again and makes nobody twice."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from bcp_operator.sync.correlations.sqlite import open_sqlite
from bcp_operator.sync.correlations.store import Row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.stores import Opener
from tests.unit.sync_worlds import PAIR, PROFILE, Pair, System, profile
from tests.unit.test_sync_plan_properties import check

IDS = [f"p{n}" for n in range(6)]
TEAMS = [f"q{n}" for n in range(3)]
MARKED = profile(PROFILE.replace("ignore: [id]", "ignore: [id]\n    marker: note"))
relaxed = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

World = dict[str, dict[str, dict[str, Any]]]


@st.composite
def worlds(draw: st.DrawFn, spellings: int = 3) -> World:
    """Everybody has names of their own to go by; who refers to whom is left to chance."""
    people: dict[str, dict[str, Any]] = {}
    for name in draw(st.sets(st.sampled_from(IDS))):
        people[name] = {"login": f"{name}-{draw(st.integers(1, spellings))}", "on": True, "n": draw(st.integers(0, 2))}
        if draw(st.booleans()):
            people[name]["boss"] = {"id": draw(st.sampled_from(IDS))}
    teams: dict[str, dict[str, Any]] = {}
    for name in draw(st.sets(st.sampled_from(TEAMS))):
        members = draw(st.lists(st.sampled_from([*IDS, *TEAMS]), max_size=3, unique=True))
        teams[name] = {"name": f"{name}-{draw(st.integers(1, spellings))}", "members": [{"id": one} for one in members]}
    # Somebody is always there: an empty listing is an error, not an edit.
    people["p-always"] = {"login": "always", "on": True}
    teams["q-always"] = {"name": "always"}
    return {"person": people, "team": teams}


def with_rows(pair: Pair, rows: list[Row]) -> Pair:
    """The same two systems, and a store that knows this."""
    store = open_sqlite(Path(":memory:"), PAIR)
    store.load(rows, ["person", "team"])
    return Pair(pair.primary, pair.secondary, store, profile=pair.profile)


def synced(pair: Pair, world: World) -> Pair:
    pair.primary.entities = copy.deepcopy(world)
    tally = pair.run()
    assert (tally.total("failed"), tally.total("skipped"), tally.broken) == (0, 0, {})
    return pair


def nobody_twice(pair: Pair, *ever: World) -> None:
    """One entity in the secondary for each that the primary has had, all equal to it, and nothing left to do."""
    check(pair)
    for kind in ("person", "team"):
        everybody = {entity for world in ever for entity in world[kind]}
        assert len(pair.secondary.entities[kind]) == len(everybody)
        for entity in pair.primary.entities[kind]:
            row = pair.store.by_primary(kind, entity)
            assert row is not None
            assert row.status == "ACTIVE"
    before = len(pair.secondary.writes)
    pair.run()
    assert len(pair.secondary.writes) == before


@relaxed
@given(yesterday=worlds(), today=worlds(), tomorrow=worlds())
def test_yesterdays_store_repairs_itself_by_markers_whatever_was_edited(
    yesterday: World, today: World, tomorrow: World
) -> None:
    pair = synced(Pair(secondary=System("s", marker="note"), profile=MARKED), yesterday)
    rows = list(pair.store.rows())
    synced(pair, today)
    nobody_twice(synced(with_rows(pair, rows), tomorrow), yesterday, today, tomorrow)


@relaxed
@given(yesterday=worlds(), today=worlds())
def test_yesterdays_store_repairs_itself_by_keys(yesterday: World, today: World) -> None:
    pair = synced(Pair(), yesterday)
    rows = list(pair.store.rows())
    synced(pair, today)
    nobody_twice(synced(with_rows(pair, rows), today), yesterday, today)


@relaxed
@given(before=worlds(), after=worlds())
def test_a_lost_store_is_made_anew_by_markers_whatever_was_edited(before: World, after: World) -> None:
    pair = synced(Pair(secondary=System("s", marker="note"), profile=MARKED), before)
    again = synced(with_rows(pair, []), after)
    nobody_twice(again, before, after)


@relaxed
@given(world=worlds())
def test_a_lost_store_is_made_anew_by_keys(world: World) -> None:
    pair = synced(Pair(), world)
    writes = len(pair.secondary.writes)
    again = with_rows(pair, [])
    tally = again.run()
    assert tally.total("adopted") == sum(map(len, world.values()))
    assert {verb for verb, _, _ in pair.secondary.writes[writes:]} <= {"update"}
    nobody_twice(again, world)


@relaxed
@given(world=worlds(spellings=1), data=st.data())
def test_renames_on_either_side_keep_the_pairs_also_where_names_go_round(world: World, data: st.DataObject) -> None:
    pair = synced(Pair(), world)
    twins = {kind: {row.primary_id: row.secondary_id for row in pair.store.rows(kind)} for kind in ("person", "team")}
    people = pair.primary.entities["person"]
    logins = data.draw(st.permutations([body["login"] for body in people.values()] + ["new-1", "new-2"]))
    for body, login in zip(people.values(), logins, strict=False):
        body["login"] = login
    for number, body in enumerate(pair.secondary.entities["person"].values()):
        if data.draw(st.booleans()):
            body["login"] = f"renamed-there-{number}"
    for body in pair.secondary.entities["team"].values():
        body["name"] = data.draw(st.sampled_from(["red", body["name"]]))
    synced(pair, pair.primary.entities)
    assert {
        kind: {row.primary_id: row.secondary_id for row in pair.store.rows(kind)} for kind in ("person", "team")
    } == twins
    nobody_twice(pair, world)


@relaxed
@given(world=worlds(), stop=st.integers(0, 8), data=st.data())
def test_a_run_that_dies_while_names_go_round_is_finished_by_the_next(
    world: World, stop: int, data: st.DataObject
) -> None:
    pair = synced(Pair(), world)
    people = pair.primary.entities["person"]
    for body, login in zip(
        people.values(), data.draw(st.permutations([p["login"] for p in people.values()])), strict=True
    ):
        body["login"] = login
    left = stop

    def fail(verb: str, _type: str, _body: Any) -> None:
        nonlocal left
        left -= verb == "update"
        if left < 0:
            raise Died

    pair.secondary.fail = fail
    try:
        pair.run()
    except Died:
        pair.secondary.fail = lambda *_: None
        assert pair.run().total("failed") == 0
    nobody_twice(pair, world)


class Died(Exception):
    """The process ended here."""


def test_a_lost_store_without_keys_to_tell_them_apart_stops_those_alone(opener: Opener) -> None:
    pair = Pair(store=opener(PAIR))
    pair.primary.entities["person"] = {"a": {"login": "a", "on": True}}
    pair.primary.entities["team"] = {"t": {"name": "red"}, "u": {"name": "red"}, "v": {"name": "blue"}}
    pair.run()
    pair.store.load([], [])
    tally = pair.run()
    assert (tally.total("adopted"), tally.total("skipped"), tally.total("created")) == (2, 2, 0)
    assert {issue.reason.partition(":")[0] for issue in tally.errors} == {"Ambiguous"}
    assert len(pair.secondary.entities["team"]) == 3


def test_a_tombstone_is_neither_woken_nor_made_again_until_the_primary_wakes_it(opener: Opener) -> None:
    pair = Pair(store=opener(PAIR))
    pair.primary.entities["person"] = {"a": {"login": "a", "on": True}, "b": {"login": "b", "on": True}}
    pair.run()
    gone = pair.primary.entities["person"].pop("a")
    pair.run()
    row = pair.store.by_primary("person", "a")
    assert row is not None
    assert (row.status, pair.twin("person", "a")["on"]) == ("INACTIVE", False)
    pair.twin("person", "a")["on"] = True  # by somebody in the secondary
    assert pair.run().total("deactivated") == 1
    writes = len(pair.secondary.writes)
    pair.run()
    assert len(pair.secondary.writes) == writes
    pair.primary.entities["person"]["a"] = gone
    assert pair.run().total("updated") == 1
    revived = pair.store.by_primary("person", "a")
    assert revived is not None
    assert (revived.status, revived.secondary_id, pair.twin("person", "a")["on"]) == ("ACTIVE", row.secondary_id, True)
    del pair.primary.entities["person"]["a"]
    pair.run()
    del pair.secondary.entities["person"][row.secondary_id or ""]  # for good, by somebody in the secondary
    tally = pair.run()
    assert (tally.total("created"), tally.total("deactivated")) == (0, 0)
    assert len(pair.secondary.entities["person"]) == 1
