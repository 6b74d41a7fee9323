"""One HTTP exchange with a host that a resource names: allowed by the list, resolved, judged, and then that address."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from bcp_operator.systems.hosts import HostPolicy
from bcp_operator.systems.transport import Answer, open_client

from .connect import checked_address

__all__ = ["exchange"]


async def exchange(
    method: str,
    url: str,
    hosts: HostPolicy,
    *,
    timeout_seconds: float,
    max_bytes: int,
    connect_to: str | None = None,
    ca_pem: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Send one request on a new connection and read its answer; a redirect is an answer.

    `connect_to` (host or host:port) is used instead of the URL's address. Raises HostRefused, Unresolved,
    TransportError, and ValueError for a CA bundle without a certificate.
    """
    hosts.check_url(url)
    parts = urlsplit(url)
    default_port = parts.port or (443 if parts.scheme == "https" else 80)
    address, port = await checked_address(hosts, connect_to or _bracketed(parts.hostname or ""), default_port)
    target = f"{_bracketed(address)}:{port}"
    async with open_client(ca_pem=ca_pem, connect_to=target, timeout_seconds=timeout_seconds) as http:
        sent = {"Connection": "close", **(headers or {})}
        return await http.request(method, url, headers=sent, body=body, max_bytes=max_bytes)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
