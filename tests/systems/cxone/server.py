"""The simulator as a server in a thread of the test's own process.

The vendor has three kinds of hosts (2.2, 2.3): a global one, UserHub, and the ACD. Here they are one host with a path
prefix each, which discovery tells: a call that goes to the wrong one is not found.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.systems.cxone import (  # noqa: F401 (importing a topic registers its routes)
    contacts,
    dr,
    identity,
    lookups,
    people,
    relations,
    routing,
    skills,
    teams,
)
from tests.systems.cxone.api import Call, Host, Refused, Reply, Row, find
from tests.systems.cxone.dr import DisasterRecovery
from tests.systems.cxone.faults import Faults
from tests.systems.cxone.tenant import Clock, Tenant
from tests.systems.web import Request

PREFIXES: dict[Host, str] = {"global": "", "userhub": "/userhub", "acd": "/acd"}


@dataclass
class Simulator:
    """A running tenant. `base` is the global host: what somebody who knows nothing else is given (2.2, discovery)."""

    tenant: Tenant
    port: int
    faults: Faults = field(default_factory=Faults)
    log: list[Request] = field(default_factory=list)

    @property
    def base(self) -> str:
        """Address of the global host."""
        return self.tenant.hosts["global"]

    @property
    def clock(self) -> Clock:
        """The tenant's clock."""
        return self.tenant.clock

    def requests(self) -> list[Request]:
        """The access log so far."""
        return list(self.log)

    def dump(self) -> dict[str, list[Row]]:
        """Everything the tenant holds."""
        return self.tenant.dump()

    def change(self, table: str, row_id: Any, **fields: Any) -> None:
        """Edit a row as the tenant's administrator would in the user interface."""
        with self.tenant.lock:
            self.tenant.get(table, row_id).update(fields)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        text = await request.text()
        call = _call(request, text, self.tenant)
        headers: dict[str, str] = {}
        with self.tenant.lock:
            try:
                reply, headers, lost = self._answer(call)
            except Refused as refusal:
                reply, lost = _refusal(refusal), False
        agent = request.headers.get("User-Agent", "-")
        self.log.append(Request(request.method, request.path_qs, 0 if lost else reply.status, agent))
        if lost and request.transport is not None:
            request.transport.abort()
        body = b"" if reply.body is None else json.dumps(reply.body).encode()
        return web.Response(status=reply.status, body=body, headers=headers, content_type="application/json")

    def _answer(self, call: Call) -> tuple[Reply, dict[str, str], bool]:
        host = max((h for h in PREFIXES if call.path.startswith(PREFIXES[h] + "/")), key=lambda h: len(PREFIXES[h]))
        chosen, params = find(call.method, call.path.removeprefix(PREFIXES[host]), host)
        if not chosen.public and not self.tenant.identity.accepts(
            call.headers.get("authorization", ""), self.clock.now()
        ):
            raise Refused(401, "the token is missing, unknown or has expired")
        if (instead := self.faults.before(call)) is not None:
            return *instead, False
        reply = chosen.handler(
            Call(
                call.method,
                call.path,
                call.tenant,
                params,
                call.query,
                call.body,
                call.form,
                call.headers,
                self.faults.items,
            )
        )
        return reply, {}, self.faults.after(call)


def _call(request: web.Request, text: str, tenant: Tenant) -> Call:
    headers = {name.lower(): value for name, value in request.headers.items()}
    form: dict[str, str] = {}
    body: Any = None
    if request.content_type == "application/x-www-form-urlencoded":
        form = dict(part.split("=", 1) for part in text.split("&") if "=" in part)
    elif text:
        try:
            body = json.loads(text)
        except ValueError:
            body = None
    return Call(request.method, request.path, tenant, {}, dict(request.query), body, form, headers)


def _refusal(refusal: Refused) -> Reply:
    """2.1: the shape of UserHub's errors; the Admin API's is shorter (client). Both keys are there."""
    said = {"code": refusal.code or str(refusal.status), "details": str(refusal), "hostName": "simulator", "errors": {}}
    return Reply({**said, "error": refusal.code or "error", "errorDescription": str(refusal)}, refusal.status)


@contextmanager
def start_cxone(
    seed: int = 1, tenant_id: str = "tenant", recovery: DisasterRecovery | None = None
) -> Iterator[Simulator]:
    """A simulator with an empty tenant that has what every tenant has (lookups.furnish); `world.fill` adds a company.

    `recovery` is the vendor's own record of a pair of tenants (dr.py); two simulators may share one.
    """
    tenant = Tenant(tenant_id, seed)
    tenant.recovery = recovery
    lookups.furnish(tenant)
    simulator = Simulator(tenant, 0)
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{rest:.*}", simulator.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await _listen(runner, simulator)
            ready.set()
            await stop.wait()
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10), "the simulator did not start"
    try:
        yield simulator
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _listen(runner: web.AppRunner, simulator: Simulator) -> None:
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    simulator.port = runner.addresses[0][1]
    for name, prefix in PREFIXES.items():
        simulator.tenant.hosts[name] = f"http://127.0.0.1:{simulator.port}{prefix}"
