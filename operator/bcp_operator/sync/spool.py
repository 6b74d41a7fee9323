"""Both listings of a run, on disk: a private temporary SQLite file that vanishes with the process.

Memory stays bounded however many entities there are; SQLite spills to the folder in SQLITE_TMPDIR or TMPDIR.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from bcp_operator.api.run import GuardedKind
from bcp_operator.systems.body import as_text
from bcp_operator.systems.content import Content, canonical
from bcp_operator.systems.traits import NOTHING, Traits

from .guard import guarded_kind
from .world import Action, Head, Match, Side

_SCHEMA = """
CREATE TABLE entity (side TEXT, type TEXT, id TEXT, key TEXT, marker TEXT, inactive INTEGER, hash TEXT,
  chosen INTEGER, traits TEXT, body TEXT,
  PRIMARY KEY (side, type, id)) WITHOUT ROWID;
CREATE TABLE alias (side TEXT, type TEXT, name TEXT, value TEXT, id TEXT, PRIMARY KEY (side, type, name, value)) WITHOUT ROWID;
CREATE INDEX by_key ON entity (side, type, key);
CREATE INDEX by_marker ON entity (side, type, marker) WHERE marker IS NOT NULL;
CREATE TABLE pairing (type TEXT, primary_id TEXT, how TEXT, secondary_id TEXT, PRIMARY KEY (type, primary_id)) WITHOUT ROWID;
CREATE INDEX by_claim ON pairing (type, secondary_id) WHERE secondary_id IS NOT NULL;
CREATE TABLE action (phase INTEGER, type TEXT, id TEXT, kind TEXT, guarded TEXT, rest TEXT,
  PRIMARY KEY (phase, type, id, kind)) WITHOUT ROWID;
CREATE TABLE held (type TEXT, id TEXT, PRIMARY KEY (type, id)) WITHOUT ROWID;
CREATE TABLE released (type TEXT, id TEXT, PRIMARY KEY (type, id)) WITHOUT ROWID;
"""
_HELD = "guarded IS NOT NULL AND EXISTS (SELECT 1 FROM held WHERE held.type = action.type AND held.id = action.id)"
_HEADS = "SELECT id, key, marker, inactive, hash, chosen, traits FROM entity WHERE side = ? AND type = ?"
_INSERT = "INSERT INTO entity VALUES (?,?,?,?,?,?,?,?,?,?)"
_ALIAS = "INSERT INTO alias VALUES (?,?,?,?,?)"


class DuplicateID(Exception):
    """A listing holds the same ID twice."""


class Spool:
    """What was read (Listing), what belongs together (Matches) and what is to be done, of one run."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384;" + _SCHEMA
        )

    def close(self) -> None:
        """Delete everything."""
        self._db.close()

    def clear(self, side: Side, type_name: str) -> None:
        """Forget a listing, to read it anew."""
        self._db.execute("DELETE FROM entity WHERE side = ? AND type = ?", (side, type_name))
        self._db.execute("DELETE FROM alias WHERE side = ? AND type = ?", (side, type_name))

    def add(self, side: Side, type_name: str, entities: Iterable[tuple[Head, Content]]) -> None:
        """Append to a listing. Raises DuplicateID."""
        listed = list(entities)
        try:
            self._db.execute("BEGIN")
            self._db.executemany(_INSERT, [_row(side, type_name, head, body) for head, body in listed])
            self._db.executemany(_ALIAS, [row for head, _ in listed for row in _aliases(side, type_name, head)])
        except sqlite3.IntegrityError:
            raise DuplicateID from None
        finally:
            if self._db.in_transaction:
                self._db.execute("COMMIT")

    def put(self, side: Side, type_name: str, head: Head, body: Content) -> None:
        """Note one entity as it is now."""
        self._db.execute(_INSERT.replace("INSERT", "INSERT OR REPLACE"), _row(side, type_name, head, body))
        self._db.executemany(_ALIAS.replace("INSERT", "INSERT OR REPLACE"), _aliases(side, type_name, head))

    def id_of(self, side: Side, type_name: str, name: str, value: str) -> str | None:
        """The ID of the entity whose further ID `name` has this value."""
        query = "SELECT id FROM alias WHERE side = ? AND type = ? AND name = ? AND value = ?"
        row = self._db.execute(query, (side, type_name, name, value)).fetchone()
        return None if row is None else str(row[0])

    def heads(self, side: Side, type_name: str) -> Iterator[Head]:
        """All of a listing, without contents, ordered by ID."""
        query = _HEADS + " ORDER BY id"
        return (_head(row) for row in self._db.execute(query, (side, type_name)))

    def head(self, side: Side, type_name: str, entity_id: str) -> Head | None:
        """One entity, without its content."""
        query = _HEADS + " AND id = ?"
        row = self._db.execute(query, (side, type_name, entity_id)).fetchone()
        return None if row is None else _head(row)

    def with_key(self, side: Side, type_name: str, key: str) -> Sequence[Head]:
        """Entities with that natural key, ordered by ID."""
        query = _by("by_key") + " AND key = ? ORDER BY id"
        return [_head(row) for row in self._db.execute(query, (side, type_name, key))]

    def with_marker(self, side: Side, type_name: str, marker: str) -> Sequence[Head]:
        """Entities that carry that correlation ID, ordered by ID."""
        query = _by("by_marker") + " AND marker = ? ORDER BY id"
        return [_head(row) for row in self._db.execute(query, (side, type_name, marker))]

    def body(self, side: Side, type_name: str, entity_id: str) -> Content:
        """The content of a listed entity."""
        query = "SELECT body FROM entity WHERE side = ? AND type = ? AND id = ?"
        content: Content = json.loads(self._db.execute(query, (side, type_name, entity_id)).fetchone()[0])
        return content

    def learn(self, side: Side, type_name: str, entity_id: str, body: Content) -> None:
        """Note what an entity has become since it was listed."""
        query = "UPDATE entity SET body = ? WHERE side = ? AND type = ? AND id = ?"
        self._db.execute(query, (canonical(body), side, type_name, entity_id))

    def count(self, side: Side, type_name: str) -> int:
        """Length of a listing."""
        query = "SELECT count(*) FROM entity WHERE side = ? AND type = ?"
        return int(self._db.execute(query, (side, type_name)).fetchone()[0])

    def match(self, type_name: str, primary_id: str) -> Match | None:
        """What an entity of the primary belongs to."""
        query = "SELECT how, secondary_id FROM pairing WHERE type = ? AND primary_id = ?"
        row = self._db.execute(query, (type_name, primary_id)).fetchone()
        return None if row is None else Match(*row)

    def set_match(self, type_name: str, primary_id: str, match: Match) -> None:
        """Note what an entity of the primary belongs to."""
        row = (type_name, primary_id, match.how, match.secondary_id)
        self._db.execute("INSERT OR REPLACE INTO pairing VALUES (?,?,?,?)", row)

    def claimed(self, type_name: str, secondary_id: str) -> bool:
        """Whether an entity of the secondary belongs to one of the primary."""
        query = "SELECT 1 FROM pairing WHERE type = ? AND secondary_id = ?"
        return self._db.execute(query, (type_name, secondary_id)).fetchone() is not None

    def keep(self, action: Action) -> None:
        """Note what is to be done."""
        rest = json.dumps(
            [
                *(action.key, action.primary_id, action.secondary_id, action.reason),
                *(action.fields, action.unresolved, action.removes),
            ]
        )
        row = (action.phase, action.type, _identity(action), action.kind, guarded_kind(action), rest)
        self._db.execute("INSERT INTO action VALUES (?,?,?,?,?,?)", row)

    def actions(self, phase: int | None = None) -> Iterator[Action]:
        """What is to be done, in order, without what is withheld."""
        where = f"(? IS NULL OR phase = ?) AND NOT ({_HELD})"
        return self._actions(where, "phase, type, id, kind", (phase, phase))

    def withheld(self) -> Iterator[Action]:
        """What is withheld, one action per entity, in an order that the phases don't change."""
        return self._actions(f"kind <> 'link' AND {_HELD}", "type, kind, id")

    def guarded(self) -> dict[tuple[str, GuardedKind], int]:
        """Number of entities per type and kind of the guard, without what is withheld already."""
        where = f"guarded IS NOT NULL AND kind <> 'link' AND NOT ({_HELD})"
        query = f"SELECT type, guarded, count(*) FROM action WHERE {where} GROUP BY 1, 2"  # noqa: S608 (constants)
        return {(type_name, kind): number for type_name, kind, number in self._db.execute(query)}

    def hold_all(self, type_name: str, kind: GuardedKind) -> None:
        """Withhold this kind of a type."""
        query = "INSERT OR IGNORE INTO held SELECT type, id FROM action WHERE type = ? AND guarded = ?"
        self._db.execute(query, (type_name, kind))

    def hold(self, actions: Iterable[Action]) -> None:
        """Withhold these; they may come from the spool itself."""
        rows = [(action.type, _identity(action)) for action in actions]
        self._db.executemany("INSERT OR IGNORE INTO held VALUES (?,?)", rows)

    def release(self, actions: Iterable[Action]) -> None:
        """Withhold these no longer; they may come from the spool itself."""
        rows = ((action.type, _identity(action)) for action in actions)
        self._db.executemany("INSERT OR IGNORE INTO released VALUES (?,?)", rows)
        self._db.execute("DELETE FROM held WHERE (type, id) IN (SELECT type, id FROM released)")
        self._db.execute("DELETE FROM released")

    def _actions(self, where: str, order: str, values: Sequence[object] = ()) -> Iterator[Action]:
        query = f"SELECT phase, type, kind, rest FROM action WHERE {where} ORDER BY {order}"  # noqa: S608 (constants)
        for number, type_name, kind, rest in self._db.execute(query, values):
            key, primary_id, secondary_id, reason, fields, unresolved, removes = json.loads(rest)
            yield Action(
                *(number, type_name, kind, key, primary_id, secondary_id, reason),
                *(tuple(fields), tuple(unresolved), removes),
            )

    def due_to_absence(self, type_name: str) -> Iterator[Action]:
        """What is to be done with a correlated entity because a listing lacks it, removals first."""
        where = (
            "type = ? AND (kind IN ('deactivate', 'delete') OR (kind = 'create' AND json_extract(rest, '$[3]') <> ''))"
        )
        return self._actions(where, "kind DESC, id", (type_name,))

    def drop(self, type_name: str) -> None:
        """Do nothing with that type."""
        self._db.execute("DELETE FROM action WHERE type = ?", (type_name,))

    def phases(self) -> list[int]:
        """Numbers of the phases that hold anything, in order."""
        return [number for (number,) in self._db.execute("SELECT DISTINCT phase FROM action ORDER BY phase")]


def _identity(action: Action) -> str | None:
    return action.primary_id or action.secondary_id


def _row(side: Side, type_name: str, head: Head, body: Content) -> tuple[object, ...]:
    traits = None if head.traits == NOTHING else canonical([dict(head.traits.ids), head.traits.version])
    known = (head.id, head.key, head.marker, head.inactive, head.hash, head.chosen)
    return (side, type_name, *known, traits, canonical(body))


def _aliases(side: Side, type_name: str, head: Head) -> list[tuple[str, ...]]:
    return [(side, type_name, name, as_text(value), head.id) for name, value in head.traits.ids.items()]


def _by(index: str) -> str:
    """Left to itself SQLite walks through the whole listing, because that is in order already: quadratic in all."""
    return _HEADS.replace("FROM entity", f"FROM entity INDEXED BY {index}")


def _head(row: tuple[str, str | None, str | None, int, str, int, str | None]) -> Head:
    traits = NOTHING if row[6] is None else Traits(*json.loads(row[6]))
    return Head(row[0], row[1], row[2], bool(row[3]), row[4], bool(row[5]), traits)
