"""What a plan is about: the two listings, what belongs together, what is known from before, what is to be done."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bcp_operator.systems.content import Content
from bcp_operator.systems.profile import Profile
from bcp_operator.systems.traits import NOTHING, Traits

from .correlations.store import Row, Status
from .references import referenced

Side = Literal["primary", "secondary"]
Kind = Literal[
    "create",  # make it
    "link",  # second pass of a create: references that could not be there at first
    "update",
    "adopt",  # an entity that is there already becomes the correlated one; with or without changes
    "refresh",  # nothing differs, only the store is out of date
    "unchanged",
    "revive",  # put back into use what is out of use
    "deactivate",
    "delete",
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
    chosen: bool = True  # by the policy; of the secondary all are
    traits: Traits = NOTHING


@dataclass(frozen=True, slots=True)
class Match:
    """What an entity of the primary belongs to.

    `create`: nothing yet; `absent`: nothing, and nothing is to be made; `taken`: one of the same key that may not be
    adopted; `ambiguous`: can't be told.
    """

    how: Literal["row", "pending", "key", "marker", "create", "absent", "taken", "ambiguous"]
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

    def id_of(self, side: Side, type_name: str, name: str, value: str) -> str | None:
        """The ID of the entity whose further ID `name` has this value."""

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
    """What is planned: `chosen` types are brought up to date, those they refer to are only looked up.

    `kept`: types of which nothing is put out of use; `deleted`: types of which what vanishes is deleted; `adopts`: whether
    an entity of the same key becomes the copy; `skips_unresolved`: whether an entity with a reference that leads nowhere
    is left out altogether; `rebuilt`: types whose correlations are being found again, see sync/rebuild.py.
    """

    primary: Profile
    secondary: Profile
    pair: str
    chosen: frozenset[str]
    kept: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    adopts: bool = True
    skips_unresolved: bool = False
    rebuilt: frozenset[str] = frozenset()

    @property
    def looked_up(self) -> frozenset[str]:
        """Types that are read for the sake of references."""
        return frozenset(referenced(self.primary, self.chosen)) - self.chosen
