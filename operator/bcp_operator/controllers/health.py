"""/livez and /readyz: an open port proves nothing, so they look at what must move."""

import asyncio
import logging
import time
from collections.abc import Callable

from aiohttp import web

from bcp_operator.kube.client import LEASE, Kube
from bcp_operator.kube.errors import KubeError
from bcp_operator.kube.leader import LeaderElector
from bcp_operator.kube.watch import watch_object

log = logging.getLogger(__name__)

STALE_SECONDS = 20.0
"""The leader renews every 5 s and a standby looks every second: this long without either is trouble."""
STUCK_SECONDS = 60.0
"""This long without a turn of the event loop's own heartbeat or of the Lease loop and the process is better restarted."""
CANARY_RETRY_SECONDS = 1.0
HEARTBEAT_SECONDS = 1.0


class Health:
    """What this replica knows of its own health. Times are monotonic seconds."""

    def __init__(self, elector: LeaderElector, clock: Callable[[], float] = time.monotonic) -> None:
        self._elector = elector
        self._clock = clock
        self._started = clock()
        self._beat = clock()
        self.renewal_seen: float | None = None
        """When our own renewal last came back through a watch."""

    def not_alive(self) -> str:
        """Why the process should be restarted; empty when it is well."""
        if self._clock() - self._beat > STUCK_SECONDS:
            return "the event loop is stuck"
        last = self._elector.last_turn or self._started
        return "no answer about the Lease for a minute" if self._clock() - last > STUCK_SECONDS else ""

    def not_ready(self) -> str:
        """Why this replica can't do its part; empty when it can."""
        if not self._elector.is_leader:
            last = self._elector.last_turn
            stale = last is None or self._clock() - last > STALE_SECONDS
            return "standby: the API server does not answer about the Lease" if stale else ""
        seen = self.renewal_seen
        stale = seen is None or self._clock() - seen > STALE_SECONDS
        return "leader: its own renewals do not come back through a watch" if stale else ""

    async def beat(self) -> None:
        """Prove that the event loop turns."""
        while True:
            self._beat = self._clock()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def canary(self, kube: Kube, namespace: str, name: str) -> None:
        """Watch the leader Lease for our own renewals: what does not come back here would not come back elsewhere."""
        while True:
            try:
                async for lease in watch_object(kube, LEASE, namespace, name, silence_seconds=STALE_SECONDS):
                    if (lease.get("spec") or {}).get("holderIdentity") == self._elector.identity:
                        self.renewal_seen = self._clock()
            except KubeError as error:
                log.warning("the canary watch ended: %s", error)
            await asyncio.sleep(CANARY_RETRY_SECONDS)


async def serve(health: Health, port: int) -> web.AppRunner:
    """Serve /livez and /readyz; the caller cleans the runner up. Raises OSError when the port is taken."""

    def answering(check: Callable[[], str]) -> Callable[[web.Request], object]:
        async def answer(request: web.Request) -> web.Response:
            del request
            problem = check()
            return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

        return answer

    app = web.Application()
    app.router.add_get("/livez", answering(health.not_alive))  # type: ignore[arg-type]
    app.router.add_get("/readyz", answering(health.not_ready))  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
