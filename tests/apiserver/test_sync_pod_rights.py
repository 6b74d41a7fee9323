"""A sync pod's own token on the real apiserver: its tenant's Lease and report, and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.admission import apart, place_under_policies
from tests.cluster.access import Cluster
from tests.systems.kubeapi import ApiError, KubeApi
from tests.unit.charts import render
from tests.waiting import until

pytestmark = pytest.mark.cluster

ACCOUNT = "bcp-sync"
Object = dict[str, Any]


class SyncPods:
    """One watched namespace as the chart leaves it, and the tokens of pods in it."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.cluster, self.namespace, self.folder = cluster, namespace, folder
        self.admin = KubeApi(cluster.kubeconfig)
        documents = render(
            {"watchNamespaces": [namespace], "crds": {"install": False}, "clusterRoles": {"create": False}}
        )
        wanted = [
            document for document in documents if document["metadata"]["name"] in (ACCOUNT, "sync-pods.bcp-operator.io")
        ]
        assert {document["kind"] for document in wanted} >= {"ServiceAccount", "Role", "ValidatingAdmissionPolicy"}
        place_under_policies(cluster, namespace, namespace)
        made = [apart(part, namespace) if "AdmissionPolicy" in part["kind"] else part for part in wanted]
        self.documents = yaml.safe_dump_all(made)
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=self.documents)

    def object(self, kind: str, name: str, **more: Any) -> None:
        """Make a Lease or a ConfigMap."""
        version = "coordination.k8s.io/v1" if kind == "Lease" else "v1"
        meta = {"name": name, "namespace": self.namespace}
        self.admin.apply({"apiVersion": version, "kind": kind, "metadata": meta, **more})

    def pod(self, name: str) -> KubeApi:
        """Make a pod (no node is needed for it to exist) and return the API as its token sees it."""
        secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        spec = {
            "serviceAccountName": ACCOUNT,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "bcp-sync", "image": "none", "securityContext": secure}],
        }
        meta = {"name": name, "namespace": self.namespace}
        made = self.admin.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
        bound = [
            "--bound-object-kind=Pod",
            f"--bound-object-name={name}",
            f"--bound-object-uid={made['metadata']['uid']}",
        ]
        return self.token(*bound)

    def token(self, *bound: str) -> KubeApi:
        """Return the API as a token of the ServiceAccount sees it."""
        token = self.cluster.kubectl("-n", self.namespace, "create", "token", ACCOUNT, *bound).stdout.strip()
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return KubeApi(path)

    def hold(self, api: KubeApi, lease: str, holder: str = "run/x/1") -> None:
        """Read the Lease and write it back with another holder, as a run does."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{lease}"
        seen = api.call("GET", path)
        seen["spec"]["holderIdentity"] = holder
        api.call("PUT", path, seen)

    def report(self, api: KubeApi, name: str) -> None:
        """Write the report as a run does."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{name}"
        api.call("PATCH", path, {"data": {"report.json": json.dumps({})}}, "application/merge-patch+json")


@pytest.fixture(scope="module")
def pods(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPods]:
    with cluster.namespace("sync-pods") as namespace:
        made = SyncPods(cluster, namespace, tmp_path_factory.mktemp("tokens"))
        for tenant in ("acme", "acme-sync-b", "other"):
            made.object("Lease", f"{tenant}-writer", spec={"holderIdentity": "", "leaseDurationSeconds": 15})
            made.object("ConfigMap", f"{tenant}-report")
            made.object("ConfigMap", f"{tenant}-divergence")
        made.object("ConfigMap", "settings")
        stranger = made.pod("stranger")
        until(lambda: denied(lambda: made.report(stranger, "settings")), "the policy is in force", 30)
        try:
            yield made
        finally:
            cluster.kubectl("delete", "--ignore-not-found", "-f", "-", input=made.documents)


def denied(action: Any) -> str:
    """Return the refusal's message; empty when there was none."""
    try:
        action()
    except ApiError as error:
        if error.status != 403:
            raise
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["acme-sync-1764000000-x7k2p", "acme-sync-29401234-abcde"])
def test_a_pod_writes_its_own_lease_and_report(pods: SyncPods, name: str) -> None:
    api = pods.pod(name)
    pods.hold(api, "acme-writer")
    pods.hold(api, "acme-writer", "")
    pods.report(api, "acme-report")


@pytest.mark.parametrize(
    ("name", "tenant"),
    [
        ("acme-sync-1764000000-bbbbb", "other"),
        ("acme-sync-b-sync-1764000000-bbbbb", "acme"),
        ("acme-sync-1764000000-ccccc", "acme-sync-b"),
    ],
)
def test_it_can_not_touch_another_tenants(pods: SyncPods, name: str, tenant: str) -> None:
    api = pods.pod(name)
    assert f'pod "{name}" is a sync pod' in denied(lambda: pods.hold(api, f"{tenant}-writer"))
    assert "may write only" in denied(lambda: pods.report(api, f"{tenant}-report"))


def test_a_pod_that_only_compares_writes_that_and_no_lease(pods: SyncPods) -> None:
    api = pods.pod("acme-diff-1764000000-x7k2p")
    pods.report(api, "acme-divergence")
    for name in ("acme-report", "other-divergence", "settings"):
        assert "may write only" in denied(lambda n=name: pods.report(api, n)), name
    assert "may write only" in denied(lambda: pods.hold(api, "acme-writer"))
    run = pods.pod("acme-sync-1764000000-fffff")
    assert "may write only" in denied(lambda: pods.report(run, "acme-divergence"))


def test_nor_anything_else(pods: SyncPods) -> None:
    api = pods.pod("acme-sync-1764000000-ddddd")
    assert "may write only" in denied(lambda: pods.report(api, "settings"))
    base = f"/api/v1/namespaces/{pods.namespace}"
    for method, path, body in [
        ("GET", f"{base}/secrets", None),
        ("GET", f"{base}/configmaps/settings", None),
        ("GET", f"{base}/pods", None),
        ("GET", f"/apis/coordination.k8s.io/v1/namespaces/{pods.namespace}/leases", None),
        ("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{pods.namespace}/leases/acme-writer", None),
        ("POST", f"{base}/configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}),
    ]:
        assert denied(lambda m=method, p=path, b=body: api.call(m, p, b)), f"{method} {path}"


def test_a_job_with_a_name_of_its_own_is_told_how_to_be_named(pods: SyncPods) -> None:
    api = pods.pod("by-hand-abcde")
    assert "must be named <tenant>-sync-<unix seconds>" in denied(lambda: pods.hold(api, "acme-writer"))


def test_a_token_without_a_pod_writes_nothing(pods: SyncPods) -> None:
    assert "may write only" in denied(lambda: pods.hold(pods.token(), "acme-writer"))


def test_no_pod_takes_a_fenced_lease(pods: SyncPods) -> None:
    api = pods.pod("other-sync-1764000000-eeeee")
    pods.hold(pods.admin, "other-writer", "fence/op-1")
    assert "fenced by a switch" in denied(lambda: pods.hold(api, "other-writer"))
    pods.hold(pods.admin, "other-writer", "")
    pods.hold(api, "other-writer")
