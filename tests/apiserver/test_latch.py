"""The failback latch: users go out by one field and come back only by a newer request, whoever writes it and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.tenant import BCPTenantSpec

from tests.apiserver.api import Answer, Api, collection
from tests.apiserver.manifests import Object, edited, simple_tenant
from tests.cluster.access import Cluster

pytestmark = pytest.mark.cluster

BACK = "the way back to the primary needs a newer spec.failover.requestedAt"
KEEP = "while the secondary is active spec.failover.requestedAt may be neither removed nor lowered"
T1 = "2026-11-24T10:00:00Z"


@pytest.fixture
def tenant(admin: Api, namespace: str) -> Iterator[str]:
    """A tenant on its primary, applied by a GitOps tool from a manifest without the block."""
    path = f"{collection(namespace, 'bcptenants')}/acme"
    assert admin.apply(path, simple_tenant("acme"), "kustomize-controller", force=True).ok
    yield path
    admin.delete(path)


def patch(admin: Api, tenant: str, failover: Any, **more: Any) -> Answer:
    """Merge patch of the block."""
    return admin.merge(tenant, {"spec": {"failover": failover, **more}})


def switch(admin: Api, tenant: str, **failover: Any) -> None:
    """Users go to the secondary."""
    answer = patch(admin, tenant, {"activeSystem": "Secondary", **failover})
    assert answer.ok, answer.message


def active(admin: Api, tenant: str) -> str:
    """What the spec says now."""
    failover = admin.get(tenant).body["spec"].get("failover", {})
    return str(failover.get("activeSystem", "Primary"))


def refused(answer: Answer, message: str) -> None:
    """Refused by this rule alone."""
    assert answer.status == 422, answer.body
    assert [cause.field for cause in answer.causes] == ["spec"], answer.causes
    assert message in answer.causes[0].message


def test_one_line_is_enough_to_fail_over(admin: Api, tenant: str) -> None:
    switch(admin, tenant)
    assert admin.get(tenant).body["spec"]["failover"] == {"activeSystem": "Secondary"}


@pytest.mark.parametrize(
    "failover",
    [
        {"activeSystem": "Primary"},
        {"activeSystem": "Primary", "requestedAt": T1},
        {"activeSystem": "Primary", "requestedAt": "2026-11-24T09:59:59Z"},
        {"activeSystem": "Primary", "requestedAt": "2026-11-24T11:00:00+01:00"},
        {"activeSystem": "Primary", "requestedAt": "2026-11-24T10:59:59+02:00"},
        {"activeSystem": "Primary", "requestedAt": "2026-11-24T10:00:00.000Z"},
        {"activeSystem": "Primary", "requestedAt": None},
        {"activeSystem": None},
        {"activeSystem": None, "requestedAt": None},
        None,
    ],
    ids=str,
)
def test_the_way_back_without_a_newer_time_is_refused(admin: Api, tenant: str, failover: Any) -> None:
    switch(admin, tenant, requestedAt=T1)
    refused(patch(admin, tenant, failover), BACK)
    assert active(admin, tenant) == "Secondary"


@pytest.mark.parametrize(
    "later",
    [
        "2026-11-24T10:00:01Z",
        "2026-11-24T10:00:00.001Z",
        "2026-11-24T09:30:00-01:00",
        "2026-11-24T11:00:01+01:00",
    ],
)
def test_a_newer_time_opens_it_in_any_zone(admin: Api, tenant: str, later: str) -> None:
    switch(admin, tenant, requestedAt=T1)
    answer = patch(admin, tenant, {"activeSystem": "Primary", "requestedAt": later})
    assert answer.ok, answer.message
    assert active(admin, tenant) == "Primary"


def test_a_switch_without_a_time_needs_one_on_the_way_back(admin: Api, tenant: str) -> None:
    switch(admin, tenant)
    refused(patch(admin, tenant, {"activeSystem": "Primary"}), BACK)
    assert patch(admin, tenant, {"activeSystem": "Primary", "requestedAt": T1}).ok


@pytest.mark.parametrize("time", [None, "2026-11-24T09:59:59Z", "2026-11-24T10:59:59+01:00"])
def test_while_secondary_the_time_is_neither_removed_nor_lowered(admin: Api, tenant: str, time: str | None) -> None:
    switch(admin, tenant, requestedAt=T1)
    refused(patch(admin, tenant, {"requestedAt": time}), KEEP)
    assert patch(admin, tenant, {"requestedAt": "2026-11-24T11:00:00+01:00"}).ok  # the same instant
    assert patch(admin, tenant, {"requestedAt": "2026-11-24T10:00:01Z"}).ok


def test_while_primary_the_time_is_free(admin: Api, tenant: str) -> None:
    assert patch(admin, tenant, {"activeSystem": "Primary", "requestedAt": T1}).ok
    assert patch(admin, tenant, {"requestedAt": "2026-11-24T09:00:00Z"}).ok
    assert patch(admin, tenant, None).ok


@pytest.mark.parametrize("force", [False, True])
def test_server_side_apply_of_the_original_manifest_leaves_users_where_they_are(
    admin: Api, tenant: str, force: bool
) -> None:
    switch(admin, tenant, requestedAt=T1)
    answer = admin.apply(tenant, simple_tenant("acme"), "kustomize-controller", force=force)
    assert answer.ok, answer.message
    assert active(admin, tenant) == "Secondary"


def test_a_forced_apply_with_the_field_in_git_is_refused(admin: Api, tenant: str) -> None:
    in_git = edited(simple_tenant("acme"), {"spec.failover": {"activeSystem": "Primary"}})
    assert admin.apply(tenant, in_git, "kustomize-controller", force=True).ok
    switch(admin, tenant)
    assert admin.apply(tenant, in_git, "kustomize-controller").status == 409
    refused(admin.apply(tenant, in_git, "kustomize-controller", force=True), BACK)
    assert active(admin, tenant) == "Secondary"


def test_kubectl_apply_keeps_and_kubectl_replace_is_refused(
    resources: Cluster, admin: Api, namespace: str, tenant: str
) -> None:
    manifest = yaml.safe_dump(simple_tenant("acme"))
    resources.kubectl("-n", namespace, "apply", "-f", "-", input=manifest)
    switch(admin, tenant, requestedAt=T1)
    resources.kubectl("-n", namespace, "apply", "-f", "-", input=manifest)
    assert active(admin, tenant) == "Secondary"
    replaced = resources.kubectl("-n", namespace, "replace", "-f", "-", input=manifest, check=False)
    assert replaced.returncode != 0
    assert BACK in replaced.stderr
    assert active(admin, tenant) == "Secondary"


def test_null_for_the_whole_block_in_a_replacement_is_no_way_around(admin: Api, tenant: str) -> None:
    switch(admin, tenant, requestedAt=T1)
    stored = admin.get(tenant).body
    changes: tuple[dict[str, Any], ...] = (
        {"spec.failover": None},
        {"spec.failover": {}},
        {"spec.failover.activeSystem": None},
    )
    for changed in changes:
        answer = admin.replace(tenant, edited(stored, changed))
        assert answer.status == 422, answer.body
    assert active(admin, tenant) == "Secondary"


def test_the_other_fields_stay_editable_while_secondary(admin: Api, tenant: str) -> None:
    switch(admin, tenant, requestedAt=T1)
    assert patch(admin, tenant, {"reason": "INC-4711"}, suspend=True).ok


def test_defaults_are_what_the_models_say(admin: Api, namespace: str) -> None:
    least = simple_tenant("least")
    for field in ("sync", "safety", "suspend", "deletionPolicy"):
        del least["spec"][field]
    minimal: list[tuple[str, Object, type[BCPTenantSpec] | type[SyncPolicySpec]]] = [
        ("bcptenants", least, BCPTenantSpec),
        ("syncpolicies", {**least, "kind": "SyncPolicy", "spec": {}}, SyncPolicySpec),
    ]
    for plural, manifest, model in minimal:
        answer = admin.create(collection(namespace, plural), manifest, dry=True)
        assert answer.ok, answer.message
        assert model.model_validate(answer.body["spec"]) == model.model_validate(manifest["spec"])
        assert "failover" not in answer.body["spec"]
        filled = model.model_validate(manifest["spec"]).model_dump(mode="json", by_alias=True, exclude_none=True)
        assert answer.body["spec"] == filled
