"""The least a client could do: the same requests as a sync, at the same concurrency, with raw aiohttp; answers are read and forgotten.

    python -m tests.perf.bare REQUESTS.jsonl CONCURRENCY     prints {"seconds": ..., "requests": ..., "rate": ...}

Pages of one listing are asked for one after the other, listings at the same time; then everything else.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

Request = dict[str, Any]


async def replay(requests: list[Request], concurrency: int) -> float:
    """Send them all; returns seconds."""
    listings: dict[str, list[Request]] = {}
    rest: asyncio.Queue[Request] = asyncio.Queue()
    for request in requests:
        if request["method"] == "GET" and "?" in request["url"]:
            listings.setdefault(request["url"].partition("?")[0], []).append(request)
        else:
            rest.put_nowait(request)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def send(request: Request) -> None:
            url, body = URL(request["url"], encoded=True), request["body"]
            data = None if body is None else body.encode()
            async with session.request(request["method"], url, headers=request["headers"], data=data) as answer:
                await answer.read()
                assert answer.status < 500, f"{request['method']} {url} answered {answer.status}"

        async def pages(chain: list[Request]) -> None:
            for request in chain:
                await send(request)

        async def work() -> None:
            while not rest.empty():
                await send(rest.get_nowait())

        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for chain in listings.values():
                group.create_task(pages(chain))
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
        return time.monotonic() - began


def main() -> int:
    """Replay a file."""
    path, concurrency = sys.argv[1:]
    requests = [json.loads(line) for line in Path(path).read_text().splitlines()]
    seconds = asyncio.run(replay(requests, int(concurrency)))
    print(json.dumps({"seconds": seconds, "requests": len(requests), "rate": len(requests) / seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
