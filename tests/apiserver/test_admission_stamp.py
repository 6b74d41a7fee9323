"""Who changed spec.failover is stamped at admission, and nobody can write that by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.apiserver import admission
from tests.apiserver.admission import People
from tests.apiserver.api import Answer, Api
from tests.apiserver.manifests import edited, simple_tenant
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster

STAMP = "bcp-operator.io/requested-by"
SECONDARY = {"spec": {"failover": {"activeSystem": "Secondary"}}}


@pytest.fixture(scope="module")
def people(resources: Cluster) -> Iterator[People]:
    """Everybody, in one namespace, under the policies with the stamp."""
    with resources.namespace("stamp") as namespace, admission.installed(resources, namespace, stamp=True):
        made = People(resources, namespace)
        admission.in_force(made, stamp=True)
        yield made
        made.close()


@pytest.fixture
def tenant(people: People, admin: Api) -> Iterator[str]:
    """A tenant that the administrator has made."""
    assert admin.create(people.path(), simple_tenant("acme")).ok
    yield people.path("acme")
    admin.delete(people.path("acme"))


def stamp(answer: Answer) -> str | None:
    """The stamp on the object of an answer."""
    assert answer.ok, answer.message
    found = answer.body["metadata"].get("annotations", {}).get(STAMP)
    return None if found is None else str(found)


def refused(answer: Answer) -> None:
    """Refused because of the stamp."""
    assert answer.status == 403, answer.body
    assert f"annotation {STAMP}" in answer.message


def test_a_switch_is_stamped_and_the_next_one_anew(people: People, tenant: str) -> None:
    assert stamp(people["flo"].merge(tenant, SECONDARY)) == "flo"
    back = {"spec": {"failover": {"activeSystem": "Primary", "requestedAt": "2026-11-24T11:00:00Z"}}}
    assert stamp(people["una"].merge(tenant, back)) == "una"


def test_a_switch_that_claims_another_name_is_stamped_with_the_right_one(people: People, tenant: str) -> None:
    claim = SECONDARY | {"metadata": {"annotations": {STAMP: "boss"}}}
    assert stamp(people["flo"].merge(tenant, claim)) == "flo"


def test_other_changes_keep_the_stamp(people: People, tenant: str) -> None:
    people["flo"].merge(tenant, SECONDARY)
    assert stamp(people["sam"].merge(tenant, {"spec": {"suspend": True}})) == "flo"
    assert stamp(people["sid"].merge(tenant, {"spec": {"sync": {"enabled": False}}})) == "flo"


@pytest.mark.parametrize("user", ["flo", "sam", "sid"])
@pytest.mark.parametrize("value", ["boss", "sam", "", None])
def test_nobody_forges_or_removes_the_stamp(people: People, tenant: str, user: str, value: str | None) -> None:
    assert people["flo"].merge(tenant, SECONDARY).ok
    refused(people[user].merge(tenant, {"metadata": {"annotations": {STAMP: value}}}))
    assert stamp(people["val"].get(tenant)) == "flo"


def test_a_replacement_without_the_stamp_is_refused(people: People, admin: Api, tenant: str) -> None:
    assert people["flo"].merge(tenant, SECONDARY).ok
    without = edited(admin.get(tenant).body, {"metadata.annotations": {}})
    refused(people["sam"].replace(tenant, without))


def test_a_new_tenant_carries_no_stamp_but_one_that_is_born_switched_does(people: People, admin: Api) -> None:
    plain = simple_tenant("new")
    assert stamp(people["sam"].create(people.path(), plain, dry=True)) is None
    forged = edited(plain, {"metadata.annotations": {STAMP: "boss"}})
    refused(people["sam"].create(people.path(), forged, dry=True))
    switched = edited(plain, {"spec.failover": {"activeSystem": "Secondary"}})
    assert stamp(admin.create(people.path(), switched, dry=True)) == "admin"


def test_server_side_apply_of_the_original_manifest_keeps_switch_and_stamp(people: People, tenant: str) -> None:
    assert people["flo"].merge(tenant, SECONDARY).ok
    answer = people["sam"].apply(tenant, simple_tenant("acme"), "kustomize-controller", force=True)
    assert stamp(answer) == "flo"
    assert answer.body["spec"]["failover"] == {"activeSystem": "Secondary"}


def test_the_audit_log_says_who_switched_also_when_it_was_refused(people: People, tenant: str) -> None:
    people["flo"].merge(tenant, SECONDARY)
    people["eve"].merge(tenant, {"spec": {"failover": {"reason": "eve was here"}}})
    note = f"{people.namespace}.tenants.bcp-operator.io/switch"
    expected = {"Primary->Secondary by flo", "Secondary->Secondary by eve"}

    def found() -> set[str]:
        notes = set()
        for line in people.cluster.audit_log.read_text().splitlines():
            if people.namespace in line and note in line:
                notes.add(json.loads(line)["annotations"][note])
        return notes

    until(lambda: expected <= found(), "the audit log carries both")
