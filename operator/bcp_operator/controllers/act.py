"""Carry out one action at a time, each only while this process certainly leads."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from bcp_operator.api import names
from bcp_operator.api.common import FINALIZER
from bcp_operator.continuity import actions
from bcp_operator.continuity.observed import RouteAnswer, Verified
from bcp_operator.continuity.operation import written
from bcp_operator.continuity.request import login_url
from bcp_operator.kube import jobs as manifests
from bcp_operator.kube.bundles import read_ca
from bcp_operator.kube.client import CONFIGMAP, CRONJOB, JOB, PVC, TENANT, Kube, Object
from bcp_operator.kube.errors import AlreadyExists, Invalid, KubeError
from bcp_operator.kube.lease import WriterLease
from bcp_operator.observe.probes import ask_login
from bcp_operator.routes.base import Driver, RouteChanged, RouteError, Target
from bcp_operator.routes.waiting import wait_verified
from bcp_operator.systems.hosts import HostPolicy

from .cache import Cache
from .sight import Sight, deleting
from .state import TenantState, now
from .wanted import comparison_objects

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
"""How long one VerifyLogin of a switch keeps asking before the world is looked at again."""
ROUTE_RETRY_SECONDS = 1.0
REPAIR_RETRY_SECONDS = 30.0
DRAINED = 200
NEEDED_SECONDS = 1.0
"""Least time for which the leader Lease must still be held when an effect starts."""


class Actor:
    """Executes actions on behalf of one leader."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        assert_leader: Callable[[float], None],
        hosts: HostPolicy,
        *,
        image: manifests.Image,
    ) -> None:
        self._kube = kube
        self._image = image
        self._cache = cache
        self._assert_leader = assert_leader
        self._hosts = hosts

    async def carry_out(self, action: actions.Action, sight: Sight, state: TenantState) -> None:
        """Do it. Raises Conflict or RouteChanged when the world has moved on: observe and plan again."""
        self.check()
        match action:
            case actions.CreateLease() | actions.HoldWriter() | actions.ReleaseWriter() | actions.MarkEnabled():
                await self._writer(action, sight, state)
            case actions.ApplySync() | actions.StartRun() | actions.StartComparison():
                await self._sync(action, sight, state)
            case actions.DeleteCronJob():
                if sight.cronjob is not None:
                    await self._kube.delete(
                        CRONJOB,
                        sight.seen.namespace,
                        names.sync_cronjob(sight.seen.name),
                        uid=sight.cronjob["metadata"]["uid"],
                        propagation="Orphan",
                    )
            case actions.DeleteRun():
                await self._kube.delete(JOB, sight.seen.namespace, action.name, uid=action.uid)
            case actions.ApplyRoutes():
                await self._apply_routes(action, sight, state)
            case actions.VerifyLogin() | actions.AskDrained():
                await self._ask(action, sight, state)
            case actions.RestoreRoutes():
                await self._restore(sight, state)
            case actions.SetFinalizer():
                await self.set_finalizer(sight.obj, action.present)

    def check(self) -> None:
        """Raise LostLease unless this process certainly leads for a while; call before each effect outside."""
        self._assert_leader(NEEDED_SECONDS)

    # -- the writer Lease

    async def _writer(
        self,
        action: actions.CreateLease | actions.HoldWriter | actions.ReleaseWriter | actions.MarkEnabled,
        sight: Sight,
        state: TenantState,
    ) -> None:
        seen = sight.seen
        lease = WriterLease(self._kube, seen.namespace, names.writer_lease(seen.name))
        match action:
            case actions.CreateLease():
                owner = manifests.Owner(seen.namespace, seen.name, seen.uid).reference()
                fence = action.holder.removeprefix(names.FENCE_PREFIX) or None
                await lease.ensure(fenced_as=fence, labels=names.labels(seen.name), owner=owner)
                if fence is None:
                    state.lease_begun()
            case actions.HoldWriter():
                state.fence_set(await lease.fence(action.holder.removeprefix(names.FENCE_PREFIX)), now())
            case actions.ReleaseWriter() if sight.writer is not None:
                await lease.unfence(sight.writer)
            case actions.MarkEnabled() if sight.writer is not None:
                await lease.set_sync_enabled_at(sight.writer, action.at)

    # -- the sync

    async def _sync(
        self,
        action: actions.ApplySync | actions.StartRun | actions.StartComparison,
        sight: Sight,
        state: TenantState,
    ) -> None:
        if isinstance(action, actions.StartComparison):
            await self._compare(action, sight, state)
            return
        try:
            if isinstance(action, actions.StartRun):
                await self._start_run(action, sight)
            elif sight.wanted is not None:
                await self._apply_sync(sight.seen.sync.stale, sight.wanted)
        except Invalid as error:
            if sight.wanted is None:
                raise
            state.refused_sync = (sight.wanted.digest, error.message)

    async def _apply_sync(self, stale: Iterable[str], wanted: manifests.SyncObjects) -> None:
        """The CronJob last: its hash says that everything before it is in place."""
        everything = "CronJob" in stale
        if everything or "ConfigMap" in stale:
            await self._kube.apply(CONFIGMAP, wanted.run_configmap, force=True)
        if everything or "Report" in stale:
            await self._kube.apply(CONFIGMAP, wanted.report_configmap, force=True)
        if everything or "Claim" in stale:
            await self._create_claim(wanted.claim)
        if everything:
            self._cache.put(CRONJOB, await self._kube.apply(CRONJOB, wanted.cronjob, force=True))

    async def _create_claim(self, claim: manifests.Manifest | None) -> None:
        if claim is None:
            return
        try:
            await self._kube.create(PVC, claim)
        except AlreadyExists:
            log.debug("the claim is there already: correlations outlive the tenant object")

    async def _start_run(self, action: actions.StartRun, sight: Sight) -> None:
        cronjob = await self._kube.get(CRONJOB, sight.seen.namespace, names.sync_cronjob(sight.seen.name))
        if cronjob is None or deleting(cronjob):
            return  # what it owns would go with it
        try:
            await self._kube.create(JOB, manifests.job_at(cronjob, sight.seen.name, action.at))
        except AlreadyExists:
            log.debug("this run was made before; its name says so")

    async def _compare(self, action: actions.StartComparison, sight: Sight, state: TenantState) -> None:
        """The Job last: everything before it is what its pod mounts and writes to."""
        wanted = comparison_objects(sight.seen, self._image, action.at)
        if wanted is None:
            return
        try:
            await self._kube.apply(CONFIGMAP, wanted.run_configmap, force=True)
            await self._kube.apply(CONFIGMAP, wanted.report_configmap, force=True)
            await self._create_claim(wanted.claim)
            await self._kube.create(JOB, wanted.job)
        except AlreadyExists:
            log.debug("this comparison was started before; its name says so")
        except Invalid as error:
            text = f"the API server refused its objects: {error.message}"
            state.remember(comparison_refused={wanted.job["metadata"]["name"]: text})

    # -- the routes

    async def _apply_routes(self, action: actions.ApplyRoutes, sight: Sight, state: TenantState) -> None:
        """All together; one that fails doesn't hold the others up. What was verified before counts no more."""
        state.remember(verified=None)
        target = Target(action.target, login_url(sight.seen.spec, action.target))
        results = await asyncio.gather(
            *(
                sight.drivers[name].apply(target, sight.observations[name], override=action.override)
                for name in action.names
            ),
            return_exceptions=True,
        )
        self._note_errors(dict(zip(action.names, results, strict=True)), sight, state)

    def _note_errors(self, results: dict[str, BaseException | None], sight: Sight, state: TenantState) -> None:
        errors = {name: text for name, text in state.memory.route_errors.items() if name not in results}
        changed: RouteChanged | None = None
        for name, result in results.items():
            if isinstance(result, RouteChanged):
                changed = result
            elif isinstance(result, RouteError):
                errors[name] = str(result)
            elif isinstance(result, BaseException):
                raise result
        failed = bool(errors.keys() & results.keys())
        pause = ROUTE_RETRY_SECONDS if sight.seen.status.operation else REPAIR_RETRY_SECONDS
        retry = now().monotonic_seconds + pause if failed else None
        state.remember(route_errors=errors, route_retry_seconds=retry)
        if changed is not None:
            raise changed

    async def _ask(self, action: actions.VerifyLogin | actions.AskDrained, sight: Sight, state: TenantState) -> None:
        """From outside; nothing is changed."""
        if isinstance(action, actions.VerifyLogin):
            await self._verify(action, sight, state)
        else:
            await self._ask_drained(action, sight, state)

    async def _ask_drained(self, action: actions.AskDrained, sight: Sight, state: TenantState) -> None:
        state.remember(drain_asked_seconds=now().monotonic_seconds)
        try:
            ca_pem = await read_ca(self._kube, sight.seen.namespace, action.drain.ca_ref)
        except KubeError as error:
            log.warning("the drain signal can't be asked for: %s", error.message, extra=_where(sight))
            return
        answer = await ask_login(action.drain.url, hosts=self._hosts, ca_pem=ca_pem)
        if answer.status == DRAINED:
            state.remember(drained=action.operation_id)
        else:
            log.info("not drained yet: %s", answer.detail, extra=_where(sight))

    async def _verify(self, action: actions.VerifyLogin, sight: Sight, state: TenantState) -> None:
        target = Target(action.target, login_url(sight.seen.spec, action.target))
        # A write that failed may have been carried out, its answer lost: what is seen counts.
        there = {route.name for route in sight.seen.routes if written(route, action.target)}
        errors = {name: text for name, text in state.memory.route_errors.items() if name not in there}
        state.remember(route_errors=errors)
        drivers = {name: sight.drivers[name] for name in action.names if name not in errors}
        answers = await _ask(drivers, target, PATIENCE_SECONDS if action.operation_id else 0.0)
        wrong = [f"route {name}: {answer.detail}" for name, answer in answers.items() if not answer.ok]
        skipped = len(drivers) < len(action.names)
        ok = not wrong and not skipped
        attempts = 0 if ok else state.memory.verify_attempts + 1
        detail = "; ".join(wrong) or ("a route could not be written" if skipped else "")
        verified = Verified(action.target, action.operation_id, ok, detail[:512], now(), answers)
        state.remember(verified=verified, verify_attempts=attempts)

    async def _restore(self, sight: Sight, state: TenantState) -> None:
        state.remember(
            restore_attempts=state.memory.restore_attempts + 1,
            route_retry_seconds=now().monotonic_seconds + ROUTE_RETRY_SECONDS,
        )
        results = await asyncio.gather(
            *(driver.restore(sight.observations[name]) for name, driver in sight.drivers.items()),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, RouteError):
                log.warning("a route could not be restored: %s", result, extra=_where(sight))
            elif isinstance(result, BaseException):
                raise result

    # -- the tenant object

    async def set_finalizer(self, obj: Object, present: bool) -> None:
        """Put ours on the tenant, or take it off."""
        self.check()
        metadata = obj["metadata"]
        others = [name for name in metadata.get("finalizers") or [] if name != FINALIZER]
        patched = await self._kube.patch_metadata(
            TENANT,
            metadata["namespace"],
            metadata["name"],
            resource_version=metadata["resourceVersion"],
            finalizers=[*others, FINALIZER] if present else others,
        )
        self._cache.put(TENANT, patched)


async def _ask(drivers: Mapping[str, Driver], target: Target, patience_seconds: float) -> dict[str, RouteAnswer]:
    """Ask all routes together, each at most so long and for itself."""
    found = await asyncio.gather(*(wait_verified(driver, target, patience_seconds) for driver in drivers.values()))
    return {name: RouteAnswer(answer.ok, answer.detail[:256]) for name, answer in zip(drivers, found, strict=True)}


def _where(sight: Sight) -> dict[str, str]:
    return {"tenant": sight.seen.name, "namespace": sight.seen.namespace}
