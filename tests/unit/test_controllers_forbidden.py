"""What the API server does not let the operator do is said in status, stops nothing else and never holds a deletion."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from bcp_operator.api.common import FINALIZER
from bcp_operator.kube.client import INGRESS, TENANT, Kind
from bcp_operator.kube.errors import Forbidden, KubeError, Unavailable

from tests.unit import operator_harness as harness
from tests.unit.operator_harness import NAME, NAMESPACE, Operator

VERBS = {"update/status": ("patch", "bcptenants/status"), "apply": ("patch", ""), "update": ("update", "")}


def denied(verb: str, kind: Kind) -> Forbidden:
    """What RBAC answers."""
    right, resource = VERBS.get(verb, (verb, ""))
    resource = resource or kind.plural
    return Forbidden(
        "Forbidden",
        f'{kind.plural}.{kind.group} is forbidden: User "system:serviceaccount:bcp-system:bcp-operator" cannot {right} '
        f'resource "{resource}" in API group "{kind.group}" in the namespace "{NAMESPACE}"',
    )


def forbid(made: Operator, *calls: tuple[str, str]) -> None:
    """Refuse these pairs of verb and kind from now on; a star stands for any kind."""

    def before(verb: str, kind: Kind, name: str) -> None:
        if (verb, kind.kind) in calls or (verb, "*") in calls:
            raise denied(verb, kind)
        made._before(verb, kind, name)

    made.kube.world.before = before


def allow(made: Operator) -> None:
    """Grant everything again."""
    made.kube.world.before = made._before


async def passes(made: Operator, number: int = 4) -> None:
    """Some looks, as events and the queue's patience bring them; what a pass raises is the queue's to wait for."""
    for _ in range(number):
        with contextlib.suppress(KubeError):
            await made.reconcile()
        made.tick(11)


async def delete(made: Operator) -> None:
    """Somebody deletes the tenant."""
    await made.kube.as_manager("kubectl-delete").delete(TENANT, NAMESPACE, NAME)


@pytest.mark.parametrize(
    ("verb", "kind", "right"),
    [
        ("apply", "CronJob", "patch cronjobs.batch"),
        ("create", "PersistentVolumeClaim", "create persistentvolumeclaims"),
        ("create", "Lease", "create leases.coordination.k8s.io"),
        ("list", "Job", "list jobs.batch"),
    ],
)
async def test_a_missing_right_is_a_condition_that_says_what_to_grant(
    monkeypatch: pytest.MonkeyPatch, verb: str, kind: str, right: str
) -> None:
    made = harness.operator(monkeypatch)
    forbid(made, (verb, kind))
    await harness.create(made)
    await passes(made)
    stalled = made.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "Forbidden")
    assert right in stalled["message"]
    assert "watchNamespaces" in stalled["message"]
    assert (made.condition("Ready")["status"], made.condition("Ready")["reason"]) == ("False", "Forbidden")
    assert [reason for reason, _ in made.events.said].count("Forbidden") == 1

    before = [*made.kube.world.writes]
    await passes(made)
    assert made.kube.world.writes == before, "a right that is missing costs no write while nothing changes"

    allow(made)
    await made.settle()
    assert made.condition("Stalled")["status"] == "False"
    assert made.condition("Ready")["status"] == "True"


async def test_what_forbids_a_call_beside_rbac_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    made = harness.operator(monkeypatch)

    def quota(verb: str, kind: Kind, name: str) -> None:
        if verb == "create" and kind.kind == "PersistentVolumeClaim":
            raise Forbidden("Forbidden", 'persistentvolumeclaims "acme" is forbidden: exceeded quota: storage')

    made.kube.world.before = quota
    await harness.create(made)
    await passes(made)
    assert "exceeded quota" in made.condition("Stalled")["message"]
    assert "grant" not in made.condition("Stalled")["message"]


async def test_a_right_missing_for_the_sync_stops_no_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    made = harness.operator(monkeypatch)
    forbid(made, ("apply", "CronJob"), ("apply", "ConfigMap"), ("create", "PersistentVolumeClaim"))
    await harness.create(made)
    await passes(made)
    made.tick(3600)
    await made.request(activeSystem="Secondary")
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"
    assert made.condition("Stalled")["status"] == "False", "no sync may run now, so nothing is missing"


async def test_a_right_lost_during_a_switch_is_shown_and_the_switch_goes_on_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = await harness.started(monkeypatch)
    made.tick(3600)
    forbid(made, ("delete", "CronJob"))
    await made.request(activeSystem="Secondary")
    await passes(made)
    assert "delete cronjobs.batch" in made.condition("Stalled")["message"]
    assert made.status["operation"]["step"] in ("Record", "Fence")
    allow(made)
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"
    assert made.condition("Stalled")["status"] == "False"


def everything_forbidden(verb: str, kind: Kind, name: str) -> None:
    """All that is left is the tenant object itself."""
    del name
    if kind != TENANT or verb == "update/status":
        raise denied(verb, kind)


def everything_dead(verb: str, kind: Kind, name: str) -> None:
    """E.g. an admission webhook that hangs."""
    del name
    if kind != TENANT:
        raise Unavailable("InternalError", f"failed calling webhook for {verb}")


def no_writing(verb: str, kind: Kind, name: str) -> None:
    """The route can be read but not written."""
    del name
    if kind == INGRESS and verb not in ("get", "list"):
        raise denied(verb, kind)


@pytest.mark.parametrize("outside", [everything_forbidden, everything_dead, no_writing])
async def test_a_tenant_can_be_deleted_with_everything_outside_dead_or_forbidden(
    monkeypatch: pytest.MonkeyPatch, outside: Any
) -> None:
    made = await harness.started(monkeypatch, deletionPolicy="Restore")
    made.tick(3600)
    await made.request(activeSystem="Secondary")
    await made.settle()
    assert FINALIZER in made.tenant["metadata"]["finalizers"]
    made.kube.world.before = outside
    await delete(made)
    await passes(made, 8)
    assert (TENANT, NAMESPACE, NAME) not in made.kube.world.objects
    assert "RouteNotRestored" in [reason for reason, _ in made.events.said]


async def test_a_tenant_that_never_got_beyond_its_finalizer_can_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = harness.operator(monkeypatch)
    await harness.create(made, deletionPolicy="Restore")
    forbid(made, *((verb, "*") for verb in ("create", "apply", "delete", "update")))
    await passes(made)
    assert FINALIZER in made.tenant["metadata"]["finalizers"]
    allow(made)
    await delete(made)
    forbid(made, *((verb, "*") for verb in ("create", "apply", "list", "delete", "update")))
    await passes(made, 8)
    assert (TENANT, NAMESPACE, NAME) not in made.kube.world.objects


def store(made: Operator, **spec: Any) -> None:
    """A spec as another version's CRD let it through."""
    made.kube.world.objects[TENANT, NAMESPACE, NAME]["spec"] = spec
    made.kube.world.objects[TENANT, NAMESPACE, NAME]["metadata"]["generation"] += 1
    made.kube.world.objects[TENANT, NAMESPACE, NAME]["metadata"]["resourceVersion"] = made.kube._version()


async def test_a_spec_that_cannot_be_read_is_said_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    known = made.condition("LoginRouted")
    store(made, primary={"profile": "scim"})
    made.watch()
    writes = len(made.kube.world.writes)
    await passes(made)
    assert made.condition("Stalled")["reason"] == "Unreadable"
    assert "spec.secondary" in made.condition("Stalled")["message"]
    assert made.condition("Ready")["status"] == "False"
    assert made.condition("LoginRouted") == known
    assert made.status["observedGeneration"] == made.tenant["metadata"]["generation"]
    assert [write[0] for write in made.kube.world.writes[writes:]] == ["update/status"]


async def test_a_spec_that_cannot_be_read_can_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch, deletionPolicy="Restore")
    store(made, primary={"profile": "scim"})
    await passes(made)
    await delete(made)
    await passes(made)
    assert (TENANT, NAMESPACE, NAME) not in made.kube.world.objects
    told = dict(made.events.said)
    assert "by hand" in told["RouteNotRestored"]
    assert "spec.secondary" in told["RouteNotRestored"]
