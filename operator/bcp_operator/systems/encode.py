"""How a change is put into words: changed fields, JSON Patch or SCIM PATCH operations, a query. Pure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from .content import REMOVED, Changes, Content, canonical

SCIM_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def merge(changes: Changes) -> dict[str, Any]:
    """Changed fields only; null takes a field away (RFC 7386)."""
    return {name: None if value is REMOVED else value for name, value in changes.items()}


def json_patch(changes: Changes, current: Content) -> list[dict[str, Any]]:
    """RFC 6902, one operation per changed field."""
    operations: list[dict[str, Any]] = []
    for name, value in changes.items():
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        if value is REMOVED:
            operations.append({"op": "remove", "path": pointer})
        else:
            operations.append({"op": "replace" if name in current else "add", "path": pointer, "value": value})
    return operations


def query(parameters: Mapping[str, Any]) -> str:
    """Query parameters with their question mark; null leaves one out, what is no text is written as JSON."""
    texts = {
        name: value if isinstance(value, str) else canonical(value)
        for name, value in parameters.items()
        if value is not None
    }
    return f"?{urlencode(texts)}" if texts else ""


def scim_patch(changes: Changes, current: Content) -> dict[str, Any]:
    """RFC 7644 section 3.5.2. Parts of complex attributes and of extensions are named one by one: servers differ in
    whether replacing the whole takes away what isn't named.
    """
    operations: list[dict[str, Any]] = []
    for name, value in changes.items():
        before = current.get(name)
        if name.startswith("urn:"):
            operations += _parts(name + ":", {} if value is REMOVED else value, before or {})
        elif isinstance(value, dict) and isinstance(before, dict):
            operations += _parts(name + ".", value, before)
        else:
            operations.append(_operation(name, value))
    return {"schemas": [SCIM_PATCH], "Operations": operations}


def _parts(prefix: str, wanted: Any, before: Any) -> list[dict[str, Any]]:
    if not isinstance(wanted, dict) or not isinstance(before, dict):
        return [_operation(prefix[:-1], wanted)]
    operations = [_operation(prefix + name, value) for name, value in wanted.items() if before.get(name) != value]
    return operations + [_operation(prefix + name, REMOVED) for name in before if name not in wanted]


def _operation(path: str, value: Any) -> dict[str, Any]:
    if value is REMOVED:
        return {"op": "remove", "path": path}
    return {"op": "replace", "path": path, "value": value}
