"""Content of an entity: what of it is compared, its hash, and what differs. Pure.

Content is the JSON object a system gave, without the fields its profile ignores, with lists that are sets in a
fixed order, so that equal content is equal text.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .paths import Path, without

Content = dict[str, Any]
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":")
).encode  # made once: every entity passes several times


class _Removed:
    """Stands for a field that is to be taken away."""

    def __repr__(self) -> str:
        return "REMOVED"


REMOVED = _Removed()
Changes = dict[str, Any]  # top-level field -> new value, or REMOVED


def canonical(value: Any) -> str:
    """JSON text that is the same for equal values: sorted keys, no spaces, ASCII (half a surrogate pair is no text)."""
    return _CANONICAL(value)


def content_hash(value: Any) -> str:
    """Hash of a JSON value, 32 hex digits."""
    return hashlib.blake2b(canonical(value).encode("ascii"), digest_size=16).hexdigest()


def hash_of(content: Content | None) -> str | None:
    """Hash of a content; None for one that isn't known."""
    return None if content is None else content_hash(content)


def field_hashes(content: Mapping[str, Any]) -> dict[str, str]:
    """Hash of each top-level field, 16 hex digits."""
    return {name: content_hash(value)[:16] for name, value in content.items()}


def written_hashes(sent: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    """Both sides' hash per field after a write."""
    ours, theirs = field_hashes(sent), field_hashes(stored)
    return {name: (ours.get(name), theirs.get(name)) for name in ours.keys() | theirs.keys()}


def strip(raw: Mapping[str, Any], ignore: Sequence[Path], *, empty_is_absent: bool) -> Content:
    """A copy of what a system gave without the ignored fields and, where the profile says so, without empty ones."""
    body: Content = dict(raw)
    for path in ignore:
        body = without(body, path)
    if not empty_is_absent:
        return body
    pruned = _without_empty(body)
    return pruned if isinstance(pruned, dict) else {}


def ordered(content: Content, unordered: Sequence[Path]) -> Content:
    """The content with every list that is a set in its canonical order, without repeated elements."""
    for path in unordered:
        content = _sorted_at(content, path)
    return content


def diff(desired: Content, current: Content, last_written: Mapping[str, tuple[str | None, str | None]]) -> Changes:
    """Top-level fields to set or remove so that `current` (secondary) says what `desired` (primary) says.

    `last_written` holds, per field, the hashes of both sides after the last write. A field on which both sides still
    are what they were then is left alone: that is how the secondary writes it (a default, a normalised spelling),
    and no edit.
    """
    changes: Changes = {}
    wanted, found = field_hashes(desired), field_hashes(current)
    for name in sorted(wanted.keys() | found.keys()):
        pair = (wanted.get(name), found.get(name))
        if pair[0] == pair[1] or last_written.get(name) == pair:
            continue
        changes[name] = desired.get(name, REMOVED)
    return changes


def settle(
    desired: Content,
    current: Content,
    immutable: Collection[str],
    last_written: Mapping[str, tuple[str | None, str | None]],
) -> tuple[Content, list[str]]:
    """The desired content as far as an update can bring it about, and the immutable fields that stay as they are."""
    fixed = diff(
        {name: value for name, value in desired.items() if name in immutable},
        {name: value for name, value in current.items() if name in immutable},
        last_written,
    )
    if not fixed:
        return desired, []
    content = {name: value for name, value in desired.items() if name not in fixed}
    return content | {name: current[name] for name in fixed if name in current}, sorted(fixed)


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        parts = {name: _without_empty(part) for name, part in value.items()}
        return {name: part for name, part in parts.items() if part not in (None, [], {})}
    if isinstance(value, list):
        return [part for part in map(_without_empty, value) if part not in (None, [], {})]
    return value


def _sorted_at(value: Any, path: Path) -> Any:
    if not path:
        if not isinstance(value, list):
            return value
        distinct = {canonical(element): element for element in value}
        return [distinct[text] for text in sorted(distinct)]
    step, rest = path[0], path[1:]
    if not isinstance(value, dict) or step.name not in value:
        return value
    part = value[step.name]
    if step.each and isinstance(part, list):
        return {**value, step.name: [_sorted_at(element, rest) for element in part]}
    return {**value, step.name: _sorted_at(part, rest)}
