"""The client against the real apiserver: the same cases that the in-memory fake is held to, and what only it can show."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml
from bcp_operator.kube.client import CONFIGMAP, EVENT, INGRESS, LEASE, Kind, Kube
from bcp_operator.kube.errors import Forbidden, KubeError, NotFound, Unavailable
from bcp_operator.kube.events import Events

from tests.cluster import Cluster
from tests.unit.kube_contract import CASES, Case

pytestmark = pytest.mark.cluster

GATEWAY_OF_NOBODY = Kind("nobody.example.test/v1", "Nothing", "nothings")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace("kube") as name:
        yield name


@pytest.fixture
async def ours(cluster: Cluster) -> AsyncIterator[Kube]:
    async with Kube.connect(kubeconfig=str(cluster.kubeconfig)) as kube:
        yield kube


@pytest.fixture
async def theirs(cluster: Cluster) -> AsyncIterator[Kube]:
    async with Kube.connect(kubeconfig=str(cluster.kubeconfig), field_manager="somebody-else") as kube:
        yield kube


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_real_apiserver_keeps_the_contract(case: Case, ours: Kube, theirs: Kube, namespace: str) -> None:
    await case(ours, theirs, namespace)


async def test_list_pages(ours: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcp_operator.kube.client.PAGE_SIZE", 3)
    for number in range(8):
        await ours.create(CONFIGMAP, {"metadata": {"namespace": namespace, "name": f"page-{number}"}})
    names = [obj["metadata"]["name"] for obj in await ours.list(CONFIGMAP, namespace)]
    assert [name for name in names if name.startswith("page-")] == [f"page-{number}" for number in range(8)]


async def test_discover_knows_what_is_not_there(ours: Kube) -> None:
    assert await ours.discover([INGRESS, GATEWAY_OF_NOBODY]) == {INGRESS}
    assert await ours.get(GATEWAY_OF_NOBODY, "default", "thing") is None
    with pytest.raises(NotFound):
        await ours.list(GATEWAY_OF_NOBODY, "default")


async def test_forbidden_says_who_may_not_do_what(cluster: Cluster) -> None:
    async with Kube.connect(kubeconfig=str(cluster.client_kubeconfig("mallory", []))) as kube:
        with pytest.raises(Forbidden, match="mallory") as refused:
            await kube.get(LEASE, "default", "any")
    assert not refused.value.retriable


async def test_unreachable_is_retriable(tmp_path: Path, cluster: Cluster) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for entry in config["clusters"]:
        entry["cluster"]["server"] = "https://127.0.0.1:1"
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(json.dumps(config))
    async with Kube.connect(kubeconfig=str(nowhere)) as kube:
        with pytest.raises(Unavailable) as refused:
            await kube.get(LEASE, "default", "any")
    assert refused.value.retriable


async def test_no_configuration_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match="KUBECONFIG"):
        async with Kube.connect(kubeconfig=str(tmp_path / "missing")):
            pass


async def test_rotated_token_is_read_again(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pod: the projected token is replaced on disk, the old one stops working, calls go on."""
    token = tmp_path / "token"
    cluster.kubectl("create", "serviceaccount", "rotating", "-n", namespace)
    cluster.kubectl(
        "create",
        "rolebinding",
        "rotating",
        "--clusterrole=view",
        f"--serviceaccount={namespace}:rotating",
        "-n",
        namespace,
    )
    token.write_text(cluster.kubectl("create", "token", "rotating", "-n", namespace).stdout.strip())
    server = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = tmp_path / "ca.crt"
    if "certificate-authority-data" in server:
        authority.write_bytes(base64.b64decode(server["certificate-authority-data"]))
    else:
        authority.write_text(Path(server["certificate-authority"]).read_text())
    host, port = server["server"].removeprefix("https://").rsplit(":", 1)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr("kubernetes.aio.config.incluster_config.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr("kubernetes.aio.config.incluster_config.SERVICE_CERT_FILENAME", str(authority))
    async with Kube.connect() as kube:
        assert await kube.get(CONFIGMAP, namespace, "none") is None
        # The account is made anew: tokens of the old one are refused from now on.
        cluster.kubectl("delete", "serviceaccount", "rotating", "-n", namespace)
        cluster.kubectl("create", "serviceaccount", "rotating", "-n", namespace)
        assert await _until_refused(kube, namespace) == "Unauthorized"
        token.write_text(cluster.kubectl("create", "token", "rotating", "-n", namespace).stdout.strip())
        assert await kube.get(CONFIGMAP, namespace, "none") is None


async def _until_refused(kube: Kube, namespace: str) -> str:
    async with asyncio.timeout(30):
        while True:
            try:
                await kube.get(CONFIGMAP, namespace, "none")
            except Forbidden as error:
                return error.reason
            await asyncio.sleep(0.1)


async def test_events_are_accepted(ours: Kube, namespace: str) -> None:
    regarding = await ours.create(CONFIGMAP, {"metadata": {"namespace": namespace, "name": "thing"}})
    for _ in range(2):
        events = Events(ours, "pod-1")
        events.emit(regarding, "SomethingHappened", "x" * 2000, type_="Warning")
        await events.close()
    found = [event for event in await ours.list(EVENT, namespace) if event["reason"] == "SomethingHappened"]
    assert [(event["regarding"]["name"], event["type"]) for event in found] == [("thing", "Warning")]
