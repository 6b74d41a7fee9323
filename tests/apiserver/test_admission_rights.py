"""Setup, sync and failover are three rights of one resource, with and without the requester's stamp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bcp_operator.api.tenant import BCPTenantSpec

from tests.apiserver import admission
from tests.apiserver.admission import OPERATOR, PEOPLE, People
from tests.apiserver.api import Api
from tests.apiserver.manifests import Object, edited, policy, simple_tenant
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster

NOW, LATER = "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"
NOBODY: frozenset[str] = frozenset()
EVERYBODY = frozenset(PEOPLE)
SETUP, SYNC = frozenset({"sam"}), frozenset({"sid"})
FAILOVER, OVERRIDE = frozenset({"flo", "una", "run", "bob"}), frozenset({"flo", "run", "bob"})

# What a change touches -> the change -> who may make it. `val` has no verb to write with, so never `val`.
WRITERS = EVERYBODY - {"val"}
CHANGES: dict[str, tuple[Object, frozenset[str]]] = {
    "nothing": ({}, WRITERS),
    "an annotation": ({"metadata": {"annotations": {"note": "x"}}}, WRITERS),
    "primary": ({"spec": {"primary": {"health": {"path": "/up"}}}}, SETUP),
    "secondary.loginURL": ({"spec": {"secondary": {"loginURL": "https://elsewhere.example/"}}}, SETUP),
    "login": ({"spec": {"login": {"connectTo": "10.0.0.81:443"}}}, SETUP),
    "safety": ({"spec": {"safety": {"rules": {"TargetHealthy": "Warn"}}}}, SETUP),
    "suspend": ({"spec": {"suspend": True}}, SETUP),
    "notify": ({"spec": {"notify": [{"urlSecretRef": {"name": "elsewhere"}}]}}, SETUP),
    "deletionPolicy": ({"spec": {"deletionPolicy": "Restore"}}, SETUP),
    "labels": ({"metadata": {"labels": {"team": "x"}}}, SETUP),
    "finalizers": ({"metadata": {"finalizers": ["example.com/hold"]}}, SETUP),
    "owners": (
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "1"}]}},
        SETUP,
    ),
    "sync": ({"spec": {"sync": {"enabled": False}}}, SYNC),
    "sync.trigger": ({"spec": {"sync": {"trigger": "2030-01-01T00:00:00Z"}}}, SYNC),
    "sync.approve": ({"spec": {"sync": {"approve": "sha256:" + "0" * 64}}}, SYNC),
    "sync.policyRef": ({"spec": {"sync": {"policyRef": {"name": "other"}}}}, SYNC),
    "failover.activeSystem": ({"spec": {"failover": {"activeSystem": "Secondary"}}}, FAILOVER),
    "failover.reason": ({"spec": {"failover": {"reason": "drill"}}}, FAILOVER),
    "failover.requestedAt": ({"spec": {"failover": {"requestedAt": NOW}}}, FAILOVER),
    "failover, empty": ({"spec": {"failover": {}}}, FAILOVER),
    "failover.secondaryChanges Keep": ({"spec": {"failover": {"secondaryChanges": "Keep"}}}, FAILOVER),
    "failover.override": (
        {"spec": {"failover": {"override": ["CoolDown"], "reason": "INC-1", "requestedAt": NOW}}},
        OVERRIDE,
    ),
    "failover.secondaryChanges Discard": (
        {"spec": {"failover": {"secondaryChanges": "Discard", "requestedAt": NOW}}},
        OVERRIDE,
    ),
    "failover and sync": (
        {"spec": {"failover": {"activeSystem": "Secondary"}, "sync": {"enabled": False}}},
        NOBODY,
    ),
    "failover and safety": (
        {"spec": {"failover": {"activeSystem": "Secondary"}, "safety": {"minSwitchInterval": "1s"}}},
        NOBODY,
    ),
    "sync and suspend": ({"spec": {"sync": {"enabled": False}, "suspend": True}}, NOBODY),
}


@pytest.fixture(scope="module", params=[True, False], ids=["stamped", "unstamped"])
def stamp(request: pytest.FixtureRequest) -> bool:
    """Whether the cluster stamps the requester."""
    return bool(request.param)


@pytest.fixture(scope="module")
def people(resources: Cluster, stamp: bool) -> Iterator[People]:
    """Everybody, in one namespace, under the policies."""
    with resources.namespace("rights") as namespace, admission.installed(resources, namespace, stamp=stamp):
        made = People(resources, namespace)
        admission.in_force(made, stamp=stamp)
        yield made
        made.close()


@pytest.fixture
def tenant(people: People, admin: Api) -> Iterator[str]:
    """A tenant that the administrator has made; gone after the test."""
    answer = admin.create(people.path(), simple_tenant("acme"))
    assert answer.ok, answer.message
    yield people.path("acme")
    admin.merge(people.path("acme"), {"metadata": {"finalizers": None}})
    admin.delete(people.path("acme"))


@pytest.fixture(scope="module")
def standing(people: People) -> str:
    """A tenant that is only looked at and changed in dry runs."""
    api = Api(people.cluster.kubeconfig)
    answer = api.create(people.path(), simple_tenant("standing"))
    assert answer.ok, answer.message
    api.close()
    return people.path("standing")


def failed_over(admin: Api, tenant: str, **failover: Any) -> None:
    """Switch the tenant as the administrator."""
    answer = admin.merge(tenant, {"spec": {"failover": {"activeSystem": "Secondary"} | failover}})
    assert answer.ok, answer.message


def forbidden(answer: Any, verb: str = "") -> None:
    """Refused for want of a right, by name."""
    assert answer.status == 403, answer.body
    assert f"needs the verb {verb}".rstrip() in answer.message


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("user", PEOPLE)
def test_only_the_permitted_cells_pass(people: People, standing: str, user: str, change: str) -> None:
    patch, may = CHANGES[change]
    answer = people[user].merge(standing, patch, dry=True)
    assert answer.status == (200 if user in may else 403), answer.message


@pytest.mark.parametrize("change", [change for change in CHANGES if change != "nothing"])
def test_every_change_changes_something(admin: Api, standing: str, change: str) -> None:
    before, after = admin.get(standing).body, admin.merge(standing, CHANGES[change][0], dry=True).body
    fields = ("labels", "annotations", "finalizers", "ownerReferences")
    assert (before["spec"], *(before["metadata"].get(f) for f in fields)) != (
        after["spec"],
        *(after["metadata"].get(f) for f in fields),
    )


def test_every_field_of_the_spec_belongs_to_a_right() -> None:
    whole = next(d for d in admission.policies(stamp=False) if d["metadata"]["name"] == admission.OURS[0])
    text = str(whole["spec"]["variables"])
    for field in BCPTenantSpec.model_fields.values():
        name = field.alias
        assert f"object.spec.{name} != oldObject.spec.{name}" in text or (
            f"object.spec.?{name} != oldObject.spec.?{name}" in text
        ), f"spec.{name} could be changed by everybody"


@pytest.mark.parametrize("user", PEOPLE)
def test_creating_and_deleting_need_setup(people: People, standing: str, user: str) -> None:
    created = people[user].create(people.path(), simple_tenant("new"), dry=True)
    deleted = people[user].send("DELETE", standing, dry=True)
    may = user in SETUP
    assert (created.ok, deleted.ok) == (may, may), (created.message, deleted.message)


def test_creating_with_a_failover_block_needs_failover_too(people: People, admin: Api) -> None:
    switched = edited(simple_tenant("new"), {"spec.failover": {"activeSystem": "Secondary"}})
    forbidden(people["sam"].create(people.path(), switched, dry=True), "failover")
    forbidden(people["una"].create(people.path(), switched, dry=True), "setup")
    assert admin.create(people.path(), switched, dry=True).ok


def test_deleting_a_switched_tenant_that_restores_the_primary_is_a_switch(
    people: People, admin: Api, tenant: str
) -> None:
    failed_over(admin, tenant)
    assert people["sam"].send("DELETE", tenant, dry=True).ok  # Retain: users stay where they are
    assert admin.merge(tenant, {"spec": {"deletionPolicy": "Restore"}}).ok
    refused = people["sam"].send("DELETE", tenant, dry=True)
    forbidden(refused, "failover")
    assert "sends its users back to the primary" in refused.message
    assert admin.send("DELETE", tenant, dry=True).ok


def test_a_consent_left_over_does_not_count_for_somebody_without_the_right(
    people: People, admin: Api, tenant: str
) -> None:
    failed_over(admin, tenant, override=["TargetHealthy"], reason="INC-1", requestedAt=NOW)
    forbidden(
        people["una"].merge(tenant, {"spec": {"failover": {"requestedAt": LATER}}}, dry=True), "failover-override"
    )
    cleared = {"spec": {"failover": {"override": None, "requestedAt": LATER}}}
    assert people["una"].merge(tenant, cleared, dry=True).ok


def test_an_approval_is_refused_where_it_would_have_no_effect(people: People, admin: Api, tenant: str) -> None:
    failed_over(admin, tenant)
    answer = people["ann"].merge(tenant, {"spec": {"failover": {"approvedBy": "me"}}}, dry=True)
    assert answer.status == 403
    assert "the operator runs without four-eyes" in answer.message


def test_the_latch_binds_holders_of_the_right_too(people: People, admin: Api, tenant: str) -> None:
    failed_over(admin, tenant, requestedAt=NOW)
    assert people["flo"].merge(tenant, {"spec": {"failover": None}}, dry=True).status == 422
    back = {"spec": {"failover": {"activeSystem": "Primary", "requestedAt": LATER}}}
    assert people["flo"].merge(tenant, back, dry=True).ok


def test_the_operator_handles_finalizers_and_nothing_else(people: People, admin: Api, tenant: str) -> None:
    operator = people[OPERATOR]
    assert operator.merge(tenant, {"metadata": {"finalizers": ["bcp-operator.io/restore-route"]}}).ok
    assert operator.merge(tenant, {"metadata": {"finalizers": None}}).ok
    for change in ("suspend", "sync", "failover.activeSystem", "labels", "owners"):
        forbidden(operator.merge(tenant, CHANGES[change][0], dry=True))


def test_the_status_is_not_judged(people: People, admin: Api, tenant: str) -> None:
    assert admin.merge(f"{tenant}/status", {"status": {"phase": "Primary"}}).ok


@pytest.mark.parametrize("user", PEOPLE)
def test_policies_need_sync(people: People, admin: Api, user: str) -> None:
    path = people.path(plural="syncpolicies")
    assert admin.create(path, policy("nightly")).ok
    try:
        answers = [
            people[user].create(path, policy("new"), dry=True),
            people[user].merge(f"{path}/nightly", {"spec": {"suspend": True}}, dry=True),
            people[user].send("DELETE", f"{path}/nightly", dry=True),
        ]
        assert [answer.ok for answer in answers] == [user in SYNC] * 3, [answer.message for answer in answers]
    finally:
        assert admin.delete(f"{path}/nightly").ok


def test_a_refusal_says_who_lacks_which_verb_on_what_and_where_to_get_it(people: People, tenant: str) -> None:
    answer = people["eve"].merge(tenant, {"spec": {"failover": {"activeSystem": "Secondary"}}}, dry=True)
    assert (
        f'user eve needs the verb failover on bcptenants.bcp-operator.io "acme" in namespace "{people.namespace}" '
        "to change spec.failover; ClusterRole bcp-failover has it" in answer.message
    )


@pytest.mark.parametrize(
    ("user", "verb", "answer"), [("flo", "failover", "yes"), ("sam", "failover", "no"), ("sam", "setup", "yes")]
)
def test_kubectl_auth_can_i_answers(people: People, tenant: str, user: str, verb: str, answer: str) -> None:
    done = people.cluster.kubectl(
        "auth",
        "can-i",
        verb,
        "bcptenants.bcp-operator.io/acme",
        "-n",
        people.namespace,
        kubeconfig=people.cluster.client_kubeconfig(user, ()),
        check=False,
    )
    assert done.stdout.strip() == answer


@pytest.mark.parametrize("policy_name", ["Foreground", "Orphan", "Background"])
def test_setup_can_delete_in_every_way(people: People, admin: Api, policy_name: str) -> None:
    """Foreground and Orphan leave a finalizer to the garbage collector, which holds no right of ours."""
    path = people.path("doomed")
    assert admin.create(people.path(), simple_tenant("doomed")).ok
    assert people["sam"].delete(path, policy_name).ok
    until(lambda: admin.get(path).status == 404, f"{policy_name} deletion ends")


def test_the_garbage_collector_deletes_what_lost_its_owner(people: People, admin: Api) -> None:
    configmaps = f"/api/v1/namespaces/{people.namespace}/configmaps"
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}
    uid = admin.create(configmaps, owner).body["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    owned = edited(simple_tenant("owned"), {"metadata.ownerReferences": [reference]})
    assert admin.create(people.path(), owned).ok
    assert admin.delete(f"{configmaps}/owner").ok
    until(lambda: admin.get(people.path("owned")).status == 404, "the garbage collector deletes the tenant")


def test_a_namespace_with_tenants_can_still_be_deleted(people: People, admin: Api, resources: Cluster) -> None:
    with resources.namespace("doomed") as name:
        admission.place_under_policies(resources, name, people.namespace)
        role = f"--clusterrole={people.namespace}.editor-without-verbs"
        resources.kubectl("-n", name, "create", "rolebinding", "editor", role, "--user=eve")
        other = people.path().replace(people.namespace, name)
        until(
            lambda: "needs the verb setup" in people["eve"].create(other, simple_tenant("new"), dry=True).message,
            "the policies hold here too",
        )
        switched = edited(simple_tenant("acme"), {"spec.failover": {"activeSystem": "Secondary"}})
        assert admin.create(other, switched).ok
        assert admin.create(other.replace("bcptenants", "syncpolicies"), policy("nightly")).ok
        assert admin.delete(f"/api/v1/namespaces/{name}").ok
        until(lambda: admin.get(f"/api/v1/namespaces/{name}").status == 404, "the namespace is gone")
