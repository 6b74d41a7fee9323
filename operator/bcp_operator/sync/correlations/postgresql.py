"""Correlations in PostgreSQL: for fleets that keep all their pairs in one database, in a schema of its own.

One session for the whole run, which holds an advisory lock of its pair: no second run of the same pair writes meanwhile,
and a run whose session breaks has lost the lock, so it ends instead of connecting again.
"""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
import psycopg
from psycopg.conninfo import conninfo_to_dict

from bcp_operator.api.run import RunPostgresql

from .sql import BATCH, BUSY_SECONDS, SCHEMA_VERSION, Change, SqlStore, Values
from .store import Row, RowRefused, StoreError

SCHEMA = "bcp_operator"
CONNECT_SECONDS = 10
STATEMENT_SECONDS = 60
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_MIGRATING = 7_213_455_090_121_340_021  # key of the advisory lock under which a schema is brought up to date

# Collation C: rows come in the order of SQLite and Python, whatever language the database was made for.
_STEP_1 = """
CREATE TABLE correlation (
  pair text NOT NULL, type text COLLATE "C" NOT NULL, primary_id text COLLATE "C" NOT NULL, correlation_id text NOT NULL,
  secondary_id text, key text, primary_hash text, secondary_hash text, fields text NOT NULL,
  status text NOT NULL CHECK (status IN ('PENDING', 'ACTIVE', 'INACTIVE')), version bigint NOT NULL,
  PRIMARY KEY (pair, type, primary_id)
);
CREATE UNIQUE INDEX by_secondary ON correlation (pair, type, secondary_id) WHERE secondary_id IS NOT NULL;
CREATE TABLE version (number integer NOT NULL);
INSERT INTO version VALUES (0);
"""
_STEP_2 = """
CREATE TABLE copied (pair text NOT NULL, type text NOT NULL, PRIMARY KEY (pair, type));
CREATE TABLE approval (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, pair text NOT NULL, hash text NOT NULL,
  used integer NOT NULL, UNIQUE (pair, hash));
CREATE TABLE withheld (number bigint NOT NULL REFERENCES approval, fingerprint text NOT NULL,
  PRIMARY KEY (number, fingerprint));
"""
_STEP_3 = """
CREATE TABLE alone (pair text NOT NULL, type text NOT NULL, secondary_id text NOT NULL,
  PRIMARY KEY (pair, type, secondary_id));
"""
_STEPS = ("", _STEP_1, _STEP_2, _STEP_3)  # step n leads to schema version n

_DAMAGED = (
    "the correlation store is damaged; restore the database from a backup, or drop the schema bcp_operator: the next"
    " runs then find the pairs again by marker and natural key"
)
_BY_STATE = {  # SQLSTATE, or its class (the first two characters) -> what to do
    "22": "the correlation store refused a value; please report it",
    "25006": "the correlation store may only be read: does the DSN lead to a standby?",
    "28": "the database refused the user or the password of the DSN",
    "3D": "there is no such database as the DSN names",
    "42501": "the database user may not do this: let it own the schema bcp_operator, or grant it CREATE on the database",
    "53100": "no space is left for the correlation store; enlarge the database server's volume",
    "53": "the database server has no memory or no connection left",
    "55P03": "another run has the correlation store locked; wait for it to end",
    "57014": f"the database did not answer within {STATEMENT_SECONDS} s",
    "57": "the database server is starting, ending or was restarted; the next run goes on",
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
_BY_WORDS = {  # libpq gives no SQLSTATE for a connection that doesn't come about
    "password authentication failed": _BY_STATE["28"],
    "no password supplied": _BY_STATE["28"],
    "pg_hba.conf": "the database server lets in nobody from here with this user and this kind of encryption (pg_hba.conf)",
    "certificate verify failed": "the database server's certificate can't be verified: put its authority under the key"
    " ca.crt of the Secret",
    "server certificate for": "the database server's certificate is for another host than the DSN names",
    "does not support SSL": "the database server offers no TLS: switch it on there, or write sslmode=disable into the DSN"
    " where the network is trusted",
    "too many": _BY_STATE["53"],
    "does not exist": "there is no such database or no such user as the DSN names",
    "starting up": _BY_STATE["57"],
    "read-only": _BY_STATE["25006"],
}


@dataclass(frozen=True, slots=True)
class _Window:
    """Rows of one type that follow each other, read at one time."""

    type: str
    first: str  # primary ID that was asked for
    last: str | None  # up to this one everything is known; None: to the end of the type
    rows: Mapping[str, Row]
    size: int  # asked for

    def covers(self, type_name: str, primary_id: str) -> bool:
        """Whether that row, or that there is none, is known."""
        return type_name == self.type and self.first <= primary_id and (self.last is None or primary_id <= self.last)

    def leads_to(self, type_name: str, primary_id: str) -> bool:
        """Whether somebody seems to go through the rows in their order."""
        return type_name == self.type and self.last is not None and primary_id > self.last


_NOTHING_READ = _Window("", "", None, {}, 0)


class PostgresqlStore(SqlStore):
    """See store.Store."""

    def __init__(self, parameters: dict[str, Any], pair: str, *, read_only: bool = False) -> None:
        super().__init__(pair)
        self._window, self._changes, self._window_lock = _NOTHING_READ, 0, threading.Lock()
        with _explained():
            self._db = psycopg.connect(**parameters, autocommit=True)
            try:
                self._prepare(read_only)
            except BaseException:
                self._db.close()
                raise

    def by_primary(self, type_name: str, primary_id: str) -> Row | None:
        """The row of an entity of the primary. A plan asks for all in order: then they come many at a time."""
        with self._window_lock:
            window, changes = self._window, self._changes
        if not window.covers(type_name, primary_id):
            size = min(window.size * 4, BATCH) if window.leads_to(type_name, primary_id) else 1
            rows = list(self._select("type = ? AND primary_id >= ?", (type_name, primary_id), limit=size))
            last = rows[-1].primary_id if len(rows) == size else None
            window = _Window(type_name, primary_id, last, {row.primary_id: row for row in rows}, size)
            with self._window_lock:
                if changes == self._changes:
                    self._window = window
        return window.rows.get(primary_id)

    @property
    def is_empty(self) -> bool:
        """No run has ever written to this database."""
        return self._version == 0

    def close(self) -> None:
        """Release the store; the lock goes with the session."""
        with self._lock:
            self._db.close()

    def _all(self, query: str, values: Values) -> list[Any]:
        with self._lock, _explained():
            return self._db.execute(_translated(query), values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[Change]:
        # A pipeline: the statements of a transaction take one round trip together.
        with self._lock, _explained(), self._db.transaction(), self._db.pipeline():
            yield lambda statement, values: self._db.execute(_translated(statement), values)
        with self._window_lock:
            self._window, self._changes = _NOTHING_READ, self._changes + 1

    def _prepare(self, read_only: bool) -> None:
        settings = {
            "search_path": SCHEMA,
            "synchronous_commit": "on",  # durable on return
            "statement_timeout": f"{STATEMENT_SECONDS}s",
            "lock_timeout": f"{BUSY_SECONDS}s",
            # So that the server notices within half a minute, and gives the lock back, when a run's node dies.
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
            "default_transaction_read_only": "on" if read_only else "off",
        }
        for name, value in settings.items():
            self._db.execute("SELECT set_config(%s, %s, false)", (name, value))
        if not read_only:
            self._take_lock()
            self._migrate()
        self._version = self._schema_version()
        if self._version > SCHEMA_VERSION:
            raise StoreError(f"the schema was made by a newer bcp-sync (schema {self._version}); use that version")

    def _take_lock(self) -> None:
        digest = hashlib.sha256(f"bcp-operator\0{self._pair}".encode()).digest()
        key = int.from_bytes(digest[:8], signed=True)
        end = time.monotonic() + BUSY_SECONDS
        while not self._db.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchall()[0][0]:
            if time.monotonic() >= end:
                raise StoreError("another run has the correlation store open; wait for it to end")
            time.sleep(0.1)

    def _migrate(self) -> None:
        """One of several runs at a time, and all steps or none."""
        with self._db.transaction():
            self._db.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
            version = self._schema_version()
            if version >= SCHEMA_VERSION:
                return
            # IF NOT EXISTS would ask for the right to create schemas also where somebody made this one for us.
            if not self._db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (SCHEMA,)).fetchall():
                self._db.execute(f"CREATE SCHEMA {SCHEMA}".encode())
            for step in _STEPS[version + 1 :]:
                self._db.execute(step.encode())
            self._db.execute("UPDATE version SET number = %s", (SCHEMA_VERSION,))

    def _schema_version(self) -> int:
        if self._db.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.version",)).fetchall()[0][0] is None:
            return 0
        return int(self._db.execute("SELECT number FROM version").fetchall()[0][0])


def open_postgresql(config: RunPostgresql, pair: str, *, read_only: bool = False) -> PostgresqlStore:
    """Connect and, unless `read_only`, take the pair's lock and bring the schema up to date.

    Raises StoreError: DSN unusable, unreachable, refused, locked by another run, too new.
    """
    return PostgresqlStore(connection_parameters(config, read_only=read_only), pair, read_only=read_only)


def connection_parameters(config: RunPostgresql, *, read_only: bool = False) -> dict[str, Any]:
    """What the DSN says, and what it leaves to us. Raises StoreError, which never quotes the DSN.

    The network is not trusted unless the DSN says so by its own sslmode: the server must prove who it is.
    """
    try:
        found = conninfo_to_dict(Path(config.dsn_file).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        raise StoreError(f"{config.dsn_file}: can't be read; the store's Secret needs the key dsn") from None
    except psycopg.Error:
        found = {}
    if not found:
        raise StoreError(f"{config.dsn_file}: is no DSN; write postgresql://user:password@host:5432/database")
    host = str(found.get("hostaddr") or found.get("host") or "")
    parameters: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "application_name": "bcp-sync"}
    if not read_only:
        parameters["target_session_attrs"] = "read-write"  # of several hosts the one that is no standby
    if host and not host.startswith("/") and host not in _LOOPBACK:
        authority = Path(config.ca_file) if config.ca_file else None
        bundle = str(authority) if authority and authority.exists() else certifi.where()
        parameters |= {"sslmode": "verify-full", "sslrootcert": bundle}
    return parameters | found


def _translated(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


@contextmanager
def _explained() -> Iterator[None]:
    """Errors in our own words: the server's may quote rows, and the driver's the DSN."""
    try:
        yield
    except psycopg.IntegrityError:
        raise RowRefused("PostgreSQL: a row was refused; please report it") from None
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL: {_advice(error)}") from None


def _advice(error: psycopg.Error) -> str:
    if error.sqlstate:
        known = _BY_STATE.get(error.sqlstate) or _BY_STATE.get(error.sqlstate[:2])
        return known or f"the correlation store failed (SQLSTATE {error.sqlstate}); please report it"
    if isinstance(error, psycopg.DataError):
        return _BY_STATE["22"]
    said = str(error)
    for words, advice in _BY_WORDS.items():
        if words in said:
            return advice
    return "the database server can't be reached, or the connection broke; the next run goes on"
