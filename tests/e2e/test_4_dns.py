"""A login host in DNS: RFC 2136 updates to a real BIND, watched at the authoritative server."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.e2e.conftest import PRIMARY, SECONDARY
from tests.e2e.test_2_switch import fail_back, fail_over, settled
from tests.systems import tenants
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
