"""kill -9 of the leader before every single write of a switch, on the real API server: the other ends it all the same."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.api import Api, Object
from tests.apiserver.gateway import Gateway, serve
from tests.apiserver.replica import Replica, Tenants, replica, until
from tests.apiserver.trapdoor import Trapdoor, trapdoor
from tests.cluster.access import Cluster

pytestmark = pytest.mark.cluster

SAFETY = {"rules": {"CoolDown": "Warn", "TargetHealthy": "Warn"}}
"""A machine that is busy with starting replicas may answer a probe too late: that is not what is looked at here."""
CONDITIONS = ("Ready", "Stalled", "Reconciling", "SyncFenced", "LoginRouted", "LoginVerified", "IntentConflict")
MOST = 12
"""Tenants that die in the middle; more than there are writes in a switch."""


@pytest.fixture(scope="module")
def own(resources: Cluster) -> Iterator[str]:
    """The operator's own namespace."""
    with resources.namespace("own") as name:
        yield name


@pytest.fixture(scope="module")
def gateway(resources: Cluster, admin: Api, namespace: str) -> Iterator[Gateway]:
    """What stands in front of the login hosts."""
    resources.kubectl("-n", namespace, "create", "configmap", "web-ca", f"--from-literal=ca.crt={resources.ca_pem}")
    with serve(resources, admin, namespace) as made:
        yield made


@pytest.fixture(scope="module")
def trap(resources: Cluster, namespace: str) -> Iterator[Trapdoor]:
    """The way from the replicas to the API server."""
    with trapdoor(resources.kubeconfig, namespace) as made:
        yield made


class Replicas:
    """A leader and a warm standby; whoever dies is replaced."""

    def __init__(self, stack: ExitStack, trap: Trapdoor, admin: Api, own: str, watched: str, folder: Path) -> None:
        self._stack, self._admin, self._own, self._watched, self._folder = stack, admin, own, watched, folder
        self._kubeconfig = trap.kubeconfig(folder)
        self._number = 0
        self.leader = self._start()
        until(self.leader.ready, 40, "the first to lead")
        self.standby = self._start()

    def _start(self) -> Replica:
        self._number += 1
        name = f"r{self._number}"
        return self._stack.enter_context(replica(self._kubeconfig, self._own, self._watched, self._folder, name))

    def kill(self) -> None:
        """kill -9 of the leader, at once."""
        self.leader.process.send_signal(signal.SIGKILL)
        self.leader.process.wait(10)

    def dead(self) -> bool:
        """The leader has ended."""
        return self.leader.process.poll() is not None

    def succeed(self) -> None:
        """The leader's Lease is taken away, so that nobody waits for its end; a new standby is started."""
        until(lambda: self.standby.get("/readyz")[0] == 200, 40, "the standby to be ready")
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self._own}/leases/bcp-operator-leader"
        self._admin.delete(path)
        self.leader, self.standby = self.standby, self._start()


@pytest.fixture(scope="module")
def replicas(
    trap: Trapdoor, admin: Api, own: str, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    """Two."""
    with ExitStack() as stack:
        yield Replicas(stack, trap, admin, own, namespace, tmp_path_factory.mktemp("operator"))


def request(way: str) -> Object:
    """The failover block."""
    stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if way == "out":
        return {"activeSystem": "Secondary", "requestedAt": stamp}
    return {"activeSystem": "Primary", "requestedAt": stamp, "secondaryChanges": "Discard"}


def outcome(tenants: Tenants, gateway: Gateway, name: str) -> dict[str, Any]:
    """Everything that a death must not change."""
    status = tenants.status(name)
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{tenants.namespace}/leases/{name}-writer"
    holder = str(tenants.api.get(leases).body["spec"].get("holderIdentity") or "")
    last = status.get("lastOperation", {})
    cronjobs = f"/apis/batch/v1/namespaces/{tenants.namespace}/cronjobs/{name}-sync"
    return {
        "location": (gateway.location(name) or "").removeprefix(gateway.page("")),
        "fenced": holder if not holder else holder.replace(last.get("id", "-"), "ID"),
        "cronjob": tenants.api.get(cronjobs).ok,
        "phase": status.get("phase"),
        "active": status.get("activeSystem"),
        "under way": status.get("operation"),
        "history": [(entry["type"], entry["result"]) for entry in status.get("history", [])],
        "conditions": {c["type"]: (c["status"], c["reason"]) for c in status["conditions"] if c["type"] in CONDITIONS},
    }


def planned(tenants: Tenants, name: str) -> bool:
    """Its sync has been set up, and everything about it is in status."""
    return bool(tenants.status(name).get("sync", {}).get("nextSyncTime"))


def switch(tenants: Tenants, name: str, way: str) -> None:
    """Undisturbed, to the very end."""
    tenants.patch(name, {"failover": request(way)})
    tenants.wait_phase(name, "Secondary" if way == "out" else "Primary", 30)
    until(lambda: way == "out" or planned(tenants, name), 30, f"{name}'s sync")


def test_killed_before_every_write_of_a_switch_and_back_the_end_is_the_same(
    replicas: Replicas, trap: Trapdoor, admin: Api, namespace: str, gateway: Gateway
) -> None:
    tenants = Tenants(admin, namespace, gateway)
    undisturbed, *victims = (f"t{number}" for number in range(MOST + 1))
    for name in (undisturbed, *victims):
        tenants.create(name, sync={"enabled": True}, safety=SAFETY)
    for name in (undisturbed, *victims):
        until(partial(planned, tenants, name), 60, f"{name}'s sync")
    for way in ("out", "back"):
        trap.count()
        switch(tenants, undisturbed, way)
        wanted, points = outcome(tenants, gateway, undisturbed), len(trap.writes)
        assert 4 <= points < MOST, trap.writes
        for number, name in enumerate(victims, start=1):
            if number > points:
                switch(tenants, name, way)
                continue
            trap.arm(number, replicas.kill)
            tenants.patch(name, {"failover": request(way)})
            until(replicas.dead, 30, f"write {number} of {points} on the way {way}: {trap.writes}")
            replicas.succeed()
            with suppress(AssertionError):
                until(partial(ends_as, wanted, tenants, gateway, name), 40)
            assert outcome(tenants, gateway, name) == wanted, (
                number,
                trap.writes,
                tenants.status(name).get("lastOperation"),
            )


def ends_as(wanted: dict[str, Any], tenants: Tenants, gateway: Gateway, name: str) -> bool:
    """As if nobody had died."""
    return outcome(tenants, gateway, name) == wanted
