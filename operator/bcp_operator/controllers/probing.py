"""Probes of systems: few at a time, shared by all who ask the same, and never blamed for the operator's own slowness."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from bcp_operator.api.tenant import SystemSpec
from bcp_operator.continuity.health import Sample
from bcp_operator.continuity.observed import Probe
from bcp_operator.kube.bundles import read_ca
from bcp_operator.kube.client import Kube
from bcp_operator.kube.errors import KubeError
from bcp_operator.observe.probes import health_url, probe_system
from bcp_operator.systems.hosts import HostPolicy

PROBE_SECONDS = 1.0
AT_ONCE = 8
"""A thousand switches at once must not drown the process that times their probes."""
LATE_SECONDS = 0.1
"""A time-out that comes this much too late says that this process was busy, not that the system is down."""
ATTEMPTS = 3


class Question(NamedTuple):
    """What makes two probes the same one."""

    url: str
    expect_status: int | None
    authority: tuple[str, str, str] | None


def question(namespace: str, system: SystemSpec) -> Question:
    """The probe of a system. An authority of its own belongs to a namespace; without one, tenants anywhere ask the same."""
    ca, health = system.ca_ref, system.health
    authority = (namespace, ca.name, ca.key) if ca is not None else None
    return Question(health_url(system), health.expect_status if health else None, authority)


class Prober:
    """Asks systems whether they work. Who asks the same at the same time shares the question that is under way."""

    def __init__(
        self, kube: Kube, hosts: HostPolicy, clock: Callable[[], float] = time.monotonic, *, at_once: int = AT_ONCE
    ) -> None:
        self._kube = kube
        self._hosts = hosts
        self._clock = clock
        self._turns = asyncio.Semaphore(at_once)
        self._asking: dict[Question, asyncio.Task[Sample]] = {}

    async def ask(self, namespace: str, system: SystemSpec) -> Probe:
        """Ask for a switch: one answer within about a second of its turn. Never raises for what the system does."""
        sample = await self.sample(namespace, system, PROBE_SECONDS)
        return Probe(sample.result, sample.detail)

    async def sample(self, namespace: str, system: SystemSpec, timeout_seconds: float) -> Sample:
        """One answer and how long it took."""
        key = question(namespace, system)
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(namespace, system, timeout_seconds))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, namespace: str, system: SystemSpec, timeout_seconds: float) -> Sample:
        async with self._turns:
            try:
                ca_pem = await read_ca(self._kube, namespace, system.ca_ref)
            except KubeError as error:
                return Sample("Unknown", error.message)
            for _ in range(ATTEMPTS):
                begun = self._clock()
                health = await probe_system(system, hosts=self._hosts, ca_pem=ca_pem, timeout_seconds=timeout_seconds)
                took = self._clock() - begun
                if health.result != "Failed" or took <= timeout_seconds + LATE_SECONDS:
                    return Sample(health.result, health.detail, took)
        return Sample("Unknown", "the operator was too busy to time an answer")
