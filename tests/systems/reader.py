"""An independent reader of two directories: says in what they differ. Imports nothing of the operator, knows only SCIM.

People correspond by userName and groups by displayName (the natural keys of a person looking at two screens); memberships are
managers are compared under that correspondence. Fields that a server computes itself are left out, all others must be equal.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.systems.web import Net, ask

COMPUTED = {"id", "meta", "groups"}
PAGE = 100
AGENT = "independent-reader"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@dataclass(frozen=True)
class Directory:
    """A SCIM base URL (ending in /v2) and its bearer token."""

    base: str
    token: str
    net: Net = field(default_factory=Net)

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/scim+json",
            "User-Agent": AGENT,  # so that an access log tells this reader from the operator's sync
        }

    def list(self, endpoint: str) -> list[dict[str, Any]]:
        """All resources below `endpoint` (Users, Groups), page by page; fails when the count does not add up."""
        found: list[dict[str, Any]] = []
        while True:
            url = f"{self.base}/{endpoint}?startIndex={len(found) + 1}&count={PAGE}"
            answer = ask(url, self.net, headers=self._headers())
            assert answer.status == 200, f"GET {url} answered {answer.status}"
            page = answer.json()
            found += page.get("Resources", [])
            if len(found) >= page["totalResults"]:
                assert len(found) == page["totalResults"], (
                    f"{url}: {len(found)} listed, totalResults {page['totalResults']}"
                )
                return found
            assert page.get("Resources"), f"{url}: an empty page before the end"

    def find(self, endpoint: str, attribute: str, value: str) -> dict[str, Any] | None:
        """The one resource with that value, looked for on this side of the wire."""
        hits = [r for r in self.list(endpoint) if r.get(attribute) == value]
        assert len(hits) <= 1, f"{len(hits)} of {endpoint} have {attribute} {value}"
        return hits[0] if hits else None

    def change(self, endpoint: str, identifier: str, **values: Any) -> None:
        """Set top-level attributes of one resource, as an administrator of that system would."""
        operations = [{"op": "replace", "path": k, "value": v} for k, v in values.items()]
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}
        answer = ask(
            f"{self.base}/{endpoint}/{identifier}", self.net, method="PATCH", headers=self._headers(), body=body
        )
        assert answer.status in (200, 204), f"PATCH {endpoint}/{identifier} answered {answer.status}"

    def create(self, endpoint: str, resource: dict[str, Any]) -> dict[str, Any]:
        """Add one resource; the server chooses its id."""
        body = {k: v for k, v in resource.items() if k not in ("id", "meta")}
        answer = ask(f"{self.base}/{endpoint}", self.net, method="POST", headers=self._headers(), body=body)
        assert answer.status == 201, f"POST {endpoint} answered {answer.status}"
        made: dict[str, Any] = answer.json()
        return made

    def delete(self, endpoint: str, identifier: str) -> None:
        """Remove one resource."""
        answer = ask(f"{self.base}/{endpoint}/{identifier}", self.net, method="DELETE", headers=self._headers())
        assert answer.status == 204, f"DELETE {endpoint}/{identifier} answered {answer.status}"


@dataclass
class Comparison:
    """In what the secondary differs from the primary; empty means a complete copy."""

    users: int = 0
    groups: int = 0
    memberships: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Nothing differs."""
        return not self.differences


def compare(primary: Directory, secondary: Directory, *, groups: bool = True) -> Comparison:
    """Read both sides completely and compare them; `groups=False` looks at people only."""
    result = Comparison()
    left, right = primary.list("Users"), secondary.list("Users")
    result.users = len(right)
    same = _correspondence("user", "userName", left, right, result)
    _fields("user", "userName", left, right, same, result)
    if not groups:
        return result
    left_groups, right_groups = primary.list("Groups"), secondary.list("Groups")
    result.groups = len(right_groups)
    same |= _correspondence("group", "displayName", left_groups, right_groups, result)
    _fields("group", "displayName", left_groups, right_groups, same, result)
    _memberships(left_groups, right_groups, same, {r["id"] for r in right + right_groups}, result)
    return result


def _correspondence(
    kind: str, key: str, left: list[dict[str, Any]], right: list[dict[str, Any]], result: Comparison
) -> dict[str, str]:
    """Who is who: id on the left -> id on the right, by natural key."""
    for side, resources in (("primary", left), ("secondary", right)):
        twice = [k for k, n in Counter(r[key] for r in resources).items() if n > 1]
        result.differences += [f"{kind} {k} is in the {side} more than once" for k in twice]
    here, there = {r[key]: r["id"] for r in left}, {r[key]: r["id"] for r in right}
    result.differences += [f"{kind} {k} is missing in the secondary" for k in here.keys() - there.keys()]
    result.differences += [f"{kind} {k} is only in the secondary" for k in there.keys() - here.keys()]
    both = here.keys() & there.keys()
    result.differences += [f"{kind} {k} has one id on both sides: not two systems" for k in both if here[k] == there[k]]
    return {here[k]: there[k] for k in both}


def _fields(
    kind: str,
    key: str,
    left: list[dict[str, Any]],
    right: list[dict[str, Any]],
    same: dict[str, str],
    result: Comparison,
) -> None:
    there = {r[key]: _plain(r, {}) for r in right}
    for resource in left:
        if resource[key] not in there:
            continue
        wanted, found = _plain(resource, same), there[resource[key]]
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                values = f"{wanted.get(name)!r}, in the secondary {found.get(name)!r}"
                result.differences.append(f"{kind} {resource[key]}: {name} is {values}")


def _plain(resource: dict[str, Any], same: dict[str, str]) -> dict[str, Any]:
    """What a person would compare: no computed fields, schemas in any order, the manager as the other side knows them."""
    plain = {k: v for k, v in resource.items() if k not in COMPUTED and k != "members"}
    plain["schemas"] = sorted(plain["schemas"])
    if manager := plain.get(ENTERPRISE, {}).get("manager"):
        value = same.get(manager["value"], manager["value"])
        plain[ENTERPRISE] = {**plain[ENTERPRISE], "manager": value}
    return plain


def _memberships(
    left: list[dict[str, Any]], right: list[dict[str, Any]], same: dict[str, str], known: set[str], result: Comparison
) -> None:
    there = {g["displayName"]: {m["value"] for m in g.get("members", [])} for g in right}
    for group in left:
        members = there.get(group["displayName"], set())
        result.memberships += len(members)
        wanted = {same.get(m["value"], f"?{m['value']}") for m in group.get("members", [])}
        if wanted != members:
            missing, extra = len(wanted - members), len(members - wanted)
            result.differences.append(f"group {group['displayName']}: {missing} members missing, {extra} too many")
        if dangling := members - known:
            result.differences.append(f"group {group['displayName']}: {len(dangling)} members that do not exist")


@dataclass(frozen=True)
class Portrait:
    """All of one directory in terms of names: equal for two directories that say the same, whatever their IDs."""

    entities: dict[tuple[str, str], list[str]]  # (kind, name) -> what each entity of that name says
    dangling: list[str]  # references to nobody


@dataclass(frozen=True)
class Count:
    """What a directory lacks, and has too much of, beside what it should say."""

    lost: int  # missing, or saying something else
    duplicated: int
    dangling: int


def portrait(directory: Directory) -> Portrait:
    """Read a directory completely and say everything by names."""
    users, groups = directory.list("Users"), directory.list("Groups")
    names = {u["id"]: f"user {u['userName']}" for u in users} | {g["id"]: f"group {g['displayName']}" for g in groups}
    found, dangling = dict[tuple[str, str], list[str]](), list[str]()

    def called(owner: str, identifier: str) -> str:
        if identifier not in names:
            dangling.append(f"{owner} refers to {identifier}")
        return names.get(identifier, identifier)

    for kind, key, resources in (("user", "userName", users), ("group", "displayName", groups)):
        for resource in resources:
            said = {k: v for k, v in resource.items() if k not in COMPUTED} | {"schemas": sorted(resource["schemas"])}
            owner = names[resource["id"]]
            if manager := said.get(ENTERPRISE, {}).get("manager"):
                said[ENTERPRISE] = {**said[ENTERPRISE], "manager": called(owner, manager["value"])}
            if "members" in said:
                said["members"] = sorted(called(owner, member["value"]) for member in said["members"])
            found.setdefault((kind, resource[key]), []).append(json.dumps(said, sort_keys=True))
    return Portrait({who: sorted(what) for who, what in found.items()}, dangling)


def count(expected: Portrait, found: Portrait) -> Count:
    """Compare by names. An entity that says something else than it should counts as lost."""
    lost = duplicated = 0
    for who in expected.entities.keys() | found.entities.keys():
        wanted, there = Counter(expected.entities.get(who, [])), Counter(found.entities.get(who, []))
        duplicated += max(0, there.total() - wanted.total())
        lost += (wanted - there).total()
    return Count(lost, duplicated, len(found.dangling))
