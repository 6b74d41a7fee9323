"""The ways into the cluster: users, forwards, somebody else's cluster."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.cluster import Cluster, ClusterError
from tests.cluster.settings import APISERVER_PORT, NODE_ADDRESS

pytestmark = [pytest.mark.cluster, pytest.mark.lab]


def test_a_client_certificate_is_a_user_with_groups(cluster: Cluster) -> None:
    alice = cluster.client_kubeconfig("alice", ["oncall", "europe"])
    said = json.loads(cluster.kubectl("auth", "whoami", "-o", "json", kubeconfig=alice).stdout)
    assert said["status"]["userInfo"]["username"] == "alice"
    assert said["status"]["userInfo"]["groups"] == ["oncall", "europe", "system:authenticated"]
    assert alice.stat().st_mode & 0o077 == 0


def test_kubectl_failures_are_told_in_its_words(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match=r'kubectl get nonsense: .*resource type "nonsense"'):
        cluster.kubectl("get", "nonsense")
    assert cluster.kubectl("get", "nonsense", check=False).returncode == 1


def test_a_namespace_is_ready_restricted_and_goes(cluster: Cluster) -> None:
    with cluster.namespace("probe") as name:
        found = json.loads(cluster.kubectl("get", "namespace", name, "-o", "json").stdout)
        assert found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    cluster.kubectl("wait", f"namespace/{name}", "--for=delete", "--timeout=30s")


def test_a_forward_leads_inside_until_it_is_closed(cluster: Cluster) -> None:
    port = cluster.forward(NODE_ADDRESS, APISERVER_PORT)
    assert cluster.forward(NODE_ADDRESS, APISERVER_PORT) == port, "one forward for one target"
    context = ssl._create_unverified_context()  # only the way is tested
    for _ in range(3):
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 401
        connection.close()


def test_a_forward_to_nothing_is_closed(cluster: Cluster) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.forward(NODE_ADDRESS, 1), timeout=5)
    connection.request("GET", "/")
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        connection.getresponse()


def test_nothing_inside_reaches_the_outside(cluster: Cluster) -> None:
    route = subprocess.run([*cluster.enter(), "ip", "route", "get", "192.0.2.1"], capture_output=True, check=False)
    assert route.returncode != 0
    assert b"unreachable" in route.stderr


@pytest.fixture
def existing(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The environment of somebody whose current context is the test cluster; returns the context."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.setenv("BCP_CLUSTER", "existing")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("BCP_CLUSTER_ALLOWED_CONTEXTS", raising=False)
    return "bcp-lab"


def test_an_existing_cluster_must_be_allowed(existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for allowed in ("", "other, bcp-laboratory"):
        monkeypatch.setenv("BCP_CLUSTER_ALLOWED_CONTEXTS", allowed)
        with pytest.raises(ClusterError, match="'bcp-lab' is not named in BCP_CLUSTER_ALLOWED_CONTEXTS"):
            Cluster()


def test_an_existing_cluster_is_used_and_left_alone(existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BCP_CLUSTER_ALLOWED_CONTEXTS", f"other, {existing}")
    other = Cluster()
    other.up()
    user = other.client_kubeconfig("bob", ["dev"])
    said = json.loads(other.kubectl("auth", "whoami", "-o", "json", kubeconfig=user).stdout)
    assert (said["status"]["userInfo"]["username"], said["status"]["userInfo"]["groups"][0]) == ("bob", "dev")
    certificate, key = other.issue_cert(["login.acme.test"])
    assert certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY" in key
    monkeypatch.setenv("BCP_FORWARD_HTTPS", "127.0.0.1:8443")
    assert other.forward(NODE_ADDRESS, 443) == 8443
    with pytest.raises(ClusterError, match="BCP_FORWARD_HTTP=127"):
        other.forward(NODE_ADDRESS, 80)
    other.down()
    assert other.kubectl("get", "--raw", "/readyz", check=False, kubeconfig=None).returncode != 0, "its file is gone"
    monkeypatch.setenv("BCP_CLUSTER", "kind")
    with pytest.raises(ClusterError, match="only `existing` and `lab`"):
        Cluster()
