"""The one HTTP transport: every request to a system, a login page or the sync's own Lease goes through here.

httpx is known to this module alone, so that it can be swapped. What it adds: one deadline for the whole exchange
(httpx only has one per read), an upper bound for the body, no redirects, no cookies, no proxies or other settings
from the environment, TLS contexts made once, and errors that say whether the request may have been handled.
"""

import asyncio
import functools
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from .body import read_json

# httpcore tries to import sniffio, for the sake of trio, several times per request. Here it is always asyncio: so the answer is
# no at once, without a search of every folder on the path (a third of the CPU of a request).
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

MAX_BODY_BYTES = 64 * 1024 * 1024
USER_AGENT = "bcp-operator"


class TransportError(Exception):
    """No usable answer came back. `maybe_handled` is False only when the request certainly never left."""

    def __init__(self, message: str, *, maybe_handled: bool) -> None:
        super().__init__(message)
        self.maybe_handled = maybe_handled


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]  # case-insensitive
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises ValueError without quoting the body."""
        return read_json(self.body)


@functools.lru_cache(maxsize=256)
def ssl_context(ca_pem: str | None = None) -> ssl.SSLContext:
    """A verifying client context; `ca_pem` replaces the public authorities. Raises ValueError when it holds none."""
    if ca_pem is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cadata=ca_pem)
    except ssl.SSLError:
        raise ValueError("the CA bundle holds no readable PEM certificate") from None


class _ConnectTo(httpx.AsyncBaseTransport):
    """Connects to another address; Host header, SNI and certificate check stay those of the URL."""

    def __init__(self, inner: httpx.AsyncBaseTransport, host: str, port: int | None) -> None:
        self._inner, self._host, self._port = inner, host, port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host=self._host, port=self._port or request.url.port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class Transport:
    """A pool of connections. Use as `async with open_client(...) as http`."""

    def __init__(self, client: httpx.AsyncClient, timeout_seconds: float) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline_seconds: float | None = None,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> Answer:
        """Send one request and read the whole answer within `deadline_seconds` (default: the client's).

        `url` is absolute or below the client's base URL. A redirect is an answer like any other.
        Raises TransportError: no connection, no answer in time, broken answer, body above `max_bytes`.
        """
        limit = self._timeout_seconds if deadline_seconds is None else deadline_seconds
        try:
            async with asyncio.timeout(limit):
                return await self._exchange(method, url, headers, body, max_bytes)
        except TimeoutError:
            raise TransportError(f"no answer within {limit:g} s", maybe_handled=True) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise TransportError(f"can't connect: {error}", maybe_handled=False) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise TransportError(f"not a usable URL: {error}", maybe_handled=False) from None
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise TransportError(f"connection failed: {type(error).__name__}", maybe_handled=True) from None

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None, max_bytes: int
    ) -> Answer:
        async with self._client.stream(method, url, headers=headers, content=body) as response:
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > max_bytes:
                    raise TransportError(f"the answer is larger than {max_bytes} bytes", maybe_handled=True)
                chunks.append(chunk)
            return Answer(response.status_code, response.headers, b"".join(chunks))

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)


def split_host_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[v6]` or `[v6]:port` -> (host, port or None). Raises ValueError."""
    try:
        url = httpx.URL(f"tcp://{text}")
    except httpx.InvalidURL:
        raise ValueError(f"{text!r} is not host or host:port") from None
    if not url.host or url.raw_path != b"/" or url.userinfo:
        raise ValueError(f"{text!r} is not host or host:port")
    return url.host, url.port


def open_client(
    base_url: str = "",
    *,
    ca_file: str | None = None,
    ca_pem: str | None = None,
    connect_to: str | None = None,
    timeout_seconds: float = 10.0,
    max_connections: int = 64,
    headers: Mapping[str, str] | None = None,
) -> Transport:
    """A transport for one system.

    A private CA (`ca_file` or `ca_pem`) replaces the public authorities. `connect_to` (host or host:port) is where
    connections go instead of the URL's own address. Raises ValueError for an unusable CA or address, OSError when
    `ca_file` can't be read.
    """
    if ca_file is not None:
        ca_pem = Path(ca_file).read_text(encoding="ascii", errors="replace")
    limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
    transport: httpx.AsyncBaseTransport = httpx.AsyncHTTPTransport(
        verify=ssl_context(ca_pem), trust_env=False, limits=limits
    )
    if connect_to is not None:
        transport = _ConnectTo(transport, *split_host_port(connect_to))
    client = httpx.AsyncClient(
        base_url=base_url,
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"User-Agent": USER_AGENT, "Accept": "*/*", **(headers or {})},
        timeout=httpx.Timeout(None),
    )
    return Transport(client, timeout_seconds)
