"""Leader election between real processes on the real apiserver: killed, frozen, robbed."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from bcp_operator.kube.client import CONFIGMAP, LEASE, Kube

from tests.cluster import Cluster

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 4


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace("leader") as name:
        yield name


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    async with Kube.connect(kubeconfig=str(cluster.kubeconfig), field_manager="the-test") as connected:
        yield connected


@contextmanager
def replica(cluster: Cluster, namespace: str, name: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.apiserver.leader_process"]
    process = subprocess.Popen(
        [*command, str(cluster.kubeconfig), namespace, name, str(LEASE_SECONDS)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def count(kube: Kube, namespace: str, name: str) -> int:
    found = await kube.get(CONFIGMAP, namespace, f"count-{name}")
    return int(found["data"]["count"]) if found else 0


async def test_killed_leader_is_followed(cluster: Cluster, kube: Kube, namespace: str) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(replica(cluster, namespace, "one"))
        assert [says(one), says(one)] == ["waiting", "leading"]
        two = stack.enter_context(replica(cluster, namespace, "two"))
        assert says(two) == "waiting"
        one.kill()
        assert await asyncio.wait_for(asyncio.to_thread(says, two), 30) == "leading"
        before = await count(kube, namespace, "one")
        async with asyncio.timeout(30):
            while await count(kube, namespace, "two") < 3:
                await asyncio.sleep(0.05)
        assert await count(kube, namespace, "one") == before


async def test_frozen_leader_writes_nothing_after_its_successor_leads(
    cluster: Cluster, kube: Kube, namespace: str
) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(replica(cluster, namespace, "one"))
        assert [says(one), says(one)] == ["waiting", "leading"]
        two = stack.enter_context(replica(cluster, namespace, "two"))
        assert says(two) == "waiting"
        one.send_signal(signal.SIGSTOP)
        assert await asyncio.wait_for(asyncio.to_thread(says, two), 30) == "leading"
        before = await count(kube, namespace, "one")
        one.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(one.wait, 30) == -signal.SIGALRM
        assert await count(kube, namespace, "one") == before
        assert two.poll() is None


async def test_robbed_leader_ends_by_itself(cluster: Cluster, kube: Kube, namespace: str) -> None:
    with replica(cluster, namespace, "one") as one:
        assert [says(one), says(one)] == ["waiting", "leading"]
        cluster.kubectl(
            "-n", namespace, "patch", "lease", "leader", "--type=merge", "-p", '{"spec":{"holderIdentity":"robber"}}'
        )
        told = await asyncio.wait_for(asyncio.to_thread(says, one), 30)
        assert told == f"lost: Lease {namespace}/leader is held by robber"
        assert await asyncio.to_thread(one.wait, 30) == 1
        lease = await kube.get(LEASE, namespace, "leader")
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == "robber"
