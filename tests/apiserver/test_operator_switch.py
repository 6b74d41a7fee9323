"""The operator as a process on the real API server: switching, drift, the runbook by hand, deletion."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.apiserver.api import Api
from tests.apiserver.gateway import Gateway, serve
from tests.apiserver.replica import Replica, Tenants, replica
from tests.cluster import tools
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster


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
def tenants(admin: Api, namespace: str, gateway: Gateway) -> Tenants:
    """Tenants of the module's namespace."""
    return Tenants(admin, namespace, gateway)


@pytest.fixture(scope="module")
def leader(resources: Cluster, own: str, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """One replica that leads."""
    folder = tmp_path_factory.mktemp("operator")
    with replica(resources.kubeconfig, own, namespace, folder) as made:
        until(made.ready, "the replica to be ready", 30)
        yield made


def stamp() -> str:
    """Now, as requestedAt."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def back() -> dict[str, str]:
    """The failover block of the way back."""
    return {"activeSystem": "Primary", "requestedAt": stamp(), "secondaryChanges": "Discard"}


def test_out_and_back_with_everything_recorded(leader: Replica, tenants: Tenants, gateway: Gateway) -> None:
    tenants.create("acme")
    status = tenants.wait_phase("acme", "Primary")
    assert gateway.location("acme") == gateway.page("primary")
    until(lambda: tenants.condition("acme", "LoginVerified").get("status") == "True")

    tenants.patch("acme", {"failover": {"activeSystem": "Secondary"}})
    status = tenants.wait_phase("acme", "Secondary")
    assert gateway.location("acme") == gateway.page("secondary")
    assert status["activeSystem"] == "Secondary"
    last = status["lastOperation"]
    assert (last["result"], last["type"], last["step"]) == ("Completed", "Failover", "Finish")
    # Nobody stamps who asked here, so that the name is only what the client calls itself.
    assert (last["initiator"], last.get("initiatorVerified", False)) == ("python-httpx", False)
    assert 0 < last["rtoSeconds"] < 10
    assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
    assert {c["type"]: c["status"] for c in status["conditions"]}["SyncFenced"] == "True"

    tenants.patch("acme", {"failover": back()})
    status = tenants.wait_phase("acme", "Primary")
    assert gateway.location("acme") == gateway.page("primary")
    assert [entry["type"] for entry in status["history"]] == ["Failback", "Failover"]


def test_it_says_so_in_events_and_one_audit_line_per_transition(leader: Replica, tenants: Tenants) -> None:
    tenants.create("told")
    tenants.wait_phase("told", "Primary")
    tenants.patch("told", {"failover": {"activeSystem": "Secondary", "reason": "INC-1"}})
    operation = tenants.wait_phase("told", "Secondary")["lastOperation"]["id"]
    path = f"/apis/events.k8s.io/v1/namespaces/{tenants.namespace}/events"

    def reasons() -> list[str]:
        events = tenants.api.get(path).body["items"]
        mine = [e for e in events if e["regarding"]["name"] == "told" and operation in e["note"]]
        return sorted(event["reason"] for event in mine)

    wanted = ["FailoverCompleted", "FailoverRequested", "LoginVerified", "RouteApplied", "SyncFenced"]
    until(lambda: reasons() == wanted, "five events", 10)
    lines = [json.loads(line) for line in leader.log.splitlines()]
    audit = [line["reason"] for line in lines if line.get("audit") and line.get("operation") == operation]
    assert sorted(audit) == wanted


def test_a_sick_secondary_refuses_and_an_override_goes_on(leader: Replica, tenants: Tenants, gateway: Gateway) -> None:
    tenants.create("sick")
    tenants.wait_phase("sick", "Primary")
    gateway.down.add("secondary")
    try:
        tenants.patch("sick", {"failover": {"activeSystem": "Secondary"}})
        last = until(lambda: tenants.status("sick").get("lastOperation"))
        assert last["result"] == "Refused"
        assert "TargetHealthy" in last["message"]
        assert tenants.condition("sick", "Stalled")["reason"] == "Refused"
        assert gateway.location("sick") == gateway.page("primary")
        tenants.patch("sick", {"failover": {"requestedAt": stamp(), "override": ["TargetHealthy"], "reason": "INC"}})
        status = tenants.wait_phase("sick", "Secondary")
        assert status["lastOperation"]["override"] == ["TargetHealthy"]
    finally:
        gateway.down.clear()


def test_drift_to_the_other_side_is_held(leader: Replica, tenants: Tenants, gateway: Gateway) -> None:
    tenants.create("drift", sync={"enabled": True})
    tenants.wait_phase("drift", "Primary")
    until(lambda: gateway.api.get(f"/apis/batch/v1/namespaces/{tenants.namespace}/cronjobs/drift-sync").ok)
    ingress = f"/apis/networking.k8s.io/v1/namespaces/{tenants.namespace}/ingresses/drift-login"
    annotation = {"nginx.ingress.kubernetes.io/temporal-redirect": gateway.page("secondary")}
    gateway.api.merge(ingress, {"metadata": {"annotations": annotation}})
    tenants.wait_phase("drift", "Held")
    assert gateway.location("drift") == gateway.page("secondary")
    assert tenants.condition("drift", "IntentConflict")["status"] == "True"
    assert not gateway.api.get(f"/apis/batch/v1/namespaces/{tenants.namespace}/cronjobs/drift-sync").ok
    tenants.patch("drift", {"failover": {"activeSystem": "Secondary"}})
    tenants.wait_phase("drift", "Secondary", 40)
    assert gateway.location("drift") == gateway.page("secondary")


def test_drift_on_the_same_side_is_repaired(leader: Replica, tenants: Tenants, gateway: Gateway) -> None:
    tenants.create("mend")
    tenants.wait_phase("mend", "Primary")
    ingress = f"/apis/networking.k8s.io/v1/namespaces/{tenants.namespace}/ingresses/mend-login"
    gateway.api.delete(ingress)
    until(lambda: gateway.location("mend") == gateway.page("primary"), "the Ingress to come back", 10)


def test_created_with_the_field_set_is_held(leader: Replica, tenants: Tenants, gateway: Gateway) -> None:
    tenants.create("restored", failover={"activeSystem": "Secondary"})
    tenants.wait_phase("restored", "Held")
    assert gateway.location("restored") is None
    tenants.patch("restored", {"failover": {"requestedAt": stamp()}})
    tenants.wait_phase("restored", "Secondary", 40)


def test_a_foreign_host_stalls_and_does_nothing(leader: Replica, tenants: Tenants) -> None:
    manifest = tenants.manifest("foreign")
    manifest["spec"]["secondary"]["loginURL"] = "https://metadata.elsewhere.example/login"
    assert tenants.api.create(tenants.path, manifest).ok
    until(lambda: tenants.condition("foreign", "Stalled").get("reason") == "HostNotAllowed")
    assert tenants.gateway.location("foreign") is None


def test_deletion_restores_the_primary(leader: Replica, tenants: Tenants, gateway: Gateway) -> None:
    tenants.create("gone", deletionPolicy="Restore")
    tenants.wait_phase("gone", "Primary")
    tenants.patch("gone", {"failover": {"activeSystem": "Secondary"}})
    tenants.wait_phase("gone", "Secondary")
    assert until(lambda: tenants.get("gone")["metadata"].get("finalizers")) == ["bcp-operator.io/restore-route"]
    tenants.api.delete(f"{tenants.path}/gone")
    until(lambda: not tenants.api.get(f"{tenants.path}/gone").ok, "the tenant to go", 20)
    assert gateway.location("gone") == gateway.page("primary")


def test_the_runbook_works_while_the_operator_is_down(
    resources: Cluster, tmp_path: Path, admin: Api, gateway: Gateway
) -> None:
    """Three steps by hand; back again, the operator completes what it finds without moving anybody."""
    with resources.namespace("own") as own, resources.namespace("byhand") as namespace:
        resources.kubectl("-n", namespace, "create", "configmap", "web-ca", f"--from-literal=ca.crt={resources.ca_pem}")
        with serve(resources, admin, namespace) as front:
            tenants = Tenants(admin, namespace, front)
            with replica(resources.kubeconfig, own, namespace, tmp_path, "before") as first:
                until(first.ready, "ready", 30)
                tenants.create("acme", sync={"enabled": True})
                tenants.wait_phase("acme", "Primary")
                until(lambda: admin.get(f"/apis/batch/v1/namespaces/{namespace}/cronjobs/acme-sync").ok)
                status = until(lambda: tenants.status("acme") if tenants.status("acme").get("runbook") else None)
                assert first.stop() == 0
            for step in status["runbook"]:
                command = step["command"].replace("sleep 15", "true")
                path = f"{Path(tools.kubectl()).parent}:/usr/bin:/bin"
                subprocess.run(
                    ["bash", "-euc", command],
                    env={"PATH": path, "HOME": str(tmp_path), "KUBECONFIG": str(resources.kubeconfig)},
                    check=True,
                    timeout=60,
                )
            assert front.location("acme") == front.page("secondary")
            asked_at = time.time()
            # What was asked for more than 2 s before anybody saw it has a start that is a bound: be that late.
            until(lambda: time.time() > asked_at + 3)
            seen = []
            with replica(resources.kubeconfig, own, namespace, tmp_path, "after") as second:
                until(second.ready, "ready", 30)
                end = time.monotonic() + 40
                while tenants.status("acme").get("phase") != "Secondary":
                    seen.append(front.location("acme"))
                    assert time.monotonic() < end, tenants.status("acme")
                    time.sleep(0.05)
                assert set(seen) <= {front.page("secondary")}
                last = tenants.status("acme")["lastOperation"]
                assert (last["result"], last["startTimeBound"]) == ("Completed", True)
                assert not admin.get(f"/apis/batch/v1/namespaces/{namespace}/cronjobs/acme-sync").ok
