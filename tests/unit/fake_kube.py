"""A strict in-memory Kubernetes API with the interface of Kube, for tests without an apiserver.

It keeps what our code relies on: resourceVersion and generation, 404 and 409, labels, the status subresource kept
apart, finalizers, owner references, and server-side apply with field ownership per manager (maps are granular, lists
atomic, which is what the kinds we apply declare). tests/unit/kube_contract.py holds it to the real apiserver's answers.
"""

import copy
import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bcp_operator.api.common import FIELD_MANAGER
from bcp_operator.kube.client import (
    CRONJOB,
    DNSENDPOINT,
    HTTPROUTE,
    INGRESS,
    JOB,
    POD,
    POLICY,
    PVC,
    TENANT,
    Inventory,
    Kind,
    Kube,
    Object,
)
from bcp_operator.kube.errors import AlreadyExists, Conflict, FieldConflict, Invalid, NotFound

Path = tuple[str, ...]
Key = tuple[Kind, str, str]
Manager = tuple[str, str, str]  # name, operation, subresource

WITH_STATUS = frozenset({TENANT, POLICY, CRONJOB, JOB, POD, PVC, INGRESS, HTTPROUTE, DNSENDPOINT})
WITH_GENERATION = frozenset({TENANT, POLICY, CRONJOB, JOB, INGRESS, HTTPROUTE, DNSENDPOINT})
SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class World:
    """What the API server stores; several FakeKube with different field managers may share one."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.owners: dict[Key, dict[Manager, set[Path]]] = {}
        self.versions = itertools.count(1)
        self.calls: list[tuple[str, str, str]] = []  # verb, kind, name: every call
        self.writes: list[tuple[str, str, str]] = []  # those that changed something
        self.absent: set[Kind] = set()  # kinds that this cluster does not serve
        self.before: Callable[[str, Kind, str], None] | None = None  # may raise, or change the world


class FakeKube(Kube):
    """See the module."""

    def __init__(self, world: World | None = None, field_manager: str = FIELD_MANAGER) -> None:
        self.world = world or World()
        self.field_manager = field_manager

    def as_manager(self, name: str) -> "FakeKube":
        """The same world, seen and changed by somebody else."""
        return FakeKube(self.world, name)

    # -- reading

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        try:
            self._enter("get", kind, namespace, name)
        except NotFound:
            return None  # a kind that is not served looks like an object that is not there
        found = self.world.objects.get((kind, namespace, name))
        return None if found is None else self._out((kind, namespace, name))

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        self._enter("list", kind, namespace, None)
        wanted = dict(labels or {})
        return [
            self._out(key)
            for key, obj in sorted(self.world.objects.items(), key=lambda item: item[0][2])
            if key[0] == kind
            and key[1] == namespace
            and wanted.items() <= (obj["metadata"].get("labels") or {}).items()
        ]

    async def inventory(self, kind: Kind, namespace: str, label: str = "") -> Inventory:
        self._enter("inventory", kind, namespace, None)
        found = {
            obj["metadata"]["uid"]
            for key, obj in self.world.objects.items()
            if key[:2] == (kind, namespace) and (not label or label in (obj["metadata"].get("labels") or {}))
        }
        return Inventory(frozenset(found), int(self._version()))

    async def discover(self, kinds: Iterable[Kind]) -> frozenset[Kind]:
        return frozenset(kinds) - self.world.absent

    # -- writing

    async def create(self, kind: Kind, obj: Object) -> Object:
        key = self._enter("create", kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        if key in self.world.objects:
            raise AlreadyExists("AlreadyExists", f'{kind.plural} "{key[2]}" already exists')
        if obj["metadata"].get("resourceVersion"):
            raise Invalid("BadRequest", "resourceVersion should not be set on objects to be created")
        body = copy.deepcopy(obj)
        if kind in WITH_STATUS:
            body.pop("status", None)
        self._insert(key, body)
        self._own(key, {}, (self.field_manager, "Update", ""))
        return self._wrote("create", key)

    async def replace(self, kind: Kind, obj: Object) -> Object:
        if not obj["metadata"].get("resourceVersion"):
            raise Invalid("Unconditional", f"replacing {kind.kind} {obj['metadata']['name']} without a resourceVersion")
        key = self._enter("update", kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        live = self._existing(key)
        self._same_version(key, obj["metadata"]["resourceVersion"])
        uid = obj["metadata"].get("uid")
        if uid and uid != live["metadata"]["uid"]:
            raise Conflict("Conflict", "Precondition failed: UID in precondition differs")
        new = copy.deepcopy(obj)
        for field in SERVER_FIELDS:
            new["metadata"].pop(field, None)
            if field in live["metadata"]:
                new["metadata"][field] = live["metadata"][field]
        if kind in WITH_STATUS:
            new.pop("status", None)
            if "status" in live:
                new["status"] = copy.deepcopy(live["status"])
        return self._commit("update", key, new, (self.field_manager, "Update", ""))

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, status: Object, resource_version: str
    ) -> Object:
        key = self._enter("update/status", kind, namespace, name)
        new = copy.deepcopy(self._existing(key))
        self._same_version(key, resource_version)
        new["status"] = json.loads(json.dumps(status))
        return self._commit("update/status", key, new, (self.field_manager, "Update", "status"))

    async def patch_metadata(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        resource_version: str,
        finalizers: Sequence[str] | None = None,
        annotations: Mapping[str, str | None] | None = None,
    ) -> Object:
        key = self._enter("patch", kind, namespace, name)
        new = copy.deepcopy(self._existing(key))
        self._same_version(key, resource_version)
        if finalizers is not None:
            new["metadata"]["finalizers"] = [*finalizers]
        kept = (new["metadata"].get("annotations") or {}) | dict(annotations or {})
        new["metadata"]["annotations"] = {key: value for key, value in kept.items() if value is not None}
        _drop_empty(new["metadata"], "annotations", "finalizers")
        return self._commit("patch", key, new, (self.field_manager, "Update", ""))

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str | None = None, propagation: str = "Background"
    ) -> bool:
        key = self._enter("delete", kind, namespace, name)
        live = self.world.objects.get(key)
        if live is None or (uid and uid != live["metadata"]["uid"]):
            return False
        if live["metadata"].get("finalizers"):
            if "deletionTimestamp" not in live["metadata"]:
                live["metadata"] |= {"deletionTimestamp": _now(), "resourceVersion": self._version()}
                self._wrote("delete", key)
            return True
        self._remove(key, propagation)
        self.world.writes.append(("delete", kind.kind, name))
        return True

    async def apply(self, kind: Kind, obj: Object, *, force: bool = False) -> Object:
        key = self._enter("apply", kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        manager = (self.field_manager, "Apply", "")
        wanted_version, wanted_uid = obj["metadata"].get("resourceVersion"), obj["metadata"].get("uid")
        if wanted_version and not wanted_uid:
            raise Invalid("Unconditional", f"applying {kind.kind} {key[2]} by version but without uid")
        if wanted_uid and self.world.objects.get(key, {"metadata": {"uid": ""}})["metadata"]["uid"] != wanted_uid:
            raise Conflict("Conflict", f'uid mismatch: {kind.plural} "{key[2]}" is another object or gone')
        if key not in self.world.objects:
            self._insert(key, copy.deepcopy(obj))
            self.world.owners[key] = {manager: set(dict(_leaves(_without_server_fields(obj))))}
            return self._wrote("apply", key)
        new, mine = self._merged(key, _without_server_fields(obj), manager, force)
        if wanted_version:
            self._same_version(key, wanted_version)
        owners = self.world.owners[key]
        before = owners.get(manager)
        if _same(new, self.world.objects[key]) and before == mine:
            return self._out(key)
        for other, paths in owners.items():
            if other != manager:
                paths.difference_update(
                    path for path in paths & mine if _at(self.world.objects[key], path) != _at(new, path)
                )
        result = self._commit("apply", key, new, None, changed=before != mine)
        if key in self.world.owners:
            owners[manager] = mine
            result = self._out(key)
        return result

    # -- the inside

    def _enter(self, verb: str, kind: Kind, namespace: str, name: str | None) -> Key:
        for part in (namespace, name) if kind.namespaced else (name,):
            if part is not None and _NAME.fullmatch(part) is None:
                raise Invalid("InvalidName", f"{part!r} is not a name of a Kubernetes object")
        if kind in self.world.absent:
            raise NotFound("NotFound", "the server could not find the requested resource")
        self.world.calls.append((verb, kind.kind, name or ""))
        if self.world.before is not None:
            self.world.before(verb, kind, name or "")
        return (kind, namespace, name or "")

    def _existing(self, key: Key) -> Object:
        if key not in self.world.objects:
            raise NotFound("NotFound", f'{key[0].plural} "{key[2]}" not found')
        return self.world.objects[key]

    def _same_version(self, key: Key, version: str) -> None:
        if self.world.objects[key]["metadata"]["resourceVersion"] != version:
            message = f'Operation cannot be fulfilled on {key[0].plural} "{key[2]}": the object has been modified'
            raise Conflict("Conflict", message)

    def _insert(self, key: Key, body: Object) -> None:
        metadata = body["metadata"]
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "resourceVersion": self._version()}
        if key[0] in WITH_GENERATION:
            metadata["generation"] = 1
        body |= {"apiVersion": key[0].api_version, "kind": key[0].kind}
        self.world.objects[key] = json.loads(json.dumps(body))
        self.world.owners[key] = {}

    def _commit(self, verb: str, key: Key, new: Object, manager: Manager | None, *, changed: bool = False) -> Object:
        """Store what changed; an object that lost its last finalizer while being deleted is gone."""
        old = self.world.objects[key]
        if _same(old, new) and not changed:
            return self._out(key)
        if key[0] in WITH_GENERATION and _content(old) != _content(new):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        new["metadata"]["resourceVersion"] = self._version()
        self.world.objects[key] = new
        if manager is not None:
            self._own(key, old, manager)
        result = self._wrote(verb, key)
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self._remove(key, "Background")
        return result

    def _own(self, key: Key, old: Object, manager: Manager) -> None:
        """An Update owns what it changed; nobody owns what it removed."""
        before = dict(_leaves(_without_server_fields(old)))
        after = dict(_leaves(_without_server_fields(self.world.objects[key])))
        touched = {path for path, value in after.items() if path not in before or before[path] != value}
        gone = before.keys() - after.keys()
        owners = self.world.owners[key]
        for other, paths in owners.items():
            paths.difference_update(gone if other == manager else gone | touched)
        owners.setdefault(manager, set()).update(touched)

    def _merged(self, key: Key, applied: Object, manager: Manager, force: bool) -> tuple[Object, set[Path]]:
        live, owners = self.world.objects[key], self.world.owners[key]
        values, wanted = dict(_leaves(live)), dict(_leaves(applied))
        foreign = {
            path: other[0]
            for path, value in wanted.items()
            for other, paths in owners.items()
            if other != manager and path in paths and values.get(path) != value
        }
        if foreign and not force:
            fields = {"." + ".".join(path): name for path, name in foreign.items()}
            first = next(iter(fields.values()))
            raise FieldConflict(f'Apply failed with {len(fields)} conflict: conflict with "{first}"', fields)
        new = copy.deepcopy(live)
        for path in owners.get(manager, set()) - wanted.keys():
            if not any(path in paths for other, paths in owners.items() if other != manager):
                _unset(new, path)
        for path, value in wanted.items():
            _set(new, path, value)
        return new, set(wanted)

    def _remove(self, key: Key, propagation: str) -> None:
        uid = self.world.objects.pop(key)["metadata"]["uid"]
        self.world.owners.pop(key, None)
        for other, obj in [*self.world.objects.items()]:
            references = obj["metadata"].get("ownerReferences") or []
            if not any(reference["uid"] == uid for reference in references):
                continue
            if propagation == "Orphan":
                obj["metadata"]["ownerReferences"] = [r for r in references if r["uid"] != uid]
                _drop_empty(obj["metadata"], "ownerReferences")
                obj["metadata"]["resourceVersion"] = self._version()
            else:
                self._remove(other, propagation)

    def _wrote(self, verb: str, key: Key) -> Object:
        self.world.writes.append((verb, key[0].kind, key[2]))
        return self._out(key)

    def _version(self) -> str:
        return str(next(self.world.versions))

    def _out(self, key: Key) -> Object:
        obj = copy.deepcopy(self.world.objects[key])
        obj["metadata"]["managedFields"] = [
            {"manager": name, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": _fields_v1(paths)}
            | ({"subresource": subresource} if subresource else {})
            for (name, operation, subresource), paths in self.world.owners[key].items()
            if paths
        ]
        return obj


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field that somebody can own: scalars and lists; an empty map counts as one."""
    if isinstance(value, dict) and (value or not path):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _without_server_fields(obj: Object) -> Object:
    """What somebody can own: no name, nothing that the server sets."""
    hidden = (*SERVER_FIELDS, "name", "namespace")
    body = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")}
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key not in hidden}
    return body | ({"metadata": metadata} if metadata else {})


def _content(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _same(one: Object, two: Object) -> bool:
    def stable(obj: Object) -> Object:
        hidden = ("resourceVersion", "generation", "managedFields")
        return obj | {"metadata": {k: v for k, v in obj["metadata"].items() if k not in hidden}}

    return stable(one) == stable(two)


def _set(obj: Object, path: Path, value: Any) -> None:
    for part in path[:-1]:
        inner = obj.get(part)
        if not isinstance(inner, dict):
            inner = obj[part] = {}
        obj = inner
    obj[path[-1]] = copy.deepcopy(value)


def _at(obj: Object, path: Path) -> Any:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _unset(obj: Object, path: Path) -> None:
    parents = [obj]
    for part in path[:-1]:
        if not isinstance(parents[-1].get(part), dict):
            return
        parents.append(parents[-1][part])
    parents[-1].pop(path[-1], None)
    for parent, part in reversed([*zip(parents, path, strict=False)][:-1]):
        if parent[part] == {}:
            del parent[part]


def _drop_empty(metadata: Object, *fields: str) -> None:
    for field in fields:
        if field in metadata and not metadata[field]:
            del metadata[field]


def _fields_v1(paths: Iterable[Path]) -> Object:
    tree: Object = {}
    for path in paths:
        node = tree
        for part in path:
            node = node.setdefault(f"f:{part}", {})
    return tree


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
