"""A real HTTP server on loopback whose answers a test scripts, one function for all requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Fake:
    """The server: `answer(seen)` gives (status, body, headers) or raises Hang or Reset."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    answer: Callable[[Seen], Any] = lambda _: (404, None, {})


class Hang(Exception):
    """Never answer."""


class Reset(Exception):
    """Close the connection instead of answering."""


@asynccontextmanager
async def serve(answer: Callable[[Seen], Any]) -> AsyncIterator[Fake]:
    """Run it for a block."""
    fake = Fake(answer=answer)

    async def handle(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = raw.decode() if "form" in request.content_type else json.loads(raw) if raw else None
        seen = Seen(request.method, str(request.rel_url), request.headers, body)
        fake.seen.append(seen)
        try:
            found = fake.answer(seen)
        except Hang:
            await asyncio.sleep(60)
        except Reset:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body, headers = found
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=data if body is not None else b"", headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    fake.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    try:
        yield fake
    finally:
        await runner.cleanup()
