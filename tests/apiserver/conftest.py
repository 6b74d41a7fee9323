"""The API server with both CRDs, a namespace, and the administrator's client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver.api import Api
from tests.cluster.access import Cluster
from tests.unit.charts import NAMESPACE, RELEASE

CRDS = Path(__file__).resolve().parents[2] / "crds"
HELM = (
    ("annotate", f"meta.helm.sh/release-name={RELEASE}"),
    ("annotate", f"meta.helm.sh/release-namespace={NAMESPACE}"),
    ("label", "app.kubernetes.io/managed-by=Helm"),
)
NAMES = ("bcptenants.bcp-operator.io", "syncpolicies.bcp-operator.io")


@pytest.fixture(scope="session")
def resources(cluster: Cluster) -> Cluster:
    """The cluster, with the CRDs as they are in crds/; marked so that Helm takes them over when it installs the chart."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    for name in NAMES:
        for verb, mark in HELM:  # of no effect where a release owns them already
            cluster.kubectl(verb, "crd", name, mark, check=False)
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{name}")
    return cluster


@pytest.fixture(scope="module")
def namespace(resources: Cluster) -> Iterator[str]:
    """A namespace for one module."""
    with resources.namespace("api") as name:
        yield name


@pytest.fixture(scope="module")
def admin(resources: Cluster) -> Iterator[Api]:
    """The administrator."""
    api = Api(resources.kubeconfig)
    yield api
    api.close()
