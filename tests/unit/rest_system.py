"""A made-up vendor over HTTP, for tests of the engine by profile alone: collections in memory, and the oddities asked for.

GET and POST /{kind}; GET, PUT and PATCH /{kind}/{id}; POST /{kind}/{id}/on and /off; GET, POST and DELETE
/{kind}/{id}/{part} for lists that hang on an entity.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bcp_operator.api.run import RunConfig, RunSelection
from bcp_operator.sync.apply import Applier
from bcp_operator.sync.choice import choices
from bcp_operator.sync.config import Setup
from bcp_operator.sync.correlations.sqlite import open_sqlite
from bcp_operator.sync.correlations.store import Store
from bcp_operator.sync.planning import Clients, decide, listing_readers
from bcp_operator.sync.report import Tally
from bcp_operator.sync.spool import Spool
from bcp_operator.systems.client import ReadOnlyClient
from bcp_operator.systems.pace import Pace
from bcp_operator.systems.profile import Profile
from bcp_operator.systems.session import Session
from bcp_operator.systems.transport import open_client
from bcp_operator.systems.writer import WritableClient

from tests.unit.http_server import Seen, serve
from tests.unit.test_systems_client import no_gate

PAIR = "cd" * 32


@dataclass
class Vendor:
    """One system. `prefix` makes its IDs other than those of the other one."""

    prefix: str
    kinds: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    tells_id: bool = True
    tells_entity: bool = True
    filters: bool = True
    lose: Callable[[Seen], bool] = lambda _: False  # handle the request, and answer 500
    meanwhile: Callable[[Seen], None] = lambda _: None  # what others do before a request is handled
    seen: list[Seen] = field(default_factory=list)
    number: int = 0

    def put(self, kind: str, **body: Any) -> str:
        """Somebody makes an entity by hand; returns its ID."""
        self.number += 1
        new_id = f"{self.prefix}{self.number}"
        number = self.number + (1000 if self.prefix == "s" else 0)
        self.kinds.setdefault(kind, {})[new_id] = {"id": new_id, "nr": number, "rev": 1, **body}
        return new_id

    def named(self, kind: str, name: str) -> dict[str, Any]:
        """The one entity of that name."""
        (found,) = [body for body in self.kinds.get(kind, {}).values() if body["name"] == name]
        return found

    def writes(self) -> list[tuple[str, str]]:
        """Method and path of everything but reads."""
        return [(seen.method, urlsplit(seen.target).path) for seen in self.seen if seen.method != "GET"]

    def answer(self, seen: Seen) -> Any:
        """Handle one request."""
        self.meanwhile(seen)
        self.seen.append(seen)
        answer = self._handle(seen)
        return (500, None, {}) if self.lose(seen) else answer

    def _handle(self, seen: Seen) -> Any:
        kind, *rest = urlsplit(seen.target).path.strip("/").split("/")
        entities = self.kinds.setdefault(kind, {})
        if not rest:
            return self._collection(seen, kind)
        by_number = next((body for body in entities.values() if str(body["nr"]) == rest[0]), None)
        entity = entities.get(rest[0]) or by_number
        if entity is None:
            return 404, None, {}
        if len(rest) == 1:
            return self._one(seen, entity)
        return self._part(seen, entity, *rest[1:])

    def _collection(self, seen: Seen, kind: str) -> Any:
        if seen.method == "GET":
            wanted = parse_qs(urlsplit(seen.target).query).get("name")
            found = [
                body for body in self.kinds[kind].values() if not (wanted and self.filters) or body["name"] in wanted
            ]
            return 200, {"items": [{k: v for k, v in body.items() if not k.startswith("_")} for body in found]}, {}
        if any(body["name"] == seen.body.get("name") for body in self.kinds[kind].values()):
            return 409, None, {}
        new_id = self.put(kind, **seen.body)
        body = self.kinds[kind][new_id]
        told = body if self.tells_entity else {"id": new_id}
        return 201, told if self.tells_id else {"ok": True}, {}

    def _one(self, seen: Seen, entity: dict[str, Any]) -> Any:
        if seen.method == "DELETE":
            for entities in self.kinds.values():
                entities.pop(entity["id"], None)
            return 204, None, {}
        if seen.method != "GET":
            if seen.headers.get("If-Match") not in (None, str(entity["rev"])):
                return 412, None, {}
            kept = {"id": entity["id"], "nr": entity["nr"], "rev": entity["rev"] + 1}
            state = {name: value for name, value in entity.items() if name == "state" or name.startswith("_")}
            old = entity if seen.method == "PATCH" else state
            new = {**copy.deepcopy(old), **seen.body, **kept}
            entity.clear()
            entity.update(new)
        return 200, {k: v for k, v in entity.items() if not k.startswith("_")}, {}

    def _part(self, seen: Seen, entity: dict[str, Any], part: str, key: str = "") -> Any:
        if part in ("on", "off"):
            entity["state"] = part
            return 204, None, {}
        elements = entity.setdefault(f"_{part}", [])
        if seen.method == "POST":
            elements.extend(seen.body)
        elif seen.method == "DELETE":
            elements[:] = [one for one in elements if str(one["skill"]) != key]
        return 200, {"items": elements}, {}


@dataclass
class Rest:
    """Two vendors' systems and the engine between them."""

    profile: Profile
    other: Profile | None = None  # of the secondary, where it is another kind of system
    primary: Vendor = field(default_factory=lambda: Vendor("p"))
    secondary: Vendor = field(default_factory=lambda: Vendor("s"))
    store: Store = field(default_factory=lambda: open_sqlite(Path(":memory:"), PAIR))
    missing: dict[str, str] = field(default_factory=dict)  # type -> onMissing

    async def run(self) -> Tally:
        """Sync once; nothing but reads may reach the primary."""
        before = len(self.primary.seen)
        setup, spool, tally = self._setup(), Spool(), Tally()
        try:
            async with self._clients() as (primary, secondary):
                clients: Clients = {"primary": primary, "secondary": secondary}
                scope, _ = await decide(setup, clients, self.store, spool, tally, keep=True)
                readers = listing_readers(setup, "secondary")
                await Applier(scope, spool, self.store, secondary, readers=readers, tally=tally, concurrency=4).run()
        finally:
            spool.close()
        assert {seen.method for seen in self.primary.seen[before:]} <= {"GET"}
        return tally

    async def runs(self, number: int) -> list[Tally]:
        """Several runs, one after the other."""
        return [await self.run() for _ in range(number)]

    @asynccontextmanager
    async def _clients(self) -> AsyncIterator[tuple[ReadOnlyClient, WritableClient]]:
        async with AsyncExitStack() as stack:
            sessions = []
            for vendor, profile in ((self.primary, self.profile), (self.secondary, self.other or self.profile)):
                fake = await stack.enter_async_context(serve(vendor.answer))
                http = await stack.enter_async_context(open_client())
                gate = no_gate if vendor is self.secondary else None
                sessions.append(
                    Session(
                        profile,
                        tenant_id="t",
                        endpoint=fake.url,
                        credentials={},
                        transport=http,
                        pace=Pace(10000, 4),
                        gate=gate,
                    )
                )
            yield ReadOnlyClient(sessions[0]), WritableClient(sessions[1])

    def _setup(self) -> Setup:
        system = {"profile": "test", "tenantID": "t", "endpoint": "https://x.test", "credentialsDir": "/none"}
        config = RunConfig.model_validate(
            {
                "tenant": {"namespace": "n", "name": "t"},
                "pair": PAIR,
                "primary": system,
                "secondary": system,
                "store": {"sqlite": {"path": ":memory:"}},
                "approval": "Never",  # worlds are small: the guard is off
            }
        )
        if self.missing:
            entities = [{"type": name, "onMissing": what} for name, what in self.missing.items()]
            config = config.model_copy(update={"entities": [RunSelection.model_validate(one) for one in entities]})
        secondary = self.other or self.profile
        chosen = frozenset(name for name, kind in secondary.types.items() if not kind.is_lookup)
        return Setup(config, self.profile, secondary, {}, {}, chosen, choices(config, self.profile))
