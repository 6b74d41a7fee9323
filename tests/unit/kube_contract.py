"""What we rely on from the Kubernetes API, as cases that run on the in-memory fake and on the real apiserver alike.

Each case takes `ours` (field manager bcp-operator), `theirs` (another manager) and a namespace of its own.
"""

from collections.abc import Awaitable, Callable

import pytest
from bcp_operator.kube.client import CONFIGMAP, INGRESS, JOB, LEASE, Kube, Object
from bcp_operator.kube.errors import AlreadyExists, Conflict, FieldConflict, Invalid, NotFound

Case = Callable[[Kube, Kube, str], Awaitable[None]]

KEY = "nginx.ingress.kubernetes.io/temporal-redirect"


def configmap(namespace: str, name: str = "thing", **data: str) -> Object:
    return {"metadata": {"namespace": namespace, "name": name}, "data": data}


def ingress(namespace: str, annotations: dict[str, str], *, seen: Object | None = None, whole: bool = True) -> Object:
    metadata: Object = {"namespace": namespace, "name": "login", "annotations": annotations}
    if seen is not None:
        metadata |= {key: seen["metadata"][key] for key in ("uid", "resourceVersion")}
    backend = {"service": {"name": "login", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    # A class that no controller serves: one that did would write the status between two steps of a case.
    spec = {"ingressClassName": "nobody", "rules": [{"host": "login.acme.test", "http": {"paths": [path]}}]}
    return {"metadata": metadata} | ({"spec": spec} if whole else {})


async def case_absent_is_none(ours: Kube, theirs: Kube, namespace: str) -> None:
    assert await ours.get(CONFIGMAP, namespace, "nothing") is None
    assert await ours.list(CONFIGMAP, namespace, {"no": "such"}) == []
    assert await ours.delete(CONFIGMAP, namespace, "nothing") is False


async def case_an_inventory_has_the_uids_and_a_version(ours: Kube, theirs: Kube, namespace: str) -> None:
    made = [await ours.create(CONFIGMAP, configmap(namespace, name)) for name in ("a", "b", "c")]
    marked = configmap(namespace, "marked")
    marked["metadata"]["labels"] = {"bcp-operator.io/tenant": "acme"}
    marked = await ours.create(CONFIGMAP, marked)
    await ours.delete(CONFIGMAP, namespace, "b")
    found = await ours.inventory(CONFIGMAP, namespace)
    uids = [obj["metadata"]["uid"] for obj in (*made, marked)]
    assert {uid: uid in found.uids for uid in uids} == dict(zip(uids, (True, False, True, True), strict=True))
    assert found.version >= int(marked["metadata"]["resourceVersion"])
    later = await ours.create(CONFIGMAP, configmap(namespace, "later"))
    assert int(later["metadata"]["resourceVersion"]) > found.version
    assert (await ours.inventory(CONFIGMAP, namespace, "bcp-operator.io/tenant")).uids == {marked["metadata"]["uid"]}


async def case_create_twice(ours: Kube, theirs: Kube, namespace: str) -> None:
    made = await ours.create(CONFIGMAP, configmap(namespace, a="1"))
    assert made["kind"] == "ConfigMap"
    assert made["metadata"]["uid"]
    with pytest.raises(AlreadyExists):
        await ours.create(CONFIGMAP, configmap(namespace, a="2"))


async def case_replace_is_compare_and_swap(ours: Kube, theirs: Kube, namespace: str) -> None:
    seen = await ours.create(CONFIGMAP, configmap(namespace, a="1"))
    newer = await theirs.replace(CONFIGMAP, seen | {"data": {"a": "2"}})
    assert newer["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        await ours.replace(CONFIGMAP, seen | {"data": {"a": "3"}})
    unchanged = await ours.replace(CONFIGMAP, newer)
    assert unchanged["metadata"]["resourceVersion"] == newer["metadata"]["resourceVersion"]
    found = await ours.get(CONFIGMAP, namespace, "thing")
    assert found is not None
    assert found["data"] == {"a": "2"}


async def case_replace_needs_a_version(ours: Kube, theirs: Kube, namespace: str) -> None:
    with pytest.raises(Invalid):
        await ours.replace(CONFIGMAP, configmap(namespace, a="1"))


async def case_replace_of_nothing(ours: Kube, theirs: Kube, namespace: str) -> None:
    seen = await ours.create(LEASE, {"metadata": {"namespace": namespace, "name": "gone"}, "spec": {}})
    assert await ours.delete(LEASE, namespace, "gone", uid=seen["metadata"]["uid"])
    with pytest.raises((NotFound, Conflict)):
        await ours.replace(LEASE, seen | {"spec": {"holderIdentity": "me"}})
    assert await ours.get(LEASE, namespace, "gone") is None


async def case_delete_with_uid(ours: Kube, theirs: Kube, namespace: str) -> None:
    first = await ours.create(CONFIGMAP, configmap(namespace, a="1"))
    assert await ours.delete(CONFIGMAP, namespace, "thing", uid=first["metadata"]["uid"])
    await ours.create(CONFIGMAP, configmap(namespace, a="2"))
    assert await ours.delete(CONFIGMAP, namespace, "thing", uid=first["metadata"]["uid"]) is False
    assert await ours.get(CONFIGMAP, namespace, "thing") is not None


async def case_list_by_labels(ours: Kube, theirs: Kube, namespace: str) -> None:
    for name, labels in (("one", {"a": "x", "b": "y"}), ("two", {"a": "x"}), ("three", {})):
        obj = configmap(namespace, name)
        obj["metadata"]["labels"] = labels
        await ours.create(CONFIGMAP, obj)
    assert [obj["metadata"]["name"] for obj in await ours.list(CONFIGMAP, namespace, {"a": "x"})] == ["one", "two"]
    found = await ours.list(CONFIGMAP, namespace, {"a": "x", "b": "y"})
    assert [obj["metadata"]["name"] for obj in found] == ["one"]
    assert (found[0]["apiVersion"], found[0]["kind"]) == ("v1", "ConfigMap")
    await ours.replace(CONFIGMAP, found[0] | {"data": {"now": "replaced"}})


async def case_status_is_apart(ours: Kube, theirs: Kube, namespace: str) -> None:
    made = await ours.create(
        INGRESS, ingress(namespace, {}) | {"status": {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}}}
    )
    assert not made.get("status", {}).get("loadBalancer")
    version = made["metadata"]["resourceVersion"]
    status = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
    told = await ours.patch_status(INGRESS, namespace, "login", status, version)
    assert told["status"] == status
    assert told["spec"] == made["spec"]
    assert told["metadata"]["generation"] == made["metadata"]["generation"]
    with pytest.raises(Conflict):
        await ours.patch_status(INGRESS, namespace, "login", {"loadBalancer": {}}, version)
    again = await ours.patch_status(INGRESS, namespace, "login", status, told["metadata"]["resourceVersion"])
    assert again["metadata"]["resourceVersion"] == told["metadata"]["resourceVersion"]
    specced = await theirs.replace(INGRESS, told | {"status": {}, "spec": told["spec"] | {"ingressClassName": "other"}})
    assert specced["status"] == status
    assert specced["metadata"]["generation"] == told["metadata"]["generation"] + 1
    with pytest.raises(NotFound):
        await ours.patch_status(INGRESS, namespace, "nothing", {"loadBalancer": {}}, version)


async def case_status_write_leaves_owners_alone(ours: Kube, theirs: Kube, namespace: str) -> None:
    made = await theirs.apply(INGRESS, ingress(namespace, {KEY: "https://one.test/"}))
    told = await ours.patch_status(
        INGRESS,
        namespace,
        "login",
        {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
        made["metadata"]["resourceVersion"],
    )
    assert told["metadata"]["annotations"] == {KEY: "https://one.test/"}
    with pytest.raises(FieldConflict):
        await ours.apply(INGRESS, ingress(namespace, {KEY: "https://two.test/"}, whole=False))


async def case_metadata_patch(ours: Kube, theirs: Kube, namespace: str) -> None:
    seen = await ours.create(CONFIGMAP, configmap(namespace, a="1"))
    held = await ours.patch_metadata(
        CONFIGMAP,
        namespace,
        "thing",
        resource_version=seen["metadata"]["resourceVersion"],
        finalizers=["bcp-operator.io/restore-route"],
        annotations={"bcp-operator.io/note": "x"},
    )
    with pytest.raises(Conflict):
        await ours.patch_metadata(
            CONFIGMAP, namespace, "thing", resource_version=seen["metadata"]["resourceVersion"], finalizers=[]
        )
    assert await ours.delete(CONFIGMAP, namespace, "thing")
    dying = await ours.get(CONFIGMAP, namespace, "thing")
    assert dying is not None
    assert dying["metadata"]["deletionTimestamp"]
    assert dying["metadata"]["resourceVersion"] != held["metadata"]["resourceVersion"]
    assert held["metadata"]["annotations"] == {"bcp-operator.io/note": "x"}
    await ours.patch_metadata(
        CONFIGMAP,
        namespace,
        "thing",
        resource_version=dying["metadata"]["resourceVersion"],
        finalizers=[],
        annotations={"bcp-operator.io/note": None},
    )
    assert await ours.get(CONFIGMAP, namespace, "thing") is None


async def case_apply_creates_and_repeats_without_a_write(ours: Kube, theirs: Kube, namespace: str) -> None:
    made = await ours.apply(INGRESS, ingress(namespace, {KEY: "https://one.test/"}))
    assert made["metadata"]["generation"] == 1
    again = await ours.apply(INGRESS, ingress(namespace, {KEY: "https://one.test/"}))
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    entry = next(e for e in again["metadata"]["managedFields"] if e["manager"] == "bcp-operator")
    assert entry["operation"] == "Apply"
    assert f"f:{KEY}" in entry["fieldsV1"]["f:metadata"]["f:annotations"]


async def case_apply_is_compare_and_swap(ours: Kube, theirs: Kube, namespace: str) -> None:
    stale = await ours.apply(INGRESS, ingress(namespace, {KEY: "https://one.test/"}))
    newer = await ours.apply(INGRESS, ingress(namespace, {KEY: "https://two.test/"}, seen=stale))
    assert newer["metadata"]["annotations"][KEY] == "https://two.test/"
    assert newer["metadata"]["generation"] == 1
    with pytest.raises(Conflict) as refused:
        await ours.apply(INGRESS, ingress(namespace, {KEY: "https://three.test/"}, seen=stale))
    assert not isinstance(refused.value, FieldConflict)
    with pytest.raises(Conflict):
        await ours.apply(INGRESS, ingress(namespace, {KEY: "https://three.test/"}, seen=stale), force=True)


async def case_apply_does_not_bring_back_what_is_gone(ours: Kube, theirs: Kube, namespace: str) -> None:
    made = await ours.apply(INGRESS, ingress(namespace, {KEY: "https://one.test/"}))
    assert await ours.delete(INGRESS, namespace, "login")
    with pytest.raises(Conflict):
        await ours.apply(INGRESS, ingress(namespace, {KEY: "https://one.test/"}, seen=made))
    assert await ours.get(INGRESS, namespace, "login") is None
    await ours.apply(INGRESS, ingress(namespace, {KEY: "https://two.test/"}))
    with pytest.raises(Conflict):
        await ours.apply(INGRESS, ingress(namespace, {KEY: "https://one.test/"}, seen=made), force=True)


async def case_apply_by_version_needs_the_uid(ours: Kube, theirs: Kube, namespace: str) -> None:
    made = await ours.apply(INGRESS, ingress(namespace, {KEY: "https://one.test/"}))
    body = ingress(namespace, {KEY: "https://one.test/"}, seen=made)
    del body["metadata"]["uid"]
    with pytest.raises(Invalid):
        await ours.apply(INGRESS, body)


async def case_apply_names_the_other_owner(ours: Kube, theirs: Kube, namespace: str) -> None:
    await theirs.apply(INGRESS, ingress(namespace, {KEY: "https://theirs.test/"}))
    with pytest.raises(FieldConflict) as refused:
        await ours.apply(INGRESS, ingress(namespace, {KEY: "https://ours.test/"}, whole=False))
    assert [*refused.value.owners.values()] == ["somebody-else"]
    assert KEY in next(iter(refused.value.owners))
    found = await ours.get(INGRESS, namespace, "login")
    assert found is not None
    assert found["metadata"]["annotations"][KEY] == "https://theirs.test/"


async def case_apply_names_the_other_owner_before_the_version(ours: Kube, theirs: Kube, namespace: str) -> None:
    seen = await theirs.apply(INGRESS, ingress(namespace, {}))
    await theirs.apply(INGRESS, ingress(namespace, {KEY: "https://theirs.test/"}))
    with pytest.raises(FieldConflict):
        await ours.apply(INGRESS, ingress(namespace, {KEY: "https://ours.test/"}, seen=seen, whole=False))
    with pytest.raises(Conflict) as refused:
        await ours.apply(INGRESS, ingress(namespace, {KEY: "https://ours.test/"}, seen=seen, whole=False), force=True)
    assert not isinstance(refused.value, FieldConflict)
    with pytest.raises(FieldConflict):
        await ours.apply(INGRESS, ingress(namespace, {KEY: "https://ours.test/"}, whole=False))


async def case_apply_withdraws_only_what_was_ours(ours: Kube, theirs: Kube, namespace: str) -> None:
    await theirs.apply(INGRESS, ingress(namespace, {"example.test/theirs": "kept"}))
    await ours.apply(INGRESS, ingress(namespace, {KEY: "https://ours.test/"}, whole=False))
    # GitOps applies its manifest again, by force: what it does not name is not its business.
    both = await theirs.apply(INGRESS, ingress(namespace, {"example.test/theirs": "kept"}), force=True)
    assert both["metadata"]["annotations"] == {"example.test/theirs": "kept", KEY: "https://ours.test/"}
    gone = await ours.apply(INGRESS, {"metadata": {"namespace": namespace, "name": "login"}})
    assert gone["metadata"]["annotations"] == {"example.test/theirs": "kept"}
    assert gone["spec"] == both["spec"]


async def case_apply_takes_over_an_equal_value(ours: Kube, theirs: Kube, namespace: str) -> None:
    await theirs.apply(INGRESS, ingress(namespace, {KEY: "https://same.test/"}))
    await ours.apply(INGRESS, ingress(namespace, {KEY: "https://same.test/"}, whole=False))
    left = await ours.apply(INGRESS, {"metadata": {"namespace": namespace, "name": "login"}})
    assert left["metadata"]["annotations"] == {KEY: "https://same.test/"}


async def case_orphans_stay(ours: Kube, theirs: Kube, namespace: str) -> None:
    owner = await ours.create(CONFIGMAP, configmap(namespace, "owner"))
    child = configmap(namespace, "child")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    child["metadata"]["ownerReferences"] = [reference]
    await ours.create(CONFIGMAP, child)
    assert await ours.delete(CONFIGMAP, namespace, "owner", propagation="Orphan")
    assert await ours.get(CONFIGMAP, namespace, "child") is not None


async def case_names_cannot_escape_their_path(ours: Kube, theirs: Kube, namespace: str) -> None:
    for name in ("../secrets", "a/b", "..", "A", "a b", "a?b", ""):
        with pytest.raises(Invalid):
            await ours.get(CONFIGMAP, namespace, name)


async def case_discover(ours: Kube, theirs: Kube, namespace: str) -> None:
    assert await ours.discover([JOB, CONFIGMAP, INGRESS]) == {JOB, CONFIGMAP, INGRESS}


CASES: list[Case] = [case for name, case in sorted(globals().items()) if name.startswith("case_")]
