"""A policy's own words on what is copied: filters, value mappings, onMissing, adopt, onUnresolved."""

from __future__ import annotations

from typing import Any

import pytest
from bcp_operator.sync.choice import Choice, ChoiceError
from bcp_operator.systems import paths
from bcp_operator.systems.errors import CallFailed
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sync_worlds import Pair

EVERYBODY = [{"type": "person"}, {"type": "team"}]


def pair(people: dict[str, dict[str, Any]], teams: dict[str, dict[str, Any]] | None = None, **policy: Any) -> Pair:
    made = Pair(policy={"approval": "Never", "entities": EVERYBODY} | policy)
    made.primary.entities["person"] = {key: {"login": key, "on": True} | body for key, body in people.items()}
    made.primary.entities["team"] = {key: {"name": key} | body for key, body in (teams or {}).items()}
    return made


def only(**wanted: list[str]) -> list[dict[str, Any]]:
    """People by a filter, and all teams."""
    return [{"type": "person", "filter": wanted}, {"type": "team"}]


def logins(made: Pair) -> set[str]:
    return {person["login"] for person in made.secondary.entities["person"].values()}


# --- filters


def test_a_filter_takes_those_that_have_one_of_its_values_in_each_field() -> None:
    made = pair(
        {
            "a": {"team": "Sales", "vip": True},
            "b": {"team": "Support", "vip": True},
            "c": {"team": "Support", "vip": False},
            "d": {"team": "Legal", "vip": True},
            "e": {"vip": True},
        },
        entities=only(team=["Sales", "Support"], vip=["true"]),
    )
    assert made.run().total("created") == 2
    assert logins(made) == {"a", "b"}


@pytest.mark.parametrize(
    ("field", "wanted", "taken"),
    [
        ("tags[]", ["x"], {"a"}),  # any element of a list
        ("boss.id", ["p"], {"b"}),
        ("level", ["7"], {"c"}),  # numbers by their digits
        ("id", ["b", "c"], {"b", "c"}),  # also what is never compared
    ],
)
def test_fields_of_filters_are_named_as_in_profiles(field: str, wanted: list[str], taken: set[str]) -> None:
    people: dict[str, Any] = {"a": {"tags": ["x", "y"]}, "b": {"boss": {"id": "p"}}, "c": {"level": 7}}
    made = pair(people, entities=only(**{field: wanted}))
    made.run()
    assert logins(made) == taken


def test_who_leaves_the_filter_is_left_alone_and_reported() -> None:
    made = pair({"a": {"team": "Sales"}, "b": {"team": "Sales"}}, entities=only(team=["Sales"]))
    made.run()
    made.primary.entities["person"]["a"] |= {"team": "Legal", "title": "new"}
    written = len(made.secondary.writes)
    tally = made.run()
    assert (made.secondary.writes[written:], tally.result(2)) == ([], "Succeeded")
    assert [(issue.key, issue.reason.partition(":")[0]) for issue in tally.kept] == [("a", "NotChosen")]
    assert made.twin("person", "a")["on"] is True
    made.primary.entities["person"]["a"]["team"] = "Sales"
    assert made.run().total("updated") == 1
    assert made.twin("person", "a")["title"] == "new"


def test_a_filter_that_takes_nobody_is_an_error_and_no_reason_to_act() -> None:
    made = pair({"a": {"team": "Sales"}, "b": {"team": "Sales"}}, entities=only(team=["Sales"]))
    made.run()
    made.policy |= {"entities": only(teamName=["Sales"])}
    del made.primary.entities["person"]["b"]
    written = len(made.secondary.writes)
    tally = made.run()
    assert tally.broken["person"].startswith("NothingChosen: the filter takes none of 1;")
    assert made.secondary.writes[written:] == []


def test_references_to_who_is_not_chosen_lead_to_the_secondary_where_they_can() -> None:
    made = pair(
        {"a": {"team": "Sales", "boss": {"id": "b"}}, "b": {"team": "Legal"}, "c": {"team": "Legal"}},
        {"red": {"lead": "c", "members": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}},
        entities=only(team=["Sales"]),
    )
    made.secondary.entities["person"] = {"x": {"login": "B", "on": False}}
    tally = made.run()
    assert made.secondary.entities["person"]["x"] == {"login": "B", "on": False}  # found, and not touched
    assert made.twin("person", "a")["boss"] == {"id": "x"}
    assert {"id": "x"} in made.twin("team", "red")["members"]
    assert "lead" not in made.twin("team", "red")
    assert sorted((issue.key, issue.reason) for issue in tally.unresolved) == [
        ("red", "UnresolvedReference: lead"),
        ("red", "UnresolvedReference: members[].id"),
    ]
    assert made.store.by_primary("person", "b") is None
    # What leads nowhere is no change in every later plan either.
    assert {action.kind for action in made.plan()[0]} == {"unchanged"}
    assert made.run().unresolved == tally.unresolved


# --- value mappings


def test_values_become_other_ones_and_stay_so() -> None:
    made = pair(
        {"a": {"phone": "+1", "level": 7, "tags": ["x", "y"]}, "b": {"phone": "+9"}},
        mappings=[
            {"type": "person", "field": "phone", "values": {"+1": "+2"}},
            {"type": "person", "field": "level", "values": {"7": "8"}},
            {"type": "person", "field": "tags[]", "values": {"x": "z"}},
        ],
    )
    made.run()
    twin = made.twin("person", "a")
    assert (twin["phone"], twin["level"], sorted(twin["tags"])) == ("+2", 8, ["y", "z"])
    assert made.twin("person", "b")["phone"] == "+9"
    assert made.primary.entities["person"]["a"]["phone"] == "+1"
    assert {action.kind for action in made.plan()[0]} <= {"unchanged"}
    made.policy |= {"mappings": [{"type": "person", "field": "phone", "values": {"+1": "+3"}}]}
    assert made.run().total("updated") == 1
    assert made.twin("person", "a")["phone"] == "+3"


def test_a_mapped_key_finds_the_entity_of_that_key() -> None:
    made = pair(
        {"a": {}}, {"red": {"lead": "a"}}, mappings=[{"type": "person", "field": "login", "values": {"a": "A-copy"}}]
    )
    made.secondary.entities["person"] = {"x": {"login": "A-copy", "on": True}}
    assert made.run().total("adopted") == 1
    assert made.twin("team", "red")["lead"] == "x"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"mappings": [{"type": "person", "field": "id", "values": {}}]}, "person.id is a field that the profile ign"),
        ({"mappings": [{"type": "person", "field": "boss.id", "values": {}}]}, "IDs are rewritten by correlation"),
        ({"mappings": [{"type": "skill", "field": "x", "values": {}}]}, "no such entity type: skill; known are person"),
        ({"mappings": [{"type": "person", "field": "x[", "values": {}}]}, "'x[' is not a field path"),
        ({"entities": only(**{"a..b": ["x"]})}, "'a..b' is not a field path"),
    ],
)
def test_what_can_have_no_effect_is_refused(policy: dict[str, Any], said: str) -> None:
    with pytest.raises(ChoiceError) as caught:
        pair({"a": {}}, **policy).run()
    assert said in str(caught.value)


# --- onMissing, adopt


def test_keep_leaves_alone_who_vanished() -> None:
    made = pair({"a": {}, "b": {}}, entities=[{"type": "person", "onMissing": "Keep"}, {"type": "team"}])
    made.run()
    del made.primary.entities["person"]["a"]
    tally = made.run()
    assert [issue.reason for issue in tally.kept] == ["VanishedFromPrimary: the policy keeps it"]
    assert made.twin("person", "a")["on"] is True
    made.policy |= {"entities": EVERYBODY}
    assert made.run().total("deactivated") == 1


def test_never_adopts_nothing_but_what_it_began_itself() -> None:
    made = pair({"a": {}, "b": {"boss": {"id": "a"}}}, adopt="Never")
    made.secondary.entities["person"] = {"x": {"login": "a", "on": False}}
    tally = made.run()
    assert made.secondary.entities["person"]["x"] == {"login": "a", "on": False}
    assert [(issue.key, issue.reason.partition(":")[0]) for issue in tally.errors] == [("a", "KeyTaken")]
    assert [issue.reason for issue in tally.unresolved] == ["UnresolvedReference: boss.id"]
    assert made.twin("person", "b")["login"] == "b"

    def die(verb: str, _type: str, body: Any) -> None:
        if verb == "created" and body["login"] == "c":
            raise ConnectionAbortedError

    made.primary.entities["person"]["c"] = {"login": "c", "on": True}
    made.secondary.fail = die
    with pytest.raises(ConnectionAbortedError):
        made.run()
    made.secondary.fail = lambda *_: None
    assert made.run().total("adopted") == 1  # its create was sent by the run before
    assert made.twin("person", "c")["login"] == "c"


# --- onUnresolved


def test_skip_copies_nothing_that_leads_nowhere_at_first_or_further_hand() -> None:
    made = pair(
        {
            "a": {"boss": {"id": "ghost"}},
            "b": {"boss": {"id": "a"}},
            "c": {"boss": {"id": "d"}},
            "d": {"boss": {"id": "c"}},
        },
        {"red": {"members": [{"id": "c"}, {"id": "b"}]}, "blue": {"members": [{"id": "c"}, {"id": "d"}]}},
        onUnresolved="Skip",
    )
    tally = made.run()
    assert logins(made) == {"c", "d"}
    assert {issue.key: issue.reason for issue in tally.errors} == {
        "a": "UnresolvedReference: boss.id",
        "b": "UnresolvedReference: boss.id",
        "red": "UnresolvedReference: members[].id",
    }
    assert [team["name"] for team in made.secondary.entities["team"].values()] == ["blue"]
    assert (tally.result(2), tally.unresolved) == ("Partial", [])
    made.primary.entities["person"]["ghost"] = {"login": "ghost", "on": True}
    assert made.run().total("created") == 4


def test_skip_leaves_a_known_entity_as_it_is() -> None:
    made = pair({"a": {"boss": {"id": "b"}}, "b": {}}, onUnresolved="Skip")
    made.run()
    made.primary.entities["person"]["a"] |= {"boss": {"id": "ghost"}, "title": "new"}
    tally = made.run()
    assert tally.total("skipped") == 1
    assert "title" not in made.twin("person", "a")
    assert "boss" in made.twin("person", "a")


def test_skip_holds_also_for_a_target_whose_create_failed() -> None:
    made = pair({"a": {}}, {"red": {"lead": "a"}, "blue": {}}, onUnresolved="Skip")

    def fail(verb: str, _type: str, body: Any) -> None:
        if verb == "create" and body.get("login") == "a":
            raise CallFailed("Refused", "HTTP 400")

    made.secondary.fail = fail
    tally = made.run()
    assert (tally.total("failed"), tally.total("skipped"), tally.total("created")) == (1, 1, 1)
    assert list(made.store.rows("team", "PENDING")) == []
    made.primary.entities["team"]["blue"]["lead"] = "a"
    assert made.run().total("skipped") == 2
    made.secondary.fail = lambda *_: None
    assert (made.run().total("created"), "lead" in made.twin("team", "blue")) == (2, True)


people = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.sampled_from(["in", "out"]), st.sampled_from("abcdefg")), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(people, st.booleans())
def test_only_who_is_chosen_is_written_and_nothing_dangles(world: dict[str, tuple[str, str]], skip: bool) -> None:
    made = pair(
        {key: {"team": team, "boss": {"id": boss}} for key, (team, boss) in world.items()},
        entities=only(team=["in"]),
        onUnresolved="Skip" if skip else "OmitField",
    )
    tally = made.run()
    chosen = {key for key, (team, _) in world.items() if team == "in"}
    assert logins(made) <= chosen
    if chosen and not skip:
        assert logins(made) == chosen
    for person in made.secondary.entities["person"].values():
        assert person.get("boss", {}).get("id") in {None, *made.secondary.entities["person"]}
        assert not skip or "boss" in person
    written = len(made.secondary.writes)
    again = made.run()
    assert (len(made.secondary.writes), again.unresolved) == (written, tally.unresolved)


def test_a_choice_changes_no_original() -> None:
    choice = Choice(mappings=((paths.parse("a.b[].c"), {"1": "2"}),))
    raw = {"a": {"b": [{"c": "1"}, {"c": "3"}], "d": 1}}
    assert choice.mapped(raw) == {"a": {"b": [{"c": "2"}, {"c": "3"}], "d": 1}}
    assert raw == {"a": {"b": [{"c": "1"}, {"c": "3"}], "d": 1}}
