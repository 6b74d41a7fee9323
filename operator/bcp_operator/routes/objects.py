"""Routes that are objects of the cluster: judging a target, whose an object is, writing on condition.

OwnObject is the operator's own as a whole, in both states: its lists are atomic, so nothing of it can be shared with
anybody. Labels and never an ownerReference: garbage collection must not delete a login URL.
"""

from collections.abc import Awaitable
from typing import ClassVar

from bcp_operator.api.common import GROUP, LABEL_MANAGED_BY, LABEL_TENANT, System
from bcp_operator.api.names import COMPONENT_ROUTE, labels
from bcp_operator.api.tenant_status import ActiveSystem
from bcp_operator.kube.client import Kind, Kube, Object
from bcp_operator.kube.errors import AlreadyExists, Conflict, FieldConflict, KubeError, NotFound
from bcp_operator.systems.hosts import HostPolicy, HostRefused

from .base import Context, Observation, RouteChanged, RouteError, Target
from .ownership import owners_of_spec

__all__ = ["ANNOTATION_SHOWS", "ObjectRoute", "OwnObject"]

ANNOTATION_SHOWS = f"{GROUP}/shows"
"""Side that an object of ours was written for: still true after the login URL of that side was edited."""

REMEDY = "choose another name, or delete it"


class ObjectRoute:
    """Base of the drivers that change an object of the cluster. `what` names it in messages."""

    def __init__(self, name: str, what: str, context: Context, kube: Kube, hosts: HostPolicy) -> None:
        self.name = name
        self._what, self._context, self._kube, self._hosts = what, context, kube, hosts

    def _check(self, target: Target) -> None:
        """A target is written into a proxy's configuration or into DNS and meets every user: judge it first."""
        try:
            self._hosts.check_url(target.login_url)
        except HostRefused as error:
            raise RouteError(f"loginURL of the {target.system.lower()} is refused: {error}") from None

    async def _write(self, call: Awaitable[Object]) -> Object:
        try:
            return await call
        except FieldConflict as error:
            # observe() saw no other owner, or it would have said so: somebody came between.
            names = ", ".join(sorted(set(error.owners.values())))
            raise RouteChanged(f"{self._what}: {names} has just set the redirect") from None
        except (Conflict, AlreadyExists, NotFound) as error:
            raise RouteChanged(f"{self._what} changed meanwhile: {error.reason}") from None
        except KubeError as error:
            raise RouteError(f"cannot write {self._what}: {error.message}") from error

    def _labels(self) -> dict[str, str]:
        return labels(self._context.tenant_name, COMPONENT_ROUTE)

    def _foreign_object(self, found: Object, remedy: str) -> str | None:
        """Why an object of this name is not ours as a whole; None when it is."""
        marks = found["metadata"].get("labels") or {}
        ours = self._labels()
        if all(marks.get(key) == ours[key] for key in (LABEL_TENANT, LABEL_MANAGED_BY)):
            return None
        owner = marks.get(LABEL_TENANT)
        if owner:
            return f"{self._what} belongs to BCPTenant {owner}: choose another name"
        return f"{self._what} is not the operator's: {remedy}"


class OwnObject(ObjectRoute):
    """An object of our own, of a kind that not every cluster serves."""

    kind: ClassVar[Kind]
    list_field: ClassVar[str]
    """Field of the spec that says where users go: who owns it has written it."""
    not_served: ClassVar[str]

    def __init__(self, name: str, object_name: str, context: Context, kube: Kube, hosts: HostPolicy) -> None:
        super().__init__(name, f"{self.kind.kind} {object_name}", context, kube, hosts)
        self._object_name = object_name

    # -- what a kind has to say

    def _spec(self, target: Target) -> Object:
        """The spec that sends users to the target, with every default of the API written out."""
        raise NotImplementedError

    def _side(self, found: Object) -> System | None:
        """Where the spec of an object sends users."""
        raise NotImplementedError

    def _keeps_path(self, side: System) -> bool:
        raise NotImplementedError

    async def _before_write(self, wanted: Object, target: Target, seen: Observation) -> None:
        """Raise RouteError for what must not, or can't, be written."""

    # -- the driver

    async def observe(self) -> Observation:
        """Read the object. A cluster without the kind is told from one without the object."""
        try:
            found = await self._kube.get(self.kind, self._context.tenant_namespace, self._object_name)
            served = found is not None or self.kind in await self._kube.discover([self.kind])
        except KubeError as error:
            text = f"cannot read {self.kind.kind}: {error.message}"
            return Observation(self.name, "Unknown", exists=False, error=text)
        if found is not None:
            return self._seen(found)
        return Observation(
            self.name,
            "Unknown",
            exists=False,
            error=None if served else self.not_served,
            unserved=not served,
            path_preserved=self._keeps_path("Primary") and self._keeps_path("Secondary"),
        )

    def _seen(self, found: Object) -> Observation:
        conflict = self._foreign_object(found, REMEDY)
        side = self._side(found)
        if side is None and self._is_written_by_us(found):
            marked = (found["metadata"].get("annotations") or {}).get(ANNOTATION_SHOWS)
            side = marked if marked in ("Primary", "Secondary") else None
        shows: ActiveSystem = side or "Unknown"
        return Observation(
            self.name,
            shows,
            ours=conflict is None,
            in_place=side if side is not None and self._is_complete(found, side) else None,
            conflict=conflict,
            resource_version=found["metadata"]["resourceVersion"],
            path_preserved=side is not None and self._keeps_path(side),
            state=found,
        )

    async def apply(self, target: Target, seen: Observation, *, override: bool = False) -> None:
        """See Driver.apply. An object of the same name that is not ours is never taken over, whatever is overridden."""
        del override
        if seen.error or seen.conflict:
            raise RouteError(seen.error or seen.conflict)
        if seen.in_place == target.system:
            return
        self._check(target)
        wanted = self._wanted(target)
        await self._before_write(wanted, target, seen)
        if not seen.exists:
            # Server-side apply can't say "only if absent": a stale leader could overwrite what its successor made.
            await self._write(self._kube.create(self.kind, wanted))
            return
        wanted["metadata"] |= {key: seen.state["metadata"][key] for key in ("uid", "resourceVersion")}
        # The object is ours as a whole, so a field that somebody patched by hand is set right: force.
        await self._write(self._kube.apply(self.kind, wanted, force=True))

    async def restore(self, seen: Observation) -> None:
        """See Driver.restore: our object stays, and shows the primary."""
        if seen.error:
            raise RouteError(seen.error)
        if seen.exists and seen.ours:
            await self.apply(self._context.target("Primary"), seen)

    def _wanted(self, target: Target) -> Object:
        return {
            "metadata": {
                "namespace": self._context.tenant_namespace,
                "name": self._object_name,
                "labels": self._labels(),
                "annotations": {ANNOTATION_SHOWS: target.system},
            },
            "spec": self._spec(target),
        }

    def _is_complete(self, found: Object, side: System) -> bool:
        wanted, metadata = self._wanted(self._context.target(side)), found["metadata"]
        return (
            found.get("spec") == wanted["spec"]
            and wanted["metadata"]["labels"].items() <= (metadata.get("labels") or {}).items()
            and wanted["metadata"]["annotations"].items() <= (metadata.get("annotations") or {}).items()
            and self._is_written_by_us(found)
        )

    def _is_written_by_us(self, found: Object) -> bool:
        return any(owner.is_ours for owner in owners_of_spec(found, self.list_field))
