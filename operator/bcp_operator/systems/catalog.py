"""Where profiles come from: the built-in ones beside this file, a user's own in a folder (mounted ConfigMaps)."""

from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from .profile import Profile

BUILT_IN = ("cxone", "scim")


class ProfileError(Exception):
    """A profile can't be used; the message names the place and what to do."""


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
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ProfileError(
            f"{source}{place}: not YAML; {getattr(error, 'problem', None) or 'check the syntax'}"
        ) from None
    if not isinstance(document, dict):
        raise ProfileError(f"{source}: a profile is a YAML mapping with auth and types")
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        raise ProfileError(
            "\n".join(_explain(source, problem["loc"], problem["msg"]) for problem in error.errors(include_input=False))
        ) from None


def _explain(source: str, location: tuple[str | int, ...], message: str) -> str:
    place = ".".join(str(part) for part in location) or "profile"
    if message == "Extra inputs are not permitted":
        message = "no such field; take it out, or check its spelling and indentation"
    elif message == "Field required":
        message = "is missing; add it"
    return f"{source}: {place}: {message.removeprefix('Value error, ')}"
