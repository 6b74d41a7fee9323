"""What was seen of one tenant: the parsed object, the raw ones around it, and how they become what decisions read."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import ValidationError

from bcp_operator.api.common import FINALIZER
from bcp_operator.api.tenant import BCPTenantSpec, Route
from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity import request
from bcp_operator.continuity.observed import Memory, Observed, RouteView, WriterView
from bcp_operator.kube import jobs as manifests
from bcp_operator.kube.client import Kube, Object
from bcp_operator.kube.lease import WriterState
from bcp_operator.routes.base import Context, Driver, Observation
from bcp_operator.systems.hosts import HostPolicy

from . import requester
from .queue import Key
from .state import TenantState

DriverFactory = Callable[[Route, Context, Kube, HostPolicy], Driver]


class Unreadable(Exception):
    """The object is not what its schema promises; nothing is done for it."""


@dataclass(frozen=True)
class Surroundings:
    """What is fixed for the process: the hosts tenants may name, the sync pods' image, whether requesters are stamped and switch alone."""

    hosts: HostPolicy
    image: manifests.Image
    stamped: bool
    build: DriverFactory
    four_eyes: bool = False


@dataclass(frozen=True)
class Sight:
    """What was observed, with the raw objects and drivers that acting on it needs."""

    obj: Object
    seen: Observed
    fresh: bool
    drivers: dict[str, Driver] = field(default_factory=dict)
    observations: dict[str, Observation] = field(default_factory=dict)
    writer: WriterState | None = None
    cronjob: Object | None = None
    wanted: manifests.SyncObjects | None = None


@dataclass(frozen=True)
class Tenant:
    """The tenant object, parsed."""

    key: Key
    obj: Object
    spec: BCPTenantSpec
    status: BCPTenantStatus

    @property
    def switching(self) -> bool:
        """A switch is under way or asked for: read only what it needs, and read it now."""
        return self.status.operation is not None or self.status.request_hash != request.fingerprint(self.spec)


def parse(key: Key, obj: Object) -> Tenant:
    """The object by its models. Raises Unreadable for a spec that doesn't fit."""
    try:
        spec = BCPTenantSpec.model_validate(obj.get("spec"))
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, ('spec', *item['loc'])))}: {item['msg']}" for item in error.errors(include_input=False)
        )
        raise Unreadable(
            f"spec does not fit the schema of this operator's version ({found[:512]}): install its CRDs (crds/), then "
            "apply the object anew"
        ) from None
    return Tenant(key, obj, spec, parse_status(obj))


def parse_status(obj: Object) -> BCPTenantStatus:
    """The status by its model; one that doesn't fit was edited by hand and is worth no more than a wiped one."""
    try:
        return BCPTenantStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return BCPTenantStatus()


def observed(tenant: Tenant, state: TenantState, *, stamped: bool, **parts: object) -> Observed:
    """The tenant object itself for decisions; `parts` is what was found around it."""
    metadata = tenant.obj["metadata"]
    return Observed(
        namespace=tenant.key.namespace,
        name=tenant.key.name,
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        spec=tenant.spec,
        status=tenant.status,
        requester=requester.read(tenant.obj, stamped=stamped),
        deleting=deleting(tenant.obj),
        finalizer=has_finalizer(tenant.obj),
        memory=_memory(tenant, state),
        **parts,  # type: ignore[arg-type]
    )


def deleting(obj: Object) -> bool:
    """Somebody has deleted it."""
    return "deletionTimestamp" in obj["metadata"]


def has_finalizer(obj: Object) -> bool:
    """Ours is on it."""
    return FINALIZER in (obj["metadata"].get("finalizers") or [])


def context(tenant: Tenant) -> Context:
    """What route drivers have to know of the tenant."""
    spec = tenant.spec
    return Context(tenant.key.namespace, tenant.key.name, spec.login, spec.primary.login_url, spec.secondary.login_url)


def writer_view(writer: WriterState | None) -> WriterView | None:
    """The writer Lease."""
    if writer is None:
        return None
    return WriterView(writer.holder, writer.previous_holder, writer.sync_enabled_at, writer.held_since)


def route_view(route: Route, seen: Observation) -> RouteView:
    """One route as its driver saw it."""
    return RouteView(
        name=seen.name,
        shows=seen.shows,
        exists=seen.exists,
        managed=route.ingress is None or route.ingress.mode == "Managed",
        current=seen.in_place is not None and seen.in_place == seen.shows,
        conflict=seen.conflict,
        overridable=seen.overridable,
        error=seen.error,
        unserved=seen.unserved,
        drift=seen.drift,
        dialect=seen.dialect,
        path_preserved=seen.path_preserved,
    )


def _memory(tenant: Tenant, state: TenantState) -> Memory:
    current = state.seen_generation == tenant.obj["metadata"].get("generation")
    if current and state.seen_at is not None and tenant.status.operation is None:
        state.remember(request_hash=request.fingerprint(tenant.spec), request_seen=state.seen_at)
    return state.memory
