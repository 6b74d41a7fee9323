"""A login host that external-dns writes: the operator owns the DNSEndpoint, and believes the name server alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.conftest import PRIMARY, SECONDARY
from tests.e2e.test_2_switch import fail_back, settled
from tests.systems import tenants
from tests.systems.externaldns import following
from tests.systems.nameserver import NameServer, start_bind, watching
from tests.systems.stack import TRAEFIK, Stack
from tests.systems.tenants import TEAM

pytestmark = pytest.mark.e2e

HOST, ZONE, PORT = "external.acme.test", "acme.test", 5363


@pytest.fixture(scope="module")
def server(stack: Stack, cluster: Cluster) -> Iterator[NameServer]:
    """BIND beside the cluster, external-dns, and a tenant whose login host is a CNAME that external-dns writes."""
    with start_bind(ZONE, HOST, PRIMARY.host, TRAEFIK, PORT, cluster.enter()):
        server = NameServer(ZONE, ("127.0.0.1", cluster.forward(TRAEFIK, PORT)))
        route = {"name": "external-login", "servers": [f"{TRAEFIK}:{PORT}"], "ttlSeconds": 5}
        stack.apply(tenants.tenant("external", PRIMARY, SECONDARY, HOST, [{"name": "dns", "dnsEndpoint": route}]))
        with following(stack.api, TEAM, "external-login", server):
            stack.api.wait("BCPTenant", TEAM, "external", settled("Primary"), "routed", 40)
        yield server
        stack.kubectl("delete", "bcptenant", "external", "--timeout=60s")
        stack.api.delete("DNSEndpoint", TEAM, "external-login")


def test_there_and_back_when_the_name_server_says_so(stack: Stack, server: NameServer) -> None:
    """While external-dns does nothing the object is written, and nobody calls that a switch."""
    with watching(server, HOST) as watch:
        stack.patch("external", tenants.failover())
        found = stack.api.wait("BCPTenant", TEAM, "external", _told, "the object is written and not verified", 30)
        assert "operation" in found["status"]
        assert "external-dns has not read DNSEndpoint external-login yet" in _route(found)["message"]
        assert server.target(HOST) == PRIMARY.host
        with following(stack.api, TEAM, "external-login", server):
            found = stack.api.wait("BCPTenant", TEAM, "external", settled("Secondary"), "external-dns did it", 40)
            assert found["status"]["lastOperation"]["result"] == "Completed"
            assert _route(found)["verified"] is True
            fail_back(stack, "external")
    assert watch.targets == [PRIMARY.host, SECONDARY.host, PRIMARY.host]
    assert watch.errors == []


def _route(tenant: dict[str, Any]) -> dict[str, Any]:
    (route,) = tenant["status"]["routes"]
    found: dict[str, Any] = route
    return found


def _told(tenant: dict[str, Any]) -> bool:
    route = _route(tenant)
    return route["observed"] == "Secondary" and route["written"] and route.get("verified") is False
