"""Live probes of a switch's target: few at a time, and never blamed for the operator's own slowness."""

import asyncio
import time
from collections.abc import Callable

from bcp_operator.api.tenant import SystemSpec
from bcp_operator.continuity.observed import Probe
from bcp_operator.kube.bundles import read_ca
from bcp_operator.kube.client import Kube
from bcp_operator.kube.errors import KubeError
from bcp_operator.observe.probes import probe_system
from bcp_operator.systems.hosts import HostPolicy

PROBE_SECONDS = 1.0
AT_ONCE = 8
"""A thousand switches at once must not drown the process that times their probes."""
LATE_SECONDS = 0.1
"""A time-out that comes this much too late says that this process was busy, not that the system is down."""
ATTEMPTS = 3


class Prober:
    """Asks systems whether they work. Tenants that share a system share the question that is under way."""

    def __init__(self, kube: Kube, hosts: HostPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._hosts = hosts
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._asking: dict[tuple[str, str], asyncio.Task[Probe]] = {}

    async def ask(self, namespace: str, system: SystemSpec) -> Probe:
        """One answer within about a second of its turn. Never raises for what the system does."""
        key = (namespace, system.model_dump_json())
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(namespace, system))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, namespace: str, system: SystemSpec) -> Probe:
        async with self._turns:
            try:
                ca_pem = await read_ca(self._kube, namespace, system.ca_ref)
            except KubeError as error:
                return Probe("Unknown", error.message)
            for _ in range(ATTEMPTS):
                begun = self._clock()
                health = await probe_system(system, hosts=self._hosts, ca_pem=ca_pem, timeout_seconds=PROBE_SECONDS)
                late = self._clock() - begun > PROBE_SECONDS + LATE_SECONDS
                if health.result != "Failed" or not late:
                    return Probe(health.result, health.detail)
        return Probe("Unknown", "the operator was too busy to time an answer")
