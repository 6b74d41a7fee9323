"""Correlations in a SQLite file: the default, on a PersistentVolumeClaim or at a desk."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .sql import BUSY_SECONDS, SCHEMA_VERSION, Change, SqlStore, Values
from .store import RowRefused, StoreError

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
_SCHEMA_3 = """
CREATE TABLE alone (pair TEXT NOT NULL, type TEXT NOT NULL, secondary_id TEXT NOT NULL,
  PRIMARY KEY (pair, type, secondary_id)) WITHOUT ROWID;
"""
_STEPS = ("", _SCHEMA_1, _SCHEMA_2, _SCHEMA_3)  # step n leads to schema version n


class SqliteStore(SqlStore):
    """See store.Store."""

    def __init__(self, path: Path, pair: str, *, read_only: bool = False) -> None:
        super().__init__(pair)
        self._path = path
        with self._explained():
            self._db = self._connect(read_only)

    def close(self) -> None:
        """Release the store."""
        with self._lock:
            self._db.close()

    def _all(self, query: str, values: Values) -> list[Any]:
        with self._lock, self._explained():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[Change]:
        with self._lock, self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db.execute
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        name = f"{self._path.absolute().as_uri()}?mode=ro" if read_only else str(self._path)
        db = sqlite3.connect(name, uri=read_only, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        try:
            self._prepare(db, read_only)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection, read_only: bool) -> None:
        if not read_only:
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

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self._path}: {_advice(str(error))}") from None
        except sqlite3.IntegrityError as error:
            raise RowRefused(f"{self._path}: a row was refused: {error}; please report it") from None
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
