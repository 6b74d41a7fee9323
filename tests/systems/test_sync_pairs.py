"""bcp-sync between real servers, as a process, with run.yaml and credential files; looked at by an independent reader."""

from __future__ import annotations

import base64
import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from bcp_operator.api.run import RunSystem, pair_id

from tests.systems import world
from tests.systems.postgresql import Postgresql
from tests.systems.reader import ENTERPRISE, Directory, compare
from tests.systems.servers import Server, start_kinto, start_scim
from tests.systems.web import Net, ask

HERE = Path(__file__).parent
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass
class Pair:
    """Two running systems and what bcp-sync is told about them."""

    folder: Path
    primary: Server
    secondary: Server
    system: dict[str, dict[str, Any]]

    def config(self, **more: Any) -> Path:
        """run.yaml."""
        primary, secondary = self.system["primary"], self.system["secondary"]
        document = {
            "tenant": {"namespace": "team", "name": "acme"},
            "pair": pair_id(RunSystem.model_validate(primary), RunSystem.model_validate(secondary)),
            "primary": primary,
            "secondary": secondary,
            "store": {"sqlite": {"path": str(self.folder / "store" / "correlations.db")}},
            "limits": {"requestsPerSecond": 10000},
        } | more
        path = self.folder / "run.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def command(self, verb: str, *arguments: str, **more: Any) -> list[str]:
        """bcp-sync with run.yaml."""
        extra = ["--unfenced", "--reason", "test"] if verb == "run" else []
        return [
            *[sys.executable, "-m", "bcp_operator.sync", verb, "--config", str(self.config(**more))],
            *["--profiles", str(self.folder), "-o", "json", *extra, *arguments],
        ]

    def sync(self, verb: str = "run", *arguments: str, expect: int = 0, **more: Any) -> dict[str, Any]:
        """Run it; returns what it printed."""
        done = subprocess.run(
            self.command(verb, *arguments, **more), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == expect, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        printed: dict[str, Any] = json.loads(done.stdout)
        return printed

    def directories(self) -> tuple[Directory, Directory]:
        """Both sides as the independent reader sees them."""
        return Directory(self.primary.base + "/v2", "tp"), Directory(self.secondary.base + "/v2", "ts")

    def written(self) -> int:
        """Writes in the secondary's access log."""
        return sum(request.method in WRITES for request in self.secondary.requests())


def make(folder: Path, kind: str, primary: Server, secondary: Server) -> Pair:
    """Credentials in files, profiles in a folder."""
    systems = {}
    for name, server, secret in (("primary", primary, "tp"), ("secondary", secondary, "ts")):
        credentials = folder / name
        credentials.mkdir()
        values = {"token": secret} if kind == "scim" else {"username": "bcp", "password": secret}
        for key, value in values.items():
            (credentials / key).write_text(value + "\n")
        systems[name] = {
            "profile": kind,
            "tenantID": "acme",
            "endpoint": server.base + ("/v2" if kind == "scim" else "/v1"),
            "insecure": True,
            "credentialsDir": str(credentials),
        }
    (folder / "kinto.yaml").write_text((HERE / "kinto-profile.yaml").read_text())
    return Pair(folder, primary, secondary, systems)


@pytest.fixture
def scim(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    users, groups = getattr(request, "param", (60, 10))
    with ExitStack() as stack:
        primary = stack.enter_context(start_scim(token="tp", dump=world.scim_dump(users, groups)))
        secondary = stack.enter_context(start_scim(token="ts", name="SECONDARY"))
        yield make(tmp_path, "scim", primary, secondary)


@pytest.mark.parametrize("scim", [(300, 30)], indirect=True)
def test_a_directory_is_copied_and_then_left_alone(scim: Pair) -> None:
    planned = scim.sync("plan")
    assert planned["counts"] == {"group": {"create": 30}, "user": {"create": 300}}
    assert scim.written() == 0
    assert not (scim.folder / "store").exists()  # a plan leaves nothing behind
    assert scim.sync("plan")["hash"] == planned["hash"]

    report = scim.sync()
    assert report["result"] == "Succeeded"
    assert report["counts"]["created"] == 330
    assert report["perType"]["user"]["created"] == 300
    assert report["unresolved"] == []
    assert compare(*scim.directories()).differences == []

    before = scim.written()
    report = scim.sync()
    assert report["counts"]["unchanged"] == 330
    assert scim.written() == before
    methods = {request.method for request in scim.primary.requests()}
    assert methods == {"GET"}


def test_edits_renames_and_leavers_are_carried_across(scim: Pair) -> None:
    scim.sync()
    primary, secondary = scim.directories()
    users, groups = primary.list("Users"), primary.list("Groups")
    plain = next(user for user in users if ENTERPRISE not in user)
    titled = next(user for user in users if user.get("title") and user is not plain)
    team = next(group for group in groups if 5 < len(group["members"]) < 50)
    bosses = {user.get(ENTERPRISE, {}).get("manager", {}).get("value") for user in users}
    leaver = next(u for u in users if u["active"] and u["id"] not in {*bosses, plain["id"], titled["id"]})
    twin = secondary.find("Users", "userName", plain["userName"])
    assert twin is not None

    primary.change("Users", plain["id"], userName="renamed@acme.example", nickName="Ren")
    primary.change("Users", titled["id"], name={"givenName": "New", "familyName": "Name", "formatted": "New Name"})
    for group in groups:
        stay = [member for member in group.get("members", []) if member["value"] != leaver["id"]]
        if group["id"] == team["id"]:
            primary.change("Groups", group["id"], members=stay[:3], displayName="Team renamed")
        elif stay != group.get("members", []):
            primary.change("Groups", group["id"], members=stay)
    primary.delete("Users", leaver["id"])
    report = scim.sync()
    assert report["result"] == "Succeeded"
    assert report["counts"]["deactivated"] == 1
    assert report["counts"]["created"] == 0

    renamed = secondary.find("Users", "userName", "renamed@acme.example")
    assert renamed is not None
    assert renamed["id"] == twin["id"]  # a rename keeps the pair
    gone = secondary.find("Users", "userName", leaver["userName"])
    assert gone is not None
    assert gone["active"] is False
    rest = [d for d in compare(primary, secondary).differences if leaver["userName"] not in d]
    assert rest == []

    before = scim.written()
    assert scim.sync()["counts"]["deactivated"] == 0
    assert scim.written() == before


def test_what_was_made_in_the_secondary_is_left_alone_and_named(scim: Pair) -> None:
    primary, secondary = scim.directories()
    known = next(user for user in primary.list("Users") if ENTERPRISE not in user)
    adopted = secondary.create(
        "Users", {"schemas": known["schemas"], "userName": known["userName"].upper(), "title": "x"}
    )
    own = secondary.create("Users", {"schemas": known["schemas"], "userName": "only.here@acme.example"})
    report = scim.sync(expect=3)  # nobody can tell whether correlations were lost
    assert (report["counts"]["adopted"], report["counts"]["withheld"]) == (1, 69)
    report = scim.sync(approve=report["withheldHash"])
    assert report["counts"]["created"] == 69
    assert [issue["key"] for issue in report["kept"]] == ["only.here@acme.example"]
    assert secondary.find("Users", "userName", "only.here@acme.example") == own
    twin = secondary.find("Users", "userName", known["userName"])
    assert twin is not None
    assert twin["id"] == adopted["id"]
    assert [d for d in compare(primary, secondary).differences if "only.here" not in d] == []


def test_custom_without_groups_leaves_groups_alone(scim: Pair) -> None:
    _, secondary = scim.directories()
    report = scim.sync(exclude=["group"])
    assert report["perType"].keys() == {"user"}
    assert secondary.list("Groups") == []
    assert not any("/Groups" in request.target for request in scim.primary.requests())
    # Groups alone need their members' IDs: users are looked up and not written.
    before = scim.written()
    report = scim.sync(entities=[{"type": "group"}])
    assert report["perType"].keys() == {"group"}
    assert compare(*scim.directories()).differences == []
    targets = [r.target for r in scim.secondary.requests() if r.method in WRITES][before:]
    assert all("/Groups" in target for target in targets)


def test_members_that_nobody_knows_are_left_out_and_reported(scim: Pair) -> None:
    primary, _ = scim.directories()
    team = next(group for group in primary.list("Groups") if len(group.get("members", [])) > 5)
    primary.change("Groups", team["id"], members=[*team["members"], {"value": "nobody", "type": "User"}])
    report = scim.sync()
    assert report["result"] == "Succeeded"
    assert [issue["key"] for issue in report["unresolved"]] == [team["displayName"]]


def test_a_type_that_fails_stops_what_refers_to_it_and_nothing_else(scim: Pair) -> None:
    scim.sync()
    primary, _ = scim.directories()
    for group in primary.list("Groups"):
        primary.delete("Groups", group["id"])
    before = scim.written()
    report = scim.sync(expect=3)
    assert report["result"] == "Partial"
    assert report["errors"][0]["type"] == "group"
    assert "EmptyListing" in report["errors"][0]["reason"]
    assert report["perType"].get("user", {})["unchanged"] == 60
    assert scim.written() == before
    for user in primary.list("Users"):
        primary.delete("Users", user["id"])
    report = scim.sync(expect=5)
    assert report["result"] == "Failed"
    assert scim.written() == before


@pytest.mark.parametrize("writes", [0, 1, 29, 59, 63, 74])
def test_killed_in_the_middle_nothing_is_lost_and_nothing_twice(scim: Pair, writes: int) -> None:
    process = subprocess.Popen(scim.command("run"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
    assert process.stderr is not None
    while scim.written() <= writes:
        assert process.poll() is None, "it ended before it could be killed"
        os.sched_yield()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    report = scim.sync()
    assert report["result"] == "Succeeded"
    assert compare(*scim.directories()).differences == []
    before = scim.written()
    assert scim.sync()["counts"]["unchanged"] == 70
    assert scim.written() == before


def test_users_who_swap_their_login_names_are_renamed_in_one_run(scim: Pair) -> None:
    scim.sync()
    primary, secondary = scim.directories()
    one, other = (user for user in primary.list("Users")[:2])
    before = {user["userName"]: user["id"] for user in secondary.list("Users")}
    primary.change("Users", one["id"], userName="moment@acme.example")  # this server, too, wants them to be unique
    primary.change("Users", other["id"], userName=one["userName"])
    primary.change("Users", one["id"], userName=other["userName"])
    report = scim.sync()
    assert (report["result"], report["counts"]["updated"]) == ("Succeeded", 2)
    after = {user["userName"]: user["id"] for user in secondary.list("Users")}
    assert after[one["userName"]] == before[other["userName"]]
    assert after[other["userName"]] == before[one["userName"]]
    assert compare(primary, secondary).differences == []


def test_postgresql_keeps_what_a_killed_run_knew_and_hands_it_on(scim: Pair, postgresql: Postgresql) -> None:
    database, password = postgresql.database(), "canary-of-the-store"
    postgresql.ask(database, f"CREATE USER {database} LOGIN PASSWORD '{password}'")
    postgresql.ask(database, f"GRANT CREATE ON DATABASE {database} TO {database}")
    dsn = scim.folder / "dsn"
    dsn.write_text(postgresql.network_dsn(database, database, password))
    there: dict[str, Any] = {"store": {"postgresql": {"dsnFile": str(dsn)}}}
    assert scim.sync("plan", **there)["counts"] == {"group": {"create": 10}, "user": {"create": 60}}
    process = subprocess.Popen(scim.command("run", **there), stderr=subprocess.DEVNULL, process_group=0)
    while scim.written() <= 29:
        assert process.poll() is None, "it ended before it could be killed"
        os.sched_yield()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert scim.sync(**there)["result"] == "Succeeded"
    assert compare(*scim.directories()).differences == []
    before = scim.written()
    assert scim.sync(**there)["counts"]["unchanged"] == 70

    file = scim.folder / "all.jsonl"
    for verb, more in (("export", there), ("import", {})):
        subprocess.run(scim.command(verb, str(file), **more), check=True, stdout=subprocess.DEVNULL)
    assert scim.sync()["counts"]["unchanged"] == 70  # from SQLite now
    assert scim.written() == before

    dsn.write_text(postgresql.network_dsn(database, database, "wrong-" + password))
    done = subprocess.run(scim.command("run", **there), capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "refused the user or the password" in done.stdout
    assert password not in done.stdout + done.stderr
    assert scim.written() == before


def test_ids_finds_a_pair_by_either_side(scim: Pair) -> None:
    scim.sync(entities=[{"type": "user"}])
    primary, secondary = scim.directories()
    here = primary.list("Users")[7]
    there = secondary.find("Users", "userName", here["userName"])
    assert there is not None
    for text in (here["id"], there["id"], here["userName"].casefold()):
        found = scim.sync("ids", text)
        assert (found["primaryID"], found["secondaryID"], found["status"]) == (here["id"], there["id"], "ACTIVE")


def test_secrets_and_error_bodies_appear_nowhere(scim: Pair) -> None:
    (scim.folder / "secondary" / "token").write_text("canary-wrong-token")
    done = subprocess.run(scim.command("run"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    report = json.loads(done.stdout)
    assert "Unauthorized: HTTP 401" in report["message"]
    assert "canary" not in done.stdout + done.stderr
    assert '"tp"' not in done.stdout + done.stderr


def records(server: Server, secret: str) -> dict[str, dict[str, Any]]:
    """All agents of a Kinto by login, without what it computes."""
    basic = base64.b64encode(f"bcp:{secret}".encode()).decode()
    url = f"{server.base}/v1/buckets/acme/collections/agents/records?_limit=1000"
    rows = ask(url, Net(), headers={"Authorization": f"Basic {basic}"}).json()["data"]
    return {row["login"]: {k: v for k, v in row.items() if k not in ("last_modified", "schema")} for row in rows}


def without_id(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {login: {k: v for k, v in row.items() if k != "id"} for login, row in rows.items()}


def test_kinto_to_kinto_by_a_profile_alone(tmp_path: Path) -> None:
    dump = world.kinto_dump(records=90)
    empty: dict[str, Any] = {"acme": {"agents": []}}
    with start_kinto(password="tp", dump=dump) as one, start_kinto(password="ts", dump=empty, name="SECONDARY") as two:
        pair = make(tmp_path, "kinto", one, two)
        report = pair.sync()
        assert report["counts"]["created"] == 90
        here, there = records(one, "tp"), records(two, "ts")
        assert without_id(here) == without_id(there)
        assert {row["id"] for row in here.values()}.isdisjoint({row["id"] for row in there.values()})
        before = pair.written()
        assert pair.sync()["counts"]["unchanged"] == 90
        assert pair.written() == before
        changed = copy.deepcopy(next(iter(here.values())))
        basic = base64.b64encode(b"bcp:tp").decode()
        base = f"{one.base}/v1/buckets/acme/collections/agents/records"
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
        ask(f"{base}/{changed['id']}", Net(), method="PATCH", headers=headers, body={"data": {"name": "Renamed"}})
        leaver = next(row for row in list(here.values())[1:] if row["enabled"])
        ask(f"{base}/{leaver['id']}", Net(), method="DELETE", headers=headers)
        report = pair.sync()
        assert (report["counts"]["updated"], report["counts"]["deactivated"]) == (1, 1)
        now = records(two, "ts")
        assert now[changed["login"]]["name"] == "Renamed"
        assert now[leaver["login"]]["enabled"] is False
        assert {request.method for request in one.requests()} >= {"GET"}
