"""What of a type is copied, and what becomes of its values on the way: filters, value mappings, onMissing. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bcp_operator.api.policy import OnMissing
from bcp_operator.api.run import RunConfig
from bcp_operator.systems import paths
from bcp_operator.systems.profile import Profile


class ChoiceError(Exception):
    """A filter or mapping that can't have its effect; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The policy's word on one type; by default everything, as it is."""

    filter: tuple[tuple[paths.Path, frozenset[str]], ...] = ()
    mappings: tuple[tuple[paths.Path, Mapping[str, str]], ...] = field(default=())
    on_missing: OnMissing = "Deactivate"

    def takes(self, raw: Mapping[str, Any]) -> bool:
        """Whether an entity of the primary is chosen: each field of the filter has one of its values."""
        return all(any(_text(value) in wanted for value in paths.values(raw, path)) for path, wanted in self.filter)

    def mapped(self, raw: dict[str, Any]) -> dict[str, Any]:
        """The entity with the values that it is to have in the secondary; the original is left as it is."""
        for path, values in self.mappings:
            raw = paths.rewrite(raw, path, partial(_replaced, values))
        return raw


EVERYTHING = Choice()


def choices(config: RunConfig, primary: Profile) -> dict[str, Choice]:
    """By type, where the policy says anything. Raises ChoiceError."""
    filters = {one.type: one for one in config.entities or []}
    found: dict[str, Choice] = {}
    for name in sorted(filters.keys() | {one.type for one in config.mappings}):
        chosen = filters.get(name)
        rules = tuple(
            (_path(text, name), frozenset(wanted)) for text, wanted in ((chosen and chosen.filter) or {}).items()
        )
        mappings = tuple(
            (_mappable(primary, name, one.field), one.values) for one in config.mappings if one.type == name
        )
        found[name] = Choice(rules, mappings, chosen.on_missing if chosen else EVERYTHING.on_missing)
    return found


def _path(text: str, name: str) -> paths.Path:
    try:
        return paths.parse(text)
    except ValueError as error:
        raise ChoiceError(f"{name}: {error}") from None


def _mappable(primary: Profile, name: str, text: str) -> paths.Path:
    """The path of a mapping. Raises ChoiceError where the field is never sent, or holds IDs."""
    path = _path(text, name)
    if name not in primary.types:
        raise ChoiceError(f"mappings: no such entity type: {name}; known are {', '.join(sorted(primary.types))}")
    kind = primary.types[name]
    if any(path[: len(ignored)] == ignored for ignored in kind.ignored_paths):
        raise ChoiceError(f"mappings: {name}.{text} is a field that the profile ignores: it is never copied")
    if any(path == reference for reference, _ in kind.reference_paths):
        raise ChoiceError(f"mappings: {name}.{text} refers to other entities: its IDs are rewritten by correlation")
    return path


def _replaced(values: Mapping[str, str], value: Any) -> Any:
    """A mapped value in the JSON type of the original, where it fits that type."""
    new = values.get(_text(value) or "")
    if new is None:
        return value
    if isinstance(value, bool):
        return {"true": True, "false": False}.get(new, new)
    return int(new) if isinstance(value, int) and new.isascii() and new.isdigit() else new


def _text(value: Any) -> str | None:
    """A JSON value as it is written in a policy; None for what is no single value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
