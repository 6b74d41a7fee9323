"""The operator's own parts over the in-memory API: only Kopf, HTTP and DNS are missing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bcp_operator.api import names
from bcp_operator.continuity.observed import Now
from bcp_operator.controllers import act, observe
from bcp_operator.controllers.act import Actor
from bcp_operator.controllers.cache import Cache
from bcp_operator.controllers.certificates import Certificates
from bcp_operator.controllers.claims import Claims
from bcp_operator.controllers.monitor import Monitor
from bcp_operator.controllers.notifying import Notifier
from bcp_operator.controllers.observe import Observer, Watched
from bcp_operator.controllers.queue import Key
from bcp_operator.controllers.sight import Surroundings
from bcp_operator.controllers.tenants import TenantReconciler
from bcp_operator.kube.client import CONFIGMAP, CRONJOB, INGRESS, JOB, LEASE, POD, PVC, TENANT, Kind, Kube, Object
from bcp_operator.kube.events import Events
from bcp_operator.kube.jobs import Image
from bcp_operator.kube.leader import micro_time
from bcp_operator.observe.certificates import Certificate
from bcp_operator.observe.probes import Health
from bcp_operator.routes.base import Context, Driver, Observation, Target, Verification
from bcp_operator.routes.drivers import build
from bcp_operator.systems.hosts import HostPolicy

from tests.unit.fake_kube import FakeKube, World

NAMESPACE = "tenants"
NAME = "acme"
KEY = Key("tenant", NAMESPACE, NAME)
REDIRECT = "nginx.ingress.kubernetes.io/temporal-redirect"
START = datetime.now(UTC).replace(microsecond=0)
"""All worlds of a session start together: names are made from times."""
WATCHED = (TENANT, CRONJOB, JOB, POD, LEASE, INGRESS)


class Crash(BaseException):
    """kill -9."""


class SilentEvents(Events):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def emit(self, regarding: Object, reason: str, message: str, **_: Any) -> None:
        """Say nothing, remember it."""
        self.said.append((reason, message))


class SeenRoute:
    """A real driver whose verification reads the Ingress instead of asking a controller."""

    def __init__(self, driver: Driver, kube: FakeKube, route: str, ask: Callable[[], None]) -> None:
        self.name = driver.name
        self._driver, self._kube, self._route, self._ask = driver, kube, route, ask

    async def observe(self) -> Observation:
        """Real."""
        return await self._driver.observe()

    async def apply(self, target: Target, seen: Observation, *, override: bool = False) -> None:
        """Real."""
        await self._driver.apply(target, seen, override=override)

    async def restore(self, seen: Observation) -> None:
        """Real."""
        await self._driver.restore(seen)

    async def verify(self, target: Target) -> Verification:
        """What a controller would answer at once."""
        self._ask()
        found = await self._kube.as_manager("gateway").get(INGRESS, NAMESPACE, self._route)
        url = ((found or {}).get("metadata", {}).get("annotations") or {}).get(REDIRECT)
        ok = url == target.login_url
        return Verification(ok, target.system if ok else "Unknown", f"redirect to {url}")


@dataclass
class Operator:
    """One process after another, over one world."""

    kube: FakeKube = field(default_factory=lambda: FakeKube(World()))
    clock: Now = field(default_factory=lambda: Now(START, 100.0))
    events: SilentEvents = field(default_factory=SilentEvents)
    notify_hosts: HostPolicy = field(default_factory=HostPolicy)
    calls: int = 0
    crash_at: int | None = None
    changes: int | None = None
    """What a comparison finds as soon as there is one; None: none ends."""

    def __post_init__(self) -> None:
        self.kube.world.before = self._before
        self.start()

    def start(self, namespaces: tuple[str, ...] = (NAMESPACE,)) -> None:
        """A new process: no memory, an empty cache."""
        self.cache = Cache()
        hosts = HostPolicy.parse("*.example")
        image = Image("image", "IfNotPresent")
        around = Surroundings(hosts, image, False, self._build)
        self.actor = Actor(self.kube, self.cache, lambda seconds: None, hosts, image=image)
        self.monitor = Monitor(self.kube, hosts, lambda _: None, clock=lambda: self.clock.monotonic_seconds)
        self.notifier = Notifier(self.kube, self.notify_hosts, self.events, self.actor.check)
        watched = Watched(self.monitor, Certificates(self.kube, hosts, lambda _: None))
        observer = Observer(self.kube, self.cache, around, Claims(self.kube, namespaces), watched)
        self.tenants = TenantReconciler(
            self.kube, self.cache, observer, self.actor, self.events, notifier=self.notifier
        )

    def watch(self) -> None:
        """Bring the cache up to date, as the watches would."""
        known: dict[Kind, set[str]] = {kind: set() for kind in WATCHED}
        for (kind, namespace, name), obj in self.kube.world.objects.items():
            if kind in known and namespace == NAMESPACE:
                known[kind].add(name)
                self.cache.put(kind, self.kube._out((kind, namespace, name)))
                if kind == TENANT:
                    key = Key("tenant", NAMESPACE, name)
                    self.tenants.states[key].sighted(obj["metadata"]["generation"], self.clock)
        for kind, names_ in known.items():
            for obj in self.cache.all(kind, NAMESPACE):
                if obj["metadata"]["name"] not in names_:
                    self.cache.drop(kind, obj)

    async def reconcile(self) -> float | None:
        """One event."""
        if self.changes is not None:
            self.end_looks(self.changes)
        self.watch()
        return await self.tenants.reconcile(KEY)

    async def settle(self) -> None:
        """Event after event, time passing where the operator waits, until it waits for long."""
        for _ in range(200):
            writes = len(self.kube.world.writes)
            pause = await self.reconcile()
            wrote = len(self.kube.world.writes) > writes
            if not wrote and (pause is None or pause > 30):
                return
            self.tick(0.05 if wrote else max(pause or 0.0, 0.05))
        raise AssertionError(f"not settled: {self.tenant.get('status')}")

    def end_jobs(self) -> None:
        """Every run that is active succeeds."""
        report = {"result": "Succeeded", "startTime": self.clock.wall.isoformat(), "seconds": 1.0}
        self._end(lambda name: not names.is_comparison(NAME, name), report)

    def end_looks(self, changes: int) -> None:
        """Every comparison that is active ends, and has found so many changes."""
        report = {"startTime": self.clock.wall.isoformat(), "seconds": 1.0, "counts": {"changed": changes}}
        self._end(lambda name: names.is_comparison(NAME, name), report)

    def _end(self, which: Callable[[str], bool], report: Object) -> None:
        for (kind, namespace, name), job in list(self.kube.world.objects.items()):
            if kind != JOB or not which(name) or (job.get("status") or {}).get("conditions"):
                continue
            begun = self.clock.wall.isoformat().replace("+00:00", "Z")
            job["status"] = {"startTime": begun, "conditions": [{"type": "Complete", "status": "True"}]}
            job["metadata"]["resourceVersion"] = self.kube._version()
            ended = {"terminated": {"exitCode": 0, "message": json.dumps(report)}}
            self.kube.world.owners[POD, namespace, f"{name}-x7k2p"] = {}
            self.kube.world.objects[POD, namespace, f"{name}-x7k2p"] = {
                "metadata": {
                    "namespace": namespace,
                    "name": f"{name}-x7k2p",
                    "uid": f"{name}-x7k2p",
                    "creationTimestamp": begun,
                    "resourceVersion": self.kube._version(),
                    "labels": names.labels(NAME) | {"batch.kubernetes.io/job-name": name},
                },
                "status": {"containerStatuses": [{"name": names.SYNC_CONTAINER, "state": ended}]},
            }

    def tick(self, seconds: float) -> None:
        """Time passes."""
        self.clock = Now(self.clock.wall + timedelta(seconds=seconds), self.clock.monotonic_seconds + seconds)

    @property
    def tenant(self) -> Object:
        """The tenant as stored."""
        return copy.deepcopy(self.kube.world.objects[TENANT, NAMESPACE, NAME])

    @property
    def status(self) -> Object:
        """Its status."""
        found: Object = self.tenant.get("status") or {}
        return found

    def condition(self, kind: str) -> Object:
        """One condition."""
        return next(c for c in self.status["conditions"] if c["type"] == kind)

    def get(self, kind: Kind, name: str) -> Object | None:
        """An object as stored."""
        found = self.kube.world.objects.get((kind, NAMESPACE, name))
        return copy.deepcopy(found)

    async def request(self, **block: Any) -> None:
        """Somebody sets spec.failover."""
        user = self.kube.as_manager("kubectl-patch")
        tenant = self.tenant
        tenant["spec"]["failover"] = block
        await user.replace(TENANT, tenant)

    def end_state(self) -> Object:
        """Everything that a crash must not change: where users go, who may write, what was decided."""
        status = self.status
        return {
            "redirect": (self.get(INGRESS, f"{NAME}-login") or {})["metadata"]["annotations"][REDIRECT],
            "fenced": (self.get(LEASE, names.writer_lease(NAME)) or {})["spec"]["holderIdentity"],
            "cronjob": self.get(CRONJOB, names.sync_cronjob(NAME)) is not None,
            "claim": self.get(PVC, names.correlations_claim(NAME)) is not None,
            "run": (self.get(CONFIGMAP, names.run_configmap(NAME)) or {}).get("data"),
            "looks": sum(key[0] == JOB and names.is_comparison(NAME, key[2]) for key in self.kube.world.objects),
            "divergence": {k: v for k, v in status.get("divergence", {}).items() if k not in ("name", "time")},
            "phase": status["phase"],
            "settled": status["settledSystem"],
            "history": [(entry["type"], entry["result"], entry["id"]) for entry in status["history"]],
            "conditions": {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]},
            "spec": self.tenant["spec"],
        }

    def _build(self, route: Any, context: Context, kube: Kube, hosts: HostPolicy) -> Driver:
        driver = build(route, context, kube, hosts)
        return SeenRoute(driver, self.kube, route.ingress.name, lambda: self._before("ask", TENANT, ""))

    def _before(self, verb: str, kind: Kind, name: str) -> None:
        del verb, kind, name
        self.calls += 1
        if self.crash_at is not None and self.calls >= self.crash_at:
            self.crash_at = None
            raise Crash


def system(side: str) -> Object:
    """One system."""
    return {
        "profile": "scim",
        "tenantID": side,
        "endpoint": f"https://api.{side}.example",
        "credentialsSecretRef": {"name": side},
        "loginURL": f"https://{side}.example/login",
    }


async def started(monkeypatch: pytest.MonkeyPatch, uid: str = "", **spec: Any) -> Operator:
    """An operator that has settled a new tenant on its primary."""
    made = operator(monkeypatch)
    await create(made, uid, **spec)
    await made.settle()
    return made


def operator(monkeypatch: pytest.MonkeyPatch) -> Operator:
    """An operator without tenants, whose clock is the test's."""
    made = Operator()

    async def healthy(*_: Any, **__: Any) -> Health:
        return Health("Healthy", "asked")

    async def valid(*_: Any, **__: Any) -> Certificate:
        return Certificate(START + timedelta(days=3650))

    monkeypatch.setattr("bcp_operator.controllers.certificates.look_at", valid)
    monkeypatch.setattr("bcp_operator.controllers.probing.probe_system", healthy)
    for module in (observe, act):
        monkeypatch.setattr(module, "now", lambda: made.clock)
    monkeypatch.setattr("bcp_operator.controllers.tenants.now", lambda: made.clock)
    monkeypatch.setattr("bcp_operator.kube.lease.micro_time", lambda: micro_time(made.clock.wall))
    return made


async def create(made: Operator, uid: str = "", **spec: Any) -> None:
    """Create the tenant; with a uid, so that two worlds name their operations alike."""
    whole = {
        "primary": system("primary"),
        "secondary": system("secondary"),
        "sync": {"enabled": True},
        "login": {
            "url": "https://login.acme.example/",
            "routes": [{"name": "web", "ingress": {"name": f"{NAME}-login"}}],
        },
    }
    manifest = {"metadata": {"namespace": NAMESPACE, "name": NAME}, "spec": whole | spec}
    await made.kube.as_manager("kubectl-create").create(TENANT, manifest)
    if uid:
        made.kube.world.objects[TENANT, NAMESPACE, NAME]["metadata"]["uid"] = uid
