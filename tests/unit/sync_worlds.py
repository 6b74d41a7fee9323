"""Two systems in memory and the engine between them, for tests of the plan: everything real but the network."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bcp_operator.api.run import RunConfig
from bcp_operator.sync.apply import Applier
from bcp_operator.sync.choice import choices
from bcp_operator.sync.config import Setup
from bcp_operator.sync.correlations.sqlite import open_sqlite
from bcp_operator.sync.correlations.store import Store
from bcp_operator.sync.planning import decide
from bcp_operator.sync.read import Reader
from bcp_operator.sync.report import Tally
from bcp_operator.sync.run import note_alone
from bcp_operator.sync.spool import Spool
from bcp_operator.sync.withhold import finish
from bcp_operator.sync.world import Action
from bcp_operator.systems.catalog import parse
from bcp_operator.systems.client import Page
from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.profile import Profile
from bcp_operator.systems.writer import Written

PAIR = "ab" * 32

# People may have a manager; teams have a lead and members, which are people or teams: two cycles.
PROFILE = """
auth: {kind: none}
types:
  person: &person
    list: {path: /people}
    key: {path: login, ignoreCase: true}
    ignore: [id]
    emptyIsAbsent: true
    unordered: [tags]
    references: [{path: boss.id, to: [person]}]
    create: {method: POST, path: /people, entity: "@"}
    read: {path: "/people/{id}"}
    update: {method: PUT, path: "/people/{id}", entity: "@"}
    deactivate: {method: POST, path: "/people/{id}/off", doneWhen: "on == `false`"}
  team:
    list: {path: /teams}
    key: {path: name}
    ignore: [id]
    emptyIsAbsent: true
    unordered: [members]
    references: [{path: lead, to: [person]}, {path: "members[].id", to: [person, team]}]
    create: {method: POST, path: /teams, entity: "@"}
    update: {method: PUT, path: "/teams/{id}", entity: "@"}
"""


def profile(text: str = PROFILE) -> Profile:
    """The profile of these worlds, or another."""
    return parse(text, "test profile")


@dataclass
class System:
    """A system in memory: type -> ID -> entity. Logins of people are unique, as in life."""

    prefix: str
    entities: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {"person": {}, "team": {}})
    unlisted: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {"person": {}, "team": {}})
    writes: list[tuple[str, str, str]] = field(default_factory=list)
    requests: int = 0
    unique: tuple[str, ...] = ("login",)
    marker: str | None = None
    answers_entity: bool = True
    normalise: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda _type, body: body
    fail: Callable[[str, str, Any], None] = lambda _verb, _type, _body: None
    counter: Any = field(default_factory=itertools.count)

    async def list(self, type_name: str) -> AsyncIterator[Page]:
        """Pages of two."""
        items = [{"id": key, **copy.deepcopy(body)} for key, body in self.entities[type_name].items()]
        for start in range(0, max(1, len(items)), 2):
            self.requests += 1
            yield Page(items[start : start + 2], len(items))

    async def read(self, type_name: str, entity_id: str) -> Mapping[str, Any] | None:
        """One entity; also one that a listing leaves out."""
        self.requests += 1
        self.fail("read", type_name, entity_id)
        found = self.entities[type_name].get(entity_id) or self.unlisted[type_name].get(entity_id)
        return None if found is None else {"id": entity_id, **copy.deepcopy(found)}

    async def create(self, type_name: str, content: dict[str, Any], correlation_id: str) -> Written:
        """Refuses a login that is taken."""
        self.fail("create", type_name, content)
        self._unique(type_name, content, None)
        new_id = f"{self.prefix}{next(self.counter)}"
        marked = {**content, self.marker: correlation_id} if self.marker else content
        self.entities[type_name][new_id] = self.normalise(type_name, copy.deepcopy(marked))
        self.writes.append(("create", type_name, new_id))
        await asyncio.sleep(0)
        self.fail("created", type_name, content)
        return Written(new_id, self._answer(type_name, new_id))

    async def update(
        self,
        type_name: str,
        entity_id: str,
        *,
        desired: dict[str, Any],
        changes: Any,
        current: Any,
        correlation_id: str,
        **_more: Any,
    ) -> Written:
        """Replaces the whole entity."""
        self.fail("update", type_name, desired)
        self._unique(type_name, desired, entity_id)
        marked = {**desired, self.marker: correlation_id} if self.marker else desired
        self.entities[type_name][entity_id] = self.normalise(type_name, copy.deepcopy(marked))
        self.writes.append(("update", type_name, entity_id))
        return Written(entity_id, self._answer(type_name, entity_id))

    async def batch_size(self, _type_name: str) -> int:
        """One by one."""
        return 1

    async def find(self, _type_name: str, _key: str) -> None:
        """It has no filter."""

    async def deactivate(self, type_name: str, entity_id: str, _traits: Any = None) -> Written:
        """Sets `on` to false."""
        self.fail("deactivate", type_name, {})
        self.entities[type_name][entity_id]["on"] = False
        self.writes.append(("deactivate", type_name, entity_id))
        return Written(entity_id, self._answer(type_name, entity_id))

    def _answer(self, type_name: str, entity_id: str) -> Mapping[str, Any] | None:
        if not self.answers_entity:
            return None
        return {"id": entity_id, **copy.deepcopy(self.entities[type_name][entity_id])}

    def _unique(self, type_name: str, content: dict[str, Any], own: str | None) -> None:
        for other, body in self.entities[type_name].items():
            for name in self.unique:
                if other != own and name in body and str(body[name]).lower() == str(content.get(name)).lower():
                    raise CallFailed("Duplicate", "HTTP 409")


@dataclass
class Pair:
    """A primary, a secondary and the store between them."""

    primary: System = field(default_factory=lambda: System("p"))
    secondary: System = field(default_factory=lambda: System("s"))
    store: Store = field(default_factory=lambda: open_sqlite(Path(":memory:"), PAIR))
    profile: Profile = field(default_factory=profile)
    chosen: frozenset[str] = frozenset({"person", "team"})
    concurrency: int = 4
    policy: dict[str, Any] = field(default_factory=lambda: {"approval": "Never"})  # worlds are small: the guard is off

    def setup(self) -> Setup:
        """What the engine is told."""
        system = {"profile": "test", "tenantID": "t", "endpoint": "https://x.test", "credentialsDir": "/none"}
        config = RunConfig.model_validate(
            {
                "tenant": {"namespace": "n", "name": "t"},
                "pair": PAIR,
                "primary": system,
                "secondary": system,
                "store": {"sqlite": {"path": ":memory:"}},
                **self.policy,
            }
        )
        return Setup(config, self.profile, self.profile, {}, {}, self.chosen, choices(config, self.profile))

    def plan(self) -> tuple[list[Action], Tally]:
        """What a run would do."""
        spool, tally = Spool(), Tally()
        asyncio.run(decide(self.setup(), self.clients(), self.store, spool, tally, keep=False))
        actions = list(spool.actions())
        spool.close()
        return actions, tally

    def clients(self) -> Any:
        """Both systems, as the engine is given them."""
        return {"primary": self.primary, "secondary": self.secondary}

    def run(self) -> Tally:
        """Sync once."""
        return asyncio.run(self._run())

    async def _run(self) -> Tally:
        spool, tally, setup = Spool(), Tally(), self.setup()
        try:
            scope, decision = await decide(setup, self.clients(), self.store, spool, tally, keep=True)
            readers = {name: Reader(kind, kind, kind) for name, kind in self.profile.types.items()}
            applier = Applier(
                scope,
                spool,
                self.store,
                self.secondary,  # type: ignore[arg-type]
                readers=readers,
                tally=tally,
                concurrency=self.concurrency,
            )
            await applier.run()
            finish(setup.config, decision, scope, self.store, tally)
            note_alone(scope, spool, self.store, tally)
        finally:
            spool.close()
        return tally

    def twin(self, type_name: str, primary_id: str) -> dict[str, Any]:
        """The secondary's entity of one of the primary."""
        row = self.store.by_primary(type_name, primary_id)
        assert row is not None
        assert row.secondary_id is not None
        return self.secondary.entities[type_name][row.secondary_id]
