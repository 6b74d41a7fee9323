"""A small directory over HTTP whose state a test holds in its hands: people and teams, paged, with unique logins.

Runs in a thread of its own, so that whole runs can be tried by the hundred.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from bcp_operator.api.run import RunConfig, RunReport
from bcp_operator.sync.config import Setup
from bcp_operator.sync.run import run
from bcp_operator.systems.catalog import parse

from tests.systems.proxy import Proxy

PROFILE = """
description: people and teams, for tests
auth: {kind: none}
paging: {kind: offset, offsetParam: skip, sizeParam: top, size: 3}
types:
  person:
    list: {path: /people, items: items, total: total}
    read: {path: "/people/{id}"}
    key: {path: login, ignoreCase: true}
    marker: note
    ignore: [id]
    emptyIsAbsent: true
    references: [{path: boss, to: [person]}]
    create: {method: POST, path: /people, entity: "@"}
    update: {method: PUT, path: "/people/{id}", entity: "@"}
    deactivate: {method: POST, path: "/people/{id}/off", doneWhen: "on == `false`"}
  team:
    list: {path: /teams, items: items, total: total}
    read: {path: "/teams/{id}"}
    key: {path: name}
    marker: note
    ignore: [id]
    emptyIsAbsent: true
    unordered: [members]
    references: [{path: lead, to: [person]}, {path: "members[]", to: [person, team]}]
    create: {method: POST, path: /teams}
    update: {method: PATCH, path: "/teams/{id}", encoding: merge}
"""
Entity = dict[str, Any]


@dataclass
class Ledger:
    """One such directory: collection -> ID -> entity. IDs count up from a prefix, so that no two sides share one."""

    prefix: str
    entities: dict[str, dict[str, Entity]] = field(default_factory=lambda: {"people": {}, "teams": {}})
    methods: set[str] = field(default_factory=set)
    base: str = ""
    counter: Iterator[int] = field(default_factory=itertools.count)

    def add(self, collection: str, body: Entity) -> str:
        """Make an entity; returns its ID."""
        identifier = f"{self.prefix}{next(self.counter)}"
        self.entities[collection][identifier] = {name: value for name, value in body.items() if value is not None}
        return identifier

    def taken(self, collection: str, body: Entity, own: str = "") -> bool:
        """Whether somebody else has that login."""
        login = str(body.get("login")).lower()
        people = self.entities["people"].items() if collection == "people" else ()
        return any(other != own and str(entity["login"]).lower() == login for other, entity in people)

    async def handle(self, request: web.Request) -> web.Response:
        """The API."""
        self.methods.add(request.method)
        collection, identifier = request.match_info["collection"], request.match_info.get("id", "")
        there = self.entities[collection]
        if identifier and identifier not in there:
            return web.Response(status=404)
        if request.method == "GET":
            return self._read(request, there, identifier)
        if request.path.endswith("/off"):
            there[identifier]["on"] = False
            return web.Response(status=204)
        body: Entity = await request.json()
        if self.taken(collection, body, identifier):
            return web.Response(status=409)
        if not identifier:
            identifier = self.add(collection, body)
            return web.json_response({"id": identifier, **there[identifier]}, status=201)
        whole = body if request.method == "PUT" else {**there[identifier], **body}
        there[identifier] = {name: value for name, value in whole.items() if value is not None}
        return web.json_response({"id": identifier, **there[identifier]})

    def _read(self, request: web.Request, there: dict[str, Entity], identifier: str) -> web.Response:
        if identifier:
            return web.json_response({"id": identifier, **there[identifier]})
        skip, top = int(request.query["skip"]), int(request.query["top"])
        items = [{"id": key, **there[key]} for key in sorted(there)]
        return web.json_response({"items": items[skip : skip + top], "total": len(items)})


@contextmanager
def ledgers(*prefixes: str) -> Iterator[list[Ledger]]:
    """Run some of them for a block."""
    made = [Ledger(prefix) for prefix in prefixes]
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        runners = []
        for ledger in made:
            app = web.Application()
            for path in ("/{collection}", "/{collection}/{id}", "/{collection}/{id}/off"):
                app.router.add_route("*", path, ledger.handle)
            runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ledger.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            runners.append(runner)
        started.set()
        await stop.wait()
        for runner in runners:
            await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="ledgers", daemon=True)
    thread.start()
    assert started.wait(10), "the directories did not start"
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def sync(proxy: Proxy, folder: Path, **more: Any) -> RunReport:
    """A whole run between both directories behind the proxy, in this process; its store is in the folder."""
    system = {"profile": "ledger", "tenantID": "t", "insecure": True, "credentialsDir": "/none"}
    document = {
        "tenant": {"namespace": "n", "name": "t"},
        "pair": "ab" * 32,
        "primary": system | {"endpoint": proxy.url("primary")},
        "secondary": system | {"endpoint": proxy.url("secondary")},
        "store": {"sqlite": {"path": str(folder / "correlations.db")}},
        "limits": {"requestsPerSecond": 10000, "concurrency": 3},
        "approval": "Never",
    }
    profile = parse(PROFILE, "ledger")
    return run(Setup(RunConfig.model_validate(document | more), profile, profile, {}, {}, frozenset(profile.types)))
