"""The operator dies: at every step of a switch, without a farewell, and somebody else finishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import PRIMARY, SECONDARY
from tests.e2e.test_2_switch import PRIMARY_PAGE, SECONDARY_PAGE, fail_back, fail_over, holder, settled, unconditional
from tests.systems import tenants
from tests.systems.client import asking
from tests.systems.stack import OPERATOR, TRAEFIK, Stack
from tests.systems.tenants import TEAM
from tests.waiting import until

pytestmark = pytest.mark.e2e

STEPS = ("record", "fence", "route", "verify", "finish")
REDIRECT = "nginx.ingress.kubernetes.io/temporal-redirect"
TAKEOVER_SECONDS = 20


@pytest.fixture(scope="module")
def pinned(stack: Stack) -> Iterator[None]:
    """Five tenants, each of which can be held in one step of a switch."""
    hosts = [f"{step}.acme.test" for step in STEPS]
    cert, key = stack.cluster.issue_cert(hosts)
    for step in STEPS:
        tls = {"tls.crt": cert, "tls.key": key}
        metadata = {"name": f"{step}-tls", "namespace": TEAM}
        stack.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": tls})
    for step in ("verify", "finish"):
        for manifest in _gate(step, is_open=True):
            stack.api.apply(manifest)
    stack.apply(*[_tenant(step) for step in STEPS])
    for step in STEPS:
        stack.api.wait("BCPTenant", TEAM, f"pin-{step}", settled("Primary"), "users are on the primary", 60)
    yield
    for step in STEPS:
        stack.kubectl("delete", "bcptenant", f"pin-{step}", "--timeout=60s")


def _tenant(step: str) -> dict[str, Any]:
    wanted = tenants.tenant(
        f"pin-{step}", PRIMARY, SECONDARY, f"{step}.acme.test", [tenants.managed(f"{step}.acme.test")]
    )
    if step in ("verify", "finish"):
        wanted["spec"]["login"]["connectTo"] = f"gate-{step}.{TEAM}.svc.cluster.local:443"
    return wanted


def _gate(step: str, *, is_open: bool) -> list[dict[str, Any]]:
    """The way by which verification asks: a Service to the cluster's edge, or to a port where nobody listens."""
    name = f"gate-{step}"
    metadata = {"name": name, "namespace": TEAM}
    port = {"name": "https", "port": 443 if is_open else 9, "protocol": "TCP"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [TRAEFIK]}],
            "ports": [port],
        },
    ]


def _is_shut(stack: Stack, step: str) -> bool:
    """Whether nobody gets through a gate: what the API server was told is true of connections some moments later."""
    service = stack.api.get("Service", TEAM, f"gate-{step}")
    assert service is not None
    knock = f"exec 3<>/dev/tcp/{service['spec']['clusterIP']}/443"
    return stack.run(*stack.cluster.enter(), "timeout", "2", "bash", "-c", knock, check=False).returncode != 0


def _except_for(rules: list[dict[str, Any]], resource: str, verb: str, allowed: list[str]) -> list[dict[str, Any]]:
    """The same rights, but this verb on this resource only for these names."""
    changed = []
    for rule in rules:
        if resource in rule["resources"] and verb in rule["verbs"]:
            others = [r for r in rule["resources"] if r != resource]
            changed += [{**rule, "resources": others}] if others else []
            kept = [v for v in rule["verbs"] if v != verb]
            changed += [{**rule, "resources": [resource], "verbs": kept}] if kept else []
            changed.append({**rule, "resources": [resource], "verbs": [verb], "resourceNames": allowed})
        else:
            changed.append(rule)
    return changed


def _denied(stack: Stack, name: str, resource: str, since: int) -> bool:
    return any(
        e.get("responseStatus", {}).get("code") == 403
        and e["objectRef"].get("name") == name
        and e["objectRef"]["resource"] == resource
        for e in stack.audit()[since:]
    )


def test_killed_at_every_step_the_end_is_the_same(stack: Stack, acme: str, pinned: None) -> None:
    """Every step is held by taking the right away that it needs; then kill -9, and the rights are given back."""
    role = stack.api.get("Role", TEAM, "bcp-operator")
    assert role is not None
    names = [f"pin-{s}" for s in STEPS]
    everyone = [t["metadata"]["name"] for t in stack.api.list("BCPTenant", TEAM)]
    ingresses = [i["metadata"]["name"] for i in stack.api.list("Ingress", TEAM)]

    def restrict(no_status: tuple[str, ...]) -> None:
        rules = _except_for(role["rules"], "bcptenants/status", "patch", [n for n in everyone if n not in no_status])
        rules = _except_for(rules, "leases", "update", [f"{n}-writer" for n in everyone if n != "pin-fence"])
        rules = _except_for(rules, "ingresses", "patch", [i for i in ingresses if i != "route-login"])
        stack.api.patch("Role", TEAM, "bcp-operator", {"rules": rules})

    mark = len(stack.audit())
    restrict(("pin-record",))
    for step in ("verify", "finish"):
        stack.api.apply(_gate(step, is_open=False)[1])
    for step in ("verify", "finish"):
        until(lambda step=step: _is_shut(stack, step), "kube-proxy knows that the gate is shut")  # type: ignore[misc]
    try:
        for name in names:
            stack.patch(name, {**tenants.failover(), **unconditional()})
        until(lambda: _denied(stack, "pin-record", "bcptenants", mark), "held before Record", 30, 0.2)
        until(lambda: _denied(stack, "pin-fence-writer", "leases", mark), "held in Fence", 30, 0.2)
        until(lambda: _denied(stack, "route-login", "ingresses", mark), "held in Route", 30, 0.2)
        for name in ("pin-verify", "pin-finish"):
            at = "held in Verify"
            stack.api.wait(
                "BCPTenant", TEAM, name, lambda t: t["status"].get("operation", {}).get("step") == "Verify", at
            )
        mark = len(stack.audit())
        restrict(("pin-record", "pin-finish"))
        stack.api.apply(_gate("finish", is_open=True)[1])
        until(lambda: _denied(stack, "pin-finish", "bcptenants", mark), "held in Finish", 30, 0.2)

        recorded = {n: stack.status(n).get("operation", {}).get("id", "") for n in names}
        assert not recorded.pop("pin-record")
        assert all(recorded.values())
        assert holder(stack, "pin-fence") == ""
        assert _shows(stack, "route") == PRIMARY_PAGE
        assert _shows(stack, "verify") == SECONDARY_PAGE
        stack.kill_minus_nine(stack.leader())
    finally:
        stack.api.patch("Role", TEAM, "bcp-operator", {"rules": role["rules"]})
        for step in ("verify", "finish"):
            stack.api.apply(_gate(step, is_open=True)[1])
    for step in STEPS:
        name = f"pin-{step}"
        found = stack.api.wait("BCPTenant", TEAM, name, settled("Secondary"), "finished by the other", TAKEOVER_SECONDS)
        done = found["status"]["lastOperation"]
        assert done["result"] == "Completed"
        assert done["id"] == recorded.get(name, done["id"]), "another operation was begun"
        assert [h["result"] for h in found["status"]["history"]] == ["Completed"]
        assert holder(stack, name) == f"fence/{done['id']}"
        assert _shows(stack, step) == SECONDARY_PAGE


def _shows(stack: Stack, step: str) -> str:
    ingress = stack.api.get("Ingress", TEAM, f"{step}-login")
    assert ingress is not None
    return str(ingress["metadata"]["annotations"][REDIRECT])


def test_the_leader_killed_in_the_moment_of_the_switch(stack: Stack, acme: str, pinned: None) -> None:
    """Kill -9 of the leader right after the field was set; the standby finishes, the client sees one change."""
    name = "pin-record"
    stack.api.wait("BCPTenant", TEAM, name, settled("Secondary"), "users are on the secondary", 40)
    with asking("https://record.acme.test/", stack.net) as client:
        leader = stack.leader()
        stack.patch(name, tenants.failback(**unconditional()))
        stack.kill_minus_nine(leader)
        stack.api.wait("BCPTenant", TEAM, name, settled("Primary"), "finished by the other", TAKEOVER_SECONDS)
        assert stack.leader() != ""
    assert client.errors == []
    assert client.targets == [SECONDARY_PAGE, PRIMARY_PAGE]
    stack.api.wait(
        "Deployment", OPERATOR, "bcp-operator", lambda d: d["status"].get("readyReplicas") == 2, "both back", 60
    )


def test_a_switch_of_an_object_that_others_keep_editing(stack: Stack, acme: str, pinned: None) -> None:
    """Every write of status is a compare-and-swap that may come too late: look again, and go on."""
    name, stop = "pin-route", threading.Event()

    def edit() -> None:
        while not stop.wait(0.002):
            note = {"metadata": {"annotations": {"example.com/edited": str(time.monotonic())}}}
            stack.api.patch("BCPTenant", TEAM, name, note)

    mark = len(stack.audit())
    editor = threading.Thread(target=edit, daemon=True)
    editor.start()
    try:
        fail_back(stack, name)
        fail_over(stack, name)
    finally:
        stop.set()
        editor.join()
    late = [e for e in stack.audit()[mark:] if e.get("responseStatus", {}).get("code") == 409]
    assert late, "no write came too late: this test has shown nothing"
    assert [h["result"] for h in stack.status(name)["history"]][:2] == ["Completed", "Completed"]
