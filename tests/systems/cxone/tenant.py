"""One tenant's data: tables of rows, with IDs that no other tenant uses."""

from __future__ import annotations

import copy
import random
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tests.systems.cxone.api import ItemRefused, Refused, Row
from tests.systems.cxone.dr import DisasterRecovery
from tests.systems.cxone.identity import Identity

# Table -> the field that holds its ID, and its kind (2.4: ACD IDs are integers, UserHub IDs are UUID strings).
IDS: dict[str, tuple[str, str]] = {
    "division": ("divisionId", "int"),
    "role": ("roleId", "uuid"),
    "securityProfile": ("securityProfileId", "int"),
    "user": ("id", "uuid"),
    "agent": ("agentId", "int"),
    "team": ("teamId", "int"),
    "unavailableCode": ("id", "int"),
    "disposition": ("dispositionId", "int"),
    "campaign": ("id", "int"),
    "skill": ("skillId", "int"),
    "hoursOfOperation": ("hoursOfOperationProfileId", "int"),
    "pointOfContact": ("contactCode", "int"),
    "script": ("masterId", "int"),
    "group": ("groupId", "int"),
    "addressBook": ("addressBookId", "int"),
    "addressBookEntry": ("addressBookEntryId", "int"),
    "tag": ("tagId", "int"),
    "messageTemplate": ("templateId", "int"),
    "hiringSource": ("sourceId", "int"),
    "mediaType": ("mediaTypeId", "int"),
    "classification": ("classificationId", "int"),
    "phoneCode": ("transportCode", "int"),
    "outboundRoute": ("outboundTelecomRouteId", "int"),
    "location": ("locationId", "int"),
    # Pairs (5.1, relation): no ID of their own in the vendor's API.
    "agentSkill": ("key", "pair"),
    "teamCode": ("key", "pair"),
    "skillTag": ("key", "pair"),
    "hoursSkill": ("key", "pair"),
    "groupAgent": ("key", "pair"),
    "bookAssignment": ("key", "pair"),
}


class Clock:
    """The tenant's clock; tests move it."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Epoch seconds."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let that much time pass."""
        self._ahead += seconds


class Tenant:
    """Tables of rows by ID; whoever touches them holds `lock`."""

    def __init__(self, tenant_id: str, seed: int) -> None:
        self.tenant_id = tenant_id
        self.business_unit = 4_000_000 + seed
        self.clock = Clock()
        self.lock = threading.RLock()
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in IDS}
        self.hosts: dict[str, str] = {}
        self.identity = Identity()
        self.recovery: DisasterRecovery | None = None
        self.phone_numbers: list[str] = []
        self.max_top = 100  # 2.3: "Max top: not found"; whoever asks for more gets so many
        self._random = random.Random(seed)
        self._last = seed * 1_000_000

    def new_uuid(self) -> str:
        """A UUID that is the same every time for the same seed and order."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_int(self) -> int:
        """A number that was never given, in no table."""
        self._last += self._random.randint(1, 9)
        return self._last

    def rows(self, table: str) -> Iterator[Row]:
        """In the order in which they were made."""
        return iter(list(self.tables[table].values()))

    def find(self, table: str, **fields: Any) -> list[Row]:
        """Rows in which all these fields are so."""
        return [row for row in self.rows(table) if all(row.get(name) == value for name, value in fields.items())]

    def get(self, table: str, row_id: Any) -> Row:
        """One row. Raises Refused 404."""
        row = self.tables[table].get(str(row_id))
        if row is None:
            raise Refused(404, f"no {table} {row_id}")
        return row

    def add(self, table: str, row: Mapping[str, Any]) -> Row:
        """Store a row and give it its ID, unless it has one."""
        name, kind = IDS[table]
        stored = copy.deepcopy(dict(row))
        if name not in stored:
            stored[name] = self.new_int() if kind == "int" else self.new_uuid()
        self.tables[table][str(stored[name])] = stored
        return stored

    def remove(self, table: str, row_id: Any) -> None:
        """Take a row away. Raises Refused 404."""
        self.get(table, row_id)
        del self.tables[table][str(row_id)]

    def pair(self, table: str, **fields: Any) -> Row:
        """Store a relation; one that is there is replaced."""
        ends = [value for name, value in fields.items() if name.endswith("Id")]
        return self.add(table, {"key": "/".join(map(str, ends)), **fields})

    def dump(self) -> dict[str, list[Row]]:
        """Everything, as it is."""
        with self.lock:
            return {name: copy.deepcopy(list(rows.values())) for name, rows in self.tables.items()}


def taken(fields: Mapping[str, Any], allowed: Collection[str]) -> Row:
    """Only the fields that an operation knows; the vendor ignores others."""
    return {name: value for name, value in fields.items() if name in allowed and value is not None}


def given(fields: Mapping[str, Any], allowed: Collection[str]) -> Row:
    """The fields of an update that leaves out what is to stay: null takes a field away (assumed)."""
    return {name: value for name, value in fields.items() if name in allowed}


def put(row: Row, fields: Mapping[str, Any]) -> None:
    """Update a row with what was given."""
    row.update({name: value for name, value in fields.items() if value is not None})
    for name, value in fields.items():
        if value is None:
            row.pop(name, None)


def refuse_dangling(tenant: Tenant, fields: Mapping[str, Any], references: Mapping[str, tuple[str, str]]) -> None:
    """A reference must lead somewhere: field -> (table, the field of the target that it holds). Raises ItemRefused."""
    for name, (table, target) in references.items():
        value = fields.get(name)
        for one in value if isinstance(value, list) else [value]:
            if one not in (None, 0, "") and not tenant.find(table, **{target: one}):
                raise ItemRefused(f"{name} {one} does not exist")


def refuse_same(tenant: Tenant, table: str, row_id: Any, **fields: Any) -> None:
    """Names are unique within a tenant (2.4: natural key). Raises ItemRefused."""
    name, _ = IDS[table]
    for other in tenant.rows(table):
        if other[name] != row_id and all(_same(other.get(key), value) for key, value in fields.items()):
            raise ItemRefused(f"{table} {'/'.join(map(str, fields.values()))} exists already")


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, str) and isinstance(two, str):
        return one.casefold() == two.casefold()
    return bool(one == two)
