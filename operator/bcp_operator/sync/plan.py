"""The plan: what has to be done so that the secondary says what the primary says. Pure; the same world, the same plan.

First every entity of the primary is matched (correlation, else marker, else natural key), then contents are compared.
Nothing is held in memory per entity: listings and matches come through World, actions go out one by one.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from bcp_operator.systems import paths
from bcp_operator.systems.content import Content, content_hash, diff, ordered, settle
from bcp_operator.systems.known import NOTHING, Known as KnownEntity
from bcp_operator.systems.profile import EntityType, Profile

from .correlations.store import Row, Status, correlation_id
from .references import Rewritten, Target, dependents, referenced, rewrite_references, type_order

Side = Literal["primary", "secondary"]
Kind = Literal[
    "create",  # make it
    "link",  # second pass of a create: references that could not be there at first
    "update",
    "adopt",  # an entity that is there already becomes the correlated one; with or without changes
    "refresh",  # nothing differs, only the store is out of date
    "unchanged",
    "deactivate",
    "tombstone",  # vanished on both sides, or out of use already: only the store is written
    "keep",  # left alone
    "skip",  # not done, with a reason
]


@dataclass(frozen=True, slots=True)
class Head:
    """A listed entity without its content."""

    id: str
    key: str | None
    marker: str | None
    inactive: bool
    hash: str


@dataclass(frozen=True, slots=True)
class Match:
    """What an entity of the primary belongs to. `create`: nothing yet; `ambiguous`: can't be told."""

    how: Literal["row", "pending", "key", "marker", "create", "ambiguous"]
    secondary_id: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do, or to say. Phases are done one after the other; within one the order is free."""

    phase: int
    type: str
    kind: Kind
    key: str | None
    primary_id: str | None
    secondary_id: str | None = None
    reason: str = ""
    fields: tuple[str, ...] = ()  # that change; for create: left out at first, for want of their target
    unresolved: tuple[str, ...] = ()  # references that lead nowhere
    removes: bool = False  # puts the entity out of use: a removal, whatever call does it


class World(Protocol):
    """Both complete listings, and a place for matches (sync/spool.py)."""

    def heads(self, side: Side, type_name: str) -> Iterator[Head]:
        """All of a listing, ordered by ID."""

    def head(self, side: Side, type_name: str, entity_id: str) -> Head | None:
        """One entity."""

    def with_key(self, side: Side, type_name: str, key: str) -> Sequence[Head]:
        """Entities with that natural key."""

    def with_marker(self, side: Side, type_name: str, marker: str) -> Sequence[Head]:
        """Entities that carry that correlation ID."""

    def body(self, side: Side, type_name: str, entity_id: str) -> Content:
        """Content of a listed entity."""

    def count(self, side: Side, type_name: str) -> int:
        """Length of a listing."""

    def match(self, type_name: str, primary_id: str) -> Match | None:
        """What an entity of the primary belongs to."""

    def set_match(self, type_name: str, primary_id: str, match: Match) -> None:
        """Note a match."""

    def claimed(self, type_name: str, secondary_id: str) -> bool:
        """Whether an entity of the secondary is matched."""


class Known(Protocol):
    """The part of the correlation store that a plan reads."""

    def by_primary(self, type_name: str, primary_id: str) -> Row | None:
        """The row of an entity of the primary."""

    def by_secondary(self, type_name: str, secondary_id: str) -> Row | None:
        """The row of an entity of the secondary."""

    def rows(self, type_name: str | None = None, status: Status | None = None) -> Iterator[Row]:
        """Rows ordered by type and primary ID."""

    def count(self, type_name: str, status: Status) -> int:
        """How many rows there are."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is planned: `chosen` types are brought up to date, those they refer to are only looked up."""

    primary: Profile
    secondary: Profile
    pair: str
    chosen: frozenset[str]

    @property
    def looked_up(self) -> frozenset[str]:
        """Types that are read for the sake of references."""
        return frozenset(referenced(self.primary, self.chosen)) - self.chosen


def empty_listings(scope: Scope, world: World, known: Known, types: Collection[str]) -> dict[str, str]:
    """Types of which a listing is empty beside known correlations: an error, never a reason to act. Type -> why."""
    found: dict[str, str] = {}
    for name in sorted(types):
        if known.count(name, "ACTIVE") == 0:
            continue
        for side in ("primary", "secondary"):
            if world.count(side, name) == 0:
                found[name] = f"the {side}'s listing is empty although {known.count(name, 'ACTIVE')} are known"
    return found


def blocked_types(scope: Scope, broken: Collection[str]) -> set[str]:
    """Chosen types that can't be planned because they, or types they lead to, could not be read."""
    return dependents(scope.primary, broken) & scope.chosen


def plan(scope: Scope, world: World, known: Known, blocked: Collection[str] = ()) -> Iterator[Action]:
    """Every action. Matches are noted in `world` on the way. `blocked` types (see blocked_types) are left out."""
    types = sorted((scope.chosen | scope.looked_up) - set(blocked))
    for name in types:
        _match_type(scope, world, known, name)
    groups = type_order(scope.primary, sorted(scope.chosen - set(blocked)))
    for number, group in enumerate(groups):
        for name in group:
            yield from _compare_type(_Planner(scope, world, known, name, group, number * 2))
    last = len(groups) * 2
    for number, group in enumerate(reversed(groups)):
        for name in group:
            yield from _vanished(scope, world, known, name, last + number)
            yield from _secondary_only(world, known, name, last + len(groups))


# --- matching


def _match_type(scope: Scope, world: World, known: Known, name: str) -> None:
    """Find the secondary's entity for each of the primary's: what is certain first, then what was begun, then the rest."""
    for head in world.heads("primary", name):
        row = known.by_primary(name, head.id)
        if row and row.secondary_id and world.head("secondary", name, row.secondary_id):
            world.set_match(name, head.id, Match("row", row.secondary_id))
    for row in known.rows(name, "PENDING"):
        begun = world.head("primary", name, row.primary_id)
        if begun and world.match(name, begun.id) is None:
            world.set_match(name, begun.id, _find(scope, world, known, name, begun))
    for head in world.heads("primary", name):
        if world.match(name, head.id) is None:
            world.set_match(name, head.id, _find(scope, world, known, name, head))


def _find(scope: Scope, world: World, known: Known, name: str, head: Head) -> Match:
    marked = world.with_marker("secondary", name, correlation_id(scope.pair, name, head.id))
    if marked:
        return Match("marker", marked[0].id) if len(marked) == 1 else Match("ambiguous")
    if head.key is None:
        return Match("create")
    free = [other for other in world.with_key("secondary", name, head.key) if not world.claimed(name, other.id)]
    if not free:
        return Match("create")
    rivals = [other for other in world.with_key("primary", name, head.key) if world.match(name, other.id) is None]
    begun = [other for other in rivals if _is_pending(known, name, other.id)]
    if head in begun and len(free) <= len(begun):
        return Match("pending", free[0].id)
    if len(free) == 1 and len(rivals) == 1:
        return Match("key", free[0].id)
    return Match("ambiguous")


def _is_pending(known: Known, name: str, primary_id: str) -> bool:
    row = known.by_primary(name, primary_id)
    return row is not None and row.status == "PENDING"


# --- comparing


@dataclass(frozen=True, slots=True)
class _Planner:
    scope: Scope
    world: World
    known: Known
    name: str
    group: list[str]
    phase: int  # creates; changes follow in phase + 1

    def resolve(self, types: tuple[str, ...], primary_id: str) -> Target:
        """Where a reference leads, by the matches."""
        return resolve_by_match(self.world, types, primary_id)


def resolve_by_match(world: World, types: tuple[str, ...], primary_id: str) -> Target:
    """Where a reference leads: the first type that knows the ID counts."""
    for name in types:
        match = world.match(name, primary_id)
        if match is not None:
            return Target(match.secondary_id, name if match.how == "create" else None)
    return Target()


def desired_content(scope: Scope, world: World, name: str, primary_id: str) -> Rewritten:
    """What the secondary's entity should hold, as far as its references can be resolved by now."""
    body = world.body("primary", name, primary_id)
    rewritten = rewrite_references(
        scope.primary.types[name], body, lambda types, target: resolve_by_match(world, types, target)
    )
    rewritten.content = ordered(rewritten.content, scope.secondary.types[name].unordered_paths)
    return rewritten


def _compare_type(planner: _Planner) -> Iterator[Action]:
    for head in planner.world.heads("primary", planner.name):
        match = planner.world.match(planner.name, head.id)
        if match is None or match.how == "ambiguous":
            reason = f"Ambiguous: more than one entity of the secondary could be {head.key!r}"
            yield _action(planner, head, "skip", reason=reason)
        elif match.how == "create":
            yield from _create(planner, head)
        else:
            yield _compare(planner, head, match)


def _create(planner: _Planner, head: Head) -> Iterator[Action]:
    scope, name = planner.scope, planner.name
    later: set[str] = set()
    unresolved: tuple[str, ...] = ()
    if scope.primary.types[name].references:
        wanted = desired_content(scope, planner.world, name, head.id)
        unresolved = tuple(sorted(wanted.unresolved))
        later = {path for path, target in wanted.awaited if target in planner.group}
    row = planner.known.by_primary(name, head.id)
    reason = "missing in the secondary although it was there" if row and row.secondary_id else ""
    deferred = tuple(sorted(later))
    yield Action(
        planner.phase, name, "create", head.key, head.id, reason=reason, fields=deferred, unresolved=unresolved
    )
    if deferred:
        yield Action(planner.phase + 1, name, "link", head.key, head.id, fields=deferred)


def _compare(planner: _Planner, head: Head, match: Match) -> Action:
    scope, world, name = planner.scope, planner.world, planner.name
    row = planner.known.by_primary(name, head.id)
    theirs = world.head("secondary", name, match.secondary_id or "")
    simple = not scope.primary.types[name].references
    if row and theirs and simple and match.how == "row" and _as_written(row, head.hash, theirs.hash):
        return _action(planner, head, "unchanged", match)
    wanted = desired_content(scope, world, name, head.id)
    unresolved = tuple(sorted(wanted.unresolved))
    desired_hash = content_hash(wanted.content)
    settled = not wanted.awaited
    if row and theirs and settled and match.how == "row" and _as_written(row, desired_hash, theirs.hash):
        return _action(planner, head, "unchanged", match, unresolved=unresolved)
    if row and settled and match.how == "row" and _unread(row, desired_hash):
        return _action(planner, head, "refresh", match, unresolved=unresolved)
    current = world.body("secondary", name, match.secondary_id or "")
    written = row.fields if row and match.how == "row" else {}
    fields = tuple(
        sorted({*diff(wanted.content, current, written), *(paths.parse(path)[0].name for path, _ in wanted.awaited)})
    )
    if match.how != "row":
        kind: Kind = "adopt"
    else:
        kind = "update" if fields else "refresh"
    action = _action(planner, head, kind, match, fields=fields, unresolved=unresolved)
    retires = kind == "update" and head.inactive and theirs is not None and not theirs.inactive
    return replace(action, removes=True, reason="out of use in the primary") if retires else action


def _as_written(row: Row, primary_hash: str, secondary_hash: str) -> bool:
    return row.status == "ACTIVE" and (row.primary_hash, row.secondary_hash) == (primary_hash, secondary_hash)


def _unread(row: Row, primary_hash: str) -> bool:
    """Written last time, but what the secondary made of it wasn't learned: what it lists now is taken for that."""
    return row.status == "ACTIVE" and row.primary_hash == primary_hash and row.secondary_hash is None


def _action(
    planner: _Planner,
    head: Head,
    kind: Kind,
    match: Match | None = None,
    *,
    reason: str = "",
    fields: tuple[str, ...] = (),
    unresolved: tuple[str, ...] = (),
) -> Action:
    secondary_id = match.secondary_id if match else None
    return Action(planner.phase + 1, planner.name, kind, head.key, head.id, secondary_id, reason, fields, unresolved)


# --- what is on one side only


def _vanished(scope: Scope, world: World, known: Known, name: str, phase: int) -> Iterator[Action]:
    """Correlated entities that the primary has no longer: put out of use where the profile knows how, never deleted."""
    call = scope.secondary.types[name].deactivate
    for row in known.rows(name):
        if world.head("primary", name, row.primary_id) is not None:
            continue
        secondary_id = row.secondary_id or _marked(scope, world, name, row)
        theirs = world.head("secondary", name, secondary_id) if secondary_id else None
        if secondary_id and world.claimed(name, secondary_id):
            continue  # made anew in the primary under another ID, and matched with that
        if theirs is None or (theirs.inactive and call):
            if row.status != "INACTIVE":
                yield Action(phase, name, "tombstone", row.key, row.primary_id, secondary_id)
        elif call is None:
            reason = "VanishedFromPrimary: this type can't be put out of use"
            yield Action(phase, name, "keep", theirs.key, None, theirs.id, reason)
        else:
            reason = "vanished from the primary"
            yield Action(phase, name, "deactivate", row.key, row.primary_id, theirs.id, reason, removes=True)


def _marked(scope: Scope, world: World, name: str, row: Row) -> str | None:
    found = world.with_marker("secondary", name, correlation_id(scope.pair, name, row.primary_id))
    return found[0].id if len(found) == 1 else None


def _secondary_only(world: World, known: Known, name: str, phase: int) -> Iterator[Action]:
    """Entities that were made in the secondary: never touched."""
    for head in world.heads("secondary", name):
        if not world.claimed(name, head.id) and known.by_secondary(name, head.id) is None:
            yield Action(phase, name, "keep", head.key, None, head.id, "SecondaryOnly: not in the primary")
