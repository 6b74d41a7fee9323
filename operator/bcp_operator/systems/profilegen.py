"""Writes what is generated from the profile language: `python -m bcp_operator.systems.profilegen [--check] [--root DIR]`.

docs/profile.schema.json, by which an editor completes and checks a profile, and docs/profile-reference.md.
"""

import argparse
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bcp_operator.api.crdgen import bring_up_to_date

from .language.base import ProfileModel
from .profile import Profile

_HEAD = """# Profile reference

Every field of a profile, generated from the models by `make generate`. [profiles.md](profiles.md) explains how they work together.
Expressions are [JMESPath](https://jmespath.org), with one function more: `split(text, separator)`. Field paths are `name`,
`name.part`, `list[].part`; a name with dots stands in double quotes.
"""


def generated_files() -> dict[str, str]:
    """Path below the repository's root -> content."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Profile.model_json_schema(by_alias=True)}
    return {
        "docs/profile.schema.json": json.dumps(schema, indent=1, sort_keys=True) + "\n",
        "docs/profile-reference.md": _HEAD + "".join(_chapter(model) for model in _models(Profile, [])),
    }


def _models(model: type[ProfileModel], seen: list[type[ProfileModel]]) -> list[type[ProfileModel]]:
    """The model and every model in its fields, in the order in which a reader meets them."""
    if model not in seen:
        seen.append(model)
        for field in model.model_fields.values():
            for part in _leaves(field.annotation):
                if inspect.isclass(part) and issubclass(part, ProfileModel):
                    _models(part, seen)
    return seen


def _leaves(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Literal, None):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _leaves(part)


def _chapter(model: type[ProfileModel]) -> str:
    lines = [f"\n## {model.__name__}\n", inspect.cleandoc(model.__doc__ or ""), ""]
    lines += ["| field | value | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        lines.append(
            f"| `{field.alias or name}` | {_kind(field.annotation)} | {_default(field)} | {_cell(field.description or '')} |"
        )
    return "\n".join(lines) + "\n"


def _kind(annotation: Any) -> str:
    """A type in the words of a reader of YAML."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in parts)
    if origin in (Union, UnionType):
        return " or ".join(_kind(part) for part in parts if part is not type(None))
    if origin is not None:  # Annotated, or a collection
        inner = _kind(parts[-1] if origin is dict else parts[0])
        return {list: f"list of {inner}", dict: f"map to {inner}"}.get(origin, inner)
    if inspect.isclass(annotation) and issubclass(annotation, ProfileModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "any")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value in (None, {}, [], PydanticUndefined) or isinstance(value, ProfileModel):
        return ""
    return f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0, 1 when --check finds stale files, or 2 outside the repository."""
    parser = argparse.ArgumentParser(prog="python -m bcp_operator.systems.profilegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; name stale files and exit with 1")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository (default: the current folder)")
    options = parser.parse_args(arguments)
    if not (options.root / "docs").is_dir():
        print(
            f"{options.root.resolve()} has no folder docs: run this in the repository, or name it with --root",
            file=sys.stderr,
        )
        return 2
    return bring_up_to_date(options.root, generated_files(), check=options.check)


if __name__ == "__main__":
    sys.exit(main())
