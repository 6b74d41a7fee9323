"""The company in the primary: 300 people and 30 groups, the same on every machine.

Deterministic, so that a failing run can be repeated; awkward, so that a wrong run fails: people who have left, names in other scripts,
very long names, quotes and slashes, people without optional fields, managers in rings, an empty group, one that holds everybody, and
groups within groups.
"""

from __future__ import annotations

import random
import uuid
from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"

GIVEN = [
    "Ada",
    "Björn",
    "Chloé",
    "Dmitri",
    "Emeka",
    "Fatima",
    "Grzegorz",
    "Hana",
    "İpek",
    "João",
    "Keiko",
    "Łucja",
    "Mio",
    "Núria",
]
FAMILY = [
    "Okafor",
    "Müller",
    "O'Brien",
    "Nguyễn",
    "Sørensen",
    "Żak",
    "Smith-Jones",
    "de la Cruz",
    "王",
    "Иванова",
    "García",
    "Ali",
]
TITLES = ["Agent", "Team lead", "Supervisor", "Back office", "Quality"]
LOCALES = ["en-US", "de-DE", "pt-BR", "ja-JP"]
STAMP = "2026-01-01T00:00:00Z"


def _identifier(kind: str, number: int, seed: int) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{seed}/{kind}/{number}").hex


def _meta(kind: str) -> dict[str, Any]:
    return {"resourceType": kind, "created": STAMP, "lastModified": STAMP, "version": 'W/"0"'}


def user(number: int, seed: int = 1, users: int = 300) -> dict[str, Any]:
    """Person number `number` of `users` as a SCIM resource with an id; no password, ever."""
    rng = random.Random(f"{seed}/{number}")
    given, family = rng.choice(GIVEN), rng.choice(FAMILY)
    if number % 97 == 5:
        family = "-".join(["Wolfeschlegelsteinhausenbergerdorff"] * 4)
    if number % 61 == 7:
        given = 'Quo"te / \\ back <b>&amp;'
    resource: dict[str, Any] = {
        "schemas": [USER],
        "id": _identifier("user", number, seed),
        "meta": _meta("User"),
        "externalId": f"hr-{number:05d}",
        "userName": f"agent{number:04d}@acme.example",
        "name": {"givenName": given, "familyName": family, "formatted": f"{given} {family}"},
        "displayName": f"{given} {family}",
        "active": number % 13 != 0,
        "emails": [{"value": f"agent{number:04d}@acme.example", "type": "work", "primary": True}],
    }
    if number % 3:
        resource["title"] = rng.choice(TITLES)
        resource["locale"] = rng.choice(LOCALES)
        resource["phoneNumbers"] = [{"value": f"+1555{number:07d}", "type": "work"}]
    if number % 4 == 0:
        resource["schemas"] = [USER, ENTERPRISE]
        resource[ENTERPRISE] = {"employeeNumber": str(10_000 + number), "department": f"Dept {number % 7}"}
        boss = (number * 7 + 4) % users  # also people further down the list, and rings of people who manage each other
        if boss != number:
            resource[ENTERPRISE]["manager"] = {"value": _identifier("user", boss, seed)}
    return resource


def scim_dump(users: int = 300, groups: int = 30, seed: int = 1) -> list[dict[str, Any]]:
    """The whole company as SCIM resources with ids and memberships; groups follow the users."""
    people = [user(n, seed, users) for n in range(users)]
    rng = random.Random(seed)
    resources = list(people)
    for number in range(groups):
        members = (
            [] if number == 0 else people if number == 1 else rng.sample(people, min(len(people), rng.randint(1, 60)))
        )
        resources.append(
            {
                "schemas": [GROUP],
                "id": _identifier("group", number, seed),
                "meta": _meta("Group"),
                "externalId": f"team-{number:03d}",
                "displayName": f"Team {number:02d} – {FAMILY[number % len(FAMILY)]}",
                "members": [{"value": m["id"], "type": "User"} for m in members] + _nested(number, groups, seed),
            }
        )
    return resources


def _nested(number: int, groups: int, seed: int) -> list[dict[str, Any]]:
    """Groups within groups; the last two hold each other."""
    inner = {2: 3, groups - 1: groups - 2, groups - 2: groups - 1}.get(number)
    if inner is None or inner in (number, -1) or not 0 <= inner < groups or groups < 4:
        return []
    return [{"value": _identifier("group", inner, seed), "type": "Group"}]


def kinto_dump(
    bucket: str = "acme", collection: str = "agents", records: int = 40
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """A Kinto bucket with one collection of agents, keyed by `login`."""
    people = [user(n, seed=2) for n in range(records)]
    rows = [
        {"id": str(uuid.UUID(p["id"])), "login": p["userName"], "name": p["displayName"], "enabled": p["active"]}
        for p in people
    ]
    return {bucket: {collection: rows}}
