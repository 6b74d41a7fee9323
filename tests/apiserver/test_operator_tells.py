"""The operator as a process: health, readiness and notices, received by a real listener that is down at first."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.apiserver.api import Api
from tests.apiserver.gateway import Gateway, serve
from tests.apiserver.listener import TOKEN, Listener, listen, secret
from tests.apiserver.replica import Replica, Tenants, free_port, replica
from tests.apiserver.test_operator_switch import back, stamp
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster

HEALTH = {"path": "/health", "interval": "1s", "timeout": "1s", "slowAfter": "1s", "failureThreshold": 2}


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
def leader(resources: Cluster, own: str, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """One replica that leads."""
    with replica(resources.kubeconfig, own, namespace, tmp_path_factory.mktemp("operator")) as made:
        until(made.ready, "the replica to be ready", 30)
        yield made


@pytest.fixture(autouse=True)
def both_up(gateway: Gateway) -> Iterator[None]:
    """Whatever a test takes down comes back."""
    yield
    gateway.down.clear()


def watched(tenants: Tenants, name: str) -> dict[str, object]:
    """Both systems with a health check that is asked every second."""
    spec = tenants.manifest(name)["spec"]
    return {side: spec[side] | {"health": HEALTH} for side in ("primary", "secondary")}


def told(listener: Listener, event: str) -> None:
    """Wait for an event."""
    until(lambda: event in listener.events(), f"{event} among {listener.events()}", 30)


def test_everything_of_a_bad_day_is_told(leader: Replica, admin: Api, namespace: str, gateway: Gateway) -> None:
    tenants, port = Tenants(admin, namespace, gateway), free_port()
    secret(admin, namespace, "chat", port)
    forms = [{"urlSecretRef": {"name": "chat"}, "format": form} for form in ("JSON", "CloudEvents", "Slack")]
    tenants.create("told", notify=forms, **watched(tenants, "told"))
    tenants.wait_phase("told", "Primary")
    until(lambda: tenants.condition("told", "FailoverReady").get("status") == "True", "readiness", 20)

    gateway.down.add("secondary")  # nobody listens yet
    until(lambda: tenants.condition("told", "SecondaryHealthy").get("reason") == "Down", "the probe to notice", 20)
    until(
        lambda: tenants.condition("told", "FailoverReady").get("reason") == "TargetHealthy", "readiness to follow", 20
    )
    tenants.patch("told", {"failover": {"activeSystem": "Secondary"}})
    until(lambda: (tenants.status("told").get("lastOperation") or {}).get("result") == "Refused", "the refusal", 20)
    with listen(port) as listener:
        for event in ("SecondaryUnhealthy", "FailoverNotReady", "FailoverRefused"):
            told(listener, event)
        gateway.down.clear()
        told(listener, "SecondaryRecovered")
        gateway.down.add("primary")
        told(listener, "PrimaryDown")
        override = {"requestedAt": stamp(), "override": ["TargetHealthy"], "reason": "INC-4711"}
        tenants.patch("told", {"failover": {"activeSystem": "Secondary", **override}})
        for event in ("FailoverRequested", "OverrideUsed", "FailoverCompleted"):
            told(listener, event)
        plain = {"override": None, "reason": None}
        tenants.patch("told", {"failover": back() | plain})
        told(listener, "FailbackRefused")  # the primary is still down
        gateway.down.clear()
        told(listener, "PrimaryRecovered")
        until(lambda: tenants.condition("told", "PrimaryHealthy").get("status") == "True")
        tenants.patch("told", {"failover": back()})
        for event in ("FailbackRequested", "FailbackCompleted"):
            told(listener, event)
        kind = "io.bcp-operator.FailbackCompleted"
        until(lambda: [body for body in listener.bodies if body.get("type") == kind], "the CloudEvent", 20)
        until(lambda: [body for body in listener.bodies if "FailbackCompleted" in body.get("text", "")], "the chat", 20)
        done = next(body for body in listener.bodies if body.get("event") == "FailoverCompleted")
    assert done["operation"]["reason"] == "INC-4711"
    assert done["operation"]["rtoSeconds"] > 0
    assert TOKEN not in leader.log
    assert TOKEN not in json.dumps(tenants.get("told"))
    events = admin.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events").body
    assert TOKEN not in json.dumps(events)


def test_a_tenant_that_names_anothers_systems_is_stalled_and_the_other_still_switches(
    leader: Replica, admin: Api, namespace: str, gateway: Gateway
) -> None:
    tenants = Tenants(admin, namespace, gateway)
    tenants.create("first")
    tenants.wait_phase("first", "Primary")
    mirrored = tenants.manifest("first")["spec"]
    tenants.create("turned", primary=mirrored["secondary"], secondary=mirrored["primary"])
    until(lambda: tenants.condition("turned", "Stalled").get("reason") == "SystemClaimed", "the younger to be held", 20)
    assert f"{namespace}/first" in tenants.condition("turned", "Stalled")["message"]
    tenants.patch("first", {"failover": {"activeSystem": "Secondary"}})
    tenants.wait_phase("first", "Secondary")
    assert gateway.location("turned") is None
    assert admin.delete(f"{tenants.path}/first").ok
    until(lambda: tenants.condition("turned", "Stalled").get("status") == "False", "the way to be free", 20)
    until(lambda: gateway.location("turned") == mirrored["secondary"]["loginURL"], "its own route", 20)


def test_idle_tenants_with_health_probes_write_nothing(
    leader: Replica, admin: Api, namespace: str, gateway: Gateway
) -> None:
    tenants = Tenants(admin, namespace, gateway)
    tenants.create("idle", **watched(tenants, "idle"))
    tenants.wait_phase("idle", "Primary")
    for kind in ("PrimaryHealthy", "SecondaryHealthy", "FailoverReady", "LoginVerified", "Ready"):
        until(lambda kind=kind: tenants.condition("idle", kind).get("status") == "True", kind, 20)  # type: ignore[misc]
    version = tenants.get("idle")["metadata"]["resourceVersion"]
    asked = gateway.probes["primary"]
    until(lambda: gateway.probes["primary"] > asked + 5, "more probes", 20)
    assert tenants.get("idle")["metadata"]["resourceVersion"] == version
