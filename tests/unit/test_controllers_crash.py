"""kill -9 before every single call to the outside, then a new process: the end is the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from bcp_operator.api import names
from bcp_operator.kube.client import CRONJOB, INGRESS, JOB, LEASE, TENANT, Kind, Object
from bcp_operator.kube.errors import Unavailable

from tests.unit import operator_harness as harness
from tests.unit.operator_harness import NAME, NAMESPACE, Crash, Operator

UID = "0b5d2f0e-0000-4000-8000-000000000000"


def stamp(made: Operator, seconds: float = 0) -> str:
    """A requestedAt."""
    return (made.clock.wall + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


async def fail_over(made: Operator) -> None:
    """The request."""
    await made.request(activeSystem="Secondary", requestedAt=stamp(made))


async def fail_back(made: Operator) -> None:
    """The request, an hour after the failover."""
    await made.request(activeSystem="Primary", requestedAt=stamp(made), secondaryChanges="Discard")


async def ask_back(made: Operator) -> None:
    """The request without consent."""
    await made.request(activeSystem="Primary", requestedAt=stamp(made))


async def switched(monkeypatch: pytest.MonkeyPatch, way: str, crash_at: int | None) -> Operator:
    """A world in which the switch was made; with a crash before the given call of it."""
    made = await harness.started(monkeypatch, UID)
    made.end_jobs()
    await made.settle()
    made.tick(3600)
    if way != "out":
        await fail_over(made)
        await made.settle()
        made.tick(3600)
    made.changes = {"unchanged": 0, "changed": 2}.get(way)
    await {"out": fail_over, "back": fail_back}.get(way, ask_back)(made)
    made.calls, made.crash_at = 0, crash_at
    try:
        await made.settle()
    except Crash:
        made.start()
        made.tick(3)
        await made.settle()
    return made


@pytest.mark.parametrize("way", ["out", "back", "unchanged", "changed"])
async def test_a_crash_before_any_call_of_a_switch_changes_nothing_in_the_end(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    undisturbed = await switched(monkeypatch, way, None)
    wanted, calls = undisturbed.end_state(), undisturbed.calls
    assert wanted["settled"] == ("Primary" if way in ("back", "unchanged") else "Secondary")
    assert wanted["history"][0][1] == ("Refused" if way == "changed" else "Completed")
    assert wanted["looks"] == (way in ("unchanged", "changed"))
    assert calls > 10
    for number in range(1, calls + 1):
        made = await switched(monkeypatch, way, number)
        assert made.crash_at is None, f"call {number} never came"
        assert made.end_state() == wanted, f"crash before call {number}"


@pytest.mark.parametrize("way", ["out", "back"])
async def test_a_route_that_was_written_but_whose_answer_was_lost_is_verified(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The API server went away between the two."""
    made = await harness.started(monkeypatch, UID)
    made.tick(3600)
    if way == "back":
        await fail_over(made)
        await made.settle()
        made.tick(3600)
    applied = made.kube.apply
    lost: list[Object] = []

    async def apply(kind: Kind, obj: Object, *, force: bool = False) -> Object:
        done = await applied(kind, obj, force=force)
        if kind == INGRESS and not lost:
            lost.append(obj)
            raise Unavailable("Unreachable", "the connection broke")
        return done

    monkeypatch.setattr(made.kube, "apply", apply)
    await (fail_back if way == "back" else fail_over)(made)
    await made.settle()
    assert lost
    assert made.end_state()["settled"] == ("Primary" if way == "back" else "Secondary")
    assert made.tenants.states[harness.KEY].memory.route_errors == {}


async def test_a_crash_before_any_call_of_a_set_up_changes_nothing_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def world(crash_at: int | None) -> Operator:
        made = harness.operator(monkeypatch)
        await harness.create(made, UID)
        made.calls, made.crash_at = 0, crash_at
        try:
            await made.settle()
        except Crash:
            made.start()
            await made.settle()
        return made

    undisturbed = await world(None)
    calls = undisturbed.calls
    jobs = [key for key in undisturbed.kube.world.objects if key[0] == JOB]
    assert len(jobs) == 1
    for number in range(1, calls + 1):
        made = await world(number)
        state, wanted = made.end_state(), undisturbed.end_state()
        assert state == wanted, f"crash before call {number}"
        assert len([key for key in made.kube.world.objects if key[0] == JOB]) == 1, f"crash before call {number}"


async def test_a_settled_tenant_costs_no_write_and_a_restart_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    before = [*made.kube.world.writes]
    for _ in range(5):
        await made.reconcile()
        made.tick(60)
    made.start()
    await made.reconcile()
    assert made.kube.world.writes == before


async def test_the_operator_never_writes_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch, deletionPolicy="Restore")
    spec = made.tenant["spec"]
    await fail_over(made)
    spec["failover"] = made.tenant["spec"]["failover"]
    await made.settle()
    assert made.tenant["spec"] == spec
    assert {verb for verb, kind, _ in made.kube.world.writes if kind == "BCPTenant"} <= {
        "create",
        "update",
        "update/status",
        "patch",
    }


async def test_a_user_who_changes_the_route_meanwhile_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    await fail_over(made)
    disturbed = False

    def disturb(verb: str, kind: Any, name: str) -> None:
        nonlocal disturbed
        if verb == "apply" and kind == INGRESS and not disturbed:
            disturbed = True
            ingress = made.kube.world.objects[INGRESS, NAMESPACE, name]
            ingress["metadata"]["resourceVersion"] = str(int(ingress["metadata"]["resourceVersion"]) + 1000000)

    made.kube.world.before = disturb
    await made.settle()
    assert disturbed
    assert made.end_state()["settled"] == "Secondary"


async def test_the_lease_lost_while_failed_over_comes_back_fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    await fail_over(made)
    await made.settle()
    await made.kube.delete(LEASE, NAMESPACE, names.writer_lease(NAME))
    await made.settle()
    assert made.end_state()["fenced"].startswith("fence/lost-")


async def test_disabling_and_enabling_again_moves_the_minute_and_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    first = made.get(CRONJOB, names.sync_cronjob(NAME))
    assert first is not None

    async def enabled(value: bool) -> None:
        tenant = made.tenant
        tenant["spec"]["sync"]["enabled"] = value
        await made.kube.as_manager("kubectl").replace(TENANT, tenant)
        await made.settle()

    made.tick(61 * 60)
    await enabled(False)
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is None
    assert "enabledAt" not in made.status.get("sync", {})
    made.tick(60)
    await enabled(True)
    again = made.get(CRONJOB, names.sync_cronjob(NAME))
    assert again is not None
    assert again["spec"]["schedule"] != first["spec"]["schedule"]
    enabled_at = datetime.fromisoformat(made.status["sync"]["enabledAt"])
    assert made.get(JOB, names.job_at(NAME, enabled_at)) is not None


async def test_the_schedule_survives_a_restart_and_a_wiped_status(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    schedule = (made.get(CRONJOB, names.sync_cronjob(NAME)) or {})["spec"]["schedule"]
    jobs = len([key for key in made.kube.world.objects if key[0] == JOB])
    made.tick(7 * 3600)
    made.kube.world.objects[TENANT, NAMESPACE, NAME].pop("status")
    made.start()
    await made.settle()
    assert (made.get(CRONJOB, names.sync_cronjob(NAME)) or {})["spec"]["schedule"] == schedule
    assert len([key for key in made.kube.world.objects if key[0] == JOB]) == jobs


async def test_no_run_at_once_after_a_failback(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await switched(monkeypatch, "back", None)
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is not None
    runs = {key[2] for key in made.kube.world.objects if key[0] == JOB}
    assert len(runs) <= 1  # the one of enabling


async def enable(made: Operator) -> None:
    """Somebody sets spec.sync.enabled."""
    tenant = made.tenant
    tenant["spec"]["sync"]["enabled"] = True
    await made.kube.as_manager("kubectl").replace(TENANT, tenant)
    await made.settle()


async def test_a_sync_enabled_while_failed_over_runs_once_after_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch, sync={"enabled": False})
    made.tick(3600)
    await fail_over(made)
    await made.settle()
    made.tick(60)
    await enable(made)
    enabled_at = datetime.fromisoformat(made.status["sync"]["enabledAt"])
    first = names.job_at(NAME, enabled_at)
    assert made.get(JOB, first) is None
    made.tick(5 * 3600)
    await fail_back(made)
    await made.settle()
    assert made.get(JOB, first) is not None
    schedule = (made.get(CRONJOB, names.sync_cronjob(NAME)) or {})["spec"]["schedule"]
    assert schedule == f"{enabled_at.minute} {enabled_at.hour} * * *", "daily at the minute of enabling all the same"
    made.kube.world.objects.pop((JOB, NAMESPACE, first))
    made.tick(3600)
    await fail_over(made)
    await made.settle()
    made.tick(3600)
    await fail_back(made)
    await made.settle()
    assert [key for key in made.kube.world.objects if key[0] == JOB] == [], "once, not after every failback"


async def test_no_run_is_made_from_a_cronjob_that_is_going(monkeypatch: pytest.MonkeyPatch) -> None:
    """With it would go what it owns: the new one is waited for."""
    made = await harness.started(monkeypatch, sync={"enabled": False})
    await enable(made)
    old = made.kube.world.objects[CRONJOB, NAMESPACE, names.sync_cronjob(NAME)]
    old["metadata"] |= {"finalizers": ["orphan"], "resourceVersion": made.kube._version()}
    made.tick(3600)
    await fail_over(made)
    await made.settle()
    for key in [key for key in made.kube.world.objects if key[0] == JOB]:
        made.kube.world.objects.pop(key)
    tenant = made.tenant
    tenant["spec"]["sync"]["enabled"] = False
    await made.kube.as_manager("kubectl").replace(TENANT, tenant)
    await made.settle()
    made.tick(60)
    await enable(made)
    made.tick(3600)
    await fail_back(made)
    await made.settle()
    still = made.get(CRONJOB, names.sync_cronjob(NAME))
    assert still is not None
    assert "deletionTimestamp" in still["metadata"]
    assert [key for key in made.kube.world.objects if key[0] == JOB] == []
    made.kube.world.objects.pop((CRONJOB, NAMESPACE, names.sync_cronjob(NAME)))
    await made.settle()
    job = made.get(JOB, names.job_at(NAME, datetime.fromisoformat(made.status["sync"]["enabledAt"])))
    fresh = made.get(CRONJOB, names.sync_cronjob(NAME))
    assert job is not None
    assert fresh is not None
    assert job["metadata"]["ownerReferences"][0]["uid"] == fresh["metadata"]["uid"] != still["metadata"]["uid"]
