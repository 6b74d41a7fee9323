"""What vanished while no watch was looking is found by an audit, at the cost of a list and without a write."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest
from bcp_operator.api import names
from bcp_operator.controllers import audit
from bcp_operator.controllers.audit import Audit
from bcp_operator.controllers.claims import Claims
from bcp_operator.controllers.policies import PolicyReconciler
from bcp_operator.controllers.queue import Key, Queue
from bcp_operator.controllers.watches import Watches
from bcp_operator.kube.client import CRONJOB, INGRESS, JOB, LEASE, TENANT, Kind, Object
from bcp_operator.kube.errors import Unavailable

from tests.unit import operator_harness as harness
from tests.unit.operator_harness import KEY, NAME, NAMESPACE, Operator

KINDS = (TENANT, CRONJOB, JOB, LEASE, INGRESS)


class Audited:
    """An operator with its event handler and its audit, whose watches are blind unless a test speaks for them."""

    def __init__(self, made: Operator) -> None:
        self.made = made
        self.worked: list[Key] = []
        claims = Claims(made.kube, (NAMESPACE,))
        policies = Mock(PolicyReconciler, tenants_of=lambda *_: [])
        self.watches = Watches(made.cache, Queue(self._work), made.tenants, policies, claims)
        self.audit = Audit(made.kube, made.cache, self.watches.take, (NAMESPACE,))
        self.watches.relisted = self.audit.suspect

    async def _work(self, key: Key) -> None:
        self.worked.append(key)

    def vanish(self, kind: Kind, name: str) -> Object:
        """Gone from the API server, and no event says so."""
        gone: Object = self.made.kube.world.objects.pop((kind, NAMESPACE, name))
        return gone

    @property
    def queued(self) -> set[Key]:
        return set(self.watches._queue._waiting)


async def audited(monkeypatch: pytest.MonkeyPatch) -> Audited:
    made = await harness.started(monkeypatch)
    made.watch()
    return Audited(made)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(INGRESS, f"{NAME}-login"), (CRONJOB, names.sync_cronjob(NAME)), (LEASE, names.writer_lease(NAME))],
)
async def test_what_vanished_unseen_is_made_again(monkeypatch: pytest.MonkeyPatch, kind: Kind, name: str) -> None:
    world = await audited(monkeypatch)
    world.vanish(kind, name)
    await world.made.tenants.reconcile(KEY)
    assert world.made.get(kind, name) is None, "the cache alone can't know"
    assert await world.audit.once(kind, NAMESPACE) == 1
    assert KEY in world.queued
    await world.made.tenants.reconcile(KEY)
    world.made.tick(15)  # a lost Lease is not brought back while its holder may live
    await world.made.tenants.reconcile(KEY)
    assert world.made.get(kind, name) is not None


async def test_a_tenant_that_vanished_unseen_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await audited(monkeypatch)
    world.vanish(TENANT, NAME)
    await world.audit.once(TENANT, NAMESPACE)
    assert world.made.cache.get(TENANT, NAMESPACE, NAME) is None
    assert KEY not in world.made.tenants.states


async def test_what_came_after_the_list_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await audited(monkeypatch)
    inventory = world.made.kube.inventory

    async def slow(*args: object) -> object:
        found = await inventory(*args)  # type: ignore[arg-type]
        fresh = await world.made.kube.create(INGRESS, {"metadata": {"namespace": NAMESPACE, "name": "new"}, "spec": {}})
        world.watches.take(INGRESS, "ADDED", fresh)
        gone = world.vanish(INGRESS, f"{NAME}-login")
        again = await world.made.kube.create(INGRESS, {key: gone[key] for key in ("spec",)} | {"metadata": _name(gone)})
        world.watches.take(INGRESS, "ADDED", again)
        return found

    monkeypatch.setattr(world.made.kube, "inventory", slow)
    assert await world.audit.once(INGRESS, NAMESPACE) == 0
    assert world.made.cache.get(INGRESS, NAMESPACE, "new") is not None
    assert world.made.cache.get(INGRESS, NAMESPACE, f"{NAME}-login") is not None


def _name(obj: Object) -> Object:
    return {key: obj["metadata"][key] for key in ("namespace", "name")}


async def test_an_audit_that_finds_nothing_writes_nothing_and_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await audited(monkeypatch)
    writes = [*world.made.kube.world.writes]
    for kind in KINDS:
        assert await world.audit.once(kind, NAMESPACE) == 0
    assert world.made.kube.world.writes == writes
    assert world.queued == set()


async def test_a_list_that_brings_what_is_known_is_audited_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kopf lists anew after a 410: then, and only then, something may have gone unseen."""
    monkeypatch.setattr(audit, "SETTLE_SECONDS", 0.01)
    world = await audited(monkeypatch)
    known = world.made.kube._out((INGRESS, NAMESPACE, f"{NAME}-login"))
    world.vanish(CRONJOB, names.sync_cronjob(NAME))
    running = asyncio.create_task(world.audit.run(KINDS))
    try:
        world.watches.take(INGRESS, None, known)
        async with asyncio.timeout(10):
            while not any(call[:2] == ("inventory", "Ingress") for call in world.made.kube.world.calls):
                await asyncio.sleep(0.01)
        assert not any(call[:2] == ("inventory", "CronJob") for call in world.made.kube.world.calls)
        world.watches.take(CRONJOB, None, (await world.made.kube.list(CRONJOB, NAMESPACE) or [_new()])[0])
        await asyncio.sleep(0.1)
        assert not any(call[:2] == ("inventory", "CronJob") for call in world.made.kube.world.calls), "a first list"
    finally:
        running.cancel()


def _new() -> Object:
    metadata = {"namespace": NAMESPACE, "name": "new-sync", "uid": "new", "resourceVersion": "1"}
    return {"metadata": metadata | {"labels": names.labels("new")}}


async def test_the_audit_outlives_an_api_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PERIOD_SECONDS", 0.02)
    monkeypatch.setattr(audit, "SETTLE_SECONDS", 0.01)
    world = await audited(monkeypatch)
    world.vanish(INGRESS, f"{NAME}-login")
    down = True

    def before(verb: str, kind: Kind, name: str) -> None:
        if down and verb == "inventory":
            raise Unavailable("Unreachable", "cannot reach the Kubernetes API")

    world.made.kube.world.before = before
    running = asyncio.create_task(world.audit.run(KINDS))
    try:
        async with asyncio.timeout(10):
            while sum(call[0] == "inventory" for call in world.made.kube.world.calls) < 2 * len(KINDS):
                await asyncio.sleep(0.01)
        down = False
        async with asyncio.timeout(10):
            while world.made.cache.get(INGRESS, NAMESPACE, f"{NAME}-login") is not None:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
