"""What the parts of a profile demand of each other. Each finding names its place, so that the line can be shown."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .attached import ElementCall
from .base import ProfileModel, placeholders
from .calls import Bulk, Call, CreateCall, ListCall
from .entities import EntityType
from .errors import ErrorRule

if TYPE_CHECKING:
    from bcp_operator.systems.profile import Profile

Place = tuple[str | int, ...]
Finding = tuple[Place, str]
_LITERALS = 2  # labels that a host pattern must name


def findings(profile: "Profile") -> Iterator[Finding]:
    """Every mistake that no single part can see."""
    yield from _bases(profile)
    yield from _capabilities(profile)
    for name, entity_type in profile.types.items():
        place = ("types", name)
        yield from _references(profile, name, entity_type, place)
        yield from _placeholders(entity_type, place)
        yield from _writes(entity_type, place)


def _bases(profile: "Profile") -> Iterator[Finding]:
    found = dict.fromkeys(profile.discovery.bases if profile.discovery else (), "discovery")
    named = {**profile.bases, **found, **getattr(profile.auth, "bases", {})}
    for name, url in profile.bases.items():
        if not url.startswith("https://"):
            yield ("bases", name), f"{url!r} must be an https URL"
    for number, pattern in enumerate(profile.hosts):
        if sum(bool(label.strip("*?")) for label in pattern.split(".")) < _LITERALS:
            yield ("hosts", number), f"{pattern!r} must name at least a domain, e.g. *.vendor.example"
    for place, part in _parts(profile, ()):
        base = getattr(part, "base", None)
        if base is not None and base not in named:
            known = ", ".join(sorted(named)) or "none"
            yield (*place, "base"), f"no base is called {base!r}; known are {known}"


def _capabilities(profile: "Profile") -> Iterator[Finding]:
    if profile.capabilities is not None:
        return
    for place, part in _parts(profile, ()):
        if getattr(part, "when", None) is not None and not isinstance(part, ErrorRule):
            yield (*place, "when"), "the profile has no `capabilities` to ask; add where the system tells them"


def _references(profile: "Profile", name: str, entity_type: EntityType, place: Place) -> Iterator[Finding]:
    for number, reference in enumerate(entity_type.references):
        here = (*place, "references", number)
        for target in reference.to:
            if target not in profile.types:
                yield (
                    (*here, "to"),
                    f"{target!r} is no type of this profile; known are {', '.join(sorted(profile.types))}",
                )
            elif reference.id is not None and reference.id not in profile.types[target].ids:
                yield (*here, "id"), f"type {target!r} has no {reference.id!r} under `ids`"
        if reference.required and name in _reachable(profile, reference.to):
            yield (
                (*here, "required"),
                "it leads back to its own type, so that none could be the first; leave `required` out",
            )


def _reachable(profile: "Profile", names: list[str]) -> set[str]:
    """Types that these lead to, themselves included."""
    found: set[str] = set()
    todo = [name for name in names if name in profile.types]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [to for ref in profile.types[name].references for to in ref.to if to in profile.types]
    return found


def _placeholders(entity_type: EntityType, place: Place) -> Iterator[Finding]:
    one = {"tenantID", "id", *entity_type.ids}
    for here, part in _parts(entity_type, place):
        if not isinstance(part, Call | Bulk):
            continue
        if isinstance(part, ElementCall):
            allowed = one | {"key"}
        elif "attached" in here[len(place) :]:
            allowed = one
        elif isinstance(part, ListCall | CreateCall | Bulk):
            allowed = {"tenantID"}
        else:
            allowed = one
        wrong = sorted(placeholders(part.path) - allowed)
        if wrong:
            names = ", ".join(f"{{{name}}}" for name in sorted(allowed))
            yield (*here, "path"), f"{{{wrong[0]}}} means nothing here; {names} do"


def _writes(entity_type: EntityType, place: Place) -> Iterator[Finding]:
    version, update = entity_type.version, entity_type.update
    if version is not None and version.path is None and entity_type.read is None:
        yield (*place, "version"), "without `path` the version is read just before the update: add a `read` call"
    here: Place = (*place, "update")
    while update is not None:
        if entity_type.content is not None and update.encoding != "replace":
            yield (*here, "encoding"), "with `content` only replace can be written: the others name the system's fields"
        if version is not None and version.field is not None and update.encoding in ("jsonPatch", "scimPatch"):
            yield (*place, "version", "field"), f"a {update.encoding} body has no fields; give `header`"
        update, here = update.otherwise, (*here, "otherwise")


def _parts(part: object, place: Place) -> Iterator[tuple[Place, ProfileModel]]:
    """Every part of a profile with its place in the document."""
    if isinstance(part, ProfileModel):
        yield place, part
        for name, info in type(part).model_fields.items():
            yield from _parts(getattr(part, name), (*place, info.alias or name))
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _parts(value, (*place, key))
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from _parts(value, (*place, number))
