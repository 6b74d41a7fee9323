"""Whole runs between real directories under a real Lease: what is held, what is given back, where the report goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.apiserver.fence_desk import Desk
from tests.cluster.access import Cluster
from tests.systems import world
from tests.systems.reader import compare
from tests.systems.servers import start_scim
from tests.systems.test_sync_pairs import WRITES, Pair, make
from tests.waiting import until

pytestmark = pytest.mark.cluster

IN_POD = Path(__file__).parent / "sync_in_pod.py"


@dataclass
class Tenant:
    """A tenant's Lease and report on the apiserver, and its two directories."""

    desk: Desk
    pair: Pair

    def start(self, *command: str, **more: Any) -> subprocess.Popen[str]:
        """A run, or another command, as in its pod."""
        names = {
            "lease": {"namespace": self.desk.namespace, "name": "acme-writer"},
            "report": {"configMap": "acme-report"},
            "tenant": {"namespace": self.desk.namespace, "name": "acme"},
        }
        config = self.pair.config(**names, **more)
        server = urlsplit(self.desk.server)
        return subprocess.Popen(
            [
                sys.executable,
                str(IN_POD),
                str(self.desk.folder),
                *(command or ("run",)),
                "--config",
                str(config),
                "-o",
                "json",
            ],
            env=os.environ
            | {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, expect: int = 0, **more: Any) -> dict[str, Any]:
        """A whole run; returns what it printed."""
        process = self.start(**more)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == expect, printed
        report: dict[str, Any] = json.loads(printed)
        return report

    def published(self, what: str = "report") -> dict[str, Any]:
        """The report in the ConfigMap."""
        data = json.loads(self.desk.kubectl("get", "configmap", f"acme-{what}", "-o", "json")).get("data", {})
        found: dict[str, Any] = json.loads(data.get(f"{what}.json", "{}"))
        return found

    def holder(self) -> str:
        """Who holds the Lease."""
        return str(self.desk.spec("acme-writer").get("holderIdentity", ""))


@pytest.fixture
def tenant(cluster: Cluster, tmp_path: Path) -> Iterator[Tenant]:
    account = tmp_path / "account"
    account.mkdir()
    with (
        cluster.namespace("run") as namespace,
        start_scim(token="tp", dump=world.scim_dump(60, 10)) as primary,
        start_scim(token="ts", name="SECONDARY") as secondary,
    ):
        desk = Desk(cluster, namespace, account)
        desk.lease("acme-writer")
        desk.kubectl("create", "configmap", "acme-report")
        desk.kubectl("create", "configmap", "acme-divergence")
        yield Tenant(desk, make(tmp_path, "scim", primary, secondary))


def test_a_run_takes_the_lease_reports_and_gives_it_back(tenant: Tenant) -> None:
    report = tenant.run()
    assert report["counts"]["created"] == 70
    assert tenant.published() == report
    assert tenant.holder() == ""
    assert compare(*tenant.pair.directories()).differences == []


def test_a_fenced_run_reads_and_writes_nothing_and_leaves_the_last_report(tenant: Tenant) -> None:
    tenant.desk.hold("acme-writer", "fence/op-9")
    report = tenant.run(expect=4)
    assert report["result"] == "Held"
    assert "op-9" in report["message"]
    assert tenant.pair.primary.requests() == tenant.pair.secondary.requests() == []
    assert tenant.published() == {}
    assert tenant.holder() == "fence/op-9"


def test_a_comparison_reads_behind_a_fence_says_what_was_changed_and_takes_nothing(tenant: Tenant) -> None:
    tenant.run()
    tenant.desk.hold("acme-writer", "fence/op-12")
    lease = tenant.desk.spec("acme-writer")
    secondary = tenant.pair.directories()[1]
    changed, removed = secondary.list("Users")[:2]
    secondary.change("Users", changed["id"], title="Hired during the outage")
    secondary.delete("Users", removed["id"])
    written = tenant.pair.written()
    process = tenant.start("diverge", "--publish")
    assert process.wait(60) == 0
    report = tenant.published("divergence")
    assert {kind: number for kind, number in report["counts"].items() if number} == {"changed": 1, "removed": 1}
    told = {one["change"]: (one["key"], one["fields"]) for one in report["differences"]}
    assert told == {"Changed": (changed["userName"], ["title"]), "Removed": (removed["userName"], [])}
    assert "Hired during the outage" not in json.dumps(report), "names of fields, and no values"
    assert tenant.desk.spec("acme-writer") == lease
    assert tenant.pair.written() == written


def test_a_comparison_of_a_secondary_that_is_down_does_not_say_nothing(tenant: Tenant) -> None:
    tenant.run()
    tenant.pair.secondary.kill()
    assert tenant.start("diverge", "--publish").wait(60) == 3
    unread = tenant.published("divergence")["unread"]
    assert {one["side"] for one in unread} == {"secondary"}


def test_a_login_url_that_shows_the_secondary_holds_the_run_and_the_lease_is_given_back(tenant: Tenant) -> None:
    page = tenant.pair.secondary.login_url

    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", page)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        report = tenant.run(
            expect=4, login={"url": url, "primaryLoginURL": "https://na1.test/login", "secondaryLoginURL": page}
        )
        server.shutdown()
    assert "the login URL sends users to the secondary" in report["message"]
    assert tenant.pair.primary.requests() == tenant.pair.secondary.requests() == []
    assert tenant.holder() == ""


def test_a_switch_in_the_middle_ends_the_run_and_the_next_one_finishes_it(tenant: Tenant) -> None:
    process = tenant.start(limits={"requestsPerSecond": 4, "concurrency": 2})
    until(lambda: tenant.pair.written() > 5, "some writes", 30)
    tenant.desk.hold("acme-writer", "fence/op-10")
    printed, _ = process.communicate(timeout=15)
    report = json.loads(printed)
    assert (process.returncode, report["result"]) == (4, "Held")
    assert 0 < report["counts"]["created"] < 60
    written = tenant.pair.written()
    assert tenant.holder() == "fence/op-10"
    tenant.desk.hold("acme-writer", "")
    assert tenant.run()["result"] == "Succeeded"
    assert tenant.pair.written() > written
    assert compare(*tenant.pair.directories()).differences == []


def test_a_frozen_run_writes_nothing_more_and_its_end_is_reported(tenant: Tenant) -> None:
    process = tenant.start(limits={"requestsPerSecond": 4, "concurrency": 2})
    until(lambda: tenant.pair.written() > 5, "some writes", 30)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    writer = int(children[0])
    os.kill(writer, signal.SIGSTOP)
    tenant.desk.hold("acme-writer", "fence/op-11")
    frozen = time.monotonic()
    until(lambda: time.monotonic() > frozen + 15.5, "the end of the lease", 20)
    written = [r for r in tenant.pair.secondary.requests() if r.method in WRITES]
    os.kill(writer, signal.SIGCONT)
    printed, _ = process.communicate(timeout=10)
    assert process.returncode == 5
    assert "the kernel ended the writer" in json.loads(printed)["message"]
    assert [r for r in tenant.pair.secondary.requests() if r.method in WRITES] == written
