"""The writer lease on the real apiserver: who may take it, how long it is kept, and that nothing is written after it.

Writers are processes of their own (fence_writer.py), because their end is the kernel's doing.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from bcp_operator.sync.fence import LEASE_SECONDS, ApiServer, publish_report

from tests.apiserver.fence_desk import Desk, Object
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def desk(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with cluster.namespace("fence") as namespace:
        made = Desk(cluster, namespace, tmp_path_factory.mktemp("fence"))
        yield made
        for writer in made.started:
            writer.process.kill()
            writer.process.wait()


class Wire:
    """A TCP relay to the apiserver that can be cut: nothing passes any more, and nobody is told."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._target = (parts.hostname or "", parts.port or 443)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            inward, _ = self._listener.accept()
            outward = socket.create_connection(self._target)
            threading.Thread(target=self._pump, args=(inward, outward), daemon=True).start()

    def _pump(self, inward: socket.socket, outward: socket.socket) -> None:
        other = {inward: outward, outward: inward}
        while True:
            for ready in select.select([inward, outward], [], [])[0]:
                data = ready.recv(65536)
                if self.cut:
                    threading.Event().wait()
                if not data:
                    inward.close()
                    outward.close()
                    return
                other[ready].sendall(data)


def test_without_a_lease_nothing_is_written(desk: Desk) -> None:
    writer = desk.start("nowhere")
    assert writer.process.wait(20) == 4
    assert "missing" in writer.said()
    assert not writer.writes()


@pytest.mark.parametrize("holder", ["fence/op-1", "somebody/else"])
def test_a_fenced_lease_is_never_taken(desk: Desk, holder: str) -> None:
    name = desk.lease(f"held-{holder.partition('/')[0]}", holder)
    writer = desk.start(name)
    assert writer.process.wait(20) == 4
    assert holder.rpartition("/")[2] in writer.said()
    assert not writer.writes()
    assert desk.spec(name)["holderIdentity"] == holder


def test_a_free_lease_is_taken_renewed_and_given_back(desk: Desk) -> None:
    name = desk.lease("free", leaseTransitions=4)
    desk.kubectl("annotate", "lease", name, "bcp-operator.io/sync-enabled-at=2026-11-24T10:00:00Z")
    writer = desk.start(name)
    writer.writing()
    taken = desk.spec(name)
    assert taken["holderIdentity"].startswith("run/")
    assert taken["leaseDurationSeconds"] == 15
    assert taken["leaseTransitions"] == 5
    desk.new_token()
    desk.kubectl("annotate", "lease", name, "example.org/note=changed")  # another's write is no loss
    renewed = until(lambda: _changed(desk, name, taken["renewTime"]), "a renewal")
    assert renewed["holderIdentity"] == taken["holderIdentity"]
    assert renewed["acquireTime"] == taken["acquireTime"]
    until(lambda: _changed(desk, name, renewed["renewTime"]), "another renewal")
    assert writer.stop() == 0
    assert not desk.spec(name).get("holderIdentity")
    notes = json.loads(desk.kubectl("get", "lease", name, "-o", "json"))["metadata"]["annotations"]
    assert notes.keys() >= {"bcp-operator.io/sync-enabled-at", "example.org/note"}


def _changed(desk: Desk, name: str, renew_time: str) -> Object | None:
    spec = desk.spec(name)
    return spec if spec["renewTime"] != renew_time else None


def test_of_two_runs_one_writes_and_the_other_says_so(desk: Desk) -> None:
    name = desk.lease("two")
    first = desk.start(name, "two-first")
    first.writing()
    second = desk.start(name, "two-second")
    assert second.process.wait(30) == 4
    assert "another run is writing" in second.said()
    assert not second.writes()
    assert first.stop() == 0


def dead(desk: Desk) -> None:
    long_ago = "2020-01-01T00:00:00.000000Z"  # the clock on the wall says nothing
    name = desk.lease("dead", "run/gone/1", renewTime=long_ago, acquireTime=long_ago)
    began = time.monotonic()
    writer = desk.start(name)
    writer.writing()
    assert writer.writes()[0] - began >= LEASE_SECONDS
    assert desk.spec(name)["holderIdentity"] != "run/gone/1"
    assert writer.stop() == 0


def switched(desk: Desk) -> None:
    name = desk.lease("switch")
    writer = desk.start(name)
    writer.writing()
    fenced = desk.hold(name, "fence/op-2")
    assert writer.process.wait(LEASE_SECONDS) == 4
    assert "op-2" in writer.said()
    assert writer.writes()[-1] < fenced + LEASE_SECONDS - 5.0
    assert desk.spec(name)["holderIdentity"] == "fence/op-2"  # and is not given back


def frozen(desk: Desk, *, fenced_meanwhile: bool) -> None:
    name = desk.lease(f"frozen-{str(fenced_meanwhile).lower()}")
    writer = desk.start(name)
    writer.writing()
    writer.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    if fenced_meanwhile:
        desk.hold(name, "fence/op-3")
    until(lambda: time.monotonic() > stopped + LEASE_SECONDS + 0.5, "the end of the lease", 20)
    before = len(writer.writes())
    writer.process.send_signal(signal.SIGCONT)
    assert writer.process.wait(5) == -signal.SIGALRM
    assert len(writer.writes()) == before


def cut_off(desk: Desk) -> None:
    name = desk.lease("cut")
    wire = Wire(desk.server)
    writer = desk.start(name, server=f"https://127.0.0.1:{wire.port}")
    writer.writing()
    wire.cut = True
    cut = time.monotonic()
    assert writer.process.wait(LEASE_SECONDS + 5) in (4, -signal.SIGALRM)
    # A write takes up to five seconds: none is begun that would not end before the lease does.
    assert writer.writes()[-1] <= cut + LEASE_SECONDS - 5.0
    assert desk.spec(name)["holderIdentity"].startswith("run/")


Play = Callable[[], None]


@pytest.fixture(scope="module")
def slow(desk: Desk) -> Iterator[dict[str, Future[None]]]:
    """Those that need a whole lease's length, all at once."""
    plays: dict[str, Play] = {
        "dead": lambda: dead(desk),
        "switched": lambda: switched(desk),
        "frozen and fenced": lambda: frozen(desk, fenced_meanwhile=True),
        "frozen": lambda: frozen(desk, fenced_meanwhile=False),
        "cut off": lambda: cut_off(desk),
    }
    with ThreadPoolExecutor(len(plays)) as pool:
        yield {name: pool.submit(play) for name, play in plays.items()}


def test_a_dead_runs_lease_is_taken_after_its_full_length_only(slow: dict[str, Future[None]]) -> None:
    slow["dead"].result(90)


def test_a_switch_that_fences_stops_the_writer(slow: dict[str, Future[None]]) -> None:
    slow["switched"].result(90)


@pytest.mark.parametrize("play", ["frozen and fenced", "frozen"])
def test_a_frozen_writer_never_runs_again(slow: dict[str, Future[None]], play: str) -> None:
    slow[play].result(90)


def test_a_writer_cut_off_stops_before_its_lease_ends(slow: dict[str, Future[None]]) -> None:
    slow["cut off"].result(90)


async def test_the_report_goes_into_its_config_map(desk: Desk) -> None:
    desk.kubectl("create", "configmap", "acme-report", "--from-literal=other=kept")
    api = ApiServer(desk.server, str(desk.ca_file), desk.token)
    await publish_report(api, desk.namespace, "acme-report", '{"result": "Succeeded"}')
    data = json.loads(desk.kubectl("get", "configmap", "acme-report", "-o", "json"))["data"]
    assert data == {"other": "kept", "report.json": '{"result": "Succeeded"}'}
