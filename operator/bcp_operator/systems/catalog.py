"""Where profiles come from: the built-in ones beside this file, a user's own in a folder (mounted ConfigMaps)."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from .language.checks import Place, findings
from .profile import Profile

BUILT_IN = ("scim",)


class ProfileError(Exception):
    """A profile can't be used; the message names the file, the line, the place and what to do, one mistake a line."""


def load(name: str, folder: Path | None = None) -> Profile:
    """The built-in profile of that name, else `<folder>/<name>.yaml`. Raises ProfileError."""
    if name in BUILT_IN:
        text = (resources.files(__package__) / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
        return parse(text, f"built-in profile {name}")
    path = (folder or Path("/etc/bcp/profiles")) / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ProfileError(
            f"profile {name!r}: no built-in profile ({', '.join(BUILT_IN)}) and {path} can't be read; "
            'put it in a ConfigMap labelled bcp-operator.io/profile: "true", key profile.yaml'
        ) from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Profile:
    """A profile from YAML text. Raises ProfileError with one line per mistake."""
    try:
        document = yaml.safe_load(text)
        lines = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ProfileError(
            f"{source}{place}: not YAML; {getattr(error, 'problem', None) or 'check the syntax'}"
        ) from None
    except RecursionError:
        raise ProfileError(f"{source}: nested too deeply") from None
    if not isinstance(document, dict):
        raise ProfileError(f"{source}: a profile is a YAML mapping with auth and types")
    if twice := list(_twice(lines, set())):
        raise ProfileError("\n".join(f"{source} line {line}: {name}: is there twice; keep one" for line, name in twice))
    try:
        profile = Profile.model_validate(document)
    except ValidationError as error:
        problems = [_said(problem) for problem in error.errors(include_input=False)]
    else:
        problems = list(findings(profile))
        if not problems:
            return profile
    raise ProfileError("\n".join(_explain(source, lines, place, message) for place, message in problems))


def _said(problem: Any) -> tuple[Place, str]:
    """Where a mistake is and what to do about it."""
    place, about = problem["loc"], problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            return place, "no such field; take it out, or check its spelling and indentation"
        case "missing":
            return place, "is missing; add it"
        case "union_tag_not_found":
            return (*place, "kind"), "is missing; add it"
        case "union_tag_invalid":
            return (*place, "kind"), f"{about['tag']!r} is no kind; choose one of {about['expected_tags']}"
    return place, problem["msg"].removeprefix("Value error, ")


def _explain(source: str, lines: yaml.Node | None, location: Place, message: str) -> str:
    line, place = _locate(lines, location)
    return f"{source} line {line}: {place or 'profile'}: {message}"


def _twice(node: yaml.Node | None, walked: set[int]) -> Iterator[tuple[int, str]]:
    """Keys that a mapping holds twice, of which YAML would silently take the last. Anchors are walked once."""
    if id(node) in walked:
        return
    walked.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(key.value)
            yield from _twice(value, walked)
    elif isinstance(node, yaml.SequenceNode):
        for element in node.value:
            yield from _twice(element, walked)


def _locate(node: yaml.Node | None, location: Place) -> tuple[int, str]:
    """The line of a place, or of what holds it where it is missing; and the place in words.

    Names that the document doesn't have on the way there are pydantic's for a kind (auth.oauth2.path).
    """
    line = node.start_mark.line + 1 if node is not None else 1
    words: list[str] = []
    for number, step in enumerate(location):
        last = number == len(location) - 1
        found = _child(node, step)
        if found is not None:
            line, node = found[0], found[1]
        if found is not None or last:
            words.append(str(step))
    return line, ".".join(words)


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    return None
