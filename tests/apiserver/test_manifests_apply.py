"""manifests/ and the chart on the real apiserver."""

import pytest
import yaml

from tests.cluster.access import Cluster
from tests.unit.charts import ROOT, run

pytestmark = pytest.mark.cluster


def test_the_kustomization_is_accepted(cluster: Cluster) -> None:
    """With --dry-run=server: it goes through validation and admission, and leaves nothing that other tests would meet."""
    cluster.kubectl("apply", "-f", str(ROOT / "manifests" / "namespaces.yaml"))
    try:
        done = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-k", str(ROOT / "manifests"))
    finally:
        cluster.kubectl("delete", "--wait=false", "-f", str(ROOT / "manifests" / "namespaces.yaml"))
    built = cluster.kubectl("kustomize", str(ROOT / "manifests")).stdout
    assert len(done.stdout.splitlines()) == len(list(yaml.safe_load_all(built)))
    assert "would violate PodSecurity" not in done.stderr


def test_helm_installs_upgrades_and_uninstalls(cluster: Cluster) -> None:
    """The namespaced parts only: the cluster-scoped ones belong to the tests beside this one."""
    values = {
        "allowedHosts": ["*.saas.test"],
        "crds": {"install": False},
        "clusterRoles": {"create": False},
        "admission": {"create": False},
    }
    options = ("--kubeconfig", str(cluster.kubeconfig))
    with cluster.namespace("chart") as release, cluster.namespace("chart-team") as team:
        mine = values | {"watchNamespaces": [team]}
        for verb, more in (("install", ()), ("upgrade", ("--set", "logFormat=json"))):
            code, out, errors = run(verb, mine, namespace=release, options=(*options, *more))
            assert code == 0, errors
            assert "would violate PodSecurity" not in errors + out
        deployment = yaml.safe_load(cluster.kubectl("-n", release, "get", "deploy", "-o", "yaml").stdout)["items"][0]
        assert deployment["spec"]["template"]["spec"]["containers"][0]["args"][:2] == ["--log-format", "json"]
        assert "bcp-sync" in cluster.kubectl("-n", team, "get", "role,rolebinding,serviceaccount", "-o", "name").stdout
        allowed = cluster.kubectl(
            "auth",
            "can-i",
            "list",
            "secrets",
            "-n",
            team,
            f"--as=system:serviceaccount:{release}:bcp-operator",
            check=False,
        )
        assert allowed.stdout.strip() == "no"
