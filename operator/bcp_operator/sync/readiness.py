"""`bcp-sync readiness`: who could not log in to the secondary if it were needed now, and what else it lacks."""

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from bcp_operator.api.run import RunIssue, RunReadiness
from bcp_operator.systems import paths

from .report import Tally
from .world import Action, Head, Scope, World

Why = Literal["Absent", "Inactive", "OtherLoginName", "OtherIdentity"]

_SAID: dict[Why, str] = {
    "Absent": "not in the secondary",
    "Inactive": "out of use in the secondary",
    "OtherLoginName": "has another login name in the secondary",
    "OtherIdentity": "has another federated identity in the secondary",
}


@dataclass(frozen=True, slots=True)
class WithoutLogin:
    """Somebody who works in the primary and could not log in to the secondary."""

    type: str
    key: str
    why: Why


@dataclass(frozen=True, slots=True)
class Readiness:
    """What users would miss."""

    without_login: tuple[WithoutLogin, ...]
    unsynced: Mapping[str, str]  # type of the primary -> why it isn't in the secondary
    unresolved: tuple[tuple[str, str, str], ...]  # type, key, field of references that lead nowhere there


def readiness(scope: Scope, world: World, actions: Iterable[Action], broken: Mapping[str, str]) -> Readiness:
    """From a world whose entities are matched (by a plan), and that plan. `broken`: types that could not be read."""
    unresolved = [(one.type, one.key or one.primary_id or "", path) for one in actions for path in one.unresolved]
    return Readiness(
        tuple(_without_login(scope, world, broken)),
        _unsynced(scope, broken),
        tuple(sorted(unresolved)),
    )


def show(found: Readiness, output: str, target: TextIO = sys.stdout) -> None:
    """Print it, as text or JSON."""
    if output == "json":
        target.write(json.dumps(_document(found), sort_keys=True) + "\n")
        return
    for one in found.without_login:
        target.write(f"no login    {one.type:<16} {one.key}  {_SAID[one.why]}\n")
    for name, why in sorted(found.unsynced.items()):
        target.write(f"not synced  {name:<16} {why}\n")
    for name, key, path in found.unresolved:
        target.write(f"unresolved  {name:<16} {key}  {path}\n")
    users, types, references = len(found.without_login), len(found.unsynced), len(found.unresolved)
    target.write(f"{users} users without login, {types} types not synced, {references} references that lead nowhere\n")


def _document(found: Readiness) -> dict[str, Any]:
    return {
        "usersWithoutLogin": [{"type": one.type, "key": one.key, "reason": one.why} for one in found.without_login],
        "unsyncedTypes": dict(found.unsynced),
        "unresolved": [{"type": name, "key": key, "field": path} for name, key, path in found.unresolved],
    }


def note_readiness(scope: Scope, world: World, tally: Tally) -> None:
    """After a run, of what it left behind: into its report."""
    number = 0
    for one in _without_login(scope, world, tally.broken):
        number += 1
        tally.cannot_log_in(one.type, one.key, f"{one.why}: {_SAID[one.why]}")
    unsynced = sorted(_unsynced(scope, tally.broken).items())
    tally.unsynced = [RunIssue(type=name, key="", reason=why) for name, why in unsynced]
    tally.readiness = RunReadiness(
        users_without_login=number, unsynced_types=len(unsynced), unresolved=tally.references_unresolved
    )


def _without_login(scope: Scope, world: World, broken: Collection[str]) -> Iterator[WithoutLogin]:
    for name in sorted(scope.chosen - set(broken)):
        if scope.primary.types[name].login is None:
            continue
        for head in world.heads("primary", name):
            why = None if head.inactive else _why(scope, world, name, head)
            if why is not None:
                yield WithoutLogin(name, head.key or head.id, why)


def _why(scope: Scope, world: World, name: str, head: Head) -> Why | None:
    match = world.match(name, head.id)
    theirs = world.head("secondary", name, match.secondary_id) if match and match.secondary_id else None
    if theirs is None:
        return "Absent"
    if theirs.inactive:
        return "Inactive"
    if theirs.hash == head.hash:
        return None
    ours, there = _login(scope, world, "primary", name, head.id), _login(scope, world, "secondary", name, theirs.id)
    if ours[0] != there[0]:
        return "OtherLoginName"
    return "OtherIdentity" if ours[1] != there[1] else None


def _login(
    scope: Scope, world: World, side: Literal["primary", "secondary"], name: str, entity_id: str
) -> tuple[Any, Any]:
    """Login name and federated identity. Case counts in neither where it doesn't in the secondary's key."""
    own = (scope.primary if side == "primary" else scope.secondary).types[name]
    login = own.login or scope.primary.types[name].login
    body = world.body(side, name, entity_id)

    def value(path: str | None) -> Any:
        found = None if path is None else paths.first(body, paths.parse(path))
        return found.casefold() if isinstance(found, str) and scope.secondary.types[name].key.ignore_case else found

    return (value(login.name), value(login.identity)) if login else (None, None)


def _unsynced(scope: Scope, broken: Mapping[str, str]) -> dict[str, str]:
    left_out = {
        name: "NotChosen: left out by the policy"
        if name in scope.secondary.types
        else "Unknown: the secondary's profile has no such type"
        for name in scope.primary.types.keys() - scope.chosen
    }
    return left_out | {name: why for name, why in broken.items() if name in scope.primary.types}
