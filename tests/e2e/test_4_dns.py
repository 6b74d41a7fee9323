"""A login host in DNS: RFC 2136 updates to a real BIND, watched at the authoritative server."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.conftest import PRIMARY, SECONDARY
from tests.e2e.test_2_switch import fail_back, fail_over, settled
from tests.systems import tenants
from tests.systems.client import asking
from tests.systems.deploy import secret
from tests.systems.nameserver import ALGORITHM, KEY_NAME, SECRET, NameServer, start_bind, watching
from tests.systems.stack import OPERATOR, TRAEFIK, Stack
from tests.systems.tenants import TEAM

pytestmark = pytest.mark.e2e

HOST = "named.acme.test"
ZONE = "acme.test"
PORT = 5353


@pytest.fixture(scope="module")
def named(stack: Stack, cluster: Cluster) -> Iterator[NameServer]:
    """BIND beside the cluster, and a tenant whose login host is a CNAME in it."""
    with start_bind(ZONE, HOST, PRIMARY.host, TRAEFIK, PORT, cluster.enter()):
        server = NameServer(ZONE, ("127.0.0.1", cluster.forward(TRAEFIK, PORT)))
        tsig = {"keyName": KEY_NAME, "algorithm": ALGORITHM, "secret": SECRET}
        stack.api.apply(secret("tsig", TEAM, tsig))
        rfc2136 = {"server": f"{TRAEFIK}:{PORT}", "zone": ZONE, "tsigSecretRef": {"name": "tsig"}, "ttlSeconds": 5}
        stack.apply(tenants.tenant("named", PRIMARY, SECONDARY, HOST, [{"name": "dns", "rfc2136": rfc2136}]))
        stack.api.wait("BCPTenant", TEAM, "named", settled("Primary"), "routed", 40)
        yield server
        stack.kubectl("delete", "bcptenant", "named", "--timeout=60s")


def test_there_and_back(stack: Stack, named: NameServer) -> None:
    assert named.target(HOST) == PRIMARY.host
    with watching(named, HOST) as watch:
        done = fail_over(stack, "named")
        assert named.target(HOST) == SECONDARY.host
        fail_back(stack, "named")
    assert watch.targets == [PRIMARY.host, SECONDARY.host, PRIMARY.host]
    assert watch.errors == []
    assert done["rtoSeconds"] > 0
    # The test systems have no certificate for the login host: Traefik would show users its default one.
    (warning,) = [text for text in done["warnings"] if text.startswith("CertificateValid: ")]
    assert f"the certificate for {HOST} at {SECONDARY.login_url} could not be looked at" in warning
    assert "the certificate's issuer is not known here" in warning


def test_the_key_shows_nowhere(stack: Stack, named: NameServer) -> None:
    said = str(stack.tenant("named")) + str(stack.api.list("Event", TEAM))
    for pod in stack.pods(OPERATOR, "app.kubernetes.io/component=operator"):
        said += stack.api.logs(OPERATOR, pod["metadata"]["name"])
    assert SECRET not in said
    assert base64.b64encode(SECRET.encode()).decode() not in said


def test_the_runbook_changes_the_name(stack: Stack, cluster: Cluster, named: NameServer) -> None:
    """Verbatim; only nsupdate is run where the name server is. The operator is down, and finds it when it is back."""
    steps = stack.status("named")["runbook"]
    stack.scale(OPERATOR, "bcp-operator", 0)
    with watching(named, HOST) as watch:
        for step in steps:
            inside = f'nsupdate() {{ {shlex.join(cluster.enter())} nsupdate "$@"; }}'
            stack.run("bash", "-euo", "pipefail", "-c", f"{inside}\n{step['command']}")
        assert named.target(HOST) == SECONDARY.host
        stack.scale(OPERATOR, "bcp-operator", 2)
        stack.api.wait("BCPTenant", TEAM, "named", settled("Secondary"), "the operator found it", 60)
    assert watch.targets == [PRIMARY.host, SECONDARY.host]
    fail_back(stack, "named")


def test_a_route_that_fails_holds_no_other_up_and_is_told_for_itself(stack: Stack, cluster: Cluster) -> None:
    """An Ingress and a name server that refuses our key: users of the one are moved, and status says so of each."""
    host, port, key = "both.acme.test", PORT + 1, {"keyName": KEY_NAME, "algorithm": ALGORITHM, "secret": SECRET}
    stack.certificate("both-tls", host)
    rfc2136 = {"server": f"{TRAEFIK}:{port}", "zone": ZONE, "tsigSecretRef": {"name": "tsig-both"}, "ttlSeconds": 30}
    routes = [tenants.managed(host), {"name": "dns", "rfc2136": rfc2136}]
    with start_bind(ZONE, host, PRIMARY.host, TRAEFIK, port, cluster.enter()):
        stack.api.apply(secret("tsig-both", TEAM, key | {"secret": base64.b64encode(b"another").decode()}))
        stack.apply(tenants.tenant("both", PRIMARY, SECONDARY, host, routes))
        try:
            stack.api.wait("BCPTenant", TEAM, "both", settled("Primary"), "routed", 40)
            with asking(f"https://{host}/", stack.net) as client:
                stack.patch("both", tenants.failover())
                found = stack.api.wait("BCPTenant", TEAM, "both", _mixed, "one route is there, the other is not", 30)
                told = {route["name"]: route for route in found["status"]["routes"]}
                assert (told["web"]["written"], told["web"]["verified"]) == (True, True)
                assert (told["dns"]["written"], told["dns"]["observed"]) == (False, "Primary")
                assert "another TSIG secret" in told["dns"]["message"]
                stack.api.apply(secret("tsig-both", TEAM, key))
                found = stack.api.wait("BCPTenant", TEAM, "both", settled("Secondary"), "both are there", 60)
            assert client.pages == ["PRIMARY", "SECONDARY"]
            assert client.errors == []
            assert [route["verified"] for route in found["status"]["routes"]] == [True, True]
        finally:
            stack.kubectl("delete", "bcptenant", "both", "--timeout=60s")


def _mixed(tenant: dict[str, Any]) -> bool:
    routes = tenant["status"].get("routes", [])
    return tenant["status"].get("activeSystem") == "Mixed" and any(route.get("verified") for route in routes)
