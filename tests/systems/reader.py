"""An independent reader of two directories: says in what they differ. Imports nothing of the operator, knows only SCIM.

People correspond by userName and groups by displayName (the natural keys of a person looking at two screens); memberships are
compared under that correspondence. Fields that a server computes itself are left out, all others must be equal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.systems.web import Net, ask

COMPUTED = {"id", "meta", "groups"}
PAGE = 100


@dataclass(frozen=True)
class Directory:
    """A SCIM base URL (ending in /v2) and its bearer token."""

    base: str
    token: str
    net: Net = field(default_factory=Net)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}

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
    names = _match("user", "userName", left, right, result)
    if not groups:
        return result
    left_groups, right_groups = primary.list("Groups"), secondary.list("Groups")
    result.groups = len(right_groups)
    _match("group", "displayName", left_groups, right_groups, result)
    _memberships(left_groups, right_groups, names, {u["id"] for u in right}, result)
    return result


def _match(
    kind: str, key: str, left: list[dict[str, Any]], right: list[dict[str, Any]], result: Comparison
) -> dict[str, str]:
    """Compare by key; returns the correspondence id on the left -> id on the right."""
    for side, resources in (("primary", left), ("secondary", right)):
        twice = [k for k, n in Counter(r[key] for r in resources).items() if n > 1]
        result.differences += [f"{kind} {k} is in the {side} more than once" for k in twice]
    there = {r[key]: r for r in right}
    here = {r[key]: r for r in left}
    result.differences += [f"{kind} {k} is missing in the secondary" for k in here.keys() - there.keys()]
    result.differences += [f"{kind} {k} is only in the secondary" for k in there.keys() - here.keys()]
    same = {}
    for name in here.keys() & there.keys():
        same[here[name]["id"]] = there[name]["id"]
        if here[name]["id"] == there[name]["id"]:
            result.differences.append(f"{kind} {name} has one id on both sides: this cannot be two systems")
        _fields(f"{kind} {name}", _plain(here[name]), _plain(there[name]), result)
    return same


def _plain(resource: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in resource.items() if k not in COMPUTED and k != "members"}


def _fields(what: str, left: dict[str, Any], right: dict[str, Any], result: Comparison) -> None:
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            result.differences.append(f"{what}: {name} is {left.get(name)!r}, in the secondary {right.get(name)!r}")


def _memberships(
    left: list[dict[str, Any]], right: list[dict[str, Any]], names: dict[str, str], known: set[str], result: Comparison
) -> None:
    there = {g["displayName"]: {m["value"] for m in g.get("members", [])} for g in right}
    for group in left:
        members = there.get(group["displayName"], set())
        result.memberships += len(members)
        wanted = {names.get(m["value"], f"?{m['value']}") for m in group.get("members", [])}
        if wanted != members:
            missing, extra = len(wanted - members), len(members - wanted)
            result.differences.append(f"group {group['displayName']}: {missing} members missing, {extra} too many")
        if dangling := members - known:
            result.differences.append(f"group {group['displayName']}: {len(dangling)} members that do not exist")
