"""The writer Lease on the real apiserver: its times are valid, its swaps are swaps, renewals do not get past a fence."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from bcp_operator.kube.client import CONFIGMAP, LEASE, Kube
from bcp_operator.kube.errors import Conflict
from bcp_operator.kube.leader import micro_time
from bcp_operator.kube.lease import WriterLease

from tests.cluster import Cluster

pytestmark = pytest.mark.cluster

NAME = "acme-writer"


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace("writer") as name:
        yield name


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    async with Kube.connect(kubeconfig=str(cluster.kubeconfig)) as connected:
        yield connected


async def renew(kube: Kube, namespace: str, holder: str) -> bool:
    """As a run does it: only while free or its own, by compare-and-swap. False when it may not."""
    lease = await kube.get(LEASE, namespace, NAME)
    assert lease is not None
    if lease["spec"].get("holderIdentity") not in (None, "", holder):
        return False
    spec = lease["spec"] | {"holderIdentity": holder, "renewTime": micro_time()}
    try:
        await kube.replace(LEASE, lease | {"spec": spec})
    except Conflict:
        return False
    return True


async def test_life_of_a_lease(kube: Kube, namespace: str) -> None:
    owner = await kube.create(CONFIGMAP, {"metadata": {"namespace": namespace, "name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    lease = WriterLease(kube, namespace, NAME)
    state = await lease.ensure(fenced_as=None, labels={"bcp-operator.io/tenant": "acme"}, owner=reference)
    assert state.holder == ""
    moment = datetime(2026, 11, 24, 10, 17, tzinfo=UTC)
    await lease.set_sync_enabled_at(state, moment)
    assert await renew(kube, namespace, "run/pod-1/abcd")
    fenced = await lease.fence("op-1")
    assert (fenced.fenced_by, fenced.previous_holder) == ("op-1", "run/pod-1/abcd")
    assert not await renew(kube, namespace, "run/pod-1/abcd")
    fenced = await lease.fence("op-2")
    assert (fenced.fenced_by, fenced.previous_holder) == ("op-2", "run/pod-1/abcd")
    free = await lease.unfence(fenced)
    assert (free.holder, free.previous_holder, free.sync_enabled_at) == ("", None, moment)
    assert await renew(kube, namespace, "run/pod-2/ef01")


async def test_lost_lease_comes_back_fenced(kube: Kube, namespace: str) -> None:
    lease = WriterLease(kube, namespace, NAME)
    await lease.ensure(fenced_as=None, labels={}, owner=None)
    await kube.delete(LEASE, namespace, NAME)
    state = await lease.ensure(fenced_as="lost-1", labels={}, owner=None)
    assert (state.fenced_by, state.previous_holder) == ("lost-1", None)
    assert not await renew(kube, namespace, "run/pod-1/abcd")


async def test_renewals_never_get_past_a_fence(kube: Kube, namespace: str) -> None:
    """Runs that renew as fast as they can, and two operators that fence at once: one holder, the writer remembered."""
    lease = WriterLease(kube, namespace, NAME)
    await lease.ensure(fenced_as=None, labels={}, owner=None)
    assert await renew(kube, namespace, "run/pod-1/abcd")

    async def keep_renewing() -> None:
        while await renew(kube, namespace, "run/pod-1/abcd"):
            await asyncio.sleep(0.05)

    writer = asyncio.create_task(keep_renewing())
    await asyncio.gather(lease.fence("op-1"), WriterLease(kube, namespace, NAME).fence("op-1"))
    await asyncio.wait_for(writer, 30)
    state = await lease.read()
    assert state is not None
    assert (state.fenced_by, state.previous_holder) == ("op-1", "run/pod-1/abcd")
    assert not await renew(kube, namespace, "run/pod-1/abcd")
