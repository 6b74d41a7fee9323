"""Where runs are killed: two directories behind a proxy, and a world between them in which every kind of action is due.

Everything about it can be brought back to the same state: both directories, and the store.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.systems import world
from tests.systems.proxy import Proxy, proxying
from tests.systems.reader import ENTERPRISE, Directory, compare
from tests.systems.servers import start_scim
from tests.systems.test_sync_pairs import Pair, make

HERE = Path(__file__).parent
PROFILE = HERE.parents[2] / "operator" / "bcp_operator" / "systems" / "profiles" / "scim.yaml"
PAGE = 10  # entities, so that a small world has page breaks
BEGIN = "begin"
CORE = "urn:ietf:params:scim:schemas:core:2.0:"


@dataclass
class Ended:
    """A run that has ended: its exit code, or the negative number of the signal, and what it printed."""

    code: int
    printed: str

    def report(self) -> dict[str, Any]:
        """The report of a run that ended by itself."""
        found: dict[str, Any] = json.loads(self.printed)
        return found


class Zygote:
    """See zygote.py."""

    def __init__(self, output: Path) -> None:
        self._output = output
        command = [sys.executable, "-m", "tests.systems.crash.zygote"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, arguments: Sequence[str]) -> int:
        """Start a run; returns its process group."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"arguments": list(arguments), "output": str(self._output)}) + "\n")
        self._process.stdin.flush()
        return self._hear("group")

    def wait(self) -> Ended:
        """Wait until the run has ended."""
        return Ended(self._hear("code"), self._output.read_text(errors="replace"))

    def _hear(self, what: str) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote has died"
        value: int = json.loads(line)[what]
        return value

    def close(self) -> None:
        """End it."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait(10)


@dataclass
class Stage:
    """Both directories, the proxy between them and the engine, and the store."""

    pair: Pair
    proxy: Proxy
    zygote: Zygote
    arguments: list[str]

    @property
    def store(self) -> Path:
        """The folder with the correlations."""
        return self.pair.folder / "store"

    def command(self, verb: str = "run") -> list[str]:
        """Arguments of bcp-sync."""
        return [verb, *self.arguments[1:], *(["--unfenced", "--reason", "test"] if verb == "run" else [])]

    def run(self, verb: str = "run", expect: int = 0) -> dict[str, Any]:
        """A run to its end."""
        self.zygote.start(self.command(verb))
        ended = self.zygote.wait()
        assert ended.code == expect, ended.printed
        return ended.report()

    def keep(self) -> None:
        """What reset() brings back."""
        for server in (self.pair.primary, self.pair.secondary):
            server.keep(BEGIN)
        shutil.copytree(self.store, self.pair.folder / BEGIN)

    def reset(self) -> None:
        """Everything as it was at keep(); to be called with no run under way."""
        self.pair.secondary.restore(BEGIN)  # nobody writes to the primary
        shutil.rmtree(self.store)
        shutil.copytree(self.pair.folder / BEGIN, self.store)
        self.proxy.forget()


def profile() -> str:
    """The built-in profile with small pages, and with a call of its own for putting people back into use."""
    document = yaml.safe_load(PROFILE.read_text())
    document["paging"]["size"] = PAGE
    user = document["types"]["user"]
    user["revive"] = copy.deepcopy({name: user["deactivate"][name] for name in ("method", "path", "body")})
    user["revive"]["body"]["Operations"][0]["value"] = True
    return yaml.safe_dump(document)


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Set it up, with the world prepared: about ten seconds."""
    with ExitStack() as stack:
        dump = world.scim_dump(24, 8)
        primary = stack.enter_context(start_scim(token="tp", dump=dump, snapshots=True))
        secondary = stack.enter_context(start_scim(token="ts", name="SECONDARY", snapshots=True))
        proxy = stack.enter_context(proxying({"primary": primary.base, "secondary": secondary.base}))
        pair = make(folder, "scim", primary, secondary)
        (folder / "paged.yaml").write_text(profile())
        for side, system in pair.system.items():
            system |= {"profile": "paged", "endpoint": proxy.url(side) + "/v2"}
        limits = {"requestsPerSecond": 10000, "concurrency": 4}
        chosen = [{"type": "user"}, {"type": "group", "onMissing": "Delete"}]
        command = pair.command("plan", limits=limits, approval="Never", entities=chosen)
        zygote = Zygote(folder / "output")
        stack.callback(zygote.close)
        stage = Stage(pair, proxy, zygote, command[command.index("bcp_operator.sync") + 1 :])
        prepare(stage)
        yield stage


def prepare(stage: Stage) -> None:
    """An initial copy, somebody who has left, and then a day on which everything happened at once."""
    stage.run()
    primary, secondary = stage.pair.directories()
    assert compare(primary, secondary).differences == []
    users = {user["userName"]: user for user in primary.list("Users")}
    bosses = {user.get(ENTERPRISE, {}).get("manager", {}).get("value") for user in users.values()}
    plain = sorted((u for u in users.values() if u["active"] and u["id"] not in bosses), key=lambda u: str(u["id"]))
    assert len(plain) >= 10, len(plain)
    stage.pair.primary.keep("everybody")
    returning = plain.pop(0)
    remove(primary, returning["id"])
    assert stage.run()["counts"]["deactivated"] == 1
    stage.pair.primary.restore("everybody")  # back again, under the same ID: to be revived
    edit(primary, secondary, plain)
    hire(primary, secondary)
    stage.keep()


def edit(primary: Directory, secondary: Directory, plain: list[dict[str, Any]]) -> None:
    """What happened to people and groups that are known on both sides."""
    first, last, *rest = plain[0], plain[-1], *plain[1:-1]
    primary.change("Users", last["id"], userName="moved.on@acme.example")
    primary.change("Users", first["id"], userName=last["userName"])  # refused until the name is free: tried again
    for user in rest[:2]:
        primary.change("Users", user["id"], title="Promoted", nickName="P")
    alike, leaver, gone, lost, touched = rest[2:7]
    for directory, identifier in ((primary, alike["id"]), (secondary, twin(secondary, alike))):
        directory.change("Users", identifier, title="Said on both sides")  # only the store is out of date
    remove(primary, leaver["id"])
    remove(primary, gone["id"])  # on both sides: a tombstone
    remove(secondary, twin(secondary, gone))
    remove(secondary, twin(secondary, lost))  # to be made anew
    secondary.change("Users", twin(secondary, touched), title="Edited in the secondary")
    groups = primary.list("Groups")
    empty = next(g for g in groups if not g.get("members"))
    primary.change("Groups", empty["id"], members=[{"value": first["id"], "type": "User"}])
    dissolved = next(g for g in groups if len(g.get("members", [])) in range(2, 20) and g is not groups[-1])
    primary.delete("Groups", dissolved["id"])  # to be deleted
    for group in primary.list("Groups"):
        stay = [member for member in group.get("members", []) if member["value"] != dissolved["id"]]
        if stay != group.get("members", []):
            primary.change("Groups", group["id"], members=stay)


def hire(primary: Directory, secondary: Directory) -> None:
    """New people and groups: with each other as managers and members, known by name in the secondary, or ambiguous there."""
    made = [primary.create("Users", person(number)) for number in range(18)]
    for here, boss in ((0, 1), (1, 0), (2, 3)):  # two manage each other
        primary.change("Users", made[here]["id"], **{ENTERPRISE: {"manager": {"value": made[boss]["id"]}}})
    secondary.create("Users", person(4) | {"title": "Known by name", "nickName": "takes it over"})
    secondary.create("Users", person(5))
    secondary.create("Users", person(99))  # nobody's business
    rings = [primary.create("Groups", group(f"Ring {side}")) for side in "AB"]
    for one, other in (rings, rings[::-1]):
        members = [{"value": other["id"], "type": "Group"}, {"value": made[0]["id"], "type": "User"}]
        primary.change("Groups", one["id"], members=members)
    known = primary.create("Groups", group("Known by name"))
    primary.change("Groups", known["id"], members=[{"value": made[6]["id"], "type": "User"}])
    secondary.create("Groups", group("Known by name"))
    primary.create("Groups", group("Ambiguous"))
    for _ in range(2):
        secondary.create("Groups", group("Ambiguous"))


def person(number: int) -> dict[str, Any]:
    """Somebody new."""
    name = f"new{number:02d}@acme.example"
    return {"schemas": [CORE + "User"], "userName": name, "displayName": f"New {number}", "active": True}


def group(name: str) -> dict[str, Any]:
    """A new group."""
    return {"schemas": [CORE + "Group"], "displayName": name}


def twin(secondary: Directory, user: dict[str, Any]) -> str:
    """The ID of the same person in the secondary."""
    found = secondary.find("Users", "userName", user["userName"])
    assert found is not None
    return str(found["id"])


def remove(directory: Directory, identifier: str) -> None:
    """Somebody leaves, and is taken out of the groups."""
    for group in directory.list("Groups"):
        stay = [member for member in group.get("members", []) if member["value"] != identifier]
        if stay != group.get("members", []):
            directory.change("Groups", group["id"], members=stay)
    directory.delete("Users", identifier)


def kill(group: int) -> None:
    """SIGKILL a whole run."""
    os.killpg(group, 9)
