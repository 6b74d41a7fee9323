"""The cases of DNSEndpoint routes on the real apiserver with external-dns' own CRD, and the runbook's command."""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest
from bcp_operator.kube.client import DNSENDPOINT, Kube

from tests.apiserver.test_httproute_route import commands
from tests.cluster import Cluster
from tests.cluster.addons import external_dns_crds
from tests.unit.dnsendpoint_cases import CASES, Case, driver
from tests.unit.routes_world import context

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    for crd in external_dns_crds():
        cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(crd))
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{crd['metadata']['name']}", "--timeout=60s")
    return cluster


@pytest.fixture
def namespace(served: Cluster) -> Iterator[str]:
    with served.namespace("dnsendpoint") as name:
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


async def test_the_runbook_by_hand_and_back(served: Cluster, ours: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    environment = {**os.environ, **served.environment()}
    assert DNSENDPOINT in await ours.discover([DNSENDPOINT])
    await route.apply(where.target("Primary"), await route.observe())
    spec = {"name": "edns", "dnsEndpoint": {"name": "acme-login", "servers": ["127.0.0.1:1"]}}
    for left, aim in (("Primary", "Secondary"), ("Secondary", "Primary")):
        for command in commands(namespace, left, spec):
            subprocess.run(["bash", "-euc", command], env=environment, check=True, capture_output=True, timeout=60)
        seen = await route.observe()
        assert (seen.shows, seen.conflict) == (aim, None)
