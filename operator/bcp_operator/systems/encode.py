"""How a change is put into words: whole content, changed fields, or SCIM PATCH operations. Pure."""

from typing import Any

from .content import REMOVED, Changes, Content

SCIM_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def merge(changes: Changes) -> dict[str, Any]:
    """Changed fields only; null takes a field away (RFC 7386)."""
    return {name: None if value is REMOVED else value for name, value in changes.items()}


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
