"""Kopf brings the events; they only fill the cache and name what to reconcile."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import kopf

from bcp_operator.api.common import GROUP, LABEL_TENANT
from bcp_operator.kube.client import (
    CRONJOB,
    DNSENDPOINT,
    HTTPROUTE,
    INGRESS,
    JOB,
    LEASE,
    POD,
    POLICY,
    TENANT,
    Kind,
    Object,
)

from . import jobs
from .cache import ROUTES, Cache, tenant_of
from .claims import Claims
from .policies import PolicyReconciler, policy_of
from .queue import Key, Queue
from .state import now
from .tenants import TenantReconciler

KINDS = (TENANT, POLICY, CRONJOB, JOB, POD, LEASE, INGRESS)
LABELLED = (CRONJOB, JOB, POD, LEASE)
"""Only objects of ours are watched of these kinds. A route that is adopted, or in our way, carries no label: those are all watched."""

POLICY_SETTLE_SECONDS = 1.0
"""A policy counts its tenants; a crowd of them arriving is one write."""
MAX_REMEMBERED_PODS = 20


class Backoffs(Iterable[float]):
    """Pauses in seconds between attempts at the API server: growing, jittered, and without end.

    Iterated anew by Kopf for every request. An operator that is needed in an outage must outlast it.
    """

    def __iter__(self) -> Iterator[float]:
        """A fresh sequence."""
        pause = 0.2
        while True:
            yield pause * (0.75 + 0.5 * (now().monotonic_seconds % 1.0))
            pause = min(15.0, pause * 2)


class NoDiffs(kopf.DiffBaseStorage):
    """Nobody here asks what changed, so nothing is copied, compared or remembered for it: 3 ms less for each event."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> Any:
        """Nothing of an object is worth comparing."""
        del body, extra_fields
        return {}

    def fetch(self, *, body: kopf.Body) -> Any:
        """Nothing was remembered."""
        del body

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Remember nothing."""


def settings() -> kopf.OperatorSettings:
    """Kopf without anything that writes, and with watches that notice their own death."""
    made = kopf.OperatorSettings()
    made.persistence.finalizer = f"{GROUP}/kopf"
    made.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{GROUP}")
    made.persistence.diffbase_storage = NoDiffs()
    made.networking.connect_timeout, made.networking.request_timeout = 5, 30
    made.networking.error_backoffs = Backoffs()
    made.watching.server_timeout, made.watching.client_timeout = 300, 330
    made.watching.chunk_size = 500
    made.queueing.worker_limit, made.queueing.idle_timeout = 200, 0.05
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    for kind in LABELLED:
        made.watching.label_selectors[kind.group, kind.version, kind.plural] = LABEL_TENANT
    return made


class Watches:
    """Turns events into cached objects and keys in the queue."""

    def __init__(
        self, cache: Cache, queue: Queue, tenants: TenantReconciler, policies: PolicyReconciler, claims: Claims
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._tenants = tenants
        self._policies = policies
        self.relisted: Callable[[Kind, str], None] = lambda kind, namespace: None
        """Told when a list brings what is known already: a watch that has begun anew."""
        self._claims = claims
        self._policy_of: dict[Key, str] = {}
        self._routes: dict[tuple[Kind, str, str], set[str]] = defaultdict(set)

    def registry(self, optional: Iterable[Kind] = ()) -> kopf.OperatorRegistry:
        """One plain event handler per kind, and per optional one that is served: no finalizers, annotations, status."""
        made = kopf.OperatorRegistry()
        for kind in (*KINDS, *optional):
            kopf.on.event(kind.group, kind.version, kind.plural, registry=made, id=kind.plural)(self._handler(kind))
        return made

    def take(self, kind: Kind, change: str | None, obj: Object) -> None:
        """One event: change is ADDED, MODIFIED, DELETED, or None for what a list brings, at the start and after a 410."""
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        if change is None and self._cache.get(kind, namespace, name) is not None:
            self.relisted(kind, namespace)
        if change == "DELETED":
            self._cache.drop(kind, obj)
            news = True
        else:
            news = self._cache.put(kind, obj)  # what we wrote ourselves, or know already, is none
        if kind == TENANT:
            self._tenant(change, obj, news)
        elif not news:
            return
        elif kind == POLICY:
            self._policy(namespace, name)
        elif kind in ROUTES:
            for tenant in {*self._routes.get((kind, namespace, name), ()), tenant_of(obj)} - {""}:
                self._queue.add(Key("tenant", namespace, tenant))
        else:
            self._owned(kind, obj)

    def _handler(self, kind: Kind) -> Any:
        async def handle(event: Any, **_: Any) -> None:
            self.take(kind, event["type"], event["object"])

        return handle

    def _sighted(self, obj: Object) -> None:
        """Note when a generation was seen first, before anything else happens to it: the clock of a request."""
        metadata = obj["metadata"]
        key = Key("tenant", metadata["namespace"], metadata["name"])
        self._tenants.states[key].sighted(metadata.get("generation", 1), now())

    def _tenant(self, change: str | None, obj: Object, news: bool) -> None:
        metadata = obj["metadata"]
        key = Key("tenant", metadata["namespace"], metadata["name"])
        for kind, name in _routes_of(obj):
            self._routes[kind, key.namespace, name].add(key.name)
            if change == "DELETED":
                self._forget_route(kind, key, name)
        for policy in self._policies_touched(key, None if change == "DELETED" else policy_of(obj)):
            self._queue.wake(Key("policy", key.namespace, policy), POLICY_SETTLE_SECONDS)
        newest = self._cache.get(TENANT, key.namespace, key.name)
        for rival in self._claims.put(newest) if newest is not None else self._claims.drop(obj):
            self._queue.add(rival)
        if change == "DELETED":
            self._tenants.forget(key)
            self._queue.forget(key)
            return
        self._sighted(obj)
        if news:
            self._queue.add(key, urgent=_switching(obj))

    def _forget_route(self, kind: Kind, tenant: Key, name: str) -> None:
        place = (kind, tenant.namespace, name)
        self._routes[place].discard(tenant.name)
        if not self._routes[place]:
            del self._routes[place]

    def _policies_touched(self, tenant: Key, policy: str | None) -> set[str]:
        """Policies whose count changes: the one that the tenant had and the one that it has, unless they are the same."""
        before = self._policy_of.pop(tenant, None)
        if policy is not None:
            self._policy_of[tenant] = policy
        return {name for name in (before, policy) if name is not None} if before != policy else set()

    def _policy(self, namespace: str, name: str) -> None:
        self._queue.add(Key("policy", namespace, name))
        for tenant in self._policies.tenants_of(namespace, name):
            self._queue.add(Key("tenant", namespace, tenant))

    def _owned(self, kind: Kind, obj: Object) -> None:
        key = Key("tenant", obj["metadata"]["namespace"], tenant_of(obj))
        if not key.name:
            return
        if kind == POD and key in self._tenants.states:
            pods = self._tenants.states[key].terminated_pods
            pods |= jobs.terminated([obj])
            while len(pods) > MAX_REMEMBERED_PODS:
                pods.pop()
        self._queue.add(key)


def _routes_of(tenant: Object) -> list[tuple[Kind, str]]:
    """Kind and name of the objects that redirect for a tenant."""
    routes = ((tenant.get("spec") or {}).get("login") or {}).get("routes") or []
    drivers = {"ingress": INGRESS, "httpRoute": HTTPROUTE, "dnsEndpoint": DNSENDPOINT}
    return [(kind, str(route[key]["name"])) for route in routes for key, kind in drivers.items() if route.get(key)]


def _switching(tenant: Object) -> bool:
    """A request or an operation goes before everything else. Cheap, and wrong only in the order of work."""
    status = tenant.get("status") or {}
    wanted = ((tenant.get("spec") or {}).get("failover") or {}).get("activeSystem", "Primary")
    return bool(status.get("operation")) or wanted != status.get("settledSystem", "Primary")
