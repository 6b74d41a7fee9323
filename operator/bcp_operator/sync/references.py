"""References between entities: the order of types, and rewriting IDs from the primary's to the secondary's. Pure."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from bcp_operator.systems.body import as_text
from bcp_operator.systems.content import Content
from bcp_operator.systems.paths import DROPPED, rewrite
from bcp_operator.systems.profile import EntityType, Profile, Reference
from bcp_operator.systems.traits import Scalar

_NUMBER = re.compile("0|[1-9][0-9]{0,18}")
Resolve = Callable[[Reference, str], "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a reference leads: an ID in the secondary, one that is still to be made, or nowhere."""

    secondary_id: Scalar | None = None
    awaited_type: str | None = None


@dataclass(slots=True)
class Rewritten:
    """Content of the primary as it should be in the secondary."""

    content: Content
    awaited: set[tuple[str, str]] = field(default_factory=set)  # left out for now: (field, type yet to be made)
    unresolved: set[str] = field(default_factory=set)  # fields, or parts of lists, left out: no such target


def rewrite_references(entity_type: EntityType, content: Content, resolve: Resolve) -> Rewritten:
    """The content with every ID of the primary replaced; what can't be is left out and named."""
    result = Rewritten(content)
    for path, reference in entity_type.reference_paths:

        def change(value: object, reference: Reference = reference) -> object:
            if value is None:
                return None
            target = resolve(reference, as_text(value))
            if target.secondary_id is not None:
                return _like(value, as_text(target.secondary_id))
            if target.awaited_type is not None:
                result.awaited.add((reference.path, target.awaited_type))
            else:
                result.unresolved.add(reference.path)
            return DROPPED

        result.content = rewrite(result.content, path, change)
    return result


def type_order(profile: Profile, types: Collection[str]) -> list[list[str]]:
    """Groups of types, those that others refer to first; types that refer to each other share a group.

    Tarjan's algorithm; the same profile always gives the same order.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(referenced(profile, [name]) & set(types)):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            cut = stack.index(name)
            groups.append(sorted(stack[cut:]))
            del stack[cut:]

    for name in sorted(types):
        if name not in index:
            visit(name)
    return groups


def referenced(profile: Profile, types: Iterable[str]) -> set[str]:
    """Types that entities of these types point at."""
    return {target for name in types for reference in profile.types[name].references for target in reference.to}


def dependents(profile: Profile, broken: Collection[str]) -> set[str]:
    """Types that lead to a broken type, at first or at further hand, the broken ones included."""
    found = set(broken)
    while True:
        more = {name for name in profile.types if referenced(profile, [name]) & found} | found
        if more == found:
            return found
        found = more


def _like(original: object, secondary_id: str) -> object:
    """The secondary's ID in the JSON type of the primary's: systems with whole-number IDs want numbers."""
    if isinstance(original, int) and not isinstance(original, bool) and _NUMBER.fullmatch(secondary_id):
        return int(secondary_id)
    return secondary_id
