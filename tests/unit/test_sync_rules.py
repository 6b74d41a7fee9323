"""What a plan does with one awkward thing at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bcp_operator.sync.apply import MAX_FAILURES_IN_A_ROW, SecondaryDown
from bcp_operator.sync.correlations.store import StoreError, correlation_id
from bcp_operator.sync.references import Target, dependents, rewrite_references, type_order
from bcp_operator.systems.client import Page
from bcp_operator.systems.errors import CallFailed

from tests.unit.sync_worlds import PAIR, PROFILE, Pair, System, profile


def pair(**people: dict[str, Any]) -> Pair:
    made = Pair()
    made.primary.entities["person"] = {key: {"login": key, "on": True} | body for key, body in people.items()}
    return made


def kinds(made: Pair) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for action in made.plan()[0]:
        found.setdefault(action.kind, []).append(action.key or "")
    return found


def test_a_rename_keeps_the_pair_and_a_freed_name_can_be_taken_in_one_run() -> None:
    made = pair(a={}, b={})
    made.run()
    twin = made.twin("person", "a")
    made.primary.entities["person"]["a"]["login"] = "new"
    made.primary.entities["person"]["c"] = {"login": "a", "on": True}  # the name that was freed
    tally = made.run()
    assert tally.total("failed") == 0
    assert (tally.total("created"), tally.total("updated")) == (1, 1)
    assert made.twin("person", "a")["login"] == "new"
    assert twin["login"] == "a"  # the object of before: it was replaced, not a second one made
    assert made.twin("person", "c")["login"] == "a"


@pytest.mark.parametrize("ring", ["ba", "bca", "dcab", "badc"])
def test_names_that_go_round_in_a_ring_are_carried_in_one_run(ring: str) -> None:
    made = pair(**{name: {"x": name} for name in sorted(ring)})
    made.run()
    twins = {row.primary_id: row.secondary_id for row in made.store.rows("person")}
    for name, taken in zip(sorted(ring), ring, strict=True):
        made.primary.entities["person"][name]["login"] = taken
    assert {action.kind for action in made.plan()[0]} == {"update"}
    tally = made.run()
    assert (tally.total("failed"), tally.total("updated")) == (0, len(ring))
    assert {row.primary_id: row.secondary_id for row in made.store.rows("person")} == twins
    for name, taken in zip(sorted(ring), ring, strict=True):
        assert made.twin("person", name) == {"login": taken, "on": True, "x": name}
    assert set(kinds(made)) == set()


def test_a_chain_of_freed_names_takes_one_more_request_for_each() -> None:
    made = pair(**{f"n{number:02d}": {} for number in range(30)})
    made.run()
    people = made.primary.entities["person"]
    for number in range(29):
        people[f"n{number:02d}"]["login"] = f"n{number + 1:02d}"  # each takes the name of the one behind it
    people["n29"]["login"] = "n30"
    people["new"] = {"login": "n00", "on": True}
    sent = 0

    def count(*_: Any) -> None:
        nonlocal sent
        sent += 1

    made.secondary.fail = count
    tally = made.run()
    assert (tally.total("failed"), tally.total("created"), tally.total("updated")) == (0, 1, 30)
    assert sent <= 2 * 31 + 1  # (and one notice of a create that was answered)
    assert {made.twin("person", name)["login"] for name in people} == {body["login"] for body in people.values()}


def test_a_run_that_dies_while_one_steps_aside_is_finished_by_the_next() -> None:
    made = pair(a={"x": 1}, b={"x": 2})
    made.run()
    people = made.primary.entities["person"]
    people["a"]["login"], people["b"]["login"] = "b", "a"

    def die(verb: str, _type: str, body: Any) -> None:
        if verb == "update" and any(str(entity["login"]).startswith("bcp-") for entity in twins()):
            raise KeyboardInterrupt

    def twins() -> list[dict[str, Any]]:
        return list(made.secondary.entities["person"].values())

    made.secondary.fail = die
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert sorted(str(twin["login"])[:4] for twin in twins()) in (["a", "bcp-"], ["b", "bcp-"])
    made.secondary.fail = lambda *_: None
    assert made.run().total("failed") == 0
    assert (made.twin("person", "a"), made.twin("person", "b")) == (people["a"], people["b"])


def test_a_name_that_somebody_else_has_in_the_secondary_is_said_and_nobody_steps_aside() -> None:
    made = pair(a={}, b={})
    made.run()
    made.secondary.entities["person"]["x"] = {"login": "taken", "on": True}
    made.primary.entities["person"]["a"]["login"] = "taken"
    made.primary.entities["person"]["b"]["login"] = "a"
    tally = made.run()
    assert sorted((issue.key, issue.reason.partition(":")[0]) for issue in tally.errors) == [
        ("a", "Duplicate"),
        ("taken", "Duplicate"),
    ]
    assert {str(entity["login"]) for entity in made.secondary.entities["person"].values()} == {"a", "b", "taken"}


def test_who_may_not_step_aside_is_reported_with_those_that_wait() -> None:
    made = pair(a={}, b={})
    made.run()
    people = made.primary.entities["person"]
    people["a"]["login"], people["b"]["login"] = "b", "a"

    def fail(verb: str, _type: str, body: Any) -> None:
        if verb == "update" and str(body["login"]).startswith("bcp-"):
            raise CallFailed("Refused", "HTTP 400")

    made.secondary.fail = fail
    tally = made.run()
    assert [issue.reason for issue in tally.errors] == ["Duplicate: HTTP 409"] * 2
    assert {made.twin("person", name)["login"] for name in "ab"} == {"a", "b"}


def test_who_returns_under_another_id_is_found_again() -> None:
    made = pair(a={}, b={})
    made.run()
    old = made.store.by_primary("person", "a")
    del made.primary.entities["person"]["a"]
    made.run()
    assert made.twin("person", "a")["on"] is False
    made.primary.entities["person"]["a2"] = {"login": "a", "on": True}
    tally = made.run()
    new = made.store.by_primary("person", "a2")
    assert old is not None
    assert new is not None
    assert new.secondary_id == old.secondary_id
    assert tally.total("adopted") == 1
    assert made.twin("person", "a2")["on"] is True
    made.run()
    assert made.twin("person", "a2")["on"] is True
    assert set(kinds(made)) <= {"unchanged"}


def test_who_returns_under_the_same_id_is_revived() -> None:
    made = pair(a={}, b={})
    made.run()
    gone = made.primary.entities["person"].pop("a")
    assert made.run().total("deactivated") == 1
    assert made.run().total("deactivated") == 0
    made.primary.entities["person"]["a"] = gone
    assert made.run().total("updated") == 1
    assert made.twin("person", "a")["on"] is True


def test_what_was_deleted_in_the_secondary_is_made_anew() -> None:
    made = pair(a={}, b={})
    made.run()
    row = made.store.by_primary("person", "a")
    assert row is not None
    del made.secondary.entities["person"][row.secondary_id or ""]
    assert "missing in the secondary" in next(a for a in made.plan()[0] if a.kind == "create").reason
    assert made.run().total("created") == 1
    assert made.twin("person", "a")["login"] == "a"


def test_gone_on_both_sides_is_a_tombstone() -> None:
    made = pair(a={}, b={})
    made.run()
    row = made.store.by_primary("person", "a")
    assert row is not None
    del made.primary.entities["person"]["a"], made.secondary.entities["person"][row.secondary_id or ""]
    assert kinds(made) == {"tombstone": ["a"]}
    made.run()
    assert kinds(made) == {}


def test_a_type_without_deactivate_keeps_what_vanished_and_says_so() -> None:
    made = pair(a={})
    made.primary.entities["team"] = {"t": {"name": "red"}, "u": {"name": "blue"}}
    made.run()
    del made.primary.entities["team"]["t"]
    tally = made.run()
    assert [issue.reason.partition(":")[0] for issue in tally.kept] == ["VanishedFromPrimary"]
    assert len(made.secondary.entities["team"]) == 2
    assert tally.result(2) == "Succeeded"


def test_ambiguity_stops_that_entity_alone() -> None:
    made = pair(a={})
    made.primary.entities["team"] = {"t": {"name": "red"}, "u": {"name": "blue"}}
    made.secondary.entities["team"] = {"x": {"name": "red"}, "y": {"name": "red"}}
    tally = made.run()
    assert (tally.total("created"), tally.total("skipped")) == (2, 1)
    assert tally.errors[0].reason.startswith("Ambiguous")
    assert tally.result(2) == "Partial"
    assert made.secondary.entities["team"]["x"] == {"name": "red"}


def test_two_of_one_name_in_the_primary_are_two_in_the_secondary() -> None:
    made = pair(a={})
    made.primary.entities["team"] = {"t": {"name": "red", "n": 1}, "u": {"name": "red", "n": 2}}
    made.run()
    assert sorted(team["n"] for team in made.secondary.entities["team"].values()) == [1, 2]
    assert set(kinds(made)) <= set()


def test_the_marker_finds_the_pair_when_the_store_is_lost() -> None:
    marked = profile(PROFILE.replace("key: {path: name}", "key: {path: name}\n    marker: note"))
    made = Pair(profile=marked, secondary=System("s", marker="note"))
    made.primary.entities["team"] = {"t": {"name": "red", "n": 1}, "u": {"name": "red", "n": 2}}
    made.run()
    assert {team["note"] for team in made.secondary.entities["team"].values()} == {
        correlation_id(PAIR, "team", name) for name in "tu"
    }
    before = len(made.secondary.writes)
    again = Pair(made.primary, made.secondary, profile=marked)  # a new, empty store
    tally = again.run()
    assert (tally.total("adopted"), tally.total("created")) == (2, 0)
    assert len(made.secondary.writes) == before
    assert again.twin("team", "t")["n"] == 1


def test_the_key_finds_the_pair_when_the_store_is_lost() -> None:
    made = pair(a={}, b={})
    made.run()
    before = len(made.secondary.writes)
    again = Pair(made.primary, made.secondary)
    assert again.run().total("adopted") == 2
    assert len(made.secondary.writes) == before


@pytest.mark.parametrize("answers", [True, False])
def test_what_the_secondary_makes_of_it_is_no_change_in_every_run(answers: bool) -> None:
    made = pair(a={"mail": "A@X"}, b={})
    made.secondary.normalise = lambda _type, body: (
        body | {"mail": str(body.get("mail", "none")).lower(), "made": "2026"}
    )
    made.secondary.answers_entity = answers
    if not answers:
        silent = PROFILE.replace(', entity: "@"', "").replace('    read: {path: "/people/{id}"}\n', "")
        made.profile = profile(silent)
    made.run()
    made.run()
    before = len(made.secondary.writes)
    assert made.run().total("unchanged") == 2
    assert len(made.secondary.writes) == before
    made.primary.entities["person"]["a"]["x"] = 1
    assert made.run().total("updated") == 1
    made.run()
    assert len(made.secondary.writes) == before + 1


def test_an_edit_in_the_secondary_is_overwritten_also_after_a_write_whose_answer_was_lost() -> None:
    made = pair(a={"mail": "A@X"}, b={})
    made.run()
    made.secondary.normalise = lambda _type, body: body | {"mail": str(body.get("mail", "none")).lower()}
    made.secondary.answers_entity = False
    made.primary.entities["person"]["a"]["title"] = "t"
    assert made.run().total("updated") == 1
    made.twin("person", "a")["title"] = "edited"
    assert made.run().total("updated") == 1
    assert made.twin("person", "a")["title"] == "t"
    made.run()  # the answer was lost again: now its spelling of the mail is believed
    before = len(made.secondary.writes)
    assert made.run().total("unchanged") == 2
    assert len(made.secondary.writes) == before


def test_an_edit_in_the_secondary_is_overwritten() -> None:
    made = pair(a={"title": "t"}, b={})
    made.run()
    made.twin("person", "a")["title"] = "edited"
    made.twin("person", "b")["extra"] = "there"
    assert made.run().total("updated") == 2
    assert made.twin("person", "a")["title"] == "t"
    assert "extra" not in made.twin("person", "b")


def test_references_are_left_out_while_they_lead_nowhere_and_come_back() -> None:
    made = pair(a={}, b={})
    made.primary.entities["team"] = {"t": {"name": "red", "lead": "ghost", "members": [{"id": "a"}, {"id": "ghost"}]}}
    tally = made.run()
    assert sorted(issue.reason for issue in tally.unresolved) == [
        "UnresolvedReference: lead",
        "UnresolvedReference: members[].id",
    ]
    assert tally.result(2) == "Succeeded"
    made.primary.entities["person"]["ghost"] = {"login": "ghost", "on": True}
    tally = made.run()
    assert tally.unresolved == []
    ghost = made.store.by_primary("person", "ghost")
    assert ghost is not None
    assert made.twin("team", "t")["lead"] == ghost.secondary_id


def test_cycles_are_made_without_and_then_linked() -> None:
    made = pair(a={"boss": {"id": "b"}}, b={"boss": {"id": "a"}}, c={"boss": {"id": "c"}})
    made.run()
    for name, boss in (("a", "b"), ("b", "a"), ("c", "c")):
        row = made.store.by_primary("person", boss)
        assert row is not None
        assert made.twin("person", name)["boss"] == {"id": row.secondary_id}


def test_a_target_that_could_not_be_made_is_left_out_and_reported() -> None:
    made = pair(a={}, b={"boss": {"id": "a"}})
    made.primary.entities["team"] = {"t": {"name": "red", "lead": "a"}}

    def fail(verb: str, _type: str, body: Any) -> None:
        if verb == "create" and body.get("login") == "a":
            raise CallFailed("Refused", "HTTP 400")

    made.secondary.fail = fail
    tally = made.run()
    assert (tally.total("created"), tally.total("failed")) == (2, 1)
    assert {issue.type for issue in tally.unresolved} == {"person", "team"}
    made.secondary.fail = lambda *_: None
    assert made.run().total("failed") == 0
    assert "boss" in made.twin("person", "b")
    assert "lead" in made.twin("team", "t")


def test_an_empty_listing_beside_known_pairs_is_an_error_of_that_type_and_of_what_refers_to_it() -> None:
    made = pair(a={}, b={})
    made.primary.entities["team"] = {"t": {"name": "red", "members": [{"id": "a"}]}}
    made.run()
    before = len(made.secondary.writes)
    made.primary.entities["person"] = {}
    tally = made.run()
    assert tally.broken.keys() == {"person", "team"}
    assert "EmptyListing" in tally.broken["person"]
    assert tally.result(2) == "Failed"
    assert len(made.secondary.writes) == before
    made.primary.entities["person"] = {"a": {"login": "a", "on": True}}
    made.secondary.entities["person"] = {}
    assert made.run().broken.keys() == {"person", "team"}


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ([Page([{"id": "1"}], 2)], "1 entities were listed, 2 announced"),
        ([Page([{"id": "1"}], 1), Page([{"id": "1"}], 1)], "an ID was listed twice"),
        ([Page([{"id": "1"}], 2), Page([{"id": "2"}], 3)], "its total went from 2 to 3"),
        ([Page([{"name": "x"}], 1)], "an entity has no ID where the profile says"),
        ([Page(["x"], 1)], "something that is no entity"),
    ],
)
def test_a_listing_that_can_not_be_proved_complete_is_an_error(
    pages: list[Page], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pair(a={}, b={})
    made.run()

    class Odd(System):
        async def list(self, type_name: str) -> Any:
            for page in pages if type_name == "team" else [Page([{"id": "a", "login": "a", "on": False}], 1)]:
                yield page

    async def at_once(_: float) -> None:
        pass

    monkeypatch.setattr("bcp_operator.sync.read.asyncio.sleep", at_once)
    made.primary = Odd("p")
    tally = made.run()
    assert said in tally.broken["team"]
    assert tally.broken.keys() == {"team"}
    assert (tally.total("updated"), tally.total("deactivated")) == (1, 1)  # people are in no way concerned


def test_a_listing_that_changed_once_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair(a={})
    turns = 0

    class Moving(System):
        async def list(self, type_name: str) -> Any:
            nonlocal turns
            turns += type_name == "person"
            yield Page([{"id": "a", "login": "a"}], 2 if turns == 1 and type_name == "person" else 1)

    async def at_once(_: float) -> None:
        pass

    monkeypatch.setattr("bcp_operator.sync.read.asyncio.sleep", at_once)
    made.primary = Moving("p")
    made.chosen = frozenset({"person"})
    assert made.run().total("created") == 1
    assert turns == 2


def test_types_that_are_not_chosen_are_looked_up_and_not_written() -> None:
    made = pair(a={}, b={})
    made.secondary.entities["person"] = {"x": {"login": "A", "on": False}}
    made.primary.entities["team"] = {"t": {"name": "red", "members": [{"id": "a"}, {"id": "b"}]}}
    made.chosen = frozenset({"team"})
    tally = made.run()
    assert made.secondary.entities["person"] == {"x": {"login": "A", "on": False}}
    assert made.twin("team", "t")["members"] == [{"id": "x"}]
    assert len(tally.unresolved) == 1
    assert list(made.store.rows("person")) == []


def test_a_secondary_that_is_down_ends_the_run_early() -> None:
    made = pair(**{f"u{n}": {} for n in range(200)})

    def fail(*_: Any) -> None:
        raise CallFailed("Unauthorized", "HTTP 401")

    made.secondary.fail = fail
    with pytest.raises(SecondaryDown, match="Unauthorized"):
        made.run()
    left = list(made.store.rows())
    assert len(left) < 200  # those that were to come when the run ended; the next one looks for them
    assert {row.status for row in left} <= {"PENDING"}
    assert MAX_FAILURES_IN_A_ROW < 200


def test_nothing_is_sent_when_the_store_can_not_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair(a={}, b={})

    def full(_: Any) -> None:
        raise StoreError("no space is left")

    monkeypatch.setattr(made.store, "save", full)
    with pytest.raises(StoreError):
        made.run()
    assert made.secondary.writes == []


def test_text_that_is_no_text_is_carried_across_all_the_same() -> None:
    made = pair(a={"title": "half \ud800 a pair"}, b={"title": "Żółć \U0001f600"})
    assert made.run().total("created") == 2
    assert made.twin("person", "a")["title"] == "half \ud800 a pair"
    assert made.run().total("unchanged") == 2


@pytest.mark.parametrize("half", ["login", "id"])
def test_a_name_that_is_no_text_drops_neither_itself_nor_its_type(half: str) -> None:
    made = pair(a={}, b={})
    own = "half \ud800" if half == "id" else "c"
    made.primary.entities["person"][own] = {"login": "half \ud800 a pair", "on": True, "boss": {"id": own}}
    tally = made.run()
    assert (tally.total("created"), tally.broken, tally.unresolved) == (3, {}, [])
    third = next(body for body in made.secondary.entities["person"].values() if "half" in body["login"])
    assert third["login"] == "half \ud800 a pair"
    assert made.secondary.entities["person"][third["boss"]["id"]] is third
    assert made.run().total("unchanged") == 3
    del made.primary.entities["person"][own]
    tally = made.run()
    assert tally.total("deactivated") == 1
    made.secondary.fail = fail_all
    made.primary.entities["person"][own] = {"login": "half \ud800 a pair", "on": True}
    assert b"half" in made.run().report("Partial", datetime.now(UTC), 0).model_dump_json().encode()


def fail_all(*_: Any) -> None:
    raise CallFailed("Refused", "HTTP 400")


@pytest.mark.parametrize(
    ("secondary_id", "wanted"), [("17", 17), ("\u00b2", "\u00b2"), ("007", "007"), ("9" * 5000, "9" * 5000)]
)
def test_whole_numbers_stay_numbers_where_they_can(secondary_id: str, wanted: object) -> None:
    person = profile().types["person"]
    found = rewrite_references(person, {"boss": {"id": 5}}, lambda _types, _id: Target(secondary_id))
    assert found.content == {"boss": {"id": wanted}}


def test_the_order_of_types() -> None:
    assert type_order(profile(), {"person", "team"}) == [["person"], ["team"]]
    ring = profile(PROFILE.replace("path: boss.id, to: [person]", "path: boss.id, to: [team]"))
    assert type_order(ring, {"person", "team"}) == [["person", "team"]]
    assert dependents(profile(), {"person"}) == {"person", "team"}
    assert dependents(profile(), {"team"}) == {"team"}


@pytest.mark.parametrize("policy", ["OmitField", "Skip"])
def test_who_refers_to_one_that_had_to_wait_for_its_name_is_linked_in_the_same_run(policy: str) -> None:
    made = pair(old={"login": "bo"}, third={"login": "flo"})
    made.policy["onUnresolved"] = policy
    made.run()
    made.primary.entities["person"] = {
        "old": {"login": "cy", "on": True},
        "new": {
            "login": "bo",
            "on": True,
            "boss": {"id": "new"},
        },  # can't be made before the other one gives up its name
        "other": {"login": "ada", "on": True, "boss": {"id": "new"}},
    }
    made.primary.entities["person"]["third"] = {"login": "flo", "on": True, "boss": {"id": "new"}}
    tally = made.run()
    assert (tally.total("failed"), tally.total("skipped"), tally.unresolved) == (0, 0, [])
    row = made.store.by_primary("person", "new")
    assert row is not None
    assert made.twin("person", "other")["boss"] == made.twin("person", "third")["boss"] == {"id": row.secondary_id}
    assert made.twin("person", "new")["boss"] == {"id": row.secondary_id}
    assert (tally.total("created"), tally.total("updated")) == (2, 2)
