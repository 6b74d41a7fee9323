"""Which entity of the secondary is meant by one of the primary, and what it should hold. Pure.

An entity of the primary is matched by correlation, else by marker, else by natural key.
"""

from bcp_operator.systems.content import Content, ordered
from bcp_operator.systems.profile import EntityType, Reference

from .correlations.store import correlation_id
from .references import Rewritten, Target, rewrite_references
from .world import Head, Known, Match, Scope, World


def match_type(scope: Scope, world: World, known: Known, name: str) -> None:
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
    nothing = Match("create" if name in scope.chosen else "missing")
    marked = world.with_marker("secondary", name, correlation_id(scope.pair, name, head.id))
    if marked:
        return Match("marker", marked[0].id) if len(marked) == 1 else Match("ambiguous")
    if head.key is None:
        return nothing
    free = [other for other in world.with_key("secondary", name, head.key) if not world.claimed(name, other.id)]
    if not free:
        return nothing
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


def immutable_fields(own: EntityType, *contents: Content) -> set[str]:
    """Fields that no update of the secondary's type can change."""
    if own.update is None:
        return {name for content in contents for name in content if name not in own.attached}
    return set(own.immutable)
