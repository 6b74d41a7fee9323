"""Authentication: credential files in, request headers out. Values never appear in messages."""

import base64
from pathlib import Path

from .profile import Auth

KEYS: dict[str, tuple[str, ...]] = {"none": (), "bearer": ("token",), "basic": ("username", "password")}


class CredentialsError(Exception):
    """Credential files are missing or unusable; the message names the file's key, never its content."""


def auth_headers(auth: Auth, folder: Path) -> dict[str, str]:
    """Headers that authenticate a request. Raises CredentialsError."""
    values = {key: _read(folder, key, auth.kind) for key in KEYS[auth.kind]}
    if auth.kind == "bearer":
        return {"Authorization": f"Bearer {values['token']}"}
    if auth.kind == "basic":
        pair = f"{values['username']}:{values['password']}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _read(folder: Path, key: str, kind: str) -> str:
    try:
        value = (folder / key).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise CredentialsError(
            f"credentials in {folder}: key {key!r} is missing or unreadable; authentication {kind!r} needs {', '.join(KEYS[kind])}"
        ) from None
    if not value or not value.isprintable() or (not value.isascii() and kind == "bearer"):
        raise CredentialsError(f"credentials in {folder}: key {key!r} is empty or holds characters no header can carry")
    return value
