"""The cache: the newest of each object, nothing of what is gone, and no room taken by it."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from bcp_operator.controllers.cache import Cache
from bcp_operator.controllers.claims import Claims
from bcp_operator.controllers.policies import PolicyReconciler
from bcp_operator.controllers.queue import Queue
from bcp_operator.controllers.tenants import TenantReconciler
from bcp_operator.controllers.watches import Watches
from bcp_operator.kube.client import INGRESS, TENANT

from tests.unit.fake_kube import FakeKube


def tenant(name: str = "acme", uid: str = "1", version: str = "1") -> dict[str, Any]:
    """A tenant with one Ingress."""
    metadata = {"namespace": "tenants", "name": name, "uid": uid, "resourceVersion": version}
    routes = [{"name": "web", "ingress": {"name": f"{name}-login"}}]
    return {"metadata": metadata, "spec": {"login": {"routes": routes}}}


def ingress(name: str) -> dict[str, Any]:
    """An Ingress, somebody's."""
    return {"metadata": {"namespace": "tenants", "name": name, "uid": name, "resourceVersion": "1"}}


def test_an_answer_that_comes_after_the_end_of_its_object_brings_nothing_back() -> None:
    cache = Cache()
    cache.put(TENANT, tenant())
    cache.drop(TENANT, tenant(version="2"))
    assert not cache.put(TENANT, tenant(version="2"))  # e.g. of the patch that took the last finalizer off
    assert cache.get(TENANT, "tenants", "acme") is None
    assert cache.put(TENANT, tenant(uid="2", version="3"))
    assert not cache.put(TENANT, tenant(version="2"))
    assert cache.all(TENANT, "tenants")[0]["metadata"]["uid"] == "2"


def test_what_comes_and_goes_leaves_nothing_behind() -> None:
    cache = Cache()
    watches = Watches(
        cache, Mock(Queue), Mock(TenantReconciler, states={}), Mock(PolicyReconciler), Claims(FakeKube(), ())
    )
    watches._sighted = Mock()  # type: ignore[method-assign]
    for number in range(3):
        watches.take(TENANT, "ADDED", tenant(f"t{number}", f"u{number}"))
        watches.take(INGRESS, "ADDED", ingress(f"t{number}-login"))
        watches.take(INGRESS, "ADDED", ingress(f"other{number}"))
        watches.take(TENANT, "DELETED", tenant(f"t{number}", f"u{number}"))
        watches.take(INGRESS, "DELETED", ingress(f"t{number}-login"))
        watches.take(INGRESS, "DELETED", ingress(f"other{number}"))
    assert not watches._routes
    assert not cache._by_tenant
    assert not any(cache._objects.values())


def test_what_is_known_already_is_no_news() -> None:
    cache, queue = Cache(), Mock(Queue)
    watches = Watches(cache, queue, Mock(TenantReconciler, states={}), Mock(PolicyReconciler), Claims(FakeKube(), ()))
    watches._sighted = Mock()  # type: ignore[method-assign]
    watches.take(TENANT, "ADDED", tenant())
    cache.put(TENANT, tenant(version="2"))  # the answer to a write of ours
    watches.take(TENANT, "MODIFIED", tenant(version="2"))
    assert queue.add.call_count == 1
    watches.take(TENANT, "MODIFIED", tenant(version="3"))
    assert queue.add.call_count == 2
