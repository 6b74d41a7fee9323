"""Which hosts may be contacted: the operator's allow-list, and addresses that are refused whatever their name.

Whoever writes a BCPTenant chooses URLs; without a list they could make the operator ask the cloud's metadata service
or its own loopback, and users could be sent anywhere.
"""

import ipaddress
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self
from urllib.parse import SplitResult, urlsplit

__all__ = ["HostPolicy", "HostRefused", "host_of"]

# The unreserved characters of RFC 3986 and those reserved ones that no proxy's configuration language reads as its own.
_SAFE_URL = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/?#&=%+,:@!()*-]*)?")
# Metadata services that are not link-local: AWS (IPv6), Alibaba Cloud, Oracle Cloud.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))


class HostRefused(Exception):
    """A URL or an address that must not be contacted; the message says which setting would allow it."""


@dataclass(frozen=True)
class HostPolicy:
    """The operator's lists of host patterns (shell globs, lower case; `*` = any name)."""

    allowed: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()

    @classmethod
    def parse(cls, allowed: str, insecure: str = "") -> Self:
        """From comma-separated lists, as in the environment variables ALLOWED_HOSTS and INSECURE_HOSTS."""
        return cls(_patterns(allowed), _patterns(insecure))

    def check_url(self, url: str) -> None:
        """Raise HostRefused unless the URL is plain and its host is on the list; http needs the insecure list too."""
        if not _SAFE_URL.fullmatch(url):
            raise HostRefused(
                "the URL holds characters that a proxy could misread: use letters, digits and ._~/?#&=%+,:@!()*-"
            )
        parts = _split(url)
        host = host_of(url)
        if not _matches(host, self.allowed):
            raise HostRefused(f"host {host} is not on the operator's allow-list (allowedHosts)")
        if parts.scheme == "http" and not _matches(host, self.insecure):
            raise HostRefused(f"host {host} may only be used with https (it is not on insecureHosts)")
        address = _address(host)
        if address is not None:
            self.check_address(address)

    def check_address(self, address: str | ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        """Raise HostRefused for loopback, link-local, unspecified, multicast and metadata addresses.

        Such an address is only allowed when it is itself on the list: neither `*` nor a name that resolves to it does.
        """
        found = ipaddress.ip_address(address)
        mapped = getattr(found, "ipv4_mapped", None)
        found = mapped or found
        if not _is_special(found) or any(fnmatchcase(str(found), p) for p in self.allowed if p.strip("*")):
            return
        raise HostRefused(f"address {found} is loopback, link-local or a metadata service (allowedHosts may name it)")


def host_of(url: str) -> str:
    """The host of an absolute URL, lower case, without port, brackets or a final dot. Raises HostRefused without one."""
    host = (_split(url).hostname or "").rstrip(".")
    if not host:
        raise HostRefused("the URL has no host")
    return host


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is none
    except ValueError:
        raise HostRefused("not a usable URL") from None
    return parts


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address in _METADATA
    )


def _matches(host: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(host, pattern) for pattern in patterns)


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())
