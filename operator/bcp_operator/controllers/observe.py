"""Read everything around one tenant, all at once: from the watches for a first look, else from the API server."""

import asyncio
from dataclasses import dataclass

from pydantic import ValidationError

from bcp_operator.api import names
from bcp_operator.api.common import LABEL_TENANT
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.continuity import request
from bcp_operator.continuity.observed import Probe, SyncView, WriterView
from bcp_operator.kube import compare
from bcp_operator.kube import jobs as manifests
from bcp_operator.kube.client import CONFIGMAP, CRONJOB, JOB, LEASE, POD, POLICY, PVC, TENANT, Kind, Kube, Object
from bcp_operator.kube.lease import WriterLease, WriterState, state_of
from bcp_operator.routes.base import Driver

from . import jobs, profiles
from .cache import Cache, CachedReads
from .certificates import Certificates, Views
from .claims import Claims
from .monitor import Monitor
from .probing import Prober
from .queue import Key
from .sight import Sight, Surroundings, Tenant, context, deleting, observed, parse, route_view, writer_view
from .state import TenantState, now
from .wanted import refused, sync_objects


@dataclass(frozen=True)
class _Pods:
    """Pods of a tenant's sync and the report ConfigMap, as far as they were worth reading."""

    items: list[Object]
    report: Object | None = None


@dataclass(frozen=True)
class Watched:
    """What is asked from time to time, whether a switch is near or not."""

    monitor: Monitor
    certificates: Certificates


class Observer:
    """Reads a tenant's world: from the watches for the first look, from the API server before anything is changed."""

    def __init__(self, kube: Kube, cache: Cache, around: Surroundings, claims: Claims, watched: Watched) -> None:
        self._kube = kube
        self._monitor, self._certificates = watched.monitor, watched.certificates
        self._cache = cache
        self._claims = claims
        self._cached = CachedReads(kube, cache)
        self._around = around
        self._prober = Prober(kube, around.hosts)

    def forget(self, key: Key) -> None:
        """The tenant is gone: nobody asks its systems any more."""
        self._monitor.forget(key)
        self._certificates.forget(key)

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
        tenant = parse(key, obj)
        problem = refused(tenant.spec, self._around.hosts)
        if problem is not None:
            held = tuple(tenant.status.claims)
            return Sight(
                obj, observed(tenant, state, stamped=self._around.stamped, refused=problem, claims=held), fresh
            )
        if deleting(obj):
            return await self._routes_only(tenant, state)
        return await self._everything(tenant, state, fresh=fresh or tenant.switching)

    async def _everything(self, tenant: Tenant, state: TenantState, *, fresh: bool) -> Sight:
        key = tenant.key
        claims = await self._claims.judge(key, tenant.obj)
        reads = self._kube if fresh else self._cached
        drivers = self._drivers(tenant, reads)
        routes, writer, cronjob, found_jobs, policy, (probe, certificates) = await asyncio.gather(
            asyncio.gather(*(driver.observe() for driver in drivers.values())),
            self._writer(tenant, fresh),
            self._one(CRONJOB, key, names.sync_cronjob(key.name), fresh),
            self._jobs(key, fresh),
            self._policy(tenant),
            self._outside(tenant),
        )
        lease = writer_view(writer)
        state.fence_seen(writer, now(), fresh=fresh)
        problem, wanted = sync_objects(tenant, policy, lease, state, around=self._around, now=now())
        if wanted is not None and policy is not None:
            problem = await profiles.problem(self._kube, key.namespace, tenant.spec, policy)
            wanted = wanted if problem is None else None
        seen = observed(
            tenant,
            state,
            stamped=self._around.stamped,
            four_eyes=self._around.four_eyes,
            policy=policy,
            sync_problem=problem,
            lease=lease,
            routes=tuple(route_view(r, o) for r, o in zip(tenant.spec.login.routes, routes, strict=True)),
            sync=await self._sync(tenant, state, lease, found_jobs, cronjob=cronjob, wanted=wanted, fresh=fresh),
            probe=probe,
            certificates=certificates,
            health=self._monitor.view(key, tenant.spec, tenant.status) if claims.problem is None else {},
            claims=claims.held,
            claimed=claims.problem,
        )
        return Sight(tenant.obj, seen, fresh, drivers, dict(zip(drivers, routes, strict=True)), writer, cronjob, wanted)

    async def _routes_only(self, tenant: Tenant, state: TenantState) -> Sight:
        """All that a deletion needs, so that nothing else can hold it up: drivers never raise for what they find."""
        claims = self._claims.known(tenant.key, tenant.obj)
        drivers = self._drivers(tenant, self._kube)
        found = await asyncio.gather(*(driver.observe() for driver in drivers.values()))
        routes = tuple(route_view(r, o) for r, o in zip(tenant.spec.login.routes, found, strict=True))
        stamped, held = self._around.stamped, claims.held
        seen = observed(tenant, state, stamped=stamped, routes=routes, claims=held, claimed=claims.problem)
        return Sight(tenant.obj, seen, True, drivers, dict(zip(drivers, found, strict=True)))

    def _drivers(self, tenant: Tenant, reads: Kube) -> dict[str, Driver]:
        around = context(tenant)
        return {r.name: self._around.build(r, around, reads, self._around.hosts) for r in tenant.spec.login.routes}

    async def _sync(
        self,
        tenant: Tenant,
        state: TenantState,
        lease: WriterView | None,
        found_jobs: list[Object],
        *,
        cronjob: Object | None,
        wanted: manifests.SyncObjects | None,
        fresh: bool,
    ) -> SyncView:
        """The sync's objects and runs. Nothing is stale where nothing may be made: while switching or fenced."""
        run_jobs, comparisons = jobs.split(tenant.key.name, found_jobs)
        pods = await self._pods(tenant, lease, run_jobs, comparisons)
        return SyncView(
            cronjob=cronjob is not None and not deleting(cronjob),
            cronjob_ending=cronjob is not None and deleting(cronjob),
            retimed=cronjob is not None and wanted is not None and compare.retimed(cronjob, wanted.cronjob),
            stale=() if wanted is None else await self._stale(tenant.key, cronjob, wanted, fresh),
            runs=jobs.run_views(run_jobs, pods.items, pods.report),
            comparisons=jobs.comparison_views(comparisons, pods.items),
            terminated_writers=jobs.terminated(pods.items) | frozenset(state.terminated_pods),
        )

    async def _one(self, kind: Kind, key: Key, name: str, fresh: bool) -> Object | None:
        """An object that the watches know; not knowing it proves nothing, so then the API server is asked."""
        known = None if fresh else self._cache.get(kind, key.namespace, name)
        return known if known is not None else await self._kube.get(kind, key.namespace, name)

    async def _writer(self, tenant: Tenant, fresh: bool) -> WriterState | None:
        name = names.writer_lease(tenant.key.name)
        known = None if fresh else self._cache.get(LEASE, tenant.key.namespace, name)
        if known is not None:
            return state_of(known)
        return await WriterLease(self._kube, tenant.key.namespace, name).read()

    async def _jobs(self, key: Key, fresh: bool) -> list[Object]:
        if fresh:
            return await self._kube.list(JOB, key.namespace, {LABEL_TENANT: key.name})
        return self._cache.of_tenant(JOB, key.namespace, key.name)

    async def _policy(self, tenant: Tenant) -> SyncPolicySpec | None:
        """The policy that counts; None when the one that is named does not exist."""
        ref = tenant.spec.sync.policy_ref
        if ref is None:
            return SyncPolicySpec()
        found = await self._one(POLICY, tenant.key, ref.name, fresh=False)
        try:
            return None if found is None else SyncPolicySpec.model_validate(found.get("spec") or {})
        except ValidationError:
            return None

    async def _outside(self, tenant: Tenant) -> tuple[Probe, Views]:
        """What is asked of the target of a switch, both at once."""
        return await asyncio.gather(self._probe(tenant), self._looked_at(tenant))

    async def _looked_at(self, tenant: Tenant) -> Views:
        """Certificates of the target of a switch that is asked for, looked at now; else what is known of both sides."""
        asked = request.read(tenant.spec, tenant.status)
        if tenant.status.request_hash == asked.hash or "CertificateValid" in asked.override:
            return self._certificates.view(tenant.key, tenant.spec, new=tenant.status.observed_generation is None)
        return await self._certificates.look(tenant.key, tenant.spec, asked.desired)

    async def _probe(self, tenant: Tenant) -> Probe:
        """Ask the target of a switch that is asked for, unless that rule is passed over anyway."""
        asked = request.read(tenant.spec, tenant.status)
        settled = tenant.status.request_hash == asked.hash
        if settled or "TargetHealthy" in asked.override:
            return Probe("Unknown", "not asked")
        system = tenant.spec.primary if asked.desired == "Primary" else tenant.spec.secondary
        return await self._prober.ask(tenant.key.namespace, system)

    async def _pods(
        self, tenant: Tenant, lease: WriterView | None, run_jobs: list[Object], comparisons: list[Object]
    ) -> _Pods:
        """Pods and report, where a Job has ended that status doesn't know, or a writer may be alive behind the fence."""
        key = tenant.key
        known = tenant.status.sync.last_run if tenant.status.sync else None
        if jobs.unfolded(run_jobs, known):
            report, pods = await asyncio.gather(
                self._kube.get(CONFIGMAP, key.namespace, names.report_configmap(key.name)),
                self._kube.list(POD, key.namespace, {LABEL_TENANT: key.name}),
            )
            return _Pods(pods, report)
        alive = lease is not None and lease.fenced and (lease.previous_holder or "").startswith(names.RUN_PREFIX)
        if alive or jobs.untold(comparisons, tenant.status):
            return _Pods(await self._kube.list(POD, key.namespace, {LABEL_TENANT: key.name}))
        return _Pods([])

    async def _stale(
        self, key: Key, cronjob: Object | None, wanted: manifests.SyncObjects, fresh: bool
    ) -> tuple[str, ...]:
        """Names of objects that are missing or different. The CronJob carries a hash of all, so it stands for them."""
        stale = [] if compare.matches(cronjob, wanted.cronjob) else ["CronJob"]
        if fresh:
            run, report, claim = await asyncio.gather(
                self._kube.get(CONFIGMAP, key.namespace, names.run_configmap(key.name)),
                self._kube.get(CONFIGMAP, key.namespace, names.report_configmap(key.name)),
                self._kube.get(PVC, key.namespace, names.correlations_claim(key.name)),
            )
            stale += [] if compare.matches(run, wanted.run_configmap) else ["ConfigMap"]
            stale += [] if report is not None else ["Report"]
            stale += [] if claim is not None or wanted.claim is None else ["Claim"]
        return tuple(stale)
