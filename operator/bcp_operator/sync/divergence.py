"""What was changed in the secondary since the last run wrote to it, and isn't in the primary already. Pure.

What the secondary itself makes of what it is sent (defaults, spellings) is no change: the store knows how each field read
after the last write. Values are given as people see them, references by the key of what they lead to.
"""

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

from bcp_operator.systems.content import Content, field_hashes
from bcp_operator.systems.profile import Reference

from .correlations.store import Row
from .plan import desired_content, match_types
from .references import Target, rewrite_references
from .world import Known, Scope, World

Change = Literal["Changed", "Added", "Removed", "Unclear"]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that differs. A side on which it is absent, or that could not be read, is not in `values`."""

    field: str
    values: Mapping[Literal["primary", "secondary"], Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """An entity of the secondary that is no longer, or not only, what the runs made it.

    Unclear: it differs from what was sent, but what the secondary made of that was never learned.
    """

    type: str
    change: Change
    key: str | None
    primary_id: str | None
    secondary_id: str
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """Which listings could be read: only of these types anything is said, and compared with the primary."""

    both: frozenset[str]
    secondary: frozenset[str]  # `both` included

    @classmethod
    def of(cls, types: Collection[str], unread: Mapping[Literal["primary", "secondary"], Set[str]]) -> "Listed":
        """Of all these types but those that could not be read."""
        secondary = frozenset(types) - unread["secondary"]
        return cls(secondary - unread["primary"], secondary)


def differences(
    scope: Scope, world: World, known: Known, listed: Listed, had: Mapping[str, Set[str]]
) -> Iterator[Difference]:
    """Every difference, ordered by type. `had`: what each type had in the secondary alone when the last run ended.

    Without the primary's listing nothing can be in the primary already; everything that differs is told.
    """
    match_types(scope, world, known, sorted(listed.both | (scope.looked_up & listed.both)))
    for name in sorted(scope.chosen & listed.secondary):
        comparing = _Comparing(scope, world, known, name, name in listed.both)
        yield from comparing.correlated()
        yield from comparing.made_on_both_sides()
        yield from comparing.added(had.get(name, frozenset()))


@dataclass(frozen=True, slots=True)
class _Comparing:
    scope: Scope
    world: World
    known: Known
    name: str
    with_primary: bool

    def correlated(self) -> Iterator[Difference]:
        """What runs have written, in the order of the primary's IDs."""
        for row in self.known.rows(self.name):
            if row.secondary_id is None:
                continue
            theirs = self.world.head("secondary", self.name, row.secondary_id)
            ours = self.with_primary and self.world.head("primary", self.name, row.primary_id) is not None
            if theirs is None:
                if row.status == "ACTIVE" and (ours or not self.with_primary):
                    yield Difference(self.name, "Removed", row.key, row.primary_id, row.secondary_id)
            elif row.secondary_hash != theirs.hash and not self._still_out_of_use(row, theirs.inactive):
                fields = tuple(self._changed_since(row, row.secondary_id, ours))
                if fields:
                    change: Change = "Changed" if row.secondary_hash or row.status == "INACTIVE" else "Unclear"
                    yield Difference(self.name, change, theirs.key, row.primary_id, theirs.id, fields)

    def made_on_both_sides(self) -> Iterator[Difference]:
        """What has the same key or marker on both sides, and no row yet: only what differs is told."""
        if not self.with_primary:
            return
        for head in self.world.heads("primary", self.name):
            match = self.world.match(self.name, head.id)
            if match is None or match.secondary_id is None or self._row_of(match.secondary_id):
                continue
            wanted = self._wanted(head.id)
            current = self.world.body("secondary", self.name, match.secondary_id)
            fields = tuple(self._fields(wanted, current, _unequal(wanted, current)))
            if fields:
                yield Difference(self.name, "Changed", head.key, head.id, match.secondary_id, fields)

    def added(self, had: Set[str]) -> Iterator[Difference]:
        """What is in the secondary alone, and was not when the last run ended."""
        for head in self.world.heads("secondary", self.name):
            if head.id in had or self.world.claimed(self.name, head.id) or self._row_of(head.id):
                continue
            body = self.world.body("secondary", self.name, head.id)
            fields = tuple(self._fields(None, body, sorted(body)))
            yield Difference(self.name, "Added", head.key, None, head.id, fields)

    def _row_of(self, secondary_id: str) -> Row | None:
        return self.known.by_secondary(self.name, secondary_id)

    def _still_out_of_use(self, row: Row, inactive: bool) -> bool:
        return row.status == "INACTIVE" and inactive and row.secondary_hash is None

    def _changed_since(self, row: Row, secondary_id: str, ours: bool) -> Iterator[FieldChange]:
        current = self.world.body("secondary", self.name, secondary_id)
        wanted = self._wanted(row.primary_id) if ours else None
        now = field_hashes(current)
        desired = {} if wanted is None else field_hashes(wanted)
        names = [
            field
            for field in sorted(now.keys() | row.fields.keys())
            if now.get(field) != row.fields.get(field, (None, None))[1]  # not as it read after the last write
            and (wanted is None or now.get(field) != desired.get(field))  # nor as it is in the primary by now
        ]
        yield from self._fields(wanted, current, names)

    def _wanted(self, primary_id: str) -> Content:
        return desired_content(self.scope, self.world, self.name, primary_id).content

    def _fields(self, wanted: Content | None, current: Content, names: Collection[str]) -> Iterator[FieldChange]:
        sides: dict[Literal["primary", "secondary"], Content] = {"secondary": self._named(current)}
        if wanted is not None:
            sides = {"primary": self._named(wanted), **sides}
        for field in names:
            yield FieldChange(field, {side: content[field] for side, content in sides.items() if field in content})

    def _named(self, content: Content) -> Content:
        """References by the key of what they lead to: people on the other side can't do anything with an ID."""

        def resolve(reference: Reference, target: str) -> Target:
            for name in reference.to:
                other = target if reference.id is None else self.world.id_of("secondary", name, reference.id, target)
                head = None if other is None else self.world.head("secondary", name, other)
                if head is not None:
                    return Target(head.key or target)
            return Target(target)

        return rewrite_references(self.scope.primary.types[self.name], content, resolve).content


def _unequal(wanted: Content, current: Content) -> list[str]:
    ours, theirs = field_hashes(wanted), field_hashes(current)
    return [field for field in sorted(ours.keys() | theirs.keys()) if ours.get(field) != theirs.get(field)]
