"""The cases of Ingress routes on the real apiserver, with kubectl as the pipeline and as the hand."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from bcp_operator.kube.client import INGRESS, Kube

from tests.cluster import Cluster
from tests.unit.adopted_cases import Case
from tests.unit.ingress_cases import CASES
from tests.unit.routes_world import KEY, OTHER, SECONDARY, annotations_of, context, driver, theirs

pytestmark = pytest.mark.cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace("route") as name:
        yield name


@pytest.fixture
async def ours(cluster: Cluster) -> AsyncIterator[Kube]:
    async with Kube.connect(kubeconfig=str(cluster.kubeconfig)) as kube:
        yield kube


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_case(case: Case, cluster: Cluster, ours: Kube, namespace: str) -> None:
    path = str(cluster.kubeconfig)
    async with (
        Kube.connect(kubeconfig=path, field_manager="pipeline") as git,
        Kube.connect(kubeconfig=path, field_manager="kubectl-annotate") as hand,
    ):
        await case(ours, git, hand, namespace)


def manifest(namespace: str, **annotations: str) -> str:
    return json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"} | theirs(namespace, **annotations))


@pytest.mark.parametrize(
    "apply", [["apply"], ["apply", "--server-side"], ["apply", "--server-side", "--force-conflicts"]]
)
async def test_real_kubectl_applies_its_manifest_again(
    apply: list[str], cluster: Cluster, ours: Kube, namespace: str
) -> None:
    """GitOps while failed over: its manifest does not name our key, so our key stays, and goes when we withdraw it."""
    cluster.kubectl(*apply, "-f", "-", input=manifest(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    await route.apply(where.target("Secondary"), await route.observe())
    for value in ("one", "two"):
        cluster.kubectl(*apply, "-f", "-", input=manifest(namespace, changed=value))
        seen = await route.observe()
        assert (seen.shows, seen.in_place, seen.conflict) == ("Secondary", "Secondary", None)
    await route.apply(where.target("Primary"), seen)
    assert KEY not in await annotations_of(ours, namespace)
    assert (await annotations_of(ours, namespace))["changed"] == "two"


async def test_key_in_a_client_side_applied_manifest_is_foreign(cluster: Cluster, ours: Kube, namespace: str) -> None:
    cluster.kubectl("apply", "-f", "-", input=manifest(namespace, **{KEY: OTHER}))
    seen = await driver(ours, context(namespace), mode="Adopted").observe()
    assert seen.conflict is not None
    assert "kubectl-client-side-apply" in seen.conflict


@pytest.mark.parametrize(
    "command",
    [
        ["annotate", "ingress", "acme-login", "--overwrite", f"{KEY}={SECONDARY}"],
        [
            "patch",
            "ingress",
            "acme-login",
            "--type=merge",
            "-p",
            json.dumps({"metadata": {"annotations": {KEY: SECONDARY}}}),
        ],
    ],
)
@pytest.mark.parametrize("mode", ["Managed", "Adopted"])
async def test_real_kubectl_by_hand_and_back(
    command: list[str], mode: str, cluster: Cluster, ours: Kube, namespace: str
) -> None:
    """The runbook's step while the operator is down: understood, taken over, and undone on the way back."""
    where = context(namespace)
    route = driver(ours, where, mode=mode)
    if mode == "Adopted":
        cluster.kubectl("apply", "-f", "-", input=manifest(namespace))
    else:
        await route.apply(where.target("Primary"), await route.observe())
    cluster.kubectl("-n", namespace, *command)
    seen = await route.observe()
    assert (seen.shows, seen.conflict) == ("Secondary", None)
    await route.apply(where.target("Secondary"), seen)
    seen = await route.observe()
    assert seen.in_place == "Secondary"
    await route.apply(where.target("Primary"), seen)
    assert (await route.observe()).in_place == "Primary"


async def test_kubectl_replace_of_a_managed_object_is_set_right(cluster: Cluster, ours: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Secondary"), await route.observe())
    found = await ours.get(INGRESS, namespace, "acme-login")
    assert found is not None
    del found["metadata"]["annotations"]
    found["metadata"].pop("managedFields")
    cluster.kubectl("replace", "-f", "-", input=json.dumps(found))
    seen = await route.observe()
    assert (seen.shows, seen.ours, seen.conflict) == ("Unknown", True, None)
    await route.apply(where.target("Secondary"), seen)
    assert (await route.observe()).in_place == "Secondary"


async def test_somebody_who_owns_an_empty_map_of_annotations_is_no_conflict(
    cluster: Cluster, ours: Kube, namespace: str
) -> None:
    """A manifest with `annotations: {}` owns the map itself; the API server calls every key in it a conflict."""
    empty = json.loads(manifest(namespace))
    empty["metadata"]["annotations"] = {}
    cluster.kubectl("apply", "--server-side", "--field-manager=argocd", "-f", "-", input=json.dumps(empty))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    await route.apply(where.target("Secondary"), await route.observe())
    seen = await route.observe()
    assert seen.in_place == "Secondary"
    cluster.kubectl("apply", "--server-side", "--field-manager=argocd", "-f", "-", input=json.dumps(empty))
    assert (await route.observe()).in_place == "Secondary"
    await route.apply(where.target("Primary"), await route.observe())
    assert KEY not in await annotations_of(ours, namespace)
