"""Field paths of profiles: `name`, `name.givenName`, `members[].value`, `"urn:x:2.0:User".manager.value`.

Segments are separated by dots; one with a dot or bracket in its name stands in double quotes; `[]` means every
element of the list. Pure: bodies are changed in place only where the function says so.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_SEGMENT = re.compile(r'(?:"([^"]+)"|([^".\[\]\s]+))((?:\[\])?)(\.|$)')
_DROP = object()


@dataclass(frozen=True, slots=True)
class Step:
    """One segment: a name, and whether its value is a list to go into."""

    name: str
    each: bool


Path = tuple[Step, ...]


def parse(text: str) -> Path:
    """Read a path. Raises ValueError that says what is expected."""
    steps: list[Step] = []
    position = 0
    while position < len(text) or not steps:
        match = _SEGMENT.match(text, position)
        if match is None or (match[4] == "." and match.end() == len(text)):
            raise ValueError(f'{text!r} is not a field path; write name, name.part, list[].part or "quoted.name".part')
        steps.append(Step(match[1] or match[2], bool(match[3])))
        position = match.end()
    return tuple(steps)


def values(body: Any, path: Path) -> Iterator[Any]:
    """Every value at the path; nothing where the body has no such field."""
    if not path:
        yield body
        return
    step, rest = path[0], path[1:]
    if not isinstance(body, dict) or step.name not in body:
        return
    value = body[step.name]
    if not step.each:
        yield from values(value, rest)
    elif isinstance(value, list):
        for element in value:
            yield from values(element, rest)


def without(body: Any, path: Path) -> Any:
    """The body without the field; parts not on the path are shared with the original, not copied."""
    step, rest = path[0], path[1:]
    if not isinstance(body, dict) or step.name not in body:
        return body
    if not rest:
        return {name: value for name, value in body.items() if name != step.name}
    value = body[step.name]
    if step.each and isinstance(value, list):
        return {**body, step.name: [without(element, rest) for element in value]}
    return {**body, step.name: without(value, rest)}


def rewrite(body: dict[str, Any], path: Path, change: Callable[[Any], Any]) -> dict[str, Any]:
    """A copy of the body with `change(value)` at the path; what `change` gives DROPPED is left out.

    What is left out is the innermost list element that holds the value, else the field itself; an object that
    becomes empty by this goes too. Parts not on the path are shared with the original, not copied.
    """
    result = _rewrite(body, path, change)
    return result if isinstance(result, dict) else {}


DROPPED = _DROP


def _rewrite(body: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(body)
    step, rest = path[0], path[1:]
    if not isinstance(body, dict) or step.name not in body:
        return body
    value = body[step.name]
    if step.each:
        if not isinstance(value, list):
            return body
        kept = [_element(element, rest, change) for element in value]
        return {**body, step.name: [element for element in kept if element is not _DROP]}
    changed = _rewrite(value, rest, change)
    if changed is _DROP or (changed == {} and value != {}):
        return {name: part for name, part in body.items() if name != step.name}
    return {**body, step.name: changed}


def _element(element: Any, rest: Path, change: Callable[[Any], Any]) -> Any:
    """A list element after the change; gone as a whole when the value in it is dropped."""
    dropped = False

    def watch(value: Any) -> Any:
        nonlocal dropped
        result = change(value)
        # A drop below a further list concerns that list's own element.
        dropped = dropped or (result is _DROP and not any(step.each for step in rest))
        return result

    changed = _rewrite(element, rest, watch)
    return _DROP if dropped else changed


def first(body: Any, path: Path) -> Any:
    """The first value at the path, or None."""
    return next(values(body, path), None)
