"""What somebody asks before and after a failover, of real directories: who could not log in, and what was changed there."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from typing import Any

import pytest

from tests.systems import test_sync_pairs
from tests.systems.reader import ENTERPRISE, Directory
from tests.systems.test_sync_pairs import Pair
from tests.waiting import until

scim = test_sync_pairs.scim
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def output(pair: Pair, verb: str, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run([*pair.command(verb), *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == expect, done.stderr
    return done.stdout


def twin(there: Directory, user: dict[str, Any]) -> str:
    found = there.find("Users", "userName", user["userName"])
    assert found is not None
    identifier: str = found["id"]
    return identifier


def test_readiness_names_everybody_who_could_not_log_in(scim: Pair) -> None:
    scim.sync()
    primary, secondary = scim.directories()
    assert json.loads(output(scim, "readiness")) == {"unresolved": [], "unsyncedTypes": {}, "usersWithoutLogin": []}
    people = [user for user in primary.list("Users") if user["active"] and ENTERPRISE not in user]
    inactive, renamed, other = people[:3]
    absent = primary.create("Users", {"schemas": [USER], "userName": "new@acme.example", "active": True})
    primary.create("Users", {"schemas": [USER], "userName": "retired@acme.example", "active": False})  # needs no login
    secondary.change("Users", twin(secondary, inactive), active=False)
    secondary.change("Users", twin(secondary, renamed), userName="somebody.else@acme.example")
    secondary.change("Users", twin(secondary, other), externalId="another-identity")
    team = next(group for group in primary.list("Groups") if group.get("members"))
    primary.change("Groups", team["id"], members=[*team["members"], {"value": "nobody", "type": "User"}])

    before = scim.written()
    found = json.loads(output(scim, "readiness"))
    assert {(one["key"], one["reason"]) for one in found["usersWithoutLogin"]} == {
        (absent["userName"], "Absent"),
        (inactive["userName"], "Inactive"),
        (renamed["userName"], "OtherLoginName"),
        (other["userName"], "OtherIdentity"),
    }
    assert found["unresolved"] == [{"type": "group", "key": team["displayName"], "field": "members[].value"}]
    found = scim.sync("readiness", exclude=["group"])
    assert found["unsyncedTypes"] == {"group": "NotChosen: left out by the policy"}
    text = output(scim, "readiness", "-o", "text")
    assert f"no login    user             {absent['userName']}  not in the secondary" in text
    assert "4 users without login, 0 types not synced, 1 references that lead nowhere" in text
    assert scim.written() == before


def test_a_run_reports_what_it_leaves_unready_and_not_what_it_has_mended(scim: Pair) -> None:
    primary, secondary = scim.directories()
    taken = next(user for user in primary.list("Users") if user["active"] and ENTERPRISE not in user)
    secondary.create("Users", {"schemas": [USER], "userName": taken["userName"]})
    report = scim.sync(expect=3, adopt="Never", approval="Never", exclude=["group"])
    assert report["readiness"] == {"usersWithoutLogin": 1, "unsyncedTypes": 1, "unresolved": 0}
    assert [(one["key"], one["reason"].partition(":")[0]) for one in report["withoutLogin"]] == [
        (taken["userName"], "Absent")
    ]
    assert [one["type"] for one in report["unsynced"]] == ["group"]
    people = [user for user in primary.list("Users") if user["active"] and ENTERPRISE not in user]
    renamed, inactive = [user for user in people if user["id"] != taken["id"]][:2]
    secondary.change("Users", twin(secondary, renamed), userName="somebody.else@acme.example")
    secondary.change("Users", twin(secondary, inactive), active=False)
    reasons = {one["reason"] for one in scim.sync("readiness")["usersWithoutLogin"]}
    assert reasons == {"OtherIdentity", "OtherLoginName", "Inactive"}  # the first: one that may be adopted now
    report = scim.sync()
    assert report["readiness"] == {"usersWithoutLogin": 0, "unsyncedTypes": 0, "unresolved": 0}
    assert report["withoutLogin"] == []


def test_diverge_tells_what_was_done_there_also_when_the_primary_is_dead(scim: Pair) -> None:
    _, secondary = scim.directories()
    secondary.create("Users", {"schemas": [USER], "userName": "always.there@acme.example"})
    scim.sync(approval="Never")  # the secondary isn't empty
    assert json.loads(output(scim, "diverge"))["differences"] == []
    primary, _ = scim.directories()
    people = [user for user in primary.list("Users") if ENTERPRISE not in user]
    titled, both, gone = people[:3]
    synced = scim.written()
    secondary.change("Users", twin(secondary, titled), title="Night shift")
    secondary.change("Users", twin(secondary, both), title="Carried back")
    primary.change("Users", both["id"], title="Carried back")
    secondary.delete("Users", twin(secondary, gone))
    made = secondary.create("Users", {"schemas": [USER], "userName": "hired@acme.example"})
    team = next(group for group in secondary.list("Groups") if not group.get("members"))
    secondary.change("Groups", team["id"], members=[{"value": made["id"], "type": "User"}])

    before = synced + 5
    # The access log is written after the answer.
    until(lambda: scim.written() == before or None, "the five edits to be in the access log")
    document = json.loads(output(scim, "diverge"))
    told = {(one["type"], one["change"], one["key"]): one["fields"] for one in document["differences"]}
    users = {key: fields for key, fields in told.items() if key[0] == "user"}
    assert users == {
        ("user", "Changed", titled["userName"]): [
            {"field": "title", "secondary": "Night shift"} | ({"primary": titled["title"]} if "title" in titled else {})
        ],
        ("user", "Removed", gone["userName"]): [],
        ("user", "Added", "hired@acme.example"): [{"field": "userName", "secondary": "hired@acme.example"}],
    }
    ((change,),) = [fields for key, fields in told.items() if key == ("group", "Changed", team["displayName"])]
    assert [member["value"] for member in change["secondary"]] == ["hired@acme.example"]
    assert document["unread"] == {"primary": {}, "secondary": {}}

    rows = list(csv.DictReader(io.StringIO(output(scim, "diverge", "-o", "csv"))))
    assert {(row["key"], row["change"], row["field"]) for row in rows if row["type"] == "user"} == {
        (titled["userName"], "Changed", "title"),
        (gone["userName"], "Removed", ""),
        ("hired@acme.example", "Added", "userName"),
    }
    scim.primary.kill()
    document = json.loads(output(scim, "diverge", expect=3))
    told = {(one["type"], one["change"], one["key"]): one["fields"] for one in document["differences"]}
    assert ("user", "Changed", both["userName"]) in told  # nobody can say that the primary has it, too
    assert users.keys() <= told.keys()
    assert document["unread"]["primary"].keys() == {"user", "group"}
    assert scim.written() == before
    scim.secondary.kill()
    output(scim, "diverge", expect=5)


@pytest.mark.parametrize("verb", ["diverge", "readiness"])
def test_neither_makes_a_store(scim: Pair, verb: str) -> None:
    output(scim, verb)
    assert not (scim.folder / "store").exists()
    assert scim.written() == 0
