"""Random worlds: after a run there is nothing left to do, references lead to the right entity, nobody else is touched."""

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sync_worlds import Pair

IDS = [f"p-{n}" for n in range(6)]
TEAMS = [f"q-{n}" for n in range(4)]
LOGINS = st.sampled_from(["ada", "Ada", "bo", "cy", "di", "ed", "flo"])


@st.composite
def people(draw: st.DrawFn, ids: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    logins: set[str] = set()
    for entity_id in ids:
        login = draw(LOGINS)
        if draw(st.booleans()) and login.lower() not in logins:
            logins.add(login.lower())
            body: dict[str, Any] = {"login": login, "on": draw(st.booleans())}
            if draw(st.booleans()):
                body["boss"] = {"id": draw(st.sampled_from([*ids, "nobody"]))}
            if draw(st.booleans()):
                body["tags"] = draw(st.lists(st.sampled_from("xyz"), max_size=3))
            found[entity_id] = body
    return found


@st.composite
def teams(draw: st.DrawFn, ids: list[str], person_ids: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entity_id in ids:
        if draw(st.booleans()):
            members = draw(st.lists(st.sampled_from([*person_ids, *ids, "nobody"]), max_size=4))
            name = draw(st.sampled_from(["red", "blue", "green"]))
            found[entity_id] = {"name": name, "members": [{"id": member} for member in members]}
            if draw(st.booleans()):
                found[entity_id]["lead"] = draw(st.sampled_from([*person_ids, "nobody"]))
    return found


worlds = st.tuples(people(IDS), teams(TEAMS, IDS))
strangers = people(["x-0", "x-1", "x-2"])
relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def as_seen(pair: Pair, type_name: str, primary_id: str) -> dict[str, Any] | None:
    """An entity of the primary as the secondary should hold it; None when it isn't correlated."""

    def twin(kinds: tuple[str, ...], target: str) -> str | None:
        for kind in kinds:
            if target in pair.primary.entities[kind]:
                row = pair.store.by_primary(kind, target)
                return row.secondary_id if row else None
        return None

    row = pair.store.by_primary(type_name, primary_id)
    if row is None or row.secondary_id is None:
        return None
    body = copy.deepcopy(pair.primary.entities[type_name][primary_id])
    if "boss" in body:
        boss = twin(("person",), body["boss"]["id"])
        body.pop("boss")
        body |= {"boss": {"id": boss}} if boss else {}
    if "lead" in body:
        lead = twin(("person",), body.pop("lead"))
        body |= {"lead": lead} if lead else {}
    members = {twin(("person", "team"), member["id"]) for member in body.pop("members", [])} - {None}
    body |= {"members": members} if members else {}
    tags = set(body.pop("tags", []))
    return body | ({"tags": tags} if tags else {})


def plain(body: dict[str, Any], marker: str | None = None) -> dict[str, Any]:
    """An entity of the secondary in the same form."""
    result = {name: value for name, value in body.items() if value not in ([], {}, None) and name != marker}
    if "members" in result:
        result["members"] = {member["id"] for member in result["members"]}
    if "tags" in result:
        result["tags"] = set(result["tags"])
    return result


def check(pair: Pair) -> None:
    """Everything correlated is equal, no two of one side share one of the other, nothing dangles."""
    everybody = {entity for kind in pair.secondary.entities.values() for entity in kind}
    for kind, entities in pair.primary.entities.items():
        for primary_id in entities:
            expected = as_seen(pair, kind, primary_id)
            if expected is not None:
                assert plain(pair.twin(kind, primary_id), pair.secondary.marker) == expected
        rows = list(pair.store.rows(kind))
        taken = [row.secondary_id for row in rows if row.secondary_id]
        assert len(taken) == len(set(taken))
    for team in pair.secondary.entities["team"].values():
        assert {member["id"] for member in team.get("members", [])} <= everybody


@relaxed
@given(world=worlds, made_there=strangers)
def test_a_second_run_has_nothing_to_do(world: Any, made_there: Any) -> None:
    pair = Pair()
    pair.primary.entities = {"person": world[0], "team": world[1]}
    pair.secondary.entities["person"] = {key: body for key, body in made_there.items() if "boss" not in body}
    pair.run()
    check(pair)
    before = len(pair.secondary.writes)
    actions, tally = pair.plan()
    assert {action.kind for action in actions} <= {"keep", "skip", "unchanged"}
    pair.run()
    assert len(pair.secondary.writes) == before
    assert tally.total("unchanged") + len([a for a in actions if a.kind in ("skip", "unchanged")]) == sum(
        len(kind) for kind in world
    )


@relaxed
@given(world=worlds, later=worlds, made_there=strangers)
def test_edits_are_carried_and_the_vanished_are_put_out_of_use(world: Any, later: Any, made_there: Any) -> None:
    pair = Pair()
    pair.primary.entities = {"person": world[0], "team": world[1]}
    pair.run()
    theirs = {key: {**body, "login": f"there-{key}"} for key, body in made_there.items()}
    pair.secondary.entities["person"] |= copy.deepcopy(theirs)
    pair.primary.entities = {"person": later[0], "team": later[1]}
    tally = pair.run()
    if not tally.broken and not tally.total("failed") and not tally.total("skipped"):
        check(pair)
        for primary_id in later[0]:
            assert as_seen(pair, "person", primary_id) is not None
        for primary_id in world[0].keys() - later[0].keys():
            row = pair.store.by_primary("person", primary_id)
            if row and row.secondary_id:
                assert row.status == "INACTIVE"
                assert pair.secondary.entities["person"][row.secondary_id]["on"] is False
    for key, body in theirs.items():
        assert pair.secondary.entities["person"][key] == body  # what was made there is never touched


@relaxed
@given(world=worlds)
def test_the_same_world_gives_the_same_plan(world: Any) -> None:
    plans = []
    for turn in (1, -1):
        pair = Pair()
        pair.primary.entities = {
            kind: dict(list(entities.items())[::turn]) for kind, entities in zip(("person", "team"), world, strict=True)
        }
        plans.append(pair.plan()[0])
    assert plans[0] == plans[1]


@relaxed
@given(world=worlds, stop=st.integers(0, 12), moment=st.sampled_from(["create", "created"]))
def test_a_run_that_dies_anywhere_is_finished_by_the_next(world: Any, stop: int, moment: str) -> None:
    pair = Pair(concurrency=3)
    pair.primary.entities = {"person": world[0], "team": world[1]}
    seen = 0

    def fail(verb: str, _type: str, _body: Any) -> None:
        nonlocal seen
        if verb == moment:
            seen += 1
            if seen > stop:
                raise Died

    pair.secondary.fail = fail
    try:
        pair.run()
    except Died:
        pair.secondary.fail = lambda *_: None
        tally = pair.run()
        assert tally.total("failed") == 0
    # Nothing lost, nothing twice: teams of one name are told apart by their rows alone, so counts are what counts.
    assert len(pair.secondary.entities["person"]) == len(world[0])
    assert len(pair.secondary.entities["team"]) == len(world[1])
    check(pair)
    before = len(pair.secondary.writes)
    pair.run()
    assert len(pair.secondary.writes) == before


class Died(Exception):
    """The process ended here."""
