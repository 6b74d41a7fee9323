"""A proxy between the engine and its systems that does to chosen requests what networks, gateways and vendors do.

    with proxying({"primary": one.base, "secondary": two.base}) as proxy:
        proxy.fault = lambda exchange: truncated if exchange.method == "POST" else None
        ... proxy.url("secondary") ... proxy.seen ...

A fault is a function that is given the request on its way and answers it, forwards it, or lets it down.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass(frozen=True)
class Exchange:
    """One request as it came by; equal in two runs that do the same."""

    side: str
    method: str
    target: str
    body: bytes = field(compare=False)
    digest: str
    occurrence: int  # of the same request, from 1

    @property
    def collection(self) -> str:
        """Users, Groups, ...: the part of the path before an ID."""
        return self.target.partition("?")[0].strip("/").split("/")[1]


@dataclass
class Passing:
    """A request on its way through the proxy."""

    exchange: Exchange
    request: web.Request
    session: aiohttp.ClientSession
    upstream: str

    async def forward(self) -> web.Response:
        """Have the system handle it; returns its answer, not yet sent on."""
        headers = {name: value for name, value in self.request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = URL(self.upstream + self.exchange.target, encoded=True)
        async with self.session.request(
            self.exchange.method, url, headers=headers, data=self.exchange.body or None, allow_redirects=False
        ) as answer:
            body = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, headers=kept, body=body)

    def drop(self) -> web.Response:
        """Break the connection off without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return web.Response()


Fault = Callable[[Passing], Awaitable[web.StreamResponse]]


class Proxy:
    """The running proxy; attributes may be set while it runs."""

    def __init__(self, upstreams: Mapping[str, str]) -> None:
        self.upstreams = dict(upstreams)
        self.fault: Callable[[Exchange], Fault | None] = lambda _: None
        self.seen: list[Exchange] = []
        self.ports: dict[str, int] = {}
        self._counted: Counter[tuple[str, str, str, str]] = Counter()
        self._inside = 0
        self._idle = threading.Event()
        self._idle.set()

    def url(self, side: str) -> str:
        """Where the engine finds that side."""
        return f"http://127.0.0.1:{self.ports[side]}"

    def forget(self) -> None:
        """Start counting anew."""
        self.seen, self._counted = [], Counter()

    def wait_idle(self) -> None:
        """Return when no request is under way any more, also none of a client that has died."""
        assert self._idle.wait(30), "a request did not come to its end"

    def handler(
        self, side: str, session: aiohttp.ClientSession
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """What handles the requests to that side."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self.handle(side, request, session)

        return handle

    async def handle(self, side: str, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        """Pass one request on, or do to it what is asked."""
        self._inside += 1
        self._idle.clear()
        try:
            try:
                body = await request.read()
            except ConnectionError:  # the client died in the middle of its request
                return web.Response()
            digest = hashlib.sha256(body).hexdigest()[:12] if body else ""
            identity = (side, request.method, request.raw_path, digest)
            self._counted[identity] += 1
            exchange = Exchange(side, request.method, request.raw_path, body, digest, self._counted[identity])
            self.seen.append(exchange)
            passing = Passing(exchange, request, session, self.upstreams[side])
            fault = self.fault(exchange)
            return await (fault(passing) if fault else passing.forward())
        finally:
            self._inside -= 1
            if not self._inside:
                self._idle.set()


@contextmanager
def proxying(upstreams: Mapping[str, str]) -> Iterator[Proxy]:
    """Run it in a thread of its own for a block."""
    proxy = Proxy(upstreams)
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        # Handlers go on when their client is gone: what has been forwarded comes to its end.
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            runners = []
            for side in upstreams:
                app = web.Application(client_max_size=64 * 1024 * 1024)
                app.router.add_route("*", "/{rest:.*}", proxy.handler(side, session))
                runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
                await runner.setup()
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                proxy.ports[side] = runner.addresses[0][1]
                runners.append(runner)
            started.set()
            await stop.wait()
            for runner in runners:
                await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="fault-proxy", daemon=True)
    thread.start()
    assert started.wait(10), "the fault proxy did not start"
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


# --- faults


async def reset_before(passing: Passing) -> web.StreamResponse:
    """The connection breaks before the system has seen the request."""
    return passing.drop()


async def reset_after(passing: Passing) -> web.StreamResponse:
    """The connection breaks after the system has handled the request."""
    await passing.forward()
    return passing.drop()


def answered(status: int, body: bytes = b"", *, handled: bool = False, **headers: str) -> Fault:
    """Somebody else answers: a gateway, a load balancer; `handled`: after the system has done what was asked."""

    async def fault(passing: Passing) -> web.StreamResponse:
        if handled:
            await passing.forward()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named)

    return fault


def slow(seconds: float) -> Fault:
    """The answer takes its time."""

    async def fault(passing: Passing) -> web.StreamResponse:
        answer = await passing.forward()
        await asyncio.sleep(seconds)
        return answer

    return fault


async def truncated(passing: Passing) -> web.StreamResponse:
    """Half of the answer arrives, under the length of the whole."""
    whole = await passing.forward()
    body = whole.body if isinstance(whole.body, bytes) else b""
    half = web.StreamResponse(status=whole.status, headers=whole.headers)
    half.content_length = len(body)
    await half.prepare(passing.request)
    await half.write(body[: len(body) // 2])
    passing.drop()
    return half


def instead(body: bytes) -> Fault:
    """The request is handled, and answered with another body under the same status."""

    async def fault(passing: Passing) -> web.StreamResponse:
        answer = await passing.forward()
        return web.Response(status=answer.status, headers=answer.headers, body=body)

    return fault


def held(release: threading.Event, deadline_seconds: float = 60) -> Fault:
    """The request is kept back until `release` is set, and then passed on, whether anybody still waits for it or not."""

    async def fault(passing: Passing) -> web.StreamResponse:
        end = time.monotonic() + deadline_seconds
        while not release.is_set():
            assert time.monotonic() < end, "the request was held too long"
            await asyncio.sleep(0.02)
        return await passing.forward()

    return fault
