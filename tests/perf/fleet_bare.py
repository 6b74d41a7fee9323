"""The same writes as the operator makes for a failover, up to the route, by a client that decides nothing.

Which ones these are is read off the audit log of the operator's own failovers, tenant by tenant; the bodies are as large as the operator's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.perf.fleet_log import Request
from tests.perf.fleet_world import Fleet, Object, spread

REDIRECT = "nginx.ingress.kubernetes.io/temporal-redirect"
ROUTE = "patch ingresses"


def until_routed(requests: list[Request], names: list[str]) -> list[str]:
    """The kinds of writes, in order, that the median tenant needed up to its route; from a run of failovers."""
    by_name: dict[str, list[str]] = {name: [] for name in names}
    routed: set[str] = set()
    for one in requests:
        name = one.name.partition("-")[0].partition(".")[0]
        if one.is_write and name in by_name and name not in routed:
            by_name[name].append(one.kind)
            if one.kind == ROUTE:
                routed.add(name)
    counted = Counter(tuple(kinds) for kinds in by_name.values())
    return list(counted.most_common(1)[0][0])


@dataclass
class Writer:
    """Makes them. `routed` is when each route was written, in seconds since 1970."""

    fleet: Fleet
    kinds: list[str]
    tenants: dict[str, Object] = field(default_factory=dict)
    leases: dict[str, Object] = field(default_factory=dict)
    cronjobs: dict[str, Object] = field(default_factory=dict)
    ingresses: dict[str, Object] = field(default_factory=dict)
    routed: list[float] = field(default_factory=list)
    events: int = 0

    async def load(self) -> None:
        """Read what is there, before the clock starts."""
        for kind in ("tenants", "leases", "cronjobs", "ingresses"):
            found = await self.fleet.api.list(kind, self.fleet.namespace)
            getattr(self, kind).update({obj["metadata"]["name"]: obj for obj in found})

    async def run(self) -> None:
        """For every tenant, at the operator's concurrency."""
        await spread(self._one, self.fleet.names)

    async def _one(self, name: str) -> None:
        made: dict[str, Callable[[str], object]] = {
            "patch bcptenants/status": self._status,
            "update leases": self._fence,
            "delete cronjobs": self._stop,
            "create events": self._event,
            ROUTE: self._route,
        }
        for kind in self.kinds:
            await made[kind](name)  # type: ignore[misc]

    async def _status(self, name: str) -> None:
        body = [{"op": "add", "path": "/status", "value": self.tenants[name]["status"] | {"phase": "FailingOver"}}]
        path = self.fleet.path("tenants", name) + "/status?fieldManager=bare"
        await self.fleet.api.send("PATCH", path, body, "json-patch+json")

    async def _fence(self, name: str) -> None:
        lease = self.leases[f"{name}-writer"]
        fenced = lease | {"spec": lease["spec"] | {"holderIdentity": f"fence/{name}"}}
        await self.fleet.api.send("PUT", self.fleet.path("leases", f"{name}-writer"), fenced)

    async def _stop(self, name: str) -> None:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}
        options |= {"preconditions": {"uid": self.cronjobs[f"{name}-sync"]["metadata"]["uid"]}}  # type: ignore[dict-item]
        await self.fleet.api.send("DELETE", self.fleet.path("cronjobs", f"{name}-sync"), options)

    async def _event(self, name: str) -> None:
        self.events += 1
        tenant = self.tenants[name]["metadata"]
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        event = {
            "metadata": {"name": f"{name}.bare{self.events}"},
            "eventTime": moment,
            "reportingController": "bench.test/bare",
            "reportingInstance": "bare",
            "regarding": {"kind": "BCPTenant", "namespace": self.fleet.namespace, "name": name, "uid": tenant["uid"]},
            "reason": "FailoverRequested",
            "action": "FailoverRequested",
            "note": f"operation {tenant['uid']} asked for by a bare client, which has nothing else to say of it",
            "type": "Normal",
        }
        await self.fleet.api.send("POST", self.fleet.path("events"), event)

    async def _route(self, name: str) -> None:
        found = self.ingresses[f"{name}-login"]
        metadata = {key: found["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion", "labels")}
        metadata["annotations"] = {REDIRECT: self.fleet.page(name, "Secondary"), "bcp-operator.io/shows": "Secondary"}
        body = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": found["spec"]}
        path = self.fleet.path("ingresses", f"{name}-login") + "?fieldManager=bcp-operator&force=true"
        await self.fleet.api.send("PATCH", path, body, "apply-patch+yaml")
        self.routed.append(time.time())
