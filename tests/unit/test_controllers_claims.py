"""Two tenants and one system: the older works and switches, the younger is unscheduled and does nothing."""

from __future__ import annotations

from typing import Any

import pytest
from bcp_operator.api import names
from bcp_operator.controllers.claims import Claims
from bcp_operator.controllers.queue import Key
from bcp_operator.kube.client import CRONJOB, INGRESS, TENANT

from tests.unit import operator_harness as harness
from tests.unit.fake_kube import FakeKube
from tests.unit.operator_harness import NAME, NAMESPACE, Operator, system


def spec(**parts: Any) -> dict[str, Any]:
    """A spec like the harness' own, with another login host."""
    route = {"name": "web", "ingress": {"name": "rival-login"}}
    whole = {
        "primary": system("primary"),
        "secondary": system("secondary"),
        "sync": {"enabled": True},
        "login": {"url": "https://login.rival.example/", "routes": [route]},
    }
    return whole | parts


async def rival(made: Operator, created: str, namespace: str = NAMESPACE, **parts: Any) -> None:
    """Somebody else's tenant, of that age."""
    manifest = {"metadata": {"namespace": namespace, "name": "rival"}, "spec": spec(**parts)}
    await made.kube.as_manager("kubectl-create").create(TENANT, manifest)
    made.kube.world.objects[TENANT, namespace, "rival"]["metadata"]["creationTimestamp"] = created


@pytest.mark.parametrize("created", ["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"])
async def test_one_that_works_goes_on_and_switches_whoever_comes(monkeypatch: pytest.MonkeyPatch, created: str) -> None:
    made = await harness.started(monkeypatch)
    turned: Any = {"primary": system("secondary"), "secondary": system("primary")}
    await rival(made, created, **turned)
    made.start()  # a new process, which reads the rival before anything else
    made.watch()
    await made.tenants.reconcile(Key("tenant", NAMESPACE, "rival"))
    made.tick(3600)
    await made.request(activeSystem="Secondary")
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"
    assert made.condition("Ready")["status"] == "True"

    status = made.kube.world.objects[TENANT, NAMESPACE, "rival"]["status"]
    stalled = next(c for c in status["conditions"] if c["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "SystemClaimed")
    assert f"belongs to BCPTenant {NAMESPACE}/{NAME}" in stalled["message"]
    assert [reason for reason, _ in made.events.said].count("SystemClaimed") == 1
    assert made.get(INGRESS, "rival-login") is None
    assert made.get(CRONJOB, names.sync_cronjob("rival")) is None


async def test_a_new_tenant_looks_at_all_namespaces_before_it_takes_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    made = harness.operator(monkeypatch)
    await rival(made, "2020-01-01T00:00:00Z", namespace="elsewhere")
    made.start(namespaces=(NAMESPACE, "elsewhere"))
    await harness.create(made)
    await made.settle()
    assert made.condition("Stalled")["reason"] == "SystemClaimed"
    assert "elsewhere/rival" in made.condition("Stalled")["message"]
    assert made.get(INGRESS, f"{NAME}-login") is None

    await made.request(activeSystem="Secondary")  # refused, and not carried out when the way is free one day
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Refused"
    del made.kube.world.objects[TENANT, "elsewhere", "rival"]
    made.start(namespaces=(NAMESPACE, "elsewhere"))
    await made.settle()
    assert made.status["settledSystem"] == "Primary"
    assert made.condition("IntentConflict")["status"] == "True"
    assert [entry["result"] for entry in made.status["history"]] == ["Refused"]


async def test_one_that_takes_anothers_host_later_is_unscheduled_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = await harness.started(monkeypatch)
    own: Any = {"primary": system("p2"), "secondary": system("s2")}
    await rival(made, "2030-01-01T00:00:00Z", **own)
    rival_key = Key("tenant", NAMESPACE, "rival")
    made.watch()
    for _ in range(3):
        await made.tenants.reconcile(rival_key)
        made.watch()
    assert made.kube.world.objects[TENANT, NAMESPACE, "rival"]["status"]["claims"]

    tenant = made.tenant
    tenant["spec"]["login"]["url"] = "https://login.rival.example/"  # the older one grabs the younger one's host
    await made.kube.as_manager("kubectl-edit").replace(TENANT, tenant)
    await made.settle()
    assert made.condition("Stalled")["reason"] == "SystemClaimed"
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is None
    assert len(made.status["claims"]) == 2, "what it named before and still names stays its own"
    tenant = made.tenant
    tenant["spec"]["login"]["url"] = "https://login.acme.example/"
    await made.kube.as_manager("kubectl-edit").replace(TENANT, tenant)
    await made.settle()
    assert made.condition("Stalled")["status"] == "False"
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is not None


async def test_a_claim_is_in_status_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    tenant = made.tenant
    tenant["spec"]["login"]["url"] = "https://login.new.example/"
    await made.kube.as_manager("kubectl-edit").replace(TENANT, tenant)
    before = len(made.kube.world.writes)
    await made.settle()
    assert made.kube.world.writes[before][:2] == ("update/status", "BCPTenant")


async def test_tenants_that_hold_what_they_name_are_never_listed() -> None:
    kube = FakeKube()
    obj = {"metadata": {"namespace": "n", "name": "x", "uid": "1"}, "spec": spec()}
    first = Claims(kube, ("n",))
    held = (await first.judge(Key("tenant", "n", "x"), obj)).held
    assert kube.world.calls == [("list", "BCPTenant", "*")] or len(kube.world.calls) == 1
    again = Claims(kube, ("n",))
    judged = await again.judge(Key("tenant", "n", "x"), obj | {"status": {"claims": list(held)}})
    assert judged.problem is None
    assert len(kube.world.calls) == 1


def test_a_tenant_that_is_gone_leaves_nothing_behind() -> None:
    known = Claims(FakeKube(), ())
    objs = [{"metadata": {"namespace": "n", "name": str(i), "uid": str(i)}, "spec": spec()} for i in range(3)]
    for obj in objs:
        known.put(obj)
    assert len(known.put(objs[0])) == 0
    assert known.drop(objs[0]) == {Key("tenant", "n", "1"), Key("tenant", "n", "2")}
    for obj in objs[1:]:
        known.drop(obj)
    assert not known._claims
    assert not known._by_name
