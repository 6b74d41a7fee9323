"""Profiles on servers that others wrote: everything scim2-server offers and refuses, Kinto by the tutorial's own file, both together."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.systems import world
from tests.systems.reader import ENTERPRISE, compare
from tests.systems.servers import Server, start_kinto, start_scim
from tests.systems.test_sync_pairs import WRITES, Pair, make
from tests.systems.web import Net, ask

TUTORIAL = Path(__file__).parents[2] / "docs" / "profiles.md"
EMPTY: dict[str, Any] = {"acme": {"people": []}}


def tutorial() -> str:
    """The last file of the tutorial, as it stands on the page."""
    blocks: list[str] = re.findall(r"^```yaml\n(.*?)^```", TUTORIAL.read_text(), flags=re.M | re.S)
    return blocks[-1]


def described(pair: Pair, **profiles: str) -> Pair:
    """The pair with other profiles, a tutorial's among them."""
    (pair.folder / "kinto-people.yaml").write_text(tutorial())
    for side, name in profiles.items():
        pair.system[side]["profile"] = name
    return pair


def methods(server: Server) -> Counter[str]:
    return Counter(request.method for request in server.requests())


def people(server: Server, secret: str) -> dict[str, dict[str, Any]]:
    basic = base64.b64encode(f"bcp:{secret}".encode()).decode()
    url = f"{server.base}/v1/buckets/acme/collections/people/records?_limit=1000"
    rows = ask(url, Net(), headers={"Authorization": f"Basic {basic}"}).json()["data"]
    return {row["login"]: row for row in rows}


def change(server: Server, secret: str, record: dict[str, Any], method: str = "PATCH", **values: Any) -> None:
    basic = base64.b64encode(f"bcp:{secret}".encode()).decode()
    url = f"{server.base}/v1/buckets/acme/collections/people/records/{record['id']}"
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
    assert ask(url, Net(), method=method, headers=headers, body={"data": values}).status == 200


# --- scim


@pytest.fixture
def offering(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A secondary that doesn't offer some of what SCIM has."""
    with ExitStack() as stack:
        primary = stack.enter_context(start_scim(token="tp", dump=world.scim_dump(60, 8)))
        secondary = stack.enter_context(start_scim(token="ts", name="SECONDARY", without=request.param))
        yield make(tmp_path, "scim", primary, secondary)


@pytest.mark.parametrize("offering", ["", "bulk", "bulk,patch", "patch", "etag,filter,bulk"], indirect=True)
def test_scim_uses_what_the_service_offers(offering: Pair, request: pytest.FixtureRequest) -> None:
    without = set(request.node.callspec.params["offering"].split(","))
    report = offering.sync()
    assert (report["result"], report["counts"]["created"]) == ("Succeeded", 68)
    primary, secondary = offering.directories()
    assert compare(primary, secondary).differences == []
    plain = next(user for user in primary.list("Users") if ENTERPRISE not in user and user["active"])
    primary.change("Users", plain["id"], nickName="New", title="Changed")
    report = offering.sync()
    assert report["counts"]["updated"] == 1
    assert compare(primary, secondary).differences == []
    assert offering.sync()["counts"]["unchanged"] == 68
    done = methods(offering.secondary)
    if "bulk" in without:
        change_by = "PUT" if "patch" in without else "PATCH"
        assert done["POST"] == 68
        assert done[change_by] > 1
        assert not done[{"PUT": "PATCH", "PATCH": "PUT"}[change_by]]
    else:
        assert done["POST"] < 12
        assert not done["PUT"] + done["PATCH"]
        assert {r.target for r in offering.secondary.requests() if r.method == "POST"} == {"/v2/Bulk"}


@pytest.mark.parametrize("offering", [""], indirect=True)
@pytest.mark.parametrize("writes", [0, 1, 2])
def test_killed_between_bulk_requests_nothing_is_lost_and_nothing_twice(offering: Pair, writes: int) -> None:
    process = subprocess.Popen(offering.command("run"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
    assert process.stderr is not None
    while offering.written() <= writes:
        assert process.poll() is None, "it ended before it could be killed"
        os.sched_yield()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert offering.sync()["result"] == "Succeeded"
    assert compare(*offering.directories()).differences == []


@pytest.mark.parametrize("offering", [""], indirect=True)
def test_one_that_is_refused_inside_a_bulk_answer_is_reported_alone(offering: Pair) -> None:
    primary, secondary = offering.directories()
    taken = primary.list("Users")[5]
    groups = [group for group in primary.list("Groups") if len(group.get("members", [])) > 1]
    # Two people of one name in the secondary: nobody can tell which is meant.
    for name in ("one", "two"):
        secondary.create(
            "Groups", {"schemas": groups[0]["schemas"], "displayName": groups[0]["displayName"], "externalId": name}
        )
    report = offering.sync(expect=3, approval="Never")
    assert [(issue["key"], issue["reason"].split(":")[0]) for issue in report["errors"]] == [
        (groups[0]["displayName"], "Ambiguous")
    ]
    assert report["counts"]["created"] == 67
    assert secondary.find("Users", "userName", taken["userName"]) is not None


# --- Kinto, by the tutorial


def test_the_tutorials_profile_copies_people_from_kinto_to_kinto(tmp_path: Path) -> None:
    dump = {"acme": {"people": world.kinto_dump(records=90)["acme"]["agents"]}}
    with start_kinto(password="tp", dump=dump) as one, start_kinto(password="ts", dump=EMPTY, name="SECONDARY") as two:
        pair = described(make(tmp_path, "kinto", one, two), primary="kinto-people", secondary="kinto-people")
        assert pair.sync()["counts"]["created"] == 90
        here, there = people(one, "tp"), people(two, "ts")
        plain = ("login", "name", "enabled")
        assert {k: [row[f] for f in plain] for k, row in here.items()} == {
            k: [row[f] for f in plain] for k, row in there.items()
        }
        assert all(re.fullmatch("[0-9a-f]{32}", row["bcp"]) for row in there.values())
        assert methods(two)["POST"] == 4  # 25 at a time
        assert pair.sync()["counts"]["unchanged"] == 90

        edited, renamed, leaver = [row for row in here.values() if row["enabled"]][:3]
        change(one, "tp", edited, name="Edited")
        change(one, "tp", renamed, login="renamed@acme.example")
        change(one, "tp", leaver, method="DELETE")
        report = pair.sync()
        assert (report["counts"]["updated"], report["counts"]["deactivated"]) == (2, 1)
        now = people(two, "ts")
        assert now[edited["login"]]["name"] == "Edited"
        assert now["renamed@acme.example"]["id"] == there[renamed["login"]]["id"]
        assert now[leaver["login"]]["enabled"] is False
        assert pair.sync()["counts"]["unchanged"] == 89
        assert methods(one).keys() - {"GET"} == {"PATCH", "DELETE"}  # those of this test

        # The store is lost and the names have changed: the marker still tells who is who.
        for path in (tmp_path / "store").iterdir():
            path.unlink()
        for row in people(two, "ts").values():
            change(two, "ts", row, login=f"x-{row['login']}")
        report = pair.sync()
        assert (report["counts"]["created"], report["counts"]["adopted"]) == (0, 89)
        assert people(two, "ts")[edited["login"]]["id"] == there[edited["login"]]["id"]


def test_a_directory_is_copied_into_another_model(tmp_path: Path) -> None:
    with (
        start_scim(token="tp", dump=world.scim_dump(80, 0)) as one,
        start_kinto(password="ts", dump=EMPTY, name="SECONDARY") as two,
    ):
        pair = described(make(tmp_path, "scim", one, two), secondary="kinto-people")
        pair.system["secondary"]["endpoint"] = two.base + "/v1"
        for key, value in (("username", "bcp"), ("password", "ts")):
            (tmp_path / "secondary" / key).write_text(value)
        assert pair.sync()["counts"]["created"] == 80
        primary, _ = pair.directories()
        users = primary.list("Users")
        wanted = {user["userName"]: (user["displayName"], user["active"]) for user in users}
        assert {k: (row["name"], row["enabled"]) for k, row in people(two, "ts").items()} == wanted
        primary.change("Users", users[0]["id"], displayName="New name", title="not copied")
        primary.change("Users", users[1]["id"], title="not copied")
        leaver = next(user for user in users[2:] if user["active"])
        primary.delete("Users", leaver["id"])
        report = pair.sync()
        assert (report["counts"]["updated"], report["counts"]["deactivated"]) == (1, 1)
        now = people(two, "ts")
        assert now[users[0]["userName"]]["name"] == "New name"
        assert now[leaver["userName"]]["enabled"] is False
        assert pair.sync()["counts"]["unchanged"] == 79
        assert not WRITES & {r.method for r in one.requests() if r.agent == "bcp-operator"}


# --- profile check


def checked(*arguments: str, expect: int = 0) -> tuple[str, str]:
    command = [sys.executable, "-m", "bcp_operator.sync", "profile", "check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_check_lists_what_it_can_read_and_writes_nothing(tmp_path: Path) -> None:
    rows = world.kinto_dump(records=30)["acme"]["agents"]
    rows[3].pop("name")
    (tmp_path / "p.yaml").write_text(tutorial())
    (tmp_path / "username").write_text("bcp")
    (tmp_path / "password").write_text("canary")
    with start_kinto(password="canary", dump={"acme": {"people": rows}}) as server:
        arguments = [str(tmp_path / "p.yaml"), "--against", server.base + "/v1", "--tenant", "acme"]
        arguments += ["--credentials", str(tmp_path), "--insecure", "--requests-per-second", "100"]
        said, _ = checked(*arguments)
        assert "user: 30 read in" in said
        assert "compared: active (30), displayName (29), userName (30)" in said
        assert "find: works" in said
        found = json.loads(checked(*arguments, "-o", "json")[0])
        assert found["credentials"] == ["username", "password"]
        assert found["read"][0]["entities"] == 30
        assert methods(server).keys() == {"GET"}
        (tmp_path / "password").write_text("wrong-canary")
        said, log = checked(*arguments, expect=5)
        assert "user: Unauthorized: HTTP 403" in said
        assert "canary" not in said + log
    said, log = checked(*arguments[:-3], "--log-format", "json", expect=2)
    assert "plain http" in log


def test_check_names_keys_that_several_have_references_that_lead_nowhere_and_filters_that_are_ignored(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "token").write_text("t")
    dump = world.scim_dump(20, 4)
    dump[-1]["displayName"] = dump[-2]["displayName"]
    dump[-1]["members"] = [*dump[-1]["members"], {"value": "nobody", "type": "User"}]
    scim = Path(__file__).parents[2] / "operator" / "bcp_operator" / "systems" / "profiles" / "scim.yaml"
    ignoring = scim.read_text().replace('filter: "userName eq {quotedKey}"', 'fltr: "{key}"')
    (tmp_path / "p.yaml").write_text(ignoring)
    with start_scim(token="t", dump=dump) as server:
        arguments = ["--against", server.base + "/v2", "--insecure", "--credentials", str(folder)]
        said, _ = checked(str(tmp_path / "p.yaml"), *arguments)
        assert "group: 4 read" in said
        assert "2 of a key that others have too" in said
        assert "reference members[].value: 1 lead nowhere" in said
        assert "the filter is ignored: the whole listing will be read instead" in said
        assert methods(server).keys() == {"GET"}
