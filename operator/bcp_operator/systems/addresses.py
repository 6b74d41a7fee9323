"""Where calls go: the endpoint, fixed bases, and bases that an answer of the system names. Pure.

A system that names addresses could send our credentials anywhere: an address is only used on the endpoint's own host
or on one that the profile names, by https unless the endpoint itself is plain http.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from .expressions import compile_expression
from .hosts import HostPolicy, HostRefused, host_of
from .profile import Profile


class AddressError(Exception):
    """No usable address; the message says whose mistake it is."""


class Addresses:
    """The bases of one system, as far as they are known."""

    def __init__(self, profile: Profile, *, tenant_id: str, endpoint: str) -> None:
        self._default = profile.base
        self._tenant_id = tenant_id
        self.endpoint = endpoint.rstrip("/")
        fixed = {name: self.filled(url, {}) for name, url in profile.bases.items()}
        try:
            host, others = host_of(endpoint), [host_of(url) for url in fixed.values()]
        except HostRefused as error:
            raise AddressError(str(error)) from None
        allowed = (host, *(pattern.lower() for pattern in profile.hosts), *others)
        self._policy = HostPolicy(allowed, insecure=(host,) if endpoint.startswith("http:") else ())
        self._known = {name: self._checked(name, url) for name, url in fixed.items()}

    def learn(self, places: Mapping[str, str], document: Any) -> None:
        """Take bases from an answer: name -> JMESPath. Raises AddressError."""
        for name, place in places.items():
            try:
                url = compile_expression(place)(document)
            except ValueError as error:
                raise AddressError(f"base {name}: {error}") from None
            if not isinstance(url, str):
                raise AddressError(f"base {name}: the answer holds no address where the profile says")
            self._known[name] = self._checked(name, url)

    def url(self, base: str | None) -> str | None:
        """A base without a final slash; None while it isn't known. None as name is the profile's own choice."""
        name = base or self._default
        return self.endpoint if name is None else self._known.get(name)

    def filled(self, template: str, values: Mapping[str, object]) -> str:
        """A path or address with its placeholders replaced, each escaped as one segment."""
        quoted = {name: segment(str(value)) for name, value in values.items()}
        try:
            return template.format(**{"tenantID": segment(self._tenant_id), **quoted})
        except KeyError as missing:
            raise AddressError(f"{template}: the entity's {missing.args[0]} is not known") from None

    def _checked(self, name: str, url: str) -> str:
        try:
            self._policy.check_url(url)
        except HostRefused as error:
            raise AddressError(f"base {name}: {error}; a profile allows hosts by `hosts`") from None
        if urlsplit(url).query or urlsplit(url).fragment:
            raise AddressError(f"base {name}: it has a query; an address of a base ends with its path")
        return url.rstrip("/")


def segment(text: str) -> str:
    """Text as one segment of a path. Raises AddressError for what servers read as a step in the path."""
    if text in (".", ".."):  # to be escaped in no way that every server reads as a name
        raise AddressError(f"{text!r} can't be part of an address")
    return quote(text, safe="")
