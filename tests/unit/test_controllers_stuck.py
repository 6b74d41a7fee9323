"""What hangs around the switch must not hold it up, and must not be taken for its success."""

from __future__ import annotations

import pytest
from bcp_operator.api import names
from bcp_operator.kube.client import CRONJOB, INGRESS, JOB, Kind
from bcp_operator.routes.base import Verification

from tests.unit import operator_harness as harness
from tests.unit.operator_harness import NAME, NAMESPACE


@pytest.mark.parametrize("kind", [CRONJOB, JOB])
async def test_a_sync_object_that_is_slow_to_vanish_does_not_hold_the_switch_up(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    made = await harness.started(monkeypatch)
    found = [key for key in made.kube.world.objects if key[0] == kind]
    assert found
    for key in found:
        # What `kubectl delete --cascade=orphan|foreground` leaves until the controller manager, or a dead node, is back.
        made.kube.world.objects[key]["metadata"]["finalizers"] = ["orphan"]
    made.tick(3600)
    await made.request(activeSystem="Secondary")
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"
    assert made.status["settledSystem"] == "Secondary"
    asked = [call for call in made.kube.world.calls if call[:2] == ("delete", kind.kind)]
    assert len(asked) == len(found)
    if kind == CRONJOB:
        assert made.get(CRONJOB, names.sync_cronjob(NAME)) is not None


async def test_a_switch_without_any_route_that_is_ours_is_not_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    ingress = made.kube.world.objects[INGRESS, NAMESPACE, f"{NAME}-login"]
    ours = ingress["metadata"].pop("labels")
    made.tick(3600)
    stamp = made.clock.wall.isoformat().replace("+00:00", "Z")
    monkeypatch.setattr("bcp_operator.controllers.act.PATIENCE_SECONDS", 0.0)
    await made.request(activeSystem="Secondary", requestedAt=stamp, override=["RouteOwned"], reason="INC-1")
    for _ in range(20):
        made.watch()
        await made.reconcile()
        made.tick(10)
    assert made.status["history"] == []
    assert made.status["operation"]["step"] == "Route"
    assert made.status["activeSystem"] == "Primary"
    assert made.condition("Stalled")["reason"] == "DeadlineExceeded"
    assert "is not the operator's" in made.condition("Stalled")["message"]
    made.kube.world.objects[INGRESS, NAMESPACE, f"{NAME}-login"]["metadata"]["labels"] = ours
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"
    assert made.status["activeSystem"] == "Secondary"


async def test_a_switch_that_stays_unseen_is_stalled_and_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    asked = 0

    async def unseen(*_: object) -> Verification:
        nonlocal asked
        asked += 1
        return Verification(False, "Unknown", "HTTP 404")

    with monkeypatch.context() as patch:
        patch.setattr(harness.SeenRoute, "verify", unseen)
        patch.setattr("bcp_operator.controllers.act.PATIENCE_SECONDS", 0.0)
        made.tick(3600)
        await made.request(activeSystem="Secondary")
        await made.reconcile()
        made.tick(200)
        await made.reconcile()
        before = asked
        await made.reconcile()
    assert asked > before > 0
    assert made.condition("Stalled")["reason"] == "DeadlineExceeded"
    assert "HTTP 404" in made.condition("Stalled")["message"]
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"


async def test_an_endpoint_that_may_not_be_contacted_stops_the_sync_and_not_the_switch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = harness.system("primary") | {"endpoint": "https://api.elsewhere.test"}
    made = await harness.started(monkeypatch, primary=elsewhere)
    assert made.condition("Stalled")["reason"] == "HostNotAllowed"
    assert "spec.primary.endpoint" in made.condition("Stalled")["message"]
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is None
    made.tick(3600)
    await made.request(activeSystem="Secondary")
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"
    assert made.status["activeSystem"] == "Secondary"


async def test_looking_again_at_the_login_url_reads_and_writes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    made.tick(3600)
    await made.request(activeSystem="Secondary")
    await made.settle()
    for _ in range(3):
        made.tick(61)
        calls = len(made.kube.world.calls)
        pause = await made.reconcile()
        # The CronJob, because there is none; the Ingress is the harness' controller, which was asked.
        asked = {(verb, kind) for verb, kind, _ in made.kube.world.calls[calls:]}
        assert asked == {("get", "CronJob"), ("get", "Ingress")}
        assert len(made.kube.world.calls) - calls == 3
        assert pause is not None
        assert pause <= 60


async def test_routes_of_a_crowd_are_written_before_any_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    made.tick(3600)
    made.tenants.others_switch = lambda: True
    await made.request(activeSystem="Secondary")
    asked = len([call for call in made.kube.world.calls if call[0] == "ask"])
    pause = await made.reconcile()
    assert pause is not None
    assert pause <= 1
    assert made.end_state()["redirect"].endswith("secondary.example/login")
    assert made.status["phase"] == "FailingOver"
    assert len([call for call in made.kube.world.calls if call[0] == "ask"]) == asked
    made.tenants.others_switch = lambda: False
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"
