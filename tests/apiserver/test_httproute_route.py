"""The cases of HTTPRoute routes on the real apiserver with the Gateway API's own CRDs, and kubectl as the hand."""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bcp_operator.api.tenant import BCPTenantSpec, Route
from bcp_operator.continuity import runbook
from bcp_operator.continuity.observed import Observed
from bcp_operator.kube.client import HTTPROUTE, Kube

from tests.cluster import Cluster
from tests.cluster.addons import gateway_crds
from tests.unit.httproute_cases import CASES, Case, driver
from tests.unit.routes_world import PRIMARY, SECONDARY, context

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    """A cluster with the Gateway API; the control plane alone comes without."""
    for crd in gateway_crds():
        if cluster.kubectl("get", "crd", crd["metadata"]["name"], check=False).returncode != 0:
            cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(crd))
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{crd['metadata']['name']}", "--timeout=60s")
    return cluster


@pytest.fixture
def namespace(served: Cluster) -> Iterator[str]:
    with served.namespace("gateway") as name:
        yield name


@pytest.fixture
async def ours(served: Cluster) -> AsyncIterator[Kube]:
    async with Kube.connect(kubeconfig=str(served.kubeconfig)) as kube:
        yield kube


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_case(case: Case, served: Cluster, ours: Kube, namespace: str) -> None:
    path = str(served.kubeconfig)
    async with (
        Kube.connect(kubeconfig=path, field_manager="pipeline") as git,
        Kube.connect(kubeconfig=path, field_manager="kubectl-edit") as hand,
    ):
        await case(ours, git, hand, namespace)


async def test_the_kind_is_discovered(ours: Kube) -> None:
    assert HTTPROUTE in await ours.discover([HTTPROUTE])


GATEWAY_ROUTE = {"name": "gw", "httpRoute": {"name": "acme-login", "parentRefs": [{"name": "nobody"}]}}


def commands(namespace: str, side: str, route: dict[str, Any] = GATEWAY_ROUTE) -> list[str]:
    """What status.runbook holds to leave `side`, as far as it is about the route."""
    system = {"profile": "scim", "endpoint": "https://api.example", "credentialsSecretRef": {"name": "x"}}
    spec = BCPTenantSpec.model_validate(
        {
            "primary": system | {"tenantID": "a", "loginURL": PRIMARY},
            "secondary": system | {"tenantID": "b", "loginURL": SECONDARY},
            "login": {"url": "https://login.acme.test/", "routes": [Route.model_validate(route)]},
        }
    )
    seen = SimpleNamespace(namespace=namespace, name="acme", spec=spec, routes=(), four_eyes=False)
    return [runbook.steps(cast(Observed, seen), cast(Any, side))[-1].command]


async def test_the_runbook_by_hand_and_back(served: Cluster, ours: Kube, namespace: str) -> None:
    """kubectl as status.runbook has it, while the operator is down: understood, taken over, and undone on the way back."""
    where = context(namespace)
    route = driver(ours, where)
    environment = {**os.environ, **served.environment()}
    await route.apply(where.target("Primary"), await route.observe())
    for left, aim in (("Primary", "Secondary"), ("Secondary", "Primary")):
        for command in commands(namespace, left):
            subprocess.run(["bash", "-euc", command], env=environment, check=True, capture_output=True, timeout=60)
        seen = await route.observe()
        assert (seen.shows, seen.conflict) == (aim, None)
        await route.apply(where.target(cast(Any, aim)), seen)
        assert (await route.observe()).in_place == aim


async def test_kubectl_replace_is_set_right(served: Cluster, ours: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Secondary"), await route.observe())
    found = await ours.get(HTTPROUTE, namespace, "acme-login")
    assert found is not None
    found["metadata"].pop("managedFields")
    found["spec"]["rules"] = [{"matches": [{"path": {"type": "PathPrefix", "value": "/old"}}]}]
    served.kubectl("replace", "-f", "-", input=json.dumps(found))
    seen = await route.observe()
    assert (seen.shows, seen.ours, seen.conflict) == ("Unknown", True, None)
    await route.apply(where.target("Secondary"), seen)
    assert (await route.observe()).in_place == "Secondary"
