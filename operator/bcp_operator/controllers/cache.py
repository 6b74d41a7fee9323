"""The latest objects as the watches brought them, cut down to what decisions need.

It only ever proves that there is nothing to do: before anything is changed the API server is asked.
"""

from collections import OrderedDict, defaultdict
from typing import Any

from bcp_operator.api.common import LABEL_TENANT
from bcp_operator.kube.client import DNSENDPOINT, HTTPROUTE, INGRESS, POD, TENANT, Kind, Kube, Object

ROUTES = (INGRESS, HTTPROUTE, DNSENDPOINT)
"""Kinds of objects that redirect; the drivers read them whole."""

_NEVER_READ = ("managedFields", "selfLink")
REMEMBERED_GONE = 4096


class Cache:
    """Objects by kind, namespace and name, and by the tenant they belong to."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[tuple[str, str], Object]] = defaultdict(dict)
        self._by_tenant: dict[tuple[Kind, str, str], set[str]] = defaultdict(set)
        self._gone: OrderedDict[str, None] = OrderedDict()

    def put(self, kind: Kind, obj: Object) -> bool:
        """Keep an object unless a newer one is known, or its end; say whether it was kept."""
        metadata = obj["metadata"]
        if metadata["uid"] in self._gone:
            return False  # the answer to a write of ours, overtaken by the event of the deletion
        key = (metadata["namespace"], metadata["name"])
        known = self._objects[kind].get(key)
        if known is not None and version_of(known) >= version_of(obj) and known["metadata"]["uid"] == metadata["uid"]:
            return False
        self._objects[kind][key] = trim(kind, obj)
        self._by_tenant[kind, key[0], tenant_of(obj)].add(key[1])
        return True

    def drop(self, kind: Kind, obj: Object) -> None:
        """Forget an object that was deleted, unless another one of its name has come."""
        metadata = obj["metadata"]
        self._gone[metadata["uid"]] = None
        if len(self._gone) > REMEMBERED_GONE:
            self._gone.popitem(last=False)
        key = (metadata["namespace"], metadata["name"])
        known = self._objects[kind].get(key)
        if known is not None and known["metadata"]["uid"] == metadata["uid"]:
            del self._objects[kind][key]
            place = (kind, key[0], tenant_of(known))
            self._by_tenant[place].discard(key[1])
            if not self._by_tenant[place]:
                del self._by_tenant[place]

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, if it is known."""
        return self._objects[kind].get((namespace, name))

    def of_tenant(self, kind: Kind, namespace: str, tenant: str) -> list[Object]:
        """All known objects of a kind that carry the tenant's label."""
        found = (self.get(kind, namespace, name) for name in sorted(self._by_tenant.get((kind, namespace, tenant), ())))
        return [obj for obj in found if obj is not None]

    def all(self, kind: Kind, namespace: str) -> list[Object]:
        """All known objects of a kind in a namespace."""
        return [obj for (where, _), obj in self._objects[kind].items() if where == namespace]


class CachedReads(Kube):
    """The client, with reads of Ingresses, HTTPRoutes and DNSEndpoints answered from the watch where it knows them."""

    def __init__(self, kube: Kube, cache: Cache) -> None:
        self._kube = kube
        self._cache = cache

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """From the cache when the object is there, else from the API server."""
        known = self._cache.get(kind, namespace, name) if kind in ROUTES else None
        return known if known is not None else await self._kube.get(kind, namespace, name)


def tenant_of(obj: Object) -> str:
    """Name of the tenant by the object's label; empty without one."""
    return str((obj["metadata"].get("labels") or {}).get(LABEL_TENANT, ""))


def trim(kind: Kind, obj: Object) -> Object:
    """The parts of an object that decisions read."""
    if kind in ROUTES:
        return obj
    metadata: dict[str, Any] = {k: v for k, v in obj["metadata"].items() if k not in _NEVER_READ}
    if kind == TENANT:
        metadata["managedFields"] = [
            entry
            for entry in obj["metadata"].get("managedFields") or []
            if "f:failover" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        ]
    if kind == POD:
        return {"metadata": metadata, "status": obj.get("status") or {}}
    return {**obj, "metadata": metadata}


def version_of(obj: Object) -> int:
    """resourceVersion as a number: within one kind it grows."""
    text = str(obj["metadata"].get("resourceVersion", "0"))
    return int(text) if text.isdigit() else 0
