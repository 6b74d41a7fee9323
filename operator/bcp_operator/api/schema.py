"""From pydantic's JSON Schema to the structural schema that the API server takes in a CustomResourceDefinition.

Strict on purpose: a keyword it does not know, or a string, list or map without an upper bound, is an error and not a
guess, because the API server would drop the first silently and could not bound the cost of CEL rules on the second.
"""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_COPIED = (
    "description",
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)
_HANDLED = (
    "title",
    "default",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "x-bcp-no-defaults",
    "x-bcp-pattern-message",
)


class SchemaError(Exception):
    """A model says something that no structural schema can say; the message names the field."""


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model.

    Raises SchemaError for whatever it cannot translate, and for strings, lists and maps without an upper bound.
    """
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _Converter(raw.pop("$defs", {})).convert(raw, model.__name__, defaults=True)


class _Converter:
    """Holds the definitions that references point to."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def convert(self, raw: Schema, path: str, *, defaults: bool) -> Schema:
        raw = self._optional(self._reference(raw, path), path)
        raw = _explained_pattern(_number_bounds(_constant(_int_or_string(raw))), path)
        defaults = defaults and not raw.get("x-bcp-no-defaults")
        if raw.pop("x-kubernetes-int-or-string", False):
            return _int_or_string_schema(raw, path)
        unknown = sorted(set(raw) - set(_COPIED) - set(_HANDLED))
        if unknown:
            raise SchemaError(f"{path}: no structural schema for {', '.join(unknown)}")
        out = {key: raw[key] for key in _COPIED if key in raw}
        if defaults and raw.get("default") is not None:
            out["default"] = raw["default"]
        self._children(raw, out, path, defaults=defaults)
        _require_bounds(out, path)
        return out

    def _children(self, raw: Schema, out: Schema, path: str, *, defaults: bool) -> None:
        if "items" in raw:
            out["items"] = self.convert(raw["items"], f"{path}[]", defaults=defaults)
        if "properties" in raw:
            required = raw.get("required", [])
            out["properties"] = {
                name: self._property(child, f"{path}.{name}", required=name in required, defaults=defaults)
                for name, child in raw["properties"].items()
            }
            if required:
                out["required"] = sorted(required)
        extra = raw.get("additionalProperties")
        if isinstance(extra, dict):
            out["additionalProperties"] = self.convert(extra, f"{path}.*", defaults=defaults)
        elif extra is not None:
            raise SchemaError(f"{path}: additionalProperties: {extra} is not structural; name the type of the values")

    def _property(self, raw: Schema, path: str, *, required: bool, defaults: bool) -> Schema:
        """An object that may be left out and isn't optional (default_factory) is there, with the defaults inside it."""
        out = self.convert(raw, path, defaults=defaults)
        if "description" not in out:
            raise SchemaError(f"{path}: needs a description")
        if defaults and not required and "$ref" in raw:
            out.setdefault("default", {})
        return out

    def _reference(self, raw: Schema, path: str) -> Schema:
        """The definition in place of its reference; what stands beside the reference wins, but CEL rules add up."""
        raw = dict(raw)
        reference = raw.pop("$ref", None)
        if reference is None:
            return raw
        target = self._reference(self._definitions[reference.removeprefix("#/$defs/")], path)
        rules = [*target.get("x-kubernetes-validations", []), *raw.get("x-kubernetes-validations", [])]
        return target | raw | ({"x-kubernetes-validations": rules} if rules else {})

    def _optional(self, raw: Schema, path: str) -> Schema:
        """`X | None` is a field that may be absent; null itself is not accepted."""
        branches = raw.get("anyOf")
        if branches is None or {"type": "null"} not in branches:
            return raw
        rest = [branch for branch in branches if branch != {"type": "null"}]
        beside = {key: value for key, value in raw.items() if key not in ("anyOf", "default")}
        if len(rest) > 1:
            return beside | {"anyOf": rest}
        return self._reference(rest[0] | beside, path)


def _int_or_string(raw: Schema) -> Schema:
    """`int | str` is what Kubernetes calls int-or-string."""
    branches = raw.get("anyOf")
    if branches is None or sorted(str(branch.get("type")) for branch in branches) != ["integer", "string"]:
        return raw
    merged = {key: value for key, value in raw.items() if key != "anyOf"}
    for branch in branches:
        merged |= {key: value for key, value in branch.items() if key != "type"}
    return merged | {"x-kubernetes-int-or-string": True}


def _int_or_string_schema(raw: Schema, path: str) -> Schema:
    if "maxLength" not in raw:
        raise SchemaError(f"{path}: needs an upper bound: maxLength")
    kept = ("description", "default", "minimum", "maximum", "minLength", "maxLength", "pattern")
    return {key: raw[key] for key in kept if key in raw} | {"x-kubernetes-int-or-string": True}


def _explained_pattern(raw: Schema, path: str) -> Schema:
    """A pattern with words for people becomes a CEL rule: the API server shows a plain pattern's expression instead."""
    message = raw.get("x-bcp-pattern-message")
    if message is None:
        return raw
    if "'" in raw["pattern"]:
        raise SchemaError(f"{path}: a pattern with a quote can't be a raw string of CEL")
    rules = [{"rule": f"self.matches(r'{raw['pattern']}')", "message": message}]
    rules += raw.get("x-kubernetes-validations", [])
    return {key: value for key, value in raw.items() if key != "pattern"} | {"x-kubernetes-validations": rules}


def _constant(raw: Schema) -> Schema:
    if "const" not in raw:
        return raw
    return {key: value for key, value in raw.items() if key != "const"} | {"enum": [raw["const"]]}


def _number_bounds(raw: Schema) -> Schema:
    """gt and lt: JSON Schema has a number where OpenAPI 3.0 has a flag beside minimum and maximum."""
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in raw:
            if raw.get("type") != "integer":
                raise SchemaError(f"{exclusive} {raw[exclusive]}: use ge or le, or an integer")
            step = 1 if exclusive == "exclusiveMinimum" else -1
            raw = {key: value for key, value in raw.items() if key != exclusive} | {inclusive: raw[exclusive] + step}
    return raw


def _require_bounds(out: Schema, path: str) -> None:
    kind = out.get("type")
    if kind == "string" and not ("maxLength" in out or "enum" in out or out.get("format") == "date-time"):
        raise SchemaError(f"{path}: needs an upper bound: maxLength")
    if kind == "array":
        _require(out, "maxItems", path)
        _require(out, "x-kubernetes-list-type", path)
    if kind == "object":
        _require(out, "maxProperties" if "additionalProperties" in out else "properties", path)
    if kind is None:
        raise SchemaError(f"{path}: needs a type; a union of types is not structural")


def _require(out: Schema, key: str, path: str) -> None:
    if key not in out:
        raise SchemaError(f"{path}: needs {key}")
