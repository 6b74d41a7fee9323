"""The plan: what has to be done so that the secondary says what the primary says. Pure; the same world, the same plan.

First every entity of the primary is matched (correlation, else marker, else natural key), then contents are compared.
Nothing is held in memory per entity: listings and matches come through World, actions go out one by one.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bcp_operator.systems import paths
from bcp_operator.systems.content import Content, content_hash, diff, ordered, settle
from bcp_operator.systems.profile import EntityType, Reference

from .correlations.store import Row, correlation_id
from .references import Rewritten, Target, dependents, rewrite_references, type_order
from .world import Action, Head, Kind, Known, Match, Scope, World

OUT_OF_USE = "out of use in the primary"


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


def nothing_chosen(scope: Scope, world: World, types: Collection[str]) -> list[str]:
    """Types of which the filter takes nothing: as little a reason to act as an empty listing."""
    return [
        name
        for name in sorted(types)
        if world.count("primary", name) and not any(head.chosen for head in world.heads("primary", name))
    ]


def blocked_types(scope: Scope, broken: Collection[str]) -> set[str]:
    """Chosen types that can't be planned because they, or types they lead to, could not be read."""
    return dependents(scope.primary, broken) & scope.chosen


def plan(scope: Scope, world: World, known: Known, blocked: Collection[str] = ()) -> Iterator[Action]:
    """Every action. Matches are noted in `world` on the way. `blocked` types (see blocked_types) are left out."""
    types = sorted((scope.chosen | scope.looked_up) - set(blocked))
    match_types(scope, world, known, types)
    _skip_unresolved(scope, world, [name for name in types if name in scope.chosen])
    groups = type_order(scope.primary, sorted(scope.chosen - set(blocked)))
    last = len(groups) * 2
    for number, group in enumerate(groups):
        for name in group:
            removal = last + len(groups) - 1 - number
            yield from _compare_type(_Planner(scope, world, known, name, group, number * 2, removal))
    for number, group in enumerate(reversed(groups)):
        for name in group:
            yield from _vanished(scope, world, known, name, last + number)
            yield from _secondary_only(world, known, name, last + len(groups))


# --- matching


def match_types(scope: Scope, world: World, known: Known, types: Iterable[str]) -> None:
    """Note in `world` which entities of these types belong together."""
    for name in types:
        _match_type(scope, world, known, name)


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
    match = _counterpart(scope, world, known, name, head)
    if name not in scope.chosen or not head.chosen or _left_out_of_use(scope, name, head):
        return Match("absent") if match.how == "create" else match
    taken = match.how == "key" and not scope.adopts and name not in scope.rebuilt
    return Match("taken") if taken else match


def _left_out_of_use(scope: Scope, name: str, head: Head) -> bool:
    """Whether an entity that the secondary doesn't have is as good as there: out of use is what absent is, too."""
    create = scope.secondary.types[name].create
    return head.inactive and create is not None and create.out_of_use == "leave"


def _skip_unresolved(scope: Scope, world: World, types: Sequence[str]) -> None:
    """Make nothing that refers to something that is not there and not made either, at first or at further hand."""
    strict = [
        name
        for name in types
        if scope.primary.types[name].references and (scope.skips_unresolved or scope.primary.types[name].required)
    ]
    again = bool(strict)
    while again:
        again = False
        for name in strict:
            for head in world.heads("primary", name):
                match = world.match(name, head.id)
                if match is None or match.how != "create":
                    continue
                if missing(scope, name, desired_content(scope, world, name, head.id).unresolved):
                    world.set_match(name, head.id, Match("absent"))
                    again = True


def missing(scope: Scope, name: str, fields: Collection[str]) -> Collection[str]:
    """Those of the references that lead nowhere without which an entity is not written at all."""
    return fields if scope.skips_unresolved else scope.primary.types[name].required.intersection(fields)


def _counterpart(scope: Scope, world: World, known: Known, name: str, head: Head) -> Match:
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
    phase: int  # creates and revivals; changes follow in phase + 1
    removal: int  # the phase in which entities of this type are put out of use

    @property
    def own(self) -> EntityType:
        """The type in the secondary's profile."""
        return self.scope.secondary.types[self.name]


def resolve_by_match(world: World, reference: Reference, value: str) -> Target:
    """Where a reference leads: the first type that knows the ID counts."""
    for name in reference.to:
        primary_id = value if reference.id is None else world.id_of("primary", name, reference.id, value)
        match = None if primary_id is None else world.match(name, primary_id)
        if match is None:
            continue
        if match.secondary_id is None or reference.id is None:
            return Target(match.secondary_id, name if match.how == "create" else None)
        theirs = world.head("secondary", name, match.secondary_id)
        return Target(theirs.traits.ids.get(reference.id) if theirs else None)
    return Target()


def desired_content(scope: Scope, world: World, name: str, primary_id: str) -> Rewritten:
    """What the secondary's entity should hold, as far as its references can be resolved by now."""
    body = world.body("primary", name, primary_id)
    rewritten = rewrite_references(
        scope.primary.types[name], body, lambda reference, value: resolve_by_match(world, reference, value)
    )
    rewritten.content = ordered(rewritten.content, scope.secondary.types[name].unordered_paths)
    return rewritten


def _compare_type(planner: _Planner) -> Iterator[Action]:
    for head in planner.world.heads("primary", planner.name):
        match = planner.world.match(planner.name, head.id)
        if not head.chosen:
            if match is not None and match.how == "row":
                yield _action(planner, head, "keep", match, reason="NotChosen: the filter takes it no longer")
        elif match is not None and match.how == "absent" and _left_out_of_use(planner.scope, planner.name, head):
            yield _action(planner, head, "unchanged", match)
        elif match is None or (match.secondary_id is None and match.how != "create"):
            yield _action(planner, head, "skip", reason=_why_not(planner, head, match))
        elif match.how == "create":
            yield from _create(planner, head)
        else:
            changed = list(_change_state(planner, head, match))
            yield from changed
            for action in _compare(planner, head, match):
                if not changed or action.kind not in ("unchanged", "refresh"):
                    yield action


def _why_not(planner: _Planner, head: Head, match: Match | None) -> str:
    if match is not None and match.how == "taken":
        return "KeyTaken: the secondary has one of this key, and the policy adopts none"
    if match is not None and match.how == "absent":
        unresolved = desired_content(planner.scope, planner.world, planner.name, head.id).unresolved
        return _leads_nowhere(missing(planner.scope, planner.name, unresolved))
    return f"Ambiguous: more than one entity of the secondary could be {head.key!r}"


def _leads_nowhere(fields: Collection[str]) -> str:
    return f"UnresolvedReference: {', '.join(sorted(fields))}"


def _create(planner: _Planner, head: Head) -> Iterator[Action]:
    scope, name = planner.scope, planner.name
    later: set[str] = set()
    unresolved: tuple[str, ...] = ()
    if planner.own.create is None:
        yield _action(planner, head, "skip", reason="NotCreatable: the secondary's profile has no create for this type")
        return
    if scope.primary.types[name].references or planner.own.attached:
        wanted = desired_content(scope, planner.world, name, head.id)
        unresolved = tuple(sorted(wanted.unresolved))
        later = {path for path, target in wanted.awaited if target in planner.group}
        later |= wanted.content.keys() & planner.own.attached.keys()
    row = planner.known.by_primary(name, head.id)
    reason = "missing in the secondary although it was there" if row and row.secondary_id else ""
    deferred = tuple(sorted(later))
    yield Action(
        planner.phase, name, "create", head.key, head.id, reason=reason, fields=deferred, unresolved=unresolved
    )
    if deferred:
        yield Action(planner.phase + 1, name, "link", head.key, head.id, fields=deferred)
    if head.inactive and planner.own.revive is not None:
        yield Action(planner.removal, name, "deactivate", head.key, head.id, None, OUT_OF_USE)


def _change_state(planner: _Planner, head: Head, match: Match) -> Iterator[Action]:
    """Into use or out of it, where the profile has calls for both; elsewhere it is content like any other."""
    name = planner.name
    theirs = planner.world.head("secondary", name, match.secondary_id or "")
    if planner.own.revive is None or theirs is None or theirs.inactive == head.inactive:
        return
    if head.inactive:
        yield Action(planner.removal, name, "deactivate", head.key, head.id, theirs.id, OUT_OF_USE, removes=True)
    else:
        yield Action(planner.phase, name, "revive", head.key, head.id, theirs.id, "in use in the primary")


def _compare(planner: _Planner, head: Head, match: Match) -> Iterator[Action]:
    scope, world, name = planner.scope, planner.world, planner.name
    row = planner.known.by_primary(name, head.id)
    theirs = world.head("secondary", name, match.secondary_id or "")
    simple = not scope.primary.types[name].references
    if row and theirs and simple and match.how == "row" and _as_written(row, head.hash, theirs.hash):
        yield _action(planner, head, "unchanged", match)
        return
    wanted = desired_content(scope, world, name, head.id)
    unresolved = tuple(sorted(wanted.unresolved))
    if lacking := missing(scope, name, unresolved):
        yield _action(planner, head, "skip", match, reason=_leads_nowhere(lacking))
        return
    desired_hash = content_hash(wanted.content)
    settled = not wanted.awaited
    if row and theirs and settled and match.how == "row" and _as_written(row, desired_hash, theirs.hash):
        yield _action(planner, head, "unchanged", match, unresolved=unresolved)
        return
    blind = not planner.own.tells_what_it_stored
    if row and settled and match.how == "row" and blind and row.unread(desired_hash):
        yield _action(planner, head, "refresh", match, unresolved=unresolved)
        return
    current = world.body("secondary", name, match.secondary_id or "")
    written = row.fields if row and match.how == "row" else {}
    reachable, fixed = settle(wanted.content, current, immutable_fields(planner.own, wanted.content, current), written)
    if fixed:
        yield _action(planner, head, "skip", match, reason=f"RequiresRecreate: {', '.join(fixed)} can't be changed")
    fields = tuple(
        sorted({*diff(reachable, current, written), *(paths.parse(path)[0].name for path, _ in wanted.awaited)})
    )
    if match.how != "row":
        kind: Kind = "adopt"
    else:
        kind = "update" if fields else "refresh"
    action = _action(planner, head, kind, match, fields=fields, unresolved=unresolved)
    retires = kind == "update" and head.inactive and theirs is not None and not theirs.inactive
    yield replace(action, removes=True, reason=OUT_OF_USE) if retires else action


def immutable_fields(own: EntityType, *contents: Content) -> set[str]:
    """Fields that no update of the secondary's type can change."""
    if own.update is None:
        return {name for content in contents for name in content if name not in own.attached}
    return set(own.immutable)


def _as_written(row: Row, primary_hash: str, secondary_hash: str) -> bool:
    return row.status == "ACTIVE" and (row.primary_hash, row.secondary_hash) == (primary_hash, secondary_hash)


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
    """Correlated entities that the primary has no longer: put out of use, or deleted where the policy says so."""
    deletes = name in scope.deleted
    own = scope.secondary.types[name]
    call = own.delete if deletes else own.deactivate
    for row in known.rows(name):
        if world.head("primary", name, row.primary_id) is not None:
            continue
        secondary_id = row.secondary_id or _marked(scope, world, name, row)
        theirs = world.head("secondary", name, secondary_id) if secondary_id else None
        if secondary_id and world.claimed(name, secondary_id):
            continue  # made anew in the primary under another ID, and matched with that
        if theirs is None or (theirs.inactive and call and not deletes):
            if row.status != "INACTIVE":
                yield Action(phase, name, "tombstone", row.key, row.primary_id, secondary_id)
        elif call is None or name in scope.kept:
            unable = "this type can't be deleted" if deletes else "this type can't be put out of use"
            why = "the policy keeps it" if name in scope.kept else unable
            reason = f"VanishedFromPrimary: {why}"
            yield Action(phase, name, "keep", theirs.key, None, theirs.id, reason)
        else:
            kind: Kind = "delete" if deletes else "deactivate"
            reason = "vanished from the primary"
            yield Action(phase, name, kind, row.key, row.primary_id, theirs.id, reason, removes=True)


def _marked(scope: Scope, world: World, name: str, row: Row) -> str | None:
    found = world.with_marker("secondary", name, correlation_id(scope.pair, name, row.primary_id))
    return found[0].id if len(found) == 1 else None


def _secondary_only(world: World, known: Known, name: str, phase: int) -> Iterator[Action]:
    """Entities that were made in the secondary: never touched."""
    for head in world.heads("secondary", name):
        if not world.claimed(name, head.id) and known.by_secondary(name, head.id) is None:
            yield Action(phase, name, "keep", head.key, None, head.id, "SecondaryOnly: not in the primary")
