"""The guard between two real directories: a primary that loses two in five of its users, and says so consistently."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.systems import test_sync_pairs
from tests.systems.reader import ENTERPRISE, Directory
from tests.systems.test_sync_pairs import Pair

scim = test_sync_pairs.scim
LOST, USERS = 40, 100


def active(directory: Directory) -> int:
    return sum(bool(user["active"]) for user in directory.list("Users"))


def withheld_text(pair: Pair) -> str:
    """The last lines of a plan as people see it."""
    command = [part for part in pair.command("plan") if part not in ("-o", "json")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def lose(primary: Directory, number: int) -> None:
    """Users vanish, and their memberships with them; who had one of them as manager still names that one."""
    gone = {user["id"] for user in primary.list("Users")[:number]}
    for group in primary.list("Groups"):
        stay = [member for member in group.get("members", []) if member["value"] not in gone]
        if stay != group.get("members", []):
            primary.change("Groups", group["id"], members=stay)
    for user_id in gone:
        primary.delete("Users", user_id)


@pytest.mark.parametrize("scim", [(USERS, 10)], indirect=True)
def test_a_primary_that_loses_two_in_five_users(scim: Pair) -> None:
    scim.sync()
    primary, secondary = scim.directories()
    before = active(secondary)
    lose(primary, LOST)
    plain = next(user for user in primary.list("Users") if ENTERPRISE not in user)
    schemas = ["urn:ietf:params:scim:schemas:core:2.0:User"]
    primary.create("Users", {"schemas": schemas, "userName": "new@acme.example", "active": True})
    primary.change("Users", plain["id"], nickName="Ren")

    plans = [scim_plan(scim) for _ in range(2)]
    assert plans[0] == plans[1]  # byte for byte
    report = scim.sync(expect=3)
    assert report["result"] == "Partial"
    assert report["counts"]["deactivated"] == 0
    assert report["counts"]["created"] == 1
    assert report["counts"]["withheld"] == len(report["withheld"]) >= LOST - 5  # those already out of use need nothing
    assert active(secondary) == before + 1
    renamed = secondary.find("Users", "userName", plain["userName"])
    assert renamed is not None
    assert renamed["nickName"] == "Ren"
    digest = report["withheldHash"]
    assert f"withheld {digest}" in withheld_text(scim)

    quiet = scim.written()
    assert scim.sync(expect=3)["withheldHash"] == digest
    assert scim.written() == quiet

    number = report["counts"]["withheld"]
    report = scim.sync(approve=digest)
    assert (report["result"], report["counts"]["withheld"]) == ("Succeeded", 0)
    assert report["counts"]["deactivated"] + report["counts"]["updated"] == number
    assert active(secondary) == sum(bool(user["active"]) for user in primary.list("Users"))

    for user in secondary.list("Users"):
        if not user["active"]:
            secondary.change("Users", user["id"], active=True)
    woken = active(secondary)
    report = scim.sync(approve=digest, expect=3)  # the same approval once more does nothing
    assert report["counts"]["deactivated"] == 0
    assert report["withheldHash"] not in (None, digest)
    assert "was used up" in report["message"]
    assert active(secondary) == woken


def scim_plan(pair: Pair) -> bytes:
    return subprocess.run(pair.command("plan"), capture_output=True, timeout=120, check=True).stdout


@pytest.mark.parametrize("scim", [(30, 3)], indirect=True)
def test_a_dry_run_reports_and_writes_nothing(scim: Pair) -> None:
    planned = json.loads(scim_plan(scim))
    report: dict[str, Any] = scim.sync(dryRun=True)
    assert report["planHash"] == planned["hash"]
    assert planned["counts"] == {"group": {"create": 3}, "user": {"create": 30}}
    assert report["result"] == "Planned"
    assert report["counts"]["created"] == len(report["planned"]) == 33
    assert scim.written() == 0
    assert not (scim.folder / "store").exists()
    assert scim.sync()["counts"]["created"] == 33
