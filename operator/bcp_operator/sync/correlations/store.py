"""What a run knows of entities that belong together: one row per entity of the primary, kept across runs."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal, Protocol

Status = Literal["PENDING", "ACTIVE", "INACTIVE"]
FieldHashes = Mapping[str, tuple[str | None, str | None]]


class StoreError(Exception):
    """The store can't be used; nothing is written to the secondary without it. The message says what to do."""


class RowRefused(StoreError):
    """Two rows name the same entity, or a row is none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of entities.

    PENDING: its create may have been sent, the secondary's ID isn't known. ACTIVE: correlated. INACTIVE: vanished from
    the primary and put out of use; a tombstone.
    """

    type: str
    primary_id: str
    correlation_id: str
    secondary_id: str | None = None
    key: str | None = None
    primary_hash: str | None = None  # of the content as sent: references rewritten
    secondary_hash: str | None = None  # of the content as read back; None: not known yet
    fields: FieldHashes = field(default_factory=dict)  # both sides' hash per field after the last write
    status: Status = "PENDING"
    version: int = 0

    def unread(self, primary_hash: str) -> bool:
        """Written with that content last time, and what the secondary made of it wasn't learned.

        A secondary that can never tell is believed: what it lists then is what it made of it. One that can is written
        to again where it differs, since it may have been edited there; the second time it is believed, too.
        """
        return self.status == "ACTIVE" and self.primary_hash == primary_hash and self.secondary_hash is None


class Store(Protocol):
    """Rows of one pair of systems; rows of other pairs are never seen. Every method raises StoreError."""

    def by_primary(self, type_name: str, primary_id: str) -> Row | None:
        """The row of an entity of the primary."""

    def by_secondary(self, type_name: str, secondary_id: str) -> Row | None:
        """The row of an entity of the secondary."""

    def rows(self, type_name: str | None = None, status: Status | None = None) -> Iterator[Row]:
        """Rows ordered by type and primary ID."""

    def count(self, type_name: str, status: Status) -> int:
        """How many rows there are."""

    def save(self, rows: Sequence[Row]) -> None:
        """Insert or replace, in one transaction, durable on return. A secondary ID moves to the last row that names it."""

    def forget(self, rows: Sequence[Row]) -> None:
        """Delete, in one transaction."""

    def load(self, rows: Iterable[Row], copied: Iterable[str]) -> None:
        """Everything that is known of this pair is replaced, in one transaction: all of it or, on any error, nothing.
        What the secondary alone had is forgotten.

        Raises RowRefused when an entity of either side is in it twice.
        """

    def copied(self, type_name: str) -> bool:
        """Whether a run has once come to the end of this type's copy."""

    def set_copied(self, types: Iterable[str]) -> None:
        """Note that."""

    def alone(self, type_name: str) -> Set[str]:
        """IDs of what the secondary alone had when the last run ended; of no type, where nothing is known of that."""

    def set_alone(self, type_name: str, secondary_ids: Set[str]) -> None:
        """Note that."""

    def withhold(self, approval: str, fingerprints: Iterable[str]) -> None:
        """Keep what approving this hash would mean; of earlier ones the last few stay."""

    def withheld(self, approval: str, fingerprint: str | None = None) -> bool:
        """Whether that hash is known; whether that action is part of it."""

    def use_approval(self, approval: str) -> None:
        """Note that this hash was approved and used up."""

    def approval_used(self, approval: str) -> bool:
        """Whether it was."""

    def find(self, text: str) -> Iterator[Row]:
        """Rows with this primary ID, secondary ID, correlation ID or key."""

    def close(self) -> None:
        """Release the store."""


def correlation_id(pair: str, type_name: str, primary_id: str) -> str:
    """The ID that both entities of a pair share. Computed, so that markers outlive the loss of the store."""
    text = f"{pair}\0{type_name}\0{primary_id}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
