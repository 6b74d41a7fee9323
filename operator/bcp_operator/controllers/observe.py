"""Observe one tenant and everything around it, all at once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import ValidationError

from bcp_operator.api import names
from bcp_operator.api.common import FINALIZER, LABEL_TENANT
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.tenant import BCPTenantSpec, Route
from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity import durations, request, schedule
from bcp_operator.continuity.observed import (
    RUN_PREFIX,
    Memory,
    Observed,
    Probe,
    Problem,
    RouteView,
    SyncView,
    WriterView,
)
from bcp_operator.kube import jobs as manifests
from bcp_operator.kube.client import CONFIGMAP, CRONJOB, JOB, LEASE, POD, POLICY, PVC, TENANT, Kind, Kube, Object
from bcp_operator.kube.lease import WriterLease, WriterState, state_of
from bcp_operator.routes.base import Context, Driver, Observation
from bcp_operator.systems.hosts import HostPolicy, HostRefused

from . import jobs, requester
from .cache import Cache, CachedReads
from .probing import Prober
from .queue import Key
from .state import TenantState, now

DriverFactory = Callable[[Route, Context, Kube, HostPolicy], Driver]


class Unreadable(Exception):
    """The object is not what its schema promises; nothing is done for it."""


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
class Surroundings:
    """What is fixed for the process: the hosts tenants may name, the sync pods' image, whether requesters are stamped."""

    hosts: HostPolicy
    image: manifests.Image
    stamped: bool
    build: DriverFactory


@dataclass
class _Tenant:
    """The tenant object, parsed."""

    key: Key
    obj: Object
    spec: BCPTenantSpec
    status: BCPTenantStatus

    @property
    def switching(self) -> bool:
        """A switch is under way or asked for: read only what it needs, and read it now."""
        return self.status.operation is not None or self.status.request_hash != request.fingerprint(self.spec)


@dataclass(frozen=True)
class _Pods:
    """Pods of a tenant's sync and the report ConfigMap, as far as they were worth reading."""

    items: list[Object]
    report: Object | None = None


class Observer:
    """Reads a tenant's world: from the watches for the first look, from the API server before anything is changed."""

    def __init__(self, kube: Kube, cache: Cache, around: Surroundings) -> None:
        self._kube = kube
        self._cache = cache
        self._cached = CachedReads(kube, cache)
        self._around = around
        self._prober = Prober(kube, around.hosts)

    async def refresh(self, key: Key) -> None:
        """Read the tenant object itself anew, after somebody else has changed it."""
        obj = await self._kube.get(TENANT, key.namespace, key.name)
        known = self._cache.get(TENANT, key.namespace, key.name)
        if obj is not None:
            self._cache.put(TENANT, obj)
        elif known is not None:
            self._cache.drop(TENANT, known)

    async def look(self, key: Key, state: TenantState, *, fresh: bool) -> Sight | None:
        """Observe; None when the tenant is gone. Raises Unreadable, KubeError."""
        obj = self._cache.get(TENANT, key.namespace, key.name)
        if obj is None:
            return None
        tenant = _Tenant(key, obj, *_parse(obj))
        refused = _refused(tenant.spec, self._around.hosts)
        if refused is not None:
            return Sight(obj, self._observed(tenant, state, refused=refused), fresh)
        fresh = fresh or tenant.switching
        context = _context(tenant)
        reads = self._kube if fresh else self._cached
        drivers = {r.name: self._around.build(r, context, reads, self._around.hosts) for r in tenant.spec.login.routes}
        routes, writer, cronjob, found_jobs, policy, probe = await asyncio.gather(
            asyncio.gather(*(driver.observe() for driver in drivers.values())),
            self._writer(tenant, fresh),
            self._one(CRONJOB, key, names.sync_cronjob(key.name), fresh),
            self._jobs(key, fresh),
            self._policy(tenant),
            self._probe(tenant),
        )
        lease = _lease(writer)
        state.fence_seen(lease.holder if lease else "", lease is not None and lease.fenced, now())
        problem, wanted = self._wanted(tenant, policy, lease, state)
        sync = await self._sync(tenant, state, lease, found_jobs, cronjob=cronjob, wanted=wanted, fresh=fresh)
        seen = self._observed(
            tenant,
            state,
            policy=policy,
            sync_problem=problem,
            lease=lease,
            routes=tuple(_route_view(r, o) for r, o in zip(tenant.spec.login.routes, routes, strict=True)),
            sync=sync,
            probe=probe,
        )
        observations = dict(zip(drivers, routes, strict=True))
        return Sight(obj, seen, fresh, drivers, observations, writer, cronjob, wanted)

    async def _sync(
        self,
        tenant: _Tenant,
        state: TenantState,
        lease: WriterView | None,
        found_jobs: list[Object],
        *,
        cronjob: Object | None,
        wanted: manifests.SyncObjects | None,
        fresh: bool,
    ) -> SyncView:
        """The sync's objects and runs. Nothing is stale where nothing may be made: while switching or fenced."""
        pods = await self._pods(tenant, lease, found_jobs)
        return SyncView(
            cronjob=cronjob is not None and "deletionTimestamp" not in cronjob["metadata"],
            stale=() if wanted is None else await self._stale(tenant.key, cronjob, wanted, fresh),
            runs=jobs.run_views(found_jobs, pods.items, pods.report),
            terminated_writers=jobs.terminated(pods.items) | frozenset(state.terminated_pods),
        )

    def _observed(self, tenant: _Tenant, state: TenantState, **parts: object) -> Observed:
        metadata = tenant.obj["metadata"]
        return Observed(
            namespace=tenant.key.namespace,
            name=tenant.key.name,
            uid=metadata["uid"],
            generation=metadata.get("generation", 1),
            spec=tenant.spec,
            status=tenant.status,
            requester=requester.read(tenant.obj, stamped=self._around.stamped),
            deleting="deletionTimestamp" in metadata,
            finalizer=FINALIZER in (metadata.get("finalizers") or []),
            memory=_memory(tenant, state),
            **parts,  # type: ignore[arg-type]
        )

    async def _one(self, kind: Kind, key: Key, name: str, fresh: bool) -> Object | None:
        """An object that the watches know; not knowing it proves nothing, so then the API server is asked."""
        known = None if fresh else self._cache.get(kind, key.namespace, name)
        return known if known is not None else await self._kube.get(kind, key.namespace, name)

    async def _writer(self, tenant: _Tenant, fresh: bool) -> WriterState | None:
        name = names.writer_lease(tenant.key.name)
        known = None if fresh else self._cache.get(LEASE, tenant.key.namespace, name)
        if known is not None:
            return state_of(known)
        return await WriterLease(self._kube, tenant.key.namespace, name).read()

    async def _jobs(self, key: Key, fresh: bool) -> list[Object]:
        if fresh:
            return await self._kube.list(JOB, key.namespace, {LABEL_TENANT: key.name})
        return self._cache.of_tenant(JOB, key.namespace, key.name)

    async def _policy(self, tenant: _Tenant) -> SyncPolicySpec | None:
        """The policy that counts; None when the one that is named does not exist."""
        ref = tenant.spec.sync.policy_ref
        if ref is None:
            return SyncPolicySpec()
        found = await self._one(POLICY, tenant.key, ref.name, fresh=False)
        try:
            return None if found is None else SyncPolicySpec.model_validate(found.get("spec") or {})
        except ValidationError:
            return None

    async def _probe(self, tenant: _Tenant) -> Probe:
        """Ask the target of a switch that is asked for, unless that rule is passed over anyway."""
        asked = request.read(tenant.spec, tenant.status)
        settled = tenant.status.request_hash == asked.hash
        if settled or "TargetHealthy" in asked.override:
            return Probe("Unknown", "not asked")
        system = tenant.spec.primary if asked.desired == "Primary" else tenant.spec.secondary
        return await self._prober.ask(tenant.key.namespace, system)

    def _wanted(
        self, tenant: _Tenant, policy: SyncPolicySpec | None, lease: WriterView | None, state: TenantState
    ) -> tuple[Problem | None, manifests.SyncObjects | None]:
        """The objects that the sync should have, or why there can't be any."""
        sync = tenant.spec.sync
        if not sync.enabled:
            return None, None
        if policy is None:
            name = sync.policy_ref.name if sync.policy_ref else ""
            return Problem("PolicyNotFound", f"SyncPolicy {name} does not exist in this namespace"), None
        problem = _sync_refused(tenant.spec, self._around.hosts) or schedule.check(sync, policy)
        if problem is not None or tenant.switching or (lease is not None and lease.fenced):
            return problem, None  # nothing is built for a sync that may not run now
        recorded = tenant.status.sync.enabled_at if tenant.status.sync else None
        enabled_at = (lease.enabled_at if lease else None) or recorded or now().wall
        when = schedule.resolve(sync, policy, enabled_at)
        timing = manifests.Timing(
            when.cron,
            when.time_zone,
            tenant.spec.suspend or policy.suspend,
            max(1, int(durations.parse(policy.limits.timeout).total_seconds())),
        )
        owner = manifests.Owner(tenant.key.namespace, tenant.key.name, tenant.obj["metadata"]["uid"])
        wanted = manifests.build(owner, tenant.spec, policy, timing, self._around.image)
        if state.refused_sync is not None and state.refused_sync[0] == wanted.digest:
            return Problem("SyncRefused", f"the API server refused the sync's objects: {state.refused_sync[1]}"), None
        return None, wanted

    async def _pods(self, tenant: _Tenant, lease: WriterView | None, found_jobs: list[Object]) -> _Pods:
        """Pods and report, where a run has ended that status doesn't know, or a writer may be alive behind the fence."""
        key = tenant.key
        known = tenant.status.sync.last_run if tenant.status.sync else None
        if jobs.unfolded(found_jobs, known):
            report, pods = await asyncio.gather(
                self._kube.get(CONFIGMAP, key.namespace, names.report_configmap(key.name)),
                self._kube.list(POD, key.namespace, {LABEL_TENANT: key.name}),
            )
            return _Pods(pods, report)
        if lease is not None and lease.fenced and (lease.previous_holder or "").startswith(RUN_PREFIX):
            return _Pods(await self._kube.list(POD, key.namespace, {LABEL_TENANT: key.name}))
        return _Pods([])

    async def _stale(
        self, key: Key, cronjob: Object | None, wanted: manifests.SyncObjects, fresh: bool
    ) -> tuple[str, ...]:
        """Names of objects that are missing or different. The CronJob carries a hash of all, so it stands for them."""
        stale = [] if manifests.matches(cronjob, wanted.cronjob) else ["CronJob"]
        if fresh:
            run, report, claim = await asyncio.gather(
                self._kube.get(CONFIGMAP, key.namespace, names.run_configmap(key.name)),
                self._kube.get(CONFIGMAP, key.namespace, names.report_configmap(key.name)),
                self._kube.get(PVC, key.namespace, names.correlations_claim(key.name)),
            )
            stale += [] if manifests.matches(run, wanted.run_configmap) else ["ConfigMap"]
            stale += [] if report is not None else ["Report"]
            stale += [] if claim is not None or wanted.claim is None else ["Claim"]
        return tuple(stale)


def _parse(obj: Object) -> tuple[BCPTenantSpec, BCPTenantStatus]:
    try:
        spec = BCPTenantSpec.model_validate(obj["spec"])
    except (ValidationError, KeyError) as error:
        raise Unreadable(f"spec does not fit the schema: is the CRD of another version? ({error})") from None
    try:
        return spec, BCPTenantStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return spec, BCPTenantStatus()  # edited by hand: worth no more than a wiped one


def _memory(tenant: _Tenant, state: TenantState) -> Memory:
    current = state.seen_generation == tenant.obj["metadata"].get("generation")
    if current and state.seen_at is not None and tenant.status.operation is None:
        state.remember(request_hash=request.fingerprint(tenant.spec), request_seen=state.seen_at)
    return state.memory


def _refused(spec: BCPTenantSpec, hosts: HostPolicy) -> Problem | None:
    """A page that users may not be sent to, or a login host that may not be asked: nothing is done outside."""
    return _not_allowed(
        hosts,
        {
            "primary.loginURL": spec.primary.login_url,
            "secondary.loginURL": spec.secondary.login_url,
            "login.url": spec.login.url,
        },
    )


def _sync_refused(spec: BCPTenantSpec, hosts: HostPolicy) -> Problem | None:
    """An endpoint that may not be contacted stops the sync alone: a switch needs no endpoint."""
    return _not_allowed(
        hosts, {"primary.endpoint": spec.primary.endpoint, "secondary.endpoint": spec.secondary.endpoint}
    )


def _not_allowed(hosts: HostPolicy, urls: dict[str, str]) -> Problem | None:
    for name, url in urls.items():
        try:
            hosts.check_url(url)
        except HostRefused as error:
            return Problem("HostNotAllowed", f"spec.{name}: {error}")
    return None


def _context(tenant: _Tenant) -> Context:
    spec = tenant.spec
    return Context(tenant.key.namespace, tenant.key.name, spec.login, spec.primary.login_url, spec.secondary.login_url)


def _lease(writer: WriterState | None) -> WriterView | None:
    if writer is None:
        return None
    return WriterView(writer.holder, writer.previous_holder, writer.sync_enabled_at)


def _route_view(route: Route, seen: Observation) -> RouteView:
    return RouteView(
        name=seen.name,
        shows=seen.shows,
        exists=seen.exists,
        managed=route.ingress is None or route.ingress.mode == "Managed",
        current=seen.in_place is not None and seen.in_place == seen.shows,
        conflict=seen.conflict,
        error=seen.error,
        path_preserved=seen.path_preserved,
    )
