"""An HTTPRoute on real Traefik as the Gateway's controller, seen by somebody who only knows the login URL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import PRIMARY, SECONDARY
from tests.e2e.test_2_switch import PRIMARY_PAGE, SECONDARY_PAGE, fail_back, fail_over, settled, steady
from tests.systems import tenants
from tests.systems.client import asking
from tests.systems.stack import Stack
from tests.systems.tenants import TEAM
from tests.waiting import until

pytestmark = pytest.mark.e2e

HOST = "gateway.acme.test"
URL = f"https://{HOST}/"


@pytest.fixture(scope="module")
def edge(stack: Stack) -> Iterator[str]:
    """A Gateway of the team's own, with TLS for the login host."""
    stack.certificate("gateway-tls", HOST)
    listener = {
        "name": "https",
        "protocol": "HTTPS",
        "port": 443,
        "hostname": HOST,
        "tls": {"mode": "Terminate", "certificateRefs": [{"name": "gateway-tls"}]},
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    stack.api.apply(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": TEAM},
            "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
        },
        manager="team",
    )
    yield "edge"
    stack.api.delete("Gateway", TEAM, "edge")


@pytest.fixture(scope="module")
def gateway(stack: Stack, edge: str) -> Iterator[str]:
    """A tenant that is switched by an HTTPRoute which answers 303: Traefik says that it can."""
    refs = [{"name": edge, "sectionName": "https"}]
    route = {"name": "gw", "httpRoute": {"name": "gateway-login", "parentRefs": refs, "statusCode": 303}}
    stack.apply(tenants.tenant("gateway", PRIMARY, SECONDARY, HOST, [route]))
    stack.api.wait("BCPTenant", TEAM, "gateway", settled("Primary"), "users are on the primary", 40)
    yield "gateway"
    stack.kubectl("delete", "bcptenant", "gateway", "--timeout=60s")
    stack.api.delete("HTTPRoute", TEAM, "gateway-login")


def test_out_and_back_with_no_answer_but_the_two(stack: Stack, gateway: str) -> None:
    with asking(URL, stack.net) as client:
        done = fail_over(stack, gateway)
        steady(client)
        fail_back(stack, gateway)
        steady(client)
    assert client.errors == []
    assert client.statuses == {303}
    assert client.targets == [PRIMARY_PAGE, SECONDARY_PAGE, PRIMARY_PAGE]
    assert done["rtoSeconds"] > 0
    route = stack.api.get("HTTPRoute", TEAM, "gateway-login")
    assert route is not None
    assert "ownerReferences" not in route["metadata"]


def test_a_deep_link_lands_on_the_login_page(stack: Stack, gateway: str) -> None:
    with asking(f"{URL}some/page?with=query", stack.net) as client:
        steady(client, 0.2)
    assert {target.partition("?")[0] for target in client.targets} == {PRIMARY_PAGE}
    routes = stack.status(gateway)["routes"]
    assert [route["pathPreserved"] for route in routes] == [False]


def test_drift_on_the_same_side_is_repaired(stack: Stack, gateway: str) -> None:
    patch = '{"spec":{"hostnames":["elsewhere.acme.test"]}}'
    stack.kubectl("patch", "httproutes.gateway.networking.k8s.io", "gateway-login", "--type=merge", "-p", patch)
    until(lambda: _hostnames(stack) == [HOST], "the HTTPRoute is set right", 20)


def test_a_route_that_no_gateway_takes_is_not_called_verified(stack: Stack, edge: str) -> None:
    """The login URL answers by another route; status says why this one is not in force."""
    refs = [{"name": edge, "sectionName": "nothing"}]
    route = {"name": "gw", "httpRoute": {"name": "untaken-login", "parentRefs": refs}}
    stack.apply(tenants.tenant("untaken", PRIMARY, SECONDARY, "untaken.acme.test", [route]))
    try:

        def said(tenant: dict[str, Any]) -> bool:
            told = {c["type"]: c for c in tenant.get("status", {}).get("conditions", [])}
            found = told.get("LoginVerified", {})
            return found.get("status") == "False" and "Gateway edge (nothing): Accepted" in found.get("message", "")

        stack.api.wait("BCPTenant", TEAM, "untaken", said, "LoginVerified says why not", 40)
    finally:
        stack.kubectl("delete", "bcptenant", "untaken", "--timeout=60s")
        stack.api.delete("HTTPRoute", TEAM, "untaken-login")


def _hostnames(stack: Stack) -> list[str]:
    route = stack.api.get("HTTPRoute", TEAM, "gateway-login")
    assert route is not None
    found: list[str] = route["spec"]["hostnames"]
    return found
