"""The life of one replica: connect, stand by, lead, and end at once when the Lease or the watches are lost."""

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import kopf

from bcp_operator.api import names
from bcp_operator.kube.client import Kind, Kube
from bcp_operator.kube.errors import KubeError, Unavailable
from bcp_operator.kube.events import Events
from bcp_operator.kube.leader import LeaderElector, LostLease
from bcp_operator.routes.drivers import build

from . import health
from .act import Actor
from .audit import Audit
from .cache import Cache
from .certificates import Certificates
from .claims import Claims
from .config import Config, ConfigError
from .monitor import Monitor
from .notifying import Notifier
from .observe import Observer, Watched
from .policies import PolicyReconciler
from .queue import Key, Queue
from .sight import Surroundings
from .tenants import TenantReconciler
from .watches import KINDS, LABELLED, Watches, settings

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
DISCOVERY_SECONDS = 60.0
"""How often a leader looks for kinds that the cluster did not serve when it began."""


@dataclass(frozen=True)
class _Parts:
    """What a leader consists of."""

    queue: Queue
    watches: Watches
    monitor: Monitor
    certificates: Certificates
    notifier: Notifier
    events: Events
    audit: Audit


async def run(config: Config) -> int:
    """Run until told to stop (0), or until this process can't do its work any more (1): a restart is cheap."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(Kube.connect())
        elector = LeaderElector(kube, config.namespace, names.LEADER_LEASE, config.identity)
        vitals = health.Health(elector)
        beat = asyncio.create_task(vitals.beat())
        stack.callback(beat.cancel)
        if config.health_port:
            runner = await health.serve(vitals, config.health_port)
            stack.push_async_callback(runner.cleanup)
        if not await _unless(stop, _stand_by(kube, elector)):
            log.info("stopped while standing by")
            return 0
        try:
            return await _lead(config, kube, elector, vitals)
        finally:
            await elector.release()


async def _stand_by(kube: Kube, elector: LeaderElector) -> None:
    """Check that the cluster serves our kinds, then wait for the Lease."""
    while True:
        try:
            served = await kube.discover(KINDS)
        except Unavailable as error:
            log.warning("waiting for the Kubernetes API: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
            continue
        missing = sorted(kind.plural for kind in set(KINDS) - served)
        if missing:
            raise ConfigError(f"the cluster does not serve {', '.join(missing)}: install the CRDs (crds/) first")
        break
    log.info("standing by")
    await elector.acquire()


async def _lead(config: Config, kube: Kube, elector: LeaderElector, vitals: health.Health) -> int:
    """Lead until a signal, or until one of the parts ends."""
    made = _assemble(config, kube, elector)
    served: asyncio.Future[frozenset[Kind]] = asyncio.get_running_loop().create_future()
    parts = [
        asyncio.create_task(elector.hold(), name="lease"),
        asyncio.create_task(made.queue.run(), name="queue"),
        asyncio.create_task(made.monitor.run(), name="monitor"),
        asyncio.create_task(made.certificates.run(), name="certificates"),
        asyncio.create_task(made.notifier.run(), name="notifier"),
        asyncio.create_task(vitals.canary(kube, config.namespace, names.LEADER_LEASE), name="canary"),
        asyncio.create_task(_watch(config, kube, made.watches, served), name="watches"),
        asyncio.create_task(_discover(config, kube, served), name="discovery"),
        asyncio.create_task(_audit(made.audit, served), name="audit"),
    ]
    try:
        ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        return max(_verdict(task) for task in ended)
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        await made.events.close()


def _assemble(config: Config, kube: Kube, elector: LeaderElector) -> _Parts:
    async def work(key: Key) -> float | None:
        return await (tenants if key.kind == "tenant" else policies).reconcile(key)

    cache = Cache()
    events = Events(kube, config.identity)
    actor = Actor(kube, cache, elector.assert_leader, config.hosts, image=config.sync_image)
    build_route = partial(build, ingresses=config.ingresses)
    claims = Claims(kube, config.watch_namespaces)
    around = Surroundings(config.hosts, config.sync_image, config.requester_stamped, build_route, config.four_eyes)
    queue = Queue(work)
    monitor = Monitor(kube, config.hosts, queue.add)
    certificates = Certificates(kube, config.hosts, queue.add)
    observer = Observer(kube, cache, around, claims, Watched(monitor, certificates))
    notifier = Notifier(kube, config.hosts, events, actor.check)
    tenants = TenantReconciler(kube, cache, observer, actor, events, notifier=notifier)
    tenants.others_switch = lambda: queue.pressing
    policies = PolicyReconciler(kube, cache, actor)
    watches = Watches(cache, queue, tenants, policies, claims)
    audit = Audit(kube, cache, watches.take, config.watch_namespaces, labelled=LABELLED)
    watches.relisted = audit.suspect
    return _Parts(queue, watches, monitor, certificates, notifier, events, audit)


async def _audit(audit: Audit, served: asyncio.Future[frozenset[Kind]]) -> None:
    await audit.run((*KINDS, *await served))


async def _served(config: Config, kube: Kube) -> frozenset[Kind]:
    """Which of the optional kinds the cluster serves. Raises KubeError."""
    return await kube.discover(config.optional)


async def _discover(config: Config, kube: Kube, watched: asyncio.Future[frozenset[Kind]]) -> None:
    """End when the cluster begins to serve a kind that this process does not watch: the next one starts with it."""
    known = await watched
    while True:
        await asyncio.sleep(DISCOVERY_SECONDS)
        try:
            found = await _served(config, kube) - known
        except KubeError as error:
            log.debug("discovery waits: %s", error)
            continue
        if found:
            plurals = ", ".join(sorted(kind.plural for kind in found))
            raise KubeError("NewKind", f"the cluster serves {plurals} now: starting anew to watch them")


async def _watch(config: Config, kube: Kube, watches: Watches, watched: asyncio.Future[frozenset[Kind]]) -> None:
    """Embed Kopf. It replaces our signal handlers, and returns when a signal comes."""
    while not watched.done():
        try:
            watched.set_result(await _served(config, kube))
        except Unavailable as error:
            log.warning("waiting for the Kubernetes API: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
    registry = watches.registry(watched.result())

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
        way = kopf.login_with_service_account if in_cluster else kopf.login_with_kubeconfig
        return way(**kwargs)

    log.info("watching %s", ", ".join(config.watch_namespaces))
    await kopf.operator(
        registry=registry,
        settings=settings(),
        namespaces=config.watch_namespaces,
        identity=cast(
            Any, config.identity
        ),  # without one Kopf asks for the name of our user, who has none in the image
        standalone=True,
        clusterwide=False,
    )


def _verdict(task: asyncio.Task[None]) -> int:
    """0 for a clean stop; else say what ended this replica."""
    if task.cancelled():
        return 0
    error = task.exception()
    if error is None:
        log.info("stopping: asked to")
        return 0
    causes = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    for cause in causes:
        if isinstance(cause, LostLease | KubeError):
            log.error("ending: %s", cause)
        else:
            log.error("ending: %s: %s", task.get_name(), cause, exc_info=cause)
    return 1


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work unless the stop comes first; True when it was done."""
    waiting = asyncio.create_task(stop.wait())
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((waiting, working), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
            return not stop.is_set()
        return False
    finally:
        for task in (waiting, working):
            task.cancel()
        await asyncio.gather(waiting, working, return_exceptions=True)
