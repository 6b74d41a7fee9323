"""Four-eyes at admission: nobody approves their own switch, nobody forges an approval, and a changed request has none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from bcp_operator.api.tenant import FailoverSpec

from tests.apiserver import admission
from tests.apiserver.admission import People
from tests.apiserver.api import Answer, Api
from tests.apiserver.manifests import Object, edited, simple_tenant
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster

STAMP = "bcp-operator.io/requested-by"
NOW, LATER = "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"
APPROVE: Object = {"spec": {"failover": {"approvedBy": "me"}}}
GLASS = {"activeSystem": "Secondary", "override": ["FourEyes"], "reason": "INC-1", "requestedAt": NOW}


def switch(**block: object) -> Object:
    return {"spec": {"failover": {"activeSystem": "Secondary"} | block}}


@pytest.fixture(scope="module")
def people(resources: Cluster) -> Iterator[People]:
    """Everybody, in one namespace, under the policies with four-eyes."""
    with (
        resources.namespace("eyes") as namespace,
        admission.installed(resources, namespace, stamp=True, four_eyes=True),
    ):
        made = People(resources, namespace)
        admission.in_force(made, stamp=True)
        _stamps_approvals(made)
        yield made
        made.close()


def _stamps_approvals(people: People) -> None:
    """Wait until the API server clears the approval of a new tenant."""
    admin = Api(people.cluster.kubeconfig)
    born = edited(simple_tenant("probe"), {"spec.failover": {"approvedBy": "x"}})
    until(
        lambda: "approvedBy" not in admin.create(people.path(), born, dry=True).body["spec"]["failover"],
        "approvals are stamped",
    )
    admin.close()


@pytest.fixture
def tenant(people: People, admin: Api) -> Iterator[str]:
    """A tenant that the administrator has made."""
    assert admin.create(people.path(), simple_tenant("acme")).ok
    yield people.path("acme")
    admin.delete(people.path("acme"))


def approver(answer: Answer) -> str | None:
    """Who has approved."""
    assert answer.ok, answer.message
    found = answer.body["spec"]["failover"].get("approvedBy")
    return None if found is None else str(found)


def refused(answer: Answer, why: str) -> None:
    assert answer.status == 403, answer.body
    assert why in answer.message


def test_somebody_else_approves_and_their_name_is_written(people: People, tenant: str) -> None:
    assert people["flo"].merge(tenant, switch()).ok
    answer = people["ann"].merge(tenant, APPROVE)
    assert approver(answer) == "ann"
    assert answer.body["metadata"]["annotations"][STAMP] == "flo"


@pytest.mark.parametrize("value", ["me", "ann", "flo"])
def test_nobody_approves_their_own_switch(people: People, tenant: str, value: str) -> None:
    assert people["flo"].merge(tenant, switch()).ok
    refused(
        people["flo"].merge(tenant, {"spec": {"failover": {"approvedBy": value}}}), "user flo asked for this switch"
    )


@pytest.mark.parametrize("user", ["una", "bob", "sam", "sid", "eve"])
def test_approving_is_a_right_of_its_own(people: People, tenant: str, user: str) -> None:
    assert people["flo"].merge(tenant, switch()).ok
    refused(people[user].merge(tenant, APPROVE), "needs the verb failover-approve")


def test_an_approver_asks_for_nothing(people: People, tenant: str) -> None:
    refused(people["ann"].merge(tenant, switch()), "needs the verb failover ")
    assert people["flo"].merge(tenant, switch()).ok
    refused(people["ann"].merge(tenant, {"spec": {"failover": {"approvedBy": "me", "reason": "x"}}}), "needs the verb")


def test_an_approval_that_comes_with_the_request_is_cleared(people: People, tenant: str) -> None:
    assert approver(people["flo"].merge(tenant, switch(approvedBy="ann"))) is None


@pytest.mark.parametrize(
    "change",
    [
        {"activeSystem": "Primary"},
        {"reason": "another"},
        {"requestedAt": LATER},
        {"mode": "Planned"},
        {"override": None},
        {"secondaryChanges": "Discard"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_request_has_no_approval(people: People, admin: Api, tenant: str, change: Object) -> None:
    asked = switch(requestedAt=NOW, reason="INC-1", override=["CoolDown"], activeSystem="Secondary")
    if change == {"activeSystem": "Primary"}:
        asked["spec"]["failover"]["activeSystem"] = "Primary"
        change = {"activeSystem": "Secondary"}
    assert people["flo"].merge(tenant, asked).ok
    assert approver(people["ann"].merge(tenant, APPROVE)) == "ann"
    assert approver(people["flo"].merge(tenant, {"spec": {"failover": change}})) is None


def test_every_field_of_a_request_clears_its_approval() -> None:
    rendered = next(
        d for d in admission.policies(stamp=True, four_eyes=True) if d["metadata"]["name"] == "approver.bcp-operator.io"
    )
    text = rendered["spec"]["matchConditions"][0]["expression"]
    for field in FailoverSpec.model_fields.values():
        if field.alias != "approvedBy":
            assert f"object.spec.?failover.?{field.alias} != oldObject.spec.?failover.?{field.alias}" in text


def test_what_changes_nothing_of_the_request_keeps_it(people: People, tenant: str) -> None:
    assert people["flo"].merge(tenant, switch(requestedAt=NOW)).ok
    assert approver(people["ann"].merge(tenant, APPROVE)) == "ann"
    assert approver(people["sam"].merge(tenant, {"spec": {"suspend": True}})) == "ann"
    assert approver(people["flo"].merge(tenant, switch(requestedAt=NOW))) == "ann"
    answer = people["sam"].apply(tenant, simple_tenant("acme"), "kustomize-controller", force=True)
    assert approver(answer) == "ann"


def test_a_request_that_nobody_is_known_to_have_made_is_asked_for_anew(people: People, tenant: str) -> None:
    refused(people["ann"].merge(tenant, APPROVE), "nobody is known to have asked")


def test_whoever_changes_it_after_somebody_becomes_who_asked(people: People, tenant: str) -> None:
    assert people["flo"].merge(tenant, switch()).ok
    assert people["una"].merge(tenant, {"spec": {"failover": {"reason": "INC-2"}}}).ok
    assert approver(people["flo"].merge(tenant, APPROVE)) == "flo"


def test_the_command_that_status_shows_approves_exactly_what_was_seen(people: People, tenant: str) -> None:
    generation = people["flo"].merge(tenant, switch()).body["metadata"]["generation"]
    patch = [
        {"op": "test", "path": "/metadata/generation", "value": generation},
        {"op": "add", "path": "/spec/failover/approvedBy", "value": "me"},
    ]
    command = ("-n", people.namespace, "patch", "bcptenant", "acme", "--type", "json", "-p", json.dumps(patch))
    ann = people.cluster.client_kubeconfig("ann", ())
    assert people["flo"].merge(tenant, {"spec": {"failover": {"reason": "changed in the meantime"}}}).ok
    done = people.cluster.kubectl(*command, kubeconfig=ann, check=False)
    assert done.returncode != 0
    patch[0]["value"] = generation + 1
    done = people.cluster.kubectl(*command[:-1], json.dumps(patch), kubeconfig=ann, check=False)
    assert done.returncode == 0, done.stderr
    assert approver(people["ann"].get(tenant)) == "ann"


def test_breaking_the_glass_is_a_right_of_its_own(people: People, tenant: str) -> None:
    for user in ("flo", "una"):
        refused(people[user].merge(tenant, switch(**GLASS), dry=True), "needs the verb failover-")
    assert people["bob"].merge(tenant, switch(**GLASS), dry=True).ok
    assert people["run"].merge(tenant, switch(**GLASS), dry=True).ok


def test_a_glass_that_was_broken_does_not_stay_open_for_others(people: People, tenant: str) -> None:
    assert people["bob"].merge(tenant, switch(**GLASS)).ok
    left_over: Object = {"spec": {"failover": {"requestedAt": LATER}}}
    refused(people["flo"].merge(tenant, left_over, dry=True), "remove FourEyes from spec.failover.override")
    left_over["spec"]["failover"]["override"] = None
    assert people["flo"].merge(tenant, left_over, dry=True).ok


def test_deleting_a_switched_tenant_is_no_way_round(people: People, admin: Api, tenant: str) -> None:
    assert admin.merge(tenant, switch() | {"metadata": {"finalizers": None}}).ok
    assert admin.merge(tenant, {"spec": {"deletionPolicy": "Restore"}}).ok
    role = f"--clusterrole={people.namespace}.bcp-setup"
    people.cluster.kubectl("-n", people.namespace, "create", "rolebinding", "flo-sets-up", role, "--user=flo")
    refused(people["flo"].send("DELETE", tenant, dry=True), "switch back first, or set deletionPolicy: Retain")
    assert admin.send("DELETE", tenant, dry=True).ok


def test_a_tenant_is_not_born_approved(people: People, admin: Api) -> None:
    born = edited(simple_tenant("new"), {"spec.failover": {"activeSystem": "Secondary", "approvedBy": "ann"}})
    assert approver(admin.create(people.path(), born, dry=True)) is None


def test_the_audit_log_says_who_approved(people: People, tenant: str) -> None:
    people["flo"].merge(tenant, switch())
    people["ann"].merge(tenant, APPROVE)
    note = f"{people.namespace}.tenants.bcp-operator.io/approval"

    def found() -> set[str]:
        lines = [line for line in people.cluster.audit_log.read_text().splitlines() if note in line]
        return {json.loads(line)["annotations"][note] for line in lines}

    until(lambda: "ann approves what flo asked for" in found(), "the audit log carries it")
