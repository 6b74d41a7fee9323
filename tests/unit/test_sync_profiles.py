"""What each part of a profile makes the engine do: two made-up vendors over HTTP, changed by profile alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from bcp_operator.sync.config import ConfigError, chosen_types
from bcp_operator.systems.catalog import parse
from bcp_operator.systems.profile import Profile

from tests.unit.http_server import Seen
from tests.unit.rest_system import Rest
from tests.unit.test_systems_client import quick

__all__ = ["quick"]


def kind(path: str, **more: Any) -> dict[str, Any]:
    """A type of the made-up vendor."""
    parts = {
        "list": {"path": f"/{path}", "items": "items"},
        "read": {"path": f"/{path}/{{id}}"},
        "key": {"path": "name"},
        "ignore": ["id", "nr", "rev"],
        "create": {"method": "POST", "path": f"/{path}", "entity": "@"},
        "update": {"method": "PUT", "path": f"/{path}/{{id}}", "entity": "@"},
    } | more
    return {name: part for name, part in parts.items() if part is not None}


def profile(**types: dict[str, Any]) -> Profile:
    return parse(yaml.safe_dump({"auth": {"kind": "none"}, "types": types}), "test")


def issues(tally: Any) -> list[str]:
    return [f"{issue.key} {issue.reason}" for issue in tally.errors]


# --- creates that don't tell what they made

BLIND = {"method": "POST", "path": "/agents", "id": None}
FIND = {"path": "/agents", "query": {"name": "{key}"}, "items": "items"}


@pytest.mark.parametrize("filtering", [None, True, False])
async def test_what_a_create_does_not_tell_is_found_in_the_same_run(filtering: bool | None) -> None:
    find = None if filtering is None else FIND
    boss = {"references": [{"path": "boss", "to": ["agent"]}]}
    rest = Rest(profile(agent=kind("agents", create=BLIND, find=find, **boss)))
    rest.secondary.tells_id, rest.secondary.filters = False, bool(filtering)
    first = rest.primary.put("agents", name="ann")
    for name in ("bob", "dora"):
        rest.primary.put("agents", name=name, boss=first)
    rest.secondary.put("agents", name="carl")
    tallies = await rest.runs(2)
    assert [tally.total("created") for tally in tallies] == [3, 0]
    assert [tally.errors for tally in tallies] == [[], []]
    assert rest.secondary.named("agents", "bob")["boss"] == rest.secondary.named("agents", "ann")["id"]
    assert tallies[1].total("unchanged") == 3
    listings = [seen.target for seen in rest.secondary.seen if seen.method == "GET" and "agents/" not in seen.target]
    # Two listings for the plans; one by name for each create, or one of everything where that can't be trusted.
    assert len(listings) == 2 + {None: 1, True: 3, False: 2}[filtering]


async def test_a_create_whose_answer_was_lost_is_found_and_not_made_twice() -> None:
    rest = Rest(profile(agent=kind("agents")))
    for name in ("ann", "bob"):
        rest.primary.put("agents", name=name)
    rest.secondary.lose = lambda seen: seen.method == "POST" and seen.body["name"] == "ann"
    tally = await rest.run()
    assert (tally.total("created"), tally.errors) == (2, [])
    assert len(rest.secondary.kinds["agents"]) == 2


async def test_a_create_that_left_no_trace_is_reported_and_made_by_the_next_run() -> None:
    rest = Rest(profile(agent=kind("agents")))
    rest.primary.put("agents", name="ann")

    def swallow(seen: Seen) -> bool:
        if seen.method == "POST":
            rest.secondary.kinds["agents"].clear()
        return seen.method == "POST"

    rest.secondary.lose = swallow
    assert issues(await rest.run()) == ["ann OutcomeUnknown: HTTP 500"]
    rest.secondary.lose = lambda _: False
    assert (await rest.run()).total("created") == 1
    assert len(rest.secondary.kinds["agents"]) == 1


# --- lookups, and types that can't be created or changed


async def test_lookups_are_mapped_and_never_made() -> None:
    role = kind("roles", create=None, update=None)
    required = {"references": [{"path": "role", "to": ["role"], "required": True}, {"path": "extra[]", "to": ["role"]}]}
    rest = Rest(profile(role=role, agent=kind("agents", **required)))
    roles = {name: rest.primary.put("roles", name=name) for name in ("lead", "new")}
    theirs = rest.secondary.put("roles", name="lead")
    rest.primary.put("agents", name="ann", role=roles["lead"], extra=[roles["lead"], roles["new"]])
    rest.primary.put("agents", name="bob", role=roles["new"])
    tally = await rest.run()
    assert rest.secondary.named("agents", "ann")["role"] == theirs
    assert rest.secondary.named("agents", "ann")["extra"] == [theirs]
    assert [issue.reason for issue in tally.unresolved] == ["UnresolvedReference: extra[]"]
    assert issues(tally) == ["bob UnresolvedReference: role"]
    assert {path for _, path in rest.secondary.writes()} == {"/agents"}
    rest.primary.named("agents", "ann")["role"] = roles["new"]
    assert sorted(issues(await rest.run())) == ["ann UnresolvedReference: role", "bob UnresolvedReference: role"]
    assert rest.secondary.named("agents", "ann")["role"] == theirs


async def test_an_entity_whose_required_target_could_not_be_made_is_skipped_too() -> None:
    required = {"references": [{"path": "team", "to": ["team"], "required": True}]}
    rest = Rest(profile(team=kind("teams"), agent=kind("agents", **required)))
    team = rest.primary.put("teams", name="x")
    rest.primary.put("agents", name="ann", team=team)
    rest.secondary.meanwhile = lambda seen: _take("teams", "x", rest, seen)
    tally = await rest.run()
    assert sorted(issues(tally)) == ["ann UnresolvedReference: team", "x Duplicate: HTTP 409"]
    assert "agents" not in rest.secondary.kinds or not rest.secondary.kinds["agents"]


def _take(kind_name: str, name: str, rest: Rest, seen: Seen) -> None:
    """Somebody else takes the name just before it is sent."""
    if seen.method == "POST" and seen.target == f"/{kind_name}" and not rest.secondary.kinds.get(kind_name):
        rest.secondary.put(kind_name, name=name)


def test_a_lookup_can_not_be_chosen() -> None:
    from bcp_operator.api.run import RunConfig

    both = profile(role=kind("roles", create=None, update=None), agent=kind("agents"))
    config = Rest(both)._setup().config
    assert chosen_types(config, both, both) == {"agent"}
    named = RunConfig.model_validate(config.model_dump(by_alias=True) | {"entities": [{"type": "role"}]})
    with pytest.raises(ConfigError, match="no such entity type: role; known are agent"):
        chosen_types(named, both, both)


async def test_what_can_not_be_created_or_changed_is_reported_and_left() -> None:
    rest = Rest(profile(agent=kind("agents", create=None), team=kind("teams", update=None)))
    for name in ("ann", "bob"):
        rest.primary.put("agents", name=name, on=1)
    rest.secondary.put("agents", name="ann", on=0)
    rest.primary.put("teams", name="x", on=1)
    tally = await rest.run()
    assert issues(tally) == ["bob NotCreatable: the secondary's profile has no create for this type"]
    assert rest.secondary.named("agents", "ann")["on"] == 1
    rest.primary.named("teams", "x")["on"] = 2
    for _ in range(2):
        assert "x RequiresRecreate: on can't be changed" in issues(await rest.run())
    assert rest.secondary.named("teams", "x")["on"] == 1


async def test_an_immutable_field_is_reported_each_time_and_the_rest_is_updated() -> None:
    rest = Rest(profile(skill=kind("skills", immutable=["media"])))
    rest.primary.put("skills", name="x", media=1, text="a")
    await rest.run()
    rest.primary.named("skills", "x").update(media=2, text="b")
    tally = await rest.run()
    assert issues(tally) == ["x RequiresRecreate: media can't be changed"]
    assert tally.total("updated") == 1
    found = rest.secondary.named("skills", "x")
    assert (found["media"], found["text"]) == (1, "b")
    writes = len(rest.secondary.writes())
    assert issues(await rest.run()) == ["x RequiresRecreate: media can't be changed"]
    assert len(rest.secondary.writes()) == writes


# --- two ID spaces


async def test_references_by_either_of_two_ids_of_one_entity() -> None:
    numbered = {"ids": {"number": "nr"}}
    refs = [{"path": "boss", "to": ["agent"], "id": "number"}, {"path": "peer", "to": ["agent"]}]
    rest = Rest(profile(agent=kind("agents", references=refs, **numbered)))
    ann = rest.primary.put("agents", name="ann")
    rest.primary.put("agents", name="bob", boss=rest.primary.kinds["agents"][ann]["nr"], peer=ann)
    rest.primary.put("agents", name="eve", boss=99)
    tally = await rest.run()
    here = rest.secondary.named("agents", "ann")
    found = rest.secondary.named("agents", "bob")
    assert (found["boss"], found["peer"]) == (here["nr"], here["id"])
    assert [issue.key for issue in tally.unresolved] == ["eve"]
    again = await rest.run()
    assert again.total("unchanged") == 3


async def test_an_id_of_either_kind_that_is_listed_twice_is_no_listing() -> None:
    rest = Rest(profile(agent=kind("agents", ids={"number": "nr"})))
    rest.primary.put("agents", name="ann")
    rest.primary.put("agents", name="bob", nr=1)
    rest.primary.kinds["agents"]["p2"]["nr"] = 1
    tally = await rest.run()
    assert "an ID was listed twice" in tally.broken["agent"]


# --- in use and out of use

STATES = {
    "ignore": ["id", "nr", "rev", "state"],
    "deactivate": {"method": "POST", "path": "/agents/{id}/off", "doneWhen": "state == 'off'"},
    "revive": {"method": "POST", "path": "/agents/{id}/on"},
}


async def test_calls_of_their_own_put_entities_into_use_and_out_of_it() -> None:
    rest = Rest(profile(agent=kind("agents", **STATES)))
    ann = rest.primary.put("agents", name="ann", state="on")
    rest.primary.put("agents", name="bob", state="off")
    tally = await rest.run()
    assert (tally.total("created"), tally.total("deactivated")) == (2, 0)
    assert rest.secondary.named("agents", "bob")["state"] == "off"  # made, and put out of use at once
    assert (await rest.run()).total("unchanged") == 2
    rest.primary.named("agents", "ann").update(state="off", text="new")
    rest.primary.named("agents", "bob")["state"] = "on"
    tally = await rest.run()
    assert (tally.total("updated"), tally.total("deactivated")) == (2, 1)
    assert [rest.secondary.named("agents", name)["state"] for name in ("ann", "bob")] == ["off", "on"]
    assert rest.secondary.named("agents", "ann")["text"] == "new"
    writes = len(rest.secondary.writes())
    assert (await rest.run()).total("unchanged") == 2
    # One that vanishes and comes back is revived, not made twice.
    body = rest.primary.kinds["agents"].pop(ann)
    await rest.run()
    body["state"] = "on"
    rest.primary.kinds["agents"][ann] = body
    assert (await rest.run()).total("created") == 0
    assert rest.secondary.named("agents", "ann")["state"] == "on"
    assert (await rest.run()).total("unchanged") == 2
    assert len(rest.secondary.writes()) == writes + 1  # the revival; it was out of use already when it vanished


# --- deleted


async def test_what_vanished_is_deleted_where_the_policy_says_so_and_made_anew_when_it_comes_back() -> None:
    delete = {"method": "DELETE", "path": "/agents/{id}"}
    off = {"method": "POST", "path": "/agents/{id}/off", "doneWhen": "state == 'off'"}
    rest = Rest(profile(agent=kind("agents", delete=delete, deactivate=off), team=kind("teams", deactivate=off)))
    ann = rest.primary.put("agents", name="ann")
    rest.primary.put("agents", name="bob")
    team = rest.primary.put("teams", name="x")
    rest.primary.put("teams", name="y")
    await rest.run()
    body = rest.primary.kinds["agents"].pop(ann)
    del rest.primary.kinds["teams"][team]
    rest.missing = {"agent": "Delete", "team": "Delete"}
    lost: list[Seen] = []

    def lose(seen: Seen) -> bool:  # the answer is lost; the repetition finds nothing
        if seen.method == "DELETE":
            lost.append(seen)
        return len(lost) == 1

    rest.secondary.lose = lose
    tally = await rest.run()
    assert len(lost) == 2
    assert (tally.total("deleted"), tally.errors) == (1, [])
    assert [one["name"] for one in rest.secondary.kinds["agents"].values()] == ["bob"]
    assert [issue.reason for issue in tally.kept] == ["VanishedFromPrimary: this type can't be deleted"]
    writes = len(rest.secondary.writes())
    assert (await rest.run()).total("deleted") == 0
    assert len(rest.secondary.writes()) == writes
    rest.primary.kinds["agents"][ann] = body
    assert (await rest.run()).total("created") == 1


# --- versions


async def test_somebody_elses_change_between_listing_and_writing_is_not_overwritten() -> None:
    version = {"path": "rev", "header": "If-Match"}
    rest = Rest(profile(agent=kind("agents", version=version)))
    rest.primary.put("agents", name="ann", text="a")
    await rest.run()
    rest.primary.named("agents", "ann")["text"] = "b"

    def edit(seen: Seen) -> None:
        if seen.method == "PUT" and rest.secondary.named("agents", "ann")["rev"] == 1:
            rest.secondary.named("agents", "ann").update(text="theirs", rev=2)

    rest.secondary.meanwhile = edit
    said = "ann Stale: changed in the secondary since it was listed; the next run looks at it again"
    assert issues(await rest.run()) == [said]
    assert rest.secondary.named("agents", "ann")["text"] == "theirs"
    assert (await rest.run()).total("updated") == 1
    assert rest.secondary.named("agents", "ann")["text"] == "b"


async def test_an_update_whose_first_answer_was_lost_is_known_for_its_own() -> None:
    rest = Rest(profile(agent=kind("agents", version={"path": "rev", "header": "If-Match"})))
    rest.primary.put("agents", name="ann", text="a")
    await rest.run()
    rest.primary.named("agents", "ann")["text"] = "b"
    lost: list[Seen] = []

    def lose(seen: Seen) -> bool:
        if seen.method == "PUT" and not lost:
            lost.append(seen)
            return True
        return False

    rest.secondary.lose = lose
    tally = await rest.run()
    assert (tally.total("updated"), tally.errors) == (1, [])
    assert lost


# --- relations


async def test_a_relation_follows_its_entity_and_is_compared_as_a_set() -> None:
    skills: dict[str, Any] = {
        "list": {"path": "/agents/{id}/skills", "items": "items"},
        "key": "skill",
        "ignore": ["since"],
        "add": {"method": "POST", "path": "/agents/{id}/skills"},
        "remove": {"method": "DELETE", "path": "/agents/{id}/skills/{key}", "body": None},
    }
    refs = {"references": [{"path": "skills[].skill", "to": ["skill"]}]}
    rest = Rest(profile(skill=kind("skills"), agent=kind("agents", attached={"skills": skills}, **refs)))
    ours = [rest.primary.put("skills", name=name) for name in "xyz"]
    ann = rest.primary.put("agents", name="ann", _skills=[{"skill": one, "level": 1, "since": one} for one in ours[:2]])
    tally = await rest.run()
    assert tally.errors == []
    theirs = {name: rest.secondary.named("skills", name)["id"] for name in "xyz"}

    def held() -> list[tuple[str, int]]:
        return sorted((one["skill"], one["level"]) for one in rest.secondary.named("agents", "ann")["_skills"])

    assert held() == sorted([(theirs["x"], 1), (theirs["y"], 1)])
    assert "skills" not in rest.secondary.named("agents", "ann")
    rest.secondary.named("agents", "ann")["_skills"].reverse()
    for one in rest.secondary.named("agents", "ann")["_skills"]:
        one["since"] = "another day"
    assert (await rest.run()).total("unchanged") == 4
    changed = [{"skill": ours[1], "level": 5}, {"skill": ours[2], "level": 1}]
    rest.primary.kinds["agents"][ann]["_skills"] = changed
    assert (await rest.run()).total("updated") == 1
    assert held() == sorted([(theirs["y"], 5), (theirs["z"], 1)])
    assert (await rest.run()).total("unchanged") == 4


# --- unlike models


async def test_two_models_meet_in_a_common_one() -> None:
    ours = kind(
        "people",
        content="{name: name, title: job, on: enabled, extra: x}",
        fields=["name", "title", "on"],
        create={"method": "POST", "path": "/people", "body": "{name: name, job: title, enabled: on}", "entity": "@"},
        update={
            "method": "PUT",
            "path": "/people/{id}",
            "body": "{name: name, job: title, enabled: on}",
            "entity": "@",
        },
        emptyIsAbsent=True,
    )
    rest = Rest(profile(person=kind("agents", emptyIsAbsent=True)), profile(person=ours))
    rest.primary.put("agents", name="ann", title="lead", on=True, shoe=43)
    rest.primary.put("agents", name="bob", on=False)
    assert (await rest.run()).total("created") == 2
    found = rest.secondary.named("people", "ann")
    assert (found["job"], found["enabled"], "shoe" in found) == ("lead", True, False)
    assert (await rest.run()).total("unchanged") == 2
    rest.primary.named("agents", "ann")["shoe"] = 44
    assert (await rest.run()).total("unchanged") == 2
    rest.primary.named("agents", "ann")["title"] = "boss"
    assert (await rest.run()).total("updated") == 1
    assert rest.secondary.named("people", "ann")["job"] == "boss"
    assert (await rest.run()).total("unchanged") == 2


async def test_a_model_that_makes_no_object_is_said() -> None:
    rest = Rest(profile(agent=kind("agents", content="name")))
    rest.primary.put("agents", name="ann")
    assert "makes no object" in (await rest.run()).broken["agent"]
