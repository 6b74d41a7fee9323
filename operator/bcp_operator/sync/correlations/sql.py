"""What every store of correlations does, in SQL that both databases understand; connecting is left to each of them."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager
from typing import Any

from .store import FieldHashes, Row, Status

SCHEMA_VERSION = 3
KEPT_APPROVALS = 5
BUSY_SECONDS = 5.0
BATCH = 1000  # rows

Values = Sequence[object]
Change = Callable[[str, Values], object]

_COLUMNS = "type, primary_id, correlation_id, secondary_id, key, primary_hash, secondary_hash, fields, status, version"
_ROWS = f"SELECT {_COLUMNS} FROM correlation WHERE pair = ? AND "  # noqa: S608 (constants, here and below)
_ORDER = " ORDER BY type, primary_id"
_MOVE = (
    "UPDATE correlation SET secondary_id = NULL, status = 'INACTIVE', version = version + 1"
    " WHERE pair = ? AND type = ? AND secondary_id = ? AND primary_id <> ?"
)
_INSERT = f"INSERT INTO correlation (pair, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,1)"  # noqa: S608
_COPIED = "INSERT INTO copied (pair, type) VALUES (?,?) ON CONFLICT DO NOTHING"
_UPSERT = (
    f"{_INSERT} ON CONFLICT (pair, type, primary_id) DO UPDATE SET correlation_id = excluded.correlation_id,"
    " secondary_id = excluded.secondary_id, key = excluded.key, primary_hash = excluded.primary_hash,"
    " secondary_hash = excluded.secondary_hash, fields = excluded.fields, status = excluded.status,"
    " version = correlation.version + 1"
)
_APPROVAL = "SELECT number FROM approval WHERE pair = ? AND hash = ?"
_NEWEST = "SELECT number FROM approval WHERE pair = ? AND used = 0 ORDER BY number DESC LIMIT ?"
_OLD = f"SELECT number FROM approval WHERE pair = ? AND used = 0 AND number NOT IN ({_NEWEST})"  # noqa: S608


class SqlStore(ABC):
    """See store.Store. Safe to use from several threads of one process; one writing process at a time.

    `?` stands for a value in every statement.
    """

    def __init__(self, pair: str) -> None:
        self._pair = pair
        self._lock = threading.Lock()
        self._version = SCHEMA_VERSION

    @abstractmethod
    def _all(self, query: str, values: Values) -> list[Any]:
        """What a query gives. Raises StoreError."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Change]:
        """What is changed inside becomes durable together at its end, or not at all. Raises StoreError."""

    @abstractmethod
    def close(self) -> None:
        """Release the store."""

    def by_primary(self, type_name: str, primary_id: str) -> Row | None:
        """The row of an entity of the primary."""
        return next(self._select("type = ? AND primary_id = ?", (type_name, primary_id)), None)

    def by_secondary(self, type_name: str, secondary_id: str) -> Row | None:
        """The row of an entity of the secondary."""
        return next(self._select("type = ? AND secondary_id = ?", (type_name, secondary_id)), None)

    def rows(self, type_name: str | None = None, status: Status | None = None) -> Iterator[Row]:
        """Rows ordered by type and primary ID; read in batches, so that they may be changed meanwhile."""
        for name in self._types() if type_name is None else (type_name,):
            where, values = ("type = ?", [name]) if status is None else ("type = ? AND status = ?", [name, status])
            last = ""
            while batch := list(self._select(f"{where} AND primary_id > ?", (*values, last), limit=BATCH)):
                yield from batch
                last = batch[-1].primary_id

    def _types(self) -> Iterator[str]:
        # One after the other, each from the index: a query over all types would be sorted anew for each batch.
        name = ""
        while found := self._all("SELECT min(type) FROM correlation WHERE pair = ? AND type > ?", (self._pair, name)):
            name = found[0][0]
            if name is None:
                return
            yield name

    def count(self, type_name: str, status: Status) -> int:
        """How many rows there are."""
        query = "SELECT count(*) FROM correlation WHERE pair = ? AND type = ? AND status = ?"
        return int(self._all(query, (self._pair, type_name, status))[0][0])

    def save(self, rows: Sequence[Row]) -> None:
        """Insert or replace, in one transaction, durable on return."""
        with self._transaction() as change:
            for row in rows:
                if row.secondary_id is not None:
                    change(_MOVE, (self._pair, row.type, row.secondary_id, row.primary_id))
                change(_UPSERT, _values(self._pair, row))

    def forget(self, rows: Sequence[Row]) -> None:
        """Delete, in one transaction."""
        with self._transaction() as change:
            for row in rows:
                values = (self._pair, row.type, row.primary_id)
                change("DELETE FROM correlation WHERE pair = ? AND type = ? AND primary_id = ?", values)

    def load(self, rows: Iterable[Row], copied: Iterable[str]) -> None:
        """Everything that is known of this pair is replaced: all of it or nothing."""
        with self._transaction() as change:
            for table in ("correlation", "copied", "alone"):
                change(f"DELETE FROM {table} WHERE pair = ?", (self._pair,))  # noqa: S608
            for row in rows:
                change(_INSERT, _values(self._pair, row))
            for name in copied:
                change(_COPIED, (self._pair, name))

    def copied(self, type_name: str) -> bool:
        """Whether a run has once come to the end of this type's copy."""
        return self._is("SELECT 1 FROM copied WHERE pair = ? AND type = ?", (self._pair, type_name))

    def set_copied(self, types: Iterable[str]) -> None:
        """Note that."""
        with self._transaction() as change:
            for name in types:
                change(_COPIED, (self._pair, name))

    def alone(self, type_name: str) -> set[str]:
        """IDs of what the secondary alone had when the last run ended."""
        if self._version < 3:
            return set()
        query = "SELECT secondary_id FROM alone WHERE pair = ? AND type = ?"
        return {found for (found,) in self._all(query, (self._pair, type_name))}

    def set_alone(self, type_name: str, secondary_ids: Set[str]) -> None:
        """Note that."""
        before = self.alone(type_name)
        with self._transaction() as change:
            for gone in sorted(before - secondary_ids):
                where = "pair = ? AND type = ? AND secondary_id = ?"
                change(f"DELETE FROM alone WHERE {where}", (self._pair, type_name, gone))  # noqa: S608
            for new in sorted(secondary_ids - before):
                change("INSERT INTO alone (pair, type, secondary_id) VALUES (?,?,?)", (self._pair, type_name, new))

    def withhold(self, approval: str, fingerprints: Iterable[str]) -> None:
        """Keep what approving this hash would mean; of earlier ones the last few stay."""
        named = (self._pair, approval)
        with self._transaction() as change:
            _drop(change, _APPROVAL, named)
            change("INSERT INTO approval (pair, hash, used) VALUES (?,?,0)", named)
            for fingerprint in fingerprints:
                change(f"INSERT INTO withheld (number, fingerprint) VALUES (({_APPROVAL}),?)", (*named, fingerprint))  # noqa: S608
            _drop(change, _OLD, (self._pair, self._pair, KEPT_APPROVALS))

    def withheld(self, approval: str, fingerprint: str | None = None) -> bool:
        """Whether that hash is known; whether that action is part of it."""
        query = f"SELECT 1 FROM withheld WHERE number = ({_APPROVAL})"  # noqa: S608
        if fingerprint is None:
            return self._is(f"{query} LIMIT 1", (self._pair, approval))
        return self._is(f"{query} AND fingerprint = ?", (self._pair, approval, fingerprint))

    def use_approval(self, approval: str) -> None:
        """Note that this hash was approved and used up."""
        with self._transaction() as change:
            _drop(change, _APPROVAL, (self._pair, approval))
            change("INSERT INTO approval (pair, hash, used) VALUES (?,?,1)", (self._pair, approval))

    def approval_used(self, approval: str) -> bool:
        """Whether it was."""
        return self._is(f"{_APPROVAL} AND used = 1", (self._pair, approval))

    def find(self, text: str) -> Iterator[Row]:
        """Rows with this primary ID, secondary ID, correlation ID or key (in any case, where its profile says so)."""
        where = "(? IN (primary_id, secondary_id, correlation_id, key) OR key = ?)"
        return self._select(where, (text, text.casefold()))

    def _is(self, query: str, values: Values) -> bool:
        if self._version < 2:
            return False  # opened for reading only, and no run of this version has been here yet
        return bool(self._all(query, values))

    def _select(self, where: str, values: Values, limit: int | None = None) -> Iterator[Row]:
        query = _ROWS + where + _ORDER + ("" if limit is None else f" LIMIT {limit}")
        return map(_row, self._all(query, (self._pair, *values)))


def _drop(change: Change, numbers: str, values: Values) -> None:
    """Delete approvals and what belongs to them."""
    for table in ("withheld", "approval"):
        change(f"DELETE FROM {table} WHERE number IN ({numbers})", values)  # noqa: S608


def _values(pair: str, row: Row) -> Values:
    return (
        pair,
        row.type,
        row.primary_id,
        row.correlation_id,
        row.secondary_id,
        row.key,
        row.primary_hash,
        row.secondary_hash,
        _pack(row.fields),
        row.status,
    )


def _row(columns: Any) -> Row:
    type_name, primary_id, shared_id, secondary_id, key, primary_hash, secondary_hash, fields, status, version = columns
    hashes = _unpack(fields)
    return Row(
        type_name, primary_id, shared_id, secondary_id, key, primary_hash, secondary_hash, hashes, status, version
    )


def _pack(fields: FieldHashes) -> str:
    """Equal hashes on both sides, which is the rule, are kept once."""
    short = {name: pair[0] if pair[0] == pair[1] else list(pair) for name, pair in fields.items()}
    return json.dumps(short, separators=(",", ":"))


def _unpack(text: str) -> FieldHashes:
    short = json.loads(text)
    return {name: (pair, pair) if isinstance(pair, str) else (pair[0], pair[1]) for name, pair in short.items()}
