"""Authentication: credential files in, request headers out. Values never appear in messages."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from .errors import CallFailed
from .profile import APIKeyAuth, Auth, BasicAuth, BearerAuth, LoginAuth, NoAuth, OAuth2Auth, TokenAuth

FORM = "application/x-www-form-urlencoded"
EARLY_SECONDS = 60.0  # a token is renewed so long before its end, or after nine tenths of a shorter life


class CredentialsError(Exception):
    """Credential files are missing or unusable; the message names the file's key, never its content."""


def credential_keys(auth: Auth) -> tuple[str, ...]:
    """Files that this kind of authentication needs."""
    match auth:
        case BearerAuth():
            return ("token",)
        case BasicAuth():
            return ("username", "password")
        case APIKeyAuth():
            return ("api_key",)
        case OAuth2Auth():
            user = ("username", "password") if auth.grant == "password" else ()
            return ("client_id", "client_secret", *user)
        case LoginAuth():
            return tuple(sorted(set(auth.fields.values())))
        case NoAuth():
            return ()


def read_credentials(auth: Auth, folder: Path) -> dict[str, str]:
    """Credential key -> value. Raises CredentialsError."""
    keys = credential_keys(auth)
    in_header = isinstance(auth, BearerAuth | APIKeyAuth)
    return {key: _read(folder, key, keys, in_header=in_header) for key in keys}


def fixed_headers(auth: Auth, credentials: Mapping[str, str]) -> dict[str, str]:
    """Headers of authentications that need no call."""
    match auth:
        case BearerAuth():
            return {"Authorization": f"Bearer {credentials['token']}"}
        case BasicAuth():
            return {"Authorization": _basic(credentials["username"], credentials["password"])}
        case APIKeyAuth():
            return {auth.header: auth.prefix + credentials["api_key"]}
    return {}


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The token call: what is posted to the auth's path."""

    headers: Mapping[str, str]
    body: bytes


def token_request(auth: OAuth2Auth | LoginAuth, credentials: Mapping[str, str]) -> TokenRequest:
    """What to post for a token."""
    if isinstance(auth, LoginAuth):
        fields = {**auth.fixed, **{name: credentials[key] for name, key in auth.fields.items()}}
        if auth.encoding == "form":
            return TokenRequest({"Content-Type": FORM}, urlencode(fields).encode())
        return TokenRequest({"Content-Type": "application/json"}, json.dumps(fields).encode())
    form = {"grant_type": "client_credentials" if auth.grant == "clientCredentials" else "password"}
    if auth.grant == "password":
        form |= {"username": credentials["username"], "password": credentials["password"]}
    if auth.scope:
        form["scope"] = auth.scope
    headers = {"Content-Type": FORM}
    client = (credentials["client_id"], credentials["client_secret"])
    if auth.client_auth == "header":
        headers["Authorization"] = _basic(*(quote(part, safe="") for part in client))  # RFC 6749 2.3.1
    else:
        form |= {"client_id": client[0], "client_secret": client[1]}
    return TokenRequest(headers, urlencode(form).encode())


class Token:
    """The current token of a TokenAuth; the session fetches it (systems/session.py)."""

    def __init__(self, auth: TokenAuth, clock: Callable[[], float] = time.monotonic) -> None:
        self._auth, self._clock = auth, clock
        self._value: str | None = None
        self._renew_at = 0.0

    def headers(self) -> dict[str, str] | None:
        """Headers with the token; None when one has to be fetched."""
        if self._value is None or self._clock() >= self._renew_at:
            return None
        return {self._auth.header: self._auth.prefix + self._value}

    def take(self, document: Any) -> None:
        """The token call's answer. Raises CallFailed when it holds no token."""
        try:
            value = self._auth.compiled(self._auth.token)(document)
            lifetime = self._auth.compiled(self._auth.expires_in)(document)
        except ValueError as error:
            raise CallFailed("BadAnswer", f"token call: {error}") from None
        if not isinstance(value, str) or not value or not value.isprintable() or not value.isascii():
            raise CallFailed("BadAnswer", "the token call's answer holds no token where the profile says")
        seconds = _seconds(lifetime) or float(self._auth.lifetime_seconds)
        self._value = value
        self._renew_at = self._clock() + max(seconds - EARLY_SECONDS, seconds * 0.9)

    def refuse(self, headers: Mapping[str, str]) -> bool:
        """The system refused these headers: forget their token. False when they carried none of ours."""
        told = headers.get(self._auth.header)
        if told is None or not told.startswith(self._auth.prefix):
            return False
        if self._value is not None and told == self._auth.prefix + self._value:
            self._value = None
        return True


def _seconds(lifetime: Any) -> float | None:
    try:
        return float(lifetime) if not isinstance(lifetime, bool) and float(lifetime) > 0 else None
    except (TypeError, ValueError):
        return None


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _read(folder: Path, key: str, keys: tuple[str, ...], *, in_header: bool) -> str:
    try:
        value = (folder / key).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise CredentialsError(
            f"credentials in {folder}: key {key!r} is missing or unreadable; this profile needs {', '.join(keys)}"
        ) from None
    if not value or not value.isprintable() or (not value.isascii() and in_header):
        raise CredentialsError(f"credentials in {folder}: key {key!r} is empty or holds characters no header can carry")
    return value
