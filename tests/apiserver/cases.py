"""The vocabulary of the tables of refused manifests: one case for one constraint of a CRD.

A case is refused by its constraint alone; the test asserts that the API server gives this one reason and no other, so
taking the constraint out of the CRD turns the answer into an acceptance and fails the test. The tables are kept by hand
on purpose: made from the CRD they would lose a case together with its constraint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.apiserver.manifests import DROP

LATER = "2026-11-24T12:00:00Z"


@dataclass(frozen=True)
class Case:
    """A manifest that one constraint refuses.

    Attributes:
        path: where the constraint stands, e.g. `spec.login.routes[].name`; for rules, what it is about.
        constraint: pattern, maxLength, required:<field>, unique, rule:<message>, ...
        edits: what makes the complete manifest a bad one.
        reason: the API server's reason, e.g. FieldValueInvalid.
        message: part of its message.
        at: the field it names; None is `path`, each list at its first item.
        stored: for rules about changes: what makes the complete manifest the object that is there already.
    """

    path: str
    constraint: str
    edits: Mapping[str, Any]
    reason: str
    message: str
    at: str | None = None
    stored: Mapping[str, Any] | None = field(default=None)

    @property
    def key(self) -> tuple[str, str]:
        """What it proves."""
        return self.path, self.constraint

    @property
    def field(self) -> str:
        """The field that the API server must name."""
        return concrete(self.path) if self.at is None else self.at


def concrete(path: str) -> str:
    """The path of the field in the complete manifests: first item of each list."""
    return path.replace("[]", "[0]")


def _at(path: str, at: str | None) -> str:
    return concrete(path) if at is None else at


def required(path: str, *names: str, at: str | None = None) -> Iterator[Case]:
    """Fields without which an object is refused."""
    for name in names:
        where = f"{_at(path, at)}.{name}".removeprefix(".")
        yield Case(path, f"required:{name}", {where: DROP}, "FieldValueRequired", "Required value", where)


def pattern(path: str, bad: str, at: str | None = None) -> Case:
    """A value that the pattern refuses."""
    where = _at(path, at)
    return Case(path, "pattern", {where: bad}, "FieldValueInvalid", "should match", where)


def max_length(path: str, limit: int, too_long: str, at: str | None = None) -> Case:
    """A value that is good but for its length of limit + 1."""
    if len(too_long) != limit + 1:
        raise ValueError(f"{path}: {len(too_long)} characters, the case needs {limit + 1}")
    where = _at(path, at)
    message = f"may not be more than {limit} bytes"
    return Case(path, "maxLength", {where: too_long}, "FieldValueTooLong", message, where)


def text(path: str, limit: int, at: str | None = None) -> Case:
    """A free text of at most `limit` characters."""
    return max_length(path, limit, "x" * (limit + 1), at)


def name(path: str, at: str | None = None) -> Iterator[Case]:
    """A name of a Kubernetes object."""
    yield pattern(path, "Not_A_Name", at)
    yield max_length(path, 253, "a" * 254, at)


def enum(path: str, *values: str, at: str | None = None, bad: Any = "Nonsense") -> Case:
    """One of a few words; `bad` is a value, or the whole list that holds it."""
    where = _at(path, at)
    supported = ", ".join(f'"{value}"' for value in values)
    edit = where.removesuffix("[0]") if isinstance(bad, list) else where
    return Case(path, "enum", {edit: bad}, "FieldValueNotSupported", f"supported values: {supported}", where)


def bounds(path: str, low: int, high: int | None, at: str | None = None) -> Iterator[Case]:
    """A number between two bounds."""
    where = _at(path, at)
    message = "should be greater than or equal to"
    yield Case(path, "minimum", {where: low - 1}, "FieldValueInvalid", f"{message} {low}", where)
    if high is not None:
        message = "should be less than or equal to"
        yield Case(path, "maximum", {where: high + 1}, "FieldValueInvalid", f"{message} {high}", where)


def time(path: str) -> Case:
    """A date-time."""
    return Case(path, "format", {concrete(path): "yesterday"}, "FieldValueTypeInvalid", "must be of type date-time")


def min_items(path: str) -> Case:
    """A list that may not be empty."""
    return Case(path, "minItems", {concrete(path): []}, "FieldValueInvalid", "should have at least 1 items")


def max_items(path: str, items: list[Any]) -> Case:
    """A list that is one too long."""
    message = f"must have at most {len(items) - 1} items"
    return Case(path, "maxItems", {concrete(path): items}, "FieldValueTooMany", message)


def max_entries(path: str, entries: Mapping[str, Any]) -> Case:
    """A map that has one entry too many."""
    message = f"must have at most {len(entries) - 1} items"
    return Case(path, "maxProperties", {concrete(path): dict(entries)}, "FieldValueTooMany", message)


def unique(path: str, items: list[Any]) -> Case:
    """A list whose second item repeats the first."""
    return Case(
        path, "unique", {concrete(path): items}, "FieldValueDuplicate", "Duplicate value", f"{concrete(path)}[1]"
    )


def rule(
    path: str, message: str, edits: Mapping[str, Any], at: str | None = None, stored: Mapping[str, Any] | None = None
) -> Case:
    """A CEL rule; `message` is all of what it says."""
    return Case(path, f"rule:{message}", edits, "FieldValueInvalid", message, at, stored)


def ca_ref(path: str) -> Iterator[Case]:
    """A reference to a CA bundle."""
    yield from required(path, "name")
    yield enum(f"{path}.kind", "ConfigMap", bad="Secret")
    yield from name(f"{path}.name")
    yield pattern(f"{path}.key", "not a key")
    yield max_length(f"{path}.key", 253, "k" * 254)


def reference(path: str, at: str | None = None) -> Iterator[Case]:
    """A reference to an object by its name."""
    yield from required(path, "name", at=at)
    yield from name(f"{path}.name", None if at is None else f"{at}.name")
