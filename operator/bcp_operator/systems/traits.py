"""What is known of a listed entity besides its ID and content: its further IDs, and its version."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .profile import EntityType, Version

Scalar = str | int


@dataclass(frozen=True, slots=True)
class Traits:
    """What calls that mean one entity may have to carry."""

    ids: Mapping[str, Scalar] = field(default_factory=dict)  # name of the profile's `ids` -> value
    version: Scalar | None = None


NOTHING = Traits()


def traits_of(entity_type: EntityType, raw: Mapping[str, Any]) -> Traits:
    """Read it from an entity as the system gave it. Raises ValueError where an expression doesn't fit."""
    if not entity_type.ids and entity_type.version is None:
        return NOTHING
    found = {name: scalar(entity_type.compiled(place)(raw)) for name, place in entity_type.ids.items()}
    ids = {name: value for name, value in found.items() if value is not None}
    return Traits(ids, version_of(entity_type.version, raw))


def version_of(version: Version | None, raw: Mapping[str, Any]) -> Scalar | None:
    """The entity's version, where the profile says that it holds one."""
    if version is None or version.path is None:
        return None
    return scalar(version.compiled(version.path)(raw))


def scalar(value: Any) -> Scalar | None:
    """An ID or a version; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return value
