"""One HTTP request over a new connection, the way a browser that was just opened makes it, and what the other end logged of it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """One line of a test system's access log."""

    method: str
    target: str
    status: int
    agent: str

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]


def access_log(lines: Iterable[str]) -> list[Request]:
    """The `ACCESS` lines among what a test system wrote."""
    found = []
    for line in lines:
        if line.startswith("ACCESS "):
            _, method, target, status, agent = line.split(" ", 4)
            found.append(Request(method, target, int(status), agent))
    return found


@dataclass(frozen=True)
class Net:
    """How names are reached: `forward` maps a port (443, 80) to the host:port to connect to instead; `ca` is a PEM bundle."""

    ca: str | None = None
    forward: dict[int, tuple[str, int]] | None = None
    timeout_seconds: float = 5

    def context(self) -> ssl.SSLContext:
        """TLS that verifies names and chains against `ca`."""
        return ssl.create_default_context(cadata=self.ca)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None when there is none."""
        return json.loads(self.body) if self.body else None


class _Connection(http.client.HTTPConnection):
    """Connects to one address and speaks to another name, with TLS for that name where asked."""

    def __init__(self, host: str, port: int, peer: tuple[str, int], tls: ssl.SSLContext | None, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._peer, self._tls = peer, tls

    def connect(self) -> None:
        plain = socket.create_connection(self._peer, self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host) if self._tls else plain


def ask(
    url: str,
    net: Net | None = None,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: Any = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """Make one request; redirects are not followed. Raises OSError (TLS errors among them) or http.client.HTTPException.

    `context` saves parsing the bundle again when asking thousands of times.
    """
    net = net or Net()
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    host = parts.hostname or ""
    peer = (net.forward or {}).get(port, (host, port))
    connection = _Connection(host, port, peer, (context or net.context()) if tls else None, net.timeout_seconds)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"Connection": "close", "Host": parts.netloc, **(headers or {})}
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        sent.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, target, body=data, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()
