"""An independent reader of two tenants: says in what they differ. Imports nothing of the operator, nor its profile.

It works on dumps, the truth of both simulators. Every ID is replaced by what it leads to, named by natural key (2.4), so that
equal companies read equal; what leads nowhere is dangling, what reads the same twice is a duplicate.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.systems.cxone.tenant import IDS

Row = dict[str, Any]
Dump = dict[str, list[Row]]

# Table -> the fields that name an entity.
NAMES: dict[str, tuple[str, ...]] = {
    "division": ("name",),
    "role": ("roleName",),
    "securityProfile": ("securityProfileName",),
    "user": ("userName",),
    "agent": ("userName",),
    "team": ("teamName",),
    "unavailableCode": ("name",),
    "disposition": ("dispositionName",),
    "campaign": ("name",),
    "skill": ("mediaTypeId", "skillName"),
    "hoursOfOperation": ("hoursOfOperationProfileName",),
    "pointOfContact": ("contactDescription",),
    "script": ("scriptName",),
    "group": ("groupName",),
    "addressBook": ("addressBookName",),
    "addressBookEntry": ("bookId", "externalId"),
    "tag": ("tagName",),
    "messageTemplate": ("templateName",),
    "hiringSource": ("sourceName",),
    "mediaType": ("mediaTypeName",),
    "classification": ("classificationName",),
    "phoneCode": ("note",),
    "outboundRoute": ("routeDescription",),
    "location": ("locationName",),
    "agentSkill": ("agentId", "skillId"),
    "teamCode": ("teamId", "codeId"),
    "skillTag": ("skillId", "tagId"),
    "hoursSkill": ("hoursId", "skillId"),
    "groupAgent": ("groupId", "agentId"),
}
# (table or "*", field) -> (table it leads to, the field there); fields inside lists by their own name.
LEADS: dict[tuple[str, str], tuple[str, str]] = {
    ("division", "parentDivisionId"): ("division", "divisionId"),
    ("securityProfile", "roleId"): ("role", "roleId"),
    ("user", "role"): ("role", "roleId"),
    ("user", "secondaryRoleIds"): ("role", "roleId"),
    ("user", "teamId"): ("team", "teamUuid"),
    ("agent", "userID"): ("user", "id"),
    ("agent", "teamId"): ("team", "teamId"),
    ("agent", "teamUuid"): ("team", "teamUuid"),
    ("agent", "profileId"): ("securityProfile", "securityProfileId"),
    ("agent", "roleId"): ("role", "roleId"),
    ("agent", "reportToId"): ("agent", "agentId"),
    ("agent", "locationId"): ("location", "locationId"),
    ("team", "divisionNo"): ("division", "divisionId"),
    ("team", "teamLeadId"): ("user", "id"),
    ("campaign", "divisionId"): ("division", "divisionId"),
    ("disposition", "classificationId"): ("classification", "classificationId"),
    ("skill", "mediaTypeId"): ("mediaType", "mediaTypeId"),
    ("skill", "campaignId"): ("campaign", "id"),
    ("skill", "scriptId"): ("script", "masterId"),
    ("skill", "stateIdACW"): ("unavailableCode", "id"),
    ("skill", "acwPostTimeoutStateId"): ("unavailableCode", "id"),
    ("skill", "dispositionId"): ("disposition", "dispositionId"),
    ("skill", "outboundTelecomRouteId"): ("outboundRoute", "outboundTelecomRouteId"),
    ("skill", "divisionNo"): ("division", "divisionId"),
    ("pointOfContact", "defaultSkillId"): ("skill", "skillId"),
    ("pointOfContact", "mediaTypeId"): ("mediaType", "mediaTypeId"),
    ("addressBookEntry", "bookId"): ("addressBook", "addressBookId"),
    ("*", "agentId"): ("agent", "agentId"),
    ("*", "skillId"): ("skill", "skillId"),
    ("*", "teamId"): ("team", "teamId"),
    ("*", "codeId"): ("unavailableCode", "id"),
    ("*", "tagId"): ("tag", "tagId"),
    ("*", "hoursId"): ("hoursOfOperation", "hoursOfOperationProfileId"),
    ("*", "groupId"): ("group", "groupId"),
}
PAIRS = {table for table, (_, kind) in IDS.items() if kind == "pair"}
# Bound to the tenant (5.3), or decided by the vendor: an invitation taken up, a day of deactivation.
OWN = {"billingCode", "teamUuid", "deletedDate", "contactAddress", "key"}
STATES = {"PENDING": "in use", "ACTIVE": "in use", "UNREGISTERED": "in use", "DELETED": "out of use"}


@dataclass
class Comparison:
    """What two tenants differ in; each list empty when they are equal."""

    lost: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        """Everything that is wrong, in words."""
        return [f"{kind}: {one}" for kind, found in vars(self).items() for one in found]


class Reading:
    """One dump with names in place of IDs."""

    def __init__(self, dump: Dump) -> None:
        self._dump = dump
        self.dangling: list[str] = []
        self._index = {
            target: {row.get(target[1]): row for row in dump[target[0]]} for target in sorted(set(LEADS.values()))
        }

    def name(self, table: str, row: Row) -> str:
        """What people would call an entity."""
        return "/".join(str(self._led(table, name, row.get(name))) for name in NAMES[table])

    def rows(self, table: str) -> dict[str, list[Row]]:
        """Entities by name, every reference resolved."""
        found: dict[str, list[Row]] = {}
        for row in self._dump[table]:
            found.setdefault(self.name(table, row), []).append(self._resolved(table, row))
        return found

    def _resolved(self, table: str, row: Row) -> Row:
        own_id = IDS[table][0]
        plain = {k: v for k, v in row.items() if k != own_id and k not in OWN and v not in (None, "", [])}
        result = {name: self._value(table, name, value) for name, value in plain.items()}
        if table == "user":
            result["status"] = STATES.get(row["status"], row["status"])
        return result

    def _value(self, table: str, name: str, value: Any) -> Any:
        if isinstance(value, list):
            parts = [self._value(table, name, part) for part in value]
            return sorted(parts, key=lambda part: json.dumps(part, sort_keys=True))
        if isinstance(value, dict):
            return {k: self._value(table, k, v) for k, v in value.items()}
        return self._led(table, name, value)

    def _led(self, table: str, name: str, value: Any) -> Any:
        target = LEADS.get((table, name)) or (LEADS.get(("*", name)) if table in PAIRS else None)
        if target is None or value is None:
            return value
        row = self._index[target].get(value)
        if row is None:
            self.dangling.append(f"{table}.{name} {value} leads nowhere")
            return "nowhere"
        return self.name(target[0], row)


def compare(primary: Dump, secondary: Dump, *, without: frozenset[str] = frozenset()) -> Comparison:
    """What the secondary lacks, has in addition, has twice, or says differently; tables in `without` are passed over."""
    here, there, result = Reading(primary), Reading(secondary), Comparison()
    for table in sorted(NAMES.keys() - without):
        ours, theirs = here.rows(table), there.rows(table)
        for name in sorted(ours.keys() | theirs.keys()):
            one, two = ours.get(name, []), theirs.get(name, [])
            label = f"{table} {name}"
            if one and not two:
                result.lost.append(label)
            elif two and not one:
                result.more.append(label)
            elif len(two) > len(one):
                result.duplicated.append(label)
            elif _texts(one) != _texts(two):
                result.different.append(f"{label}: {_fields(one[0], two[0])}")
    result.dangling = there.dangling
    return result


def _texts(rows: list[Row]) -> Counter[str]:
    return Counter(json.dumps(row, sort_keys=True) for row in rows)


def _fields(one: Row, two: Row) -> str:
    names = sorted(n for n in one.keys() | two.keys() if one.get(n) != two.get(n))
    return ", ".join(f"{n} is {two.get(n)!r}, not {one.get(n)!r}" for n in names)
