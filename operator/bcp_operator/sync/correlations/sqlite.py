"""Correlations in a SQLite file: the default, on a PersistentVolumeClaim or at a desk."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .store import FieldHashes, Row, Status, StoreError

SCHEMA_VERSION = 2
BUSY_SECONDS = 5.0

_SCHEMA_1 = """
CREATE TABLE correlation (
  pair TEXT NOT NULL, type TEXT NOT NULL, primary_id TEXT NOT NULL, correlation_id TEXT NOT NULL, secondary_id TEXT,
  key TEXT, primary_hash TEXT, secondary_hash TEXT, fields TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('PENDING', 'ACTIVE', 'INACTIVE')), version INTEGER NOT NULL,
  PRIMARY KEY (pair, type, primary_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX by_secondary ON correlation (pair, type, secondary_id) WHERE secondary_id IS NOT NULL;
"""
_SCHEMA_2 = """
CREATE TABLE copied (pair TEXT NOT NULL, type TEXT NOT NULL, PRIMARY KEY (pair, type)) WITHOUT ROWID;
CREATE TABLE approval (number INTEGER PRIMARY KEY, pair TEXT NOT NULL, hash TEXT NOT NULL, used INTEGER NOT NULL,
  UNIQUE (pair, hash));  -- number: the newest has the highest
CREATE TABLE withheld (number INTEGER NOT NULL REFERENCES approval, fingerprint TEXT NOT NULL,
  PRIMARY KEY (number, fingerprint)) WITHOUT ROWID;
"""
_STEPS = ("", _SCHEMA_1, _SCHEMA_2)  # step n leads to schema version n
KEPT_APPROVALS = 5
_APPROVAL = "FROM approval WHERE pair = ? AND hash = ?"
_COLUMNS = "type, primary_id, correlation_id, secondary_id, key, primary_hash, secondary_hash, fields, status, version"
_MOVE = (
    "UPDATE correlation SET secondary_id = NULL, status = 'INACTIVE', version = version + 1"
    " WHERE pair = ? AND type = ? AND secondary_id = ? AND primary_id <> ?"
)
_UPSERT = (
    f"INSERT INTO correlation (pair, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,1)"  # noqa: S608 (constants)
    " ON CONFLICT (pair, type, primary_id) DO UPDATE SET correlation_id = excluded.correlation_id,"
    " secondary_id = excluded.secondary_id, key = excluded.key, primary_hash = excluded.primary_hash,"
    " secondary_hash = excluded.secondary_hash, fields = excluded.fields, status = excluded.status,"
    " version = version + 1"
)


class SqliteStore:
    """See store.Store. Safe to use from several threads of one process; one writing process at a time."""

    def __init__(self, path: Path, pair: str, *, read_only: bool = False) -> None:
        self._path, self._pair = path, pair
        self._lock = threading.Lock()
        with self._explained():
            self._db = self._connect(read_only)

    def by_primary(self, type_name: str, primary_id: str) -> Row | None:
        """The row of an entity of the primary."""
        return next(self._select("type = ? AND primary_id = ?", (type_name, primary_id)), None)

    def by_secondary(self, type_name: str, secondary_id: str) -> Row | None:
        """The row of an entity of the secondary."""
        return next(self._select("type = ? AND secondary_id = ?", (type_name, secondary_id)), None)

    def rows(self, type_name: str | None = None, status: Status | None = None) -> Iterator[Row]:
        """Rows ordered by type and primary ID; read in batches, so that they may be changed meanwhile."""
        wanted = {"type": type_name, "status": status}
        filters = {column: value for column, value in wanted.items() if value is not None}
        where = " AND ".join([*(f"{column} = ?" for column in filters), "(type, primary_id) > (?, ?)"])
        last = (type_name or "", "")
        while True:
            batch = list(self._select(where, (*filters.values(), *last), limit=1000))
            yield from batch
            if not batch:
                return
            last = (batch[-1].type, batch[-1].primary_id)

    def count(self, type_name: str, status: Status) -> int:
        """How many rows there are."""
        query = "SELECT count(*) FROM correlation WHERE pair = ? AND type = ? AND status = ?"
        with self._lock, self._explained():
            return int(self._db.execute(query, (self._pair, type_name, status)).fetchone()[0])

    def save(self, rows: Sequence[Row]) -> None:
        """Insert or replace, in one transaction, durable on return."""
        with self._transaction() as db:
            for row in rows:
                if row.secondary_id is not None:
                    db.execute(_MOVE, (self._pair, row.type, row.secondary_id, row.primary_id))
                db.execute(_UPSERT, _values(self._pair, row))

    def forget(self, rows: Sequence[Row]) -> None:
        """Delete, in one transaction."""
        with self._transaction() as db:
            db.executemany(
                "DELETE FROM correlation WHERE pair = ? AND type = ? AND primary_id = ?",
                [(self._pair, row.type, row.primary_id) for row in rows],
            )

    def copied(self, type_name: str) -> bool:
        """Whether a run has once come to the end of this type's copy."""
        return self._is("SELECT 1 FROM copied WHERE pair = ? AND type = ?", (self._pair, type_name))

    def set_copied(self, types: Iterable[str]) -> None:
        """Note that."""
        with self._transaction() as db:
            db.executemany("INSERT OR IGNORE INTO copied VALUES (?,?)", [(self._pair, name) for name in types])

    def withhold(self, approval: str, fingerprints: Iterable[str]) -> None:
        """Keep what approving this hash would mean; of earlier ones the last few stay."""
        with self._transaction() as db:
            self._drop(db, f"SELECT number {_APPROVAL}", (self._pair, approval))
            new = "INSERT INTO approval (pair, hash, used) VALUES (?,?,0)"
            number = db.execute(new, (self._pair, approval)).lastrowid
            rows = ((number, fingerprint) for fingerprint in fingerprints)
            db.executemany("INSERT INTO withheld VALUES (?,?)", rows)
            old = "SELECT number FROM approval WHERE pair = ? AND NOT used ORDER BY number DESC LIMIT -1 OFFSET ?"
            self._drop(db, old, (self._pair, KEPT_APPROVALS))

    def withheld(self, approval: str, fingerprint: str | None = None) -> bool:
        """Whether that hash is known; whether that action is part of it."""
        query = f"SELECT 1 FROM withheld WHERE number = (SELECT number {_APPROVAL}) AND ifnull(fingerprint = ?, 1)"  # noqa: S608
        return self._is(query, (self._pair, approval, fingerprint))

    def use_approval(self, approval: str) -> None:
        """Note that this hash was approved and used up."""
        with self._transaction() as db:
            self._drop(db, f"SELECT number {_APPROVAL}", (self._pair, approval))
            db.execute("INSERT INTO approval (pair, hash, used) VALUES (?,?,1)", (self._pair, approval))

    def approval_used(self, approval: str) -> bool:
        """Whether it was."""
        return self._is(f"SELECT 1 {_APPROVAL} AND used", (self._pair, approval))

    def find(self, text: str) -> Iterator[Row]:
        """Rows with this primary ID, secondary ID, correlation ID or key (in any case, where its profile says so)."""
        where = "(? IN (primary_id, secondary_id, correlation_id, key) OR key = ?)"
        return self._select(where, (text, text.casefold()))

    def close(self) -> None:
        """Release the store."""
        with self._lock:
            self._db.close()

    def _drop(self, db: sqlite3.Connection, numbers: str, values: Sequence[object]) -> None:
        """Delete approvals and what belongs to them."""
        for table in ("withheld", "approval"):
            db.execute(f"DELETE FROM {table} WHERE number IN ({numbers})", values)  # noqa: S608 (constants)

    def _is(self, query: str, values: Sequence[object]) -> bool:
        if self._version < SCHEMA_VERSION:
            return False  # opened for reading only, and no run of this version has been here yet
        with self._lock, self._explained():
            return self._db.execute(query, values).fetchone() is not None

    def _select(self, where: str, values: Sequence[object], limit: int = -1) -> Iterator[Row]:
        query = f"SELECT {_COLUMNS} FROM correlation WHERE pair = ? AND {where} ORDER BY type, primary_id LIMIT {limit}"  # noqa: S608
        with self._lock, self._explained():
            found = self._db.execute(query, (self._pair, *values)).fetchall()
        return (_row(columns) for columns in found)

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        if read_only:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            db = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        else:
            db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
            # Exclusive: one run at a time, and WAL without shared memory, which network file systems lack.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreError(f"{self._path}: written by a newer bcp-sync (schema {version}); use that version")
        self._version = version if read_only else SCHEMA_VERSION
        if not read_only:  # takes the lock now, not at the first write
            steps = " ".join(_STEPS[version + 1 :])
            db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        return db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self._path}: {_advice(str(error))}") from None
        except sqlite3.IntegrityError as error:
            raise StoreError(f"{self._path}: a row was refused: {error}; please report it") from None
        except sqlite3.DatabaseError:
            raise StoreError(
                f"{self._path}: the correlation store is damaged; restore the file from a backup, or move it away:"
                " the next run then finds the pairs again by marker and natural key"
            ) from None


def open_sqlite(path: Path, pair: str, *, read_only: bool = False) -> SqliteStore:
    """Open (and create, unless `read_only`) the store. Raises StoreError: locked, damaged, not writable, too new."""
    if not read_only:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: can't be made: {error.strerror}") from None
    return SqliteStore(path, pair, read_only=read_only)


def _advice(problem: str) -> str:
    if "locked" in problem or "busy" in problem:
        return "another run has the correlation store open; wait for it to end"
    if "unable to open" in problem:
        return "the correlation store can't be opened; check that the folder exists and may be written to"
    if "full" in problem:
        return "no space is left for the correlation store; enlarge the volume"
    if "readonly" in problem or "read-only" in problem:
        return "the correlation store may not be written to; check the volume's mode and the file's owner"
    return f"the correlation store failed: {problem}"


def _values(pair: str, row: Row) -> tuple[object, ...]:
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
