"""What was changed in the secondary since the last run: all of it, and nothing else."""

from __future__ import annotations

import asyncio
import copy
import io
import json
from typing import Any

import pytest
from bcp_operator.sync import diverge as command
from bcp_operator.sync.divergence import Difference, Listed, differences
from bcp_operator.sync.planning import read_both, scope_of
from bcp_operator.sync.report import Tally
from bcp_operator.sync.spool import Spool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.stores import Opener
from tests.unit.sync_worlds import PAIR, Pair
from tests.unit.test_sync_plan_properties import worlds


def pair(opener: Opener | None = None, **people: dict[str, Any]) -> Pair:
    made = Pair() if opener is None else Pair(store=opener(PAIR))
    made.primary.entities["person"] = {key: {"login": key, "on": True} | body for key, body in people.items()}
    made.primary.entities["team"] = {"t": {"name": "red", "members": [{"id": key} for key in people]}}
    made.run()
    return made


def diverged(made: Pair, *, primary_down: bool = False) -> list[Difference]:
    spool, tally, scope = Spool(), Tally(), scope_of(made.setup())
    asyncio.run(read_both(made.setup(), made.clients(), spool, tally))
    types = frozenset({"person", "team"})
    if primary_down:
        for name in types:
            spool.clear("primary", name)
    listed = Listed.of(types, {"primary": types if primary_down else frozenset(), "secondary": frozenset()})
    found = list(differences(scope, spool, made.store, listed, {name: made.store.alone(name) for name in types}))
    spool.close()
    return found


def told(made: Pair, **more: bool) -> list[tuple[str, str | None, list[str]]]:
    return [(one.change, one.key, [part.field for part in one.fields]) for one in diverged(made, **more)]


def there(made: Pair) -> dict[str, dict[str, Any]]:
    return made.secondary.entities["person"]


@pytest.mark.parametrize("primary_down", [False, True])
def test_nothing_differs_after_a_run_whatever_the_secondary_makes_of_it(opener: Opener, primary_down: bool) -> None:
    made = Pair(store=opener(PAIR))
    made.secondary.normalise = lambda _type, body: body | {"login": str(body.get("login")).upper(), "made": "2026"}
    made.primary.entities["person"] = {
        "a": {"login": "a", "on": True, "boss": {"id": "b"}},
        "b": {"login": "b", "on": False},
    }
    made.secondary.entities["person"]["own"] = {"login": "OWN", "on": True}
    made.run()
    assert told(made, primary_down=primary_down) == []


def test_an_edit_is_told_by_field_with_both_values(opener: Opener) -> None:
    made = pair(opener, a={"title": "one"}, b={})
    made.twin("person", "a")["title"] = "two"
    made.twin("person", "a")["phone"] = "7"
    (one,) = diverged(made)
    assert (one.type, one.change, one.key, one.primary_id) == ("person", "Changed", "a", "a")
    assert [(part.field, dict(part.values)) for part in one.fields] == [
        ("phone", {"secondary": "7"}),
        ("title", {"primary": "one", "secondary": "two"}),
    ]


def test_what_the_primary_has_by_now_is_no_difference(opener: Opener) -> None:
    made = pair(opener, a={"title": "one"}, b={"title": "one"})
    for name in "ab":
        made.twin("person", name)["title"] = "two"
    made.primary.entities["person"]["a"]["title"] = "two"
    made.primary.entities["person"]["b"]["title"] = "three"
    assert told(made) == [("Changed", "b", ["title"])]
    assert told(made, primary_down=True) == [("Changed", "a", ["title"]), ("Changed", "b", ["title"])]


def test_what_is_new_there_is_told_and_what_was_there_before_the_run_is_not(opener: Opener) -> None:
    made = pair(opener, a={}, b={})
    there(made)["old"] = {"login": "old", "on": True}
    made.run()
    there(made)["new"] = {"login": "new", "on": True}
    assert told(made) == [("Added", "new", ["login", "on"])]
    made.primary.entities["person"]["c"] = {"login": "new", "on": True}  # somebody has carried it back
    assert told(made) == []
    made.primary.entities["person"]["c"]["on"] = False
    assert told(made) == [("Changed", "new", ["on"])]


def test_what_was_deleted_there_is_told_unless_the_primary_has_it_no_longer(opener: Opener) -> None:
    made = pair(opener, a={}, b={})
    for name in "ab":
        row = made.store.by_primary("person", name)
        assert row is not None
        del there(made)[row.secondary_id or ""]
    made.secondary.entities["person"]["other"] = {"login": "other"}
    del made.primary.entities["person"]["a"]
    assert [line for line in told(made) if line[0] == "Removed"] == [("Removed", "b", [])]


def test_who_was_put_out_of_use_and_is_in_use_again_there_is_told(opener: Opener) -> None:
    made = pair(opener, a={}, b={})
    row = made.store.by_primary("person", "a")
    assert row is not None
    gone = made.primary.entities["person"].pop("a")
    made.run()
    assert told(made) == []
    there(made)[row.secondary_id or ""]["on"] = True
    assert told(made) == [("Changed", gone["login"], ["on"])]


def test_references_are_told_by_keys(opener: Opener) -> None:
    made = pair(opener, a={}, b={})
    there(made)["new"] = {"login": "new", "on": True}
    made.twin("team", "t")["members"] = [{"id": "new"}, *made.twin("team", "t")["members"][:1]]
    (_, team) = diverged(made)
    values = team.fields[0].values
    assert sorted(member["id"] for member in values["primary"]) == ["a", "b"]
    assert sorted(member["id"] for member in values["secondary"]) == ["a", "new"]


def test_what_the_secondary_made_of_a_write_is_unclear_when_it_was_never_learned() -> None:
    made = Pair()
    made.secondary.normalise = lambda _type, body: body | {"login": str(body["login"]).upper()}
    made.secondary.answers_entity = False
    made.primary.entities["person"] = {"a": {"login": "a", "on": True}}
    made.run()
    assert told(made) == [("Unclear", "a", ["login"])]
    made.run()  # the listing tells
    assert told(made) == []


relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
edits = st.dictionaries(st.sampled_from([f"s{n}" for n in range(8)]), st.sampled_from(["edit", "delete"]), max_size=4)


@relaxed
@given(world=worlds, made_there=st.sets(st.sampled_from(["x-0", "x-1"])), done=edits)
def test_every_edit_there_is_told_and_no_other(world: Any, made_there: set[str], done: dict[str, str]) -> None:
    made = Pair()
    made.primary.entities = {"person": copy.deepcopy(world[0]), "team": {}}
    made.run()
    rows = {row.secondary_id: row.primary_id for row in made.store.rows("person")}
    expected: set[tuple[str, str | None]] = set()
    for secondary_id, what in done.items():
        if secondary_id not in rows:
            continue
        if what == "delete":
            del there(made)[secondary_id]
            expected.add(("Removed", rows[secondary_id]))
        else:
            there(made)[secondary_id]["title"] = "edited"
            expected.add(("Changed", rows[secondary_id]))
    for name in made_there:
        there(made)[name] = {"login": f"made-{name}", "on": True}
        expected.add(("Added", None))
    found = diverged(made)
    assert {(one.change, one.primary_id) for one in found} == expected
    assert sum(one.change == "Added" for one in found) == len(made_there)


def text_of(output: Any, found: list[Difference], unread: command.Unread | None = None) -> str:
    target = io.StringIO()
    {"json": command._json, "csv": command._csv, "text": command._text}[output](
        found, unread or {"primary": {}, "secondary": {}}, target
    )
    return target.getvalue()


def test_it_is_printed_for_people_machines_and_spreadsheets(capsys: pytest.CaptureFixture[str]) -> None:
    made = pair(a={"title": "one"}, b={})
    made.twin("person", "a")["title"] = '=HYPERLINK("x")'
    there(made)["new"] = {"login": "+1", "on": True}
    row = made.store.by_primary("person", "b")
    assert row is not None
    del there(made)[row.secondary_id or ""]
    found = [one for one in diverged(made) if one.type == "person"]
    document = json.loads(text_of("json", found))
    assert document["counts"] == {"person": {"Added": 1, "Changed": 1, "Removed": 1}}
    assert document["differences"][0]["fields"] == [
        {"field": "title", "primary": "one", "secondary": '=HYPERLINK("x")'}
    ]
    lines = text_of("csv", found).splitlines()
    assert lines[0] == "type,key,change,field,primary,secondary,primaryID,secondaryID"
    assert lines[1].startswith('person,a,Changed,title,"""one""","""=HYPERLINK(\\""x\\"")""",a,')
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line.split(","))
    assert "'+1,Added" in lines[3] + lines[4]
    assert 'title: "one" -> ' in text_of("text", found)
    assert text_of("text", []) == "nothing differs\n"
    text_of("text", [], {"primary": {"person": "Unreachable: no"}, "secondary": {}})
    assert "not read: person of the primary: Unreachable" in capsys.readouterr().err
