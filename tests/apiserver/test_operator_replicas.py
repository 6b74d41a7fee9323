"""Two replicas on the real API server: who leads, what a death in the middle of a switch costs, what idling costs."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.apiserver.api import Api, Object
from tests.apiserver.gateway import Gateway, serve
from tests.apiserver.replica import Replica, Tenants, replica
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster

LEADER = "bcp-operator-leader"
USER = "operator-under-test"


@pytest.fixture
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
def tenants(admin: Api, namespace: str, gateway: Gateway) -> Tenants:
    """Tenants of the module's namespace."""
    return Tenants(admin, namespace, gateway)


@pytest.fixture
def pair(resources: Cluster, own: str, namespace: str, tmp_path: Path, admin: Api) -> Iterator[tuple[Replica, Replica]]:
    """A leader and a standby, both ready."""
    with ExitStack() as stack:
        first = stack.enter_context(replica(resources.kubeconfig, own, namespace, tmp_path, "first"))
        until(lambda: holder(admin, own).startswith("first_"), "the first to lead", 30)
        second = stack.enter_context(replica(resources.kubeconfig, own, namespace, tmp_path, "second"))
        until(lambda: first.ready() and second.ready(), "both to be ready", 30)
        yield first, second


def holder(api: Api, own: str) -> str:
    """Who holds the leader Lease."""
    lease = api.get(f"/apis/coordination.k8s.io/v1/namespaces/{own}/leases/{LEADER}")
    return str((lease.body.get("spec") or {}).get("holderIdentity") or "") if lease.ok else ""


def stamp() -> str:
    """Now, as requestedAt."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def hold_the_fence(tenants: Tenants, name: str) -> None:
    """Pretend that a run is writing: the switch then waits in its step Fence."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{tenants.namespace}/leases/{name}-writer"
    answer = tenants.api.merge(path, {"spec": {"holderIdentity": "run/some-pod/0123"}})
    assert answer.ok, answer.message


def test_a_killed_leader_in_the_middle_of_a_switch_is_followed_within_twenty_seconds(
    pair: tuple[Replica, Replica], tenants: Tenants, gateway: Gateway, own: str
) -> None:
    first, second = pair
    tenants.create("killed")
    tenants.wait_phase("killed", "Primary")
    gateway.down.add("login")  # routed, but not verified: in the middle
    try:
        tenants.patch("killed", {"failover": {"activeSystem": "Secondary"}})
        until(lambda: gateway.location("killed") == gateway.page("secondary"), "the route", 10)
        first.signal(signal.SIGKILL)
        begun = time.monotonic()
        assert tenants.status("killed")["phase"] == "FailingOver"
    finally:
        gateway.down.clear()
    tenants.wait_phase("killed", "Secondary", 20)
    took = time.monotonic() - begun
    assert holder(tenants.api, own).startswith("second_")
    assert took <= 20
    until(second.ready, "the new leader to be ready", 20)


def test_a_leader_thawed_after_its_successor_failed_back_is_killed_by_its_timer_and_undoes_nothing(
    pair: tuple[Replica, Replica], tenants: Tenants, gateway: Gateway
) -> None:
    first, second = pair
    tenants.create("frozen")
    tenants.wait_phase("frozen", "Primary")
    hold_the_fence(tenants, "frozen")
    tenants.patch("frozen", {"failover": {"activeSystem": "Secondary"}})
    until(lambda: tenants.status("frozen").get("phase") == "FailingOver", "the operation", 10)
    first.signal(signal.SIGSTOP)
    tenants.wait_phase("frozen", "Secondary", 60)
    way_back = {"activeSystem": "Primary", "requestedAt": stamp(), "secondaryChanges": "Discard"}
    tenants.patch("frozen", {"failover": way_back})
    tenants.wait_phase("frozen", "Primary", 20)
    first.signal(signal.SIGCONT)
    assert first.process.wait(10) == -signal.SIGALRM
    time.sleep(1)  # what it might still have sent has arrived
    assert tenants.status("frozen")["phase"] == "Primary"
    assert gateway.location("frozen") == gateway.page("primary")
    assert [entry["type"] for entry in tenants.status("frozen")["history"]] == ["Failback", "Failover"]
    assert second.process.poll() is None


def test_a_clean_stop_hands_over_at_once(pair: tuple[Replica, Replica], tenants: Tenants, own: str) -> None:
    first, _ = pair
    begun = time.monotonic()
    assert first.stop() == 0
    until(lambda: holder(tenants.api, own).startswith("second_"), "the second to lead", 10)
    assert time.monotonic() - begun < 15  # well within a Lease's duration


def test_an_idle_minute_writes_nothing_but_the_leader_lease_and_a_restart_neither(
    resources: Cluster, own: str, namespace: str, tmp_path: Path, tenants: Tenants
) -> None:
    audited = resources.client_kubeconfig(USER, ["system:masters", "lab:audited"])
    with replica(audited, own, namespace, tmp_path, "idle") as made:
        until(made.ready, "ready", 30)
        tenants.create("idle", sync={"enabled": True})
        tenants.wait_phase("idle", "Primary")
        until(lambda: tenants.condition("idle", "Ready").get("status") == "True")
        until(lambda: tenants.status("idle").get("sync", {}).get("nextSyncTime"))
        time.sleep(3)  # the policy's and the last events' writes are out
        begun = datetime.now().astimezone()
        time.sleep(60)
        assert made.stop() == 0
    with replica(audited, own, namespace, tmp_path, "again") as made:
        until(made.ready, "ready", 30)
        time.sleep(5)
        assert made.stop() == 0
    writes = audited_writes(resources, begun)
    assert writes, "the audit log shows the leader's renewals"
    assert [what for what in writes if not what.endswith(f"/{LEADER}")] == []


def audited_writes(cluster: Cluster, since: datetime) -> list[str]:
    """What the audited user wrote, or tried to, since then."""
    events = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()]
    return [
        _what(event)
        for event in events
        if event["user"]["username"] == USER
        and event["verb"] not in ("get", "list", "watch")
        and datetime.fromisoformat(event["requestReceivedTimestamp"]) >= since
    ]


def _what(event: Object) -> str:
    ref = event["objectRef"]
    return f"{event['verb']} {ref['resource']} {ref.get('namespace')}/{ref.get('name')}"
