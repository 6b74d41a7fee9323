"""Asking where the login URL leads, before anything is written: a second safety besides the writer lease."""

import asyncio
import logging
from urllib.parse import urljoin, urlsplit

from bcp_operator.api.run import AuthoritativeServer, RunLogin
from bcp_operator.systems.transport import TransportError, open_client, split_host_port

from .fence import Held

ASK_SECONDS = 5.0
log = logging.getLogger(__name__)


async def refuse_when_secondary(login: RunLogin) -> None:
    """Raises Held when the login URL, or an authoritative name server, shows the secondary.

    No answer is no refusal: the lease is what keeps the writer out, and a sync must not need the login host.
    """
    if login.dns:
        shown = await asyncio.gather(*(_alias(server) for server in login.dns))
        secondary = (urlsplit(login.secondary_login_url).hostname or "").lower()
        if secondary in [name for name in shown if name]:
            raise Held("the name server sends users to the secondary; nothing is written to it")
        return
    target = await _redirect(login)
    if target is not None and shows(target, login) == "secondary":
        raise Held("the login URL sends users to the secondary; nothing is written to it")


def shows(target: str, login: RunLogin) -> str | None:
    """Which system's login page a URL belongs to: primary, secondary or None. The longer match counts."""
    pages = {"primary": login.primary_login_url, "secondary": login.secondary_login_url}
    fitting = [name for name, page in pages.items() if _below(target, page)]
    return max(fitting, key=lambda name: len(urlsplit(pages[name]).path), default=None)


def _below(target: str, page: str) -> bool:
    found, wanted = urlsplit(target), urlsplit(page)
    if (found.scheme, _netloc(found.netloc, found.scheme)) != (wanted.scheme, _netloc(wanted.netloc, wanted.scheme)):
        return False
    path, base = found.path or "/", wanted.path.rstrip("/")
    return path == base or path.startswith(base + "/") or not base


def _netloc(netloc: str, scheme: str) -> str:
    return netloc.lower().removesuffix({"https": ":443", "http": ":80"}.get(scheme, ":none"))


async def _redirect(login: RunLogin) -> str | None:
    try:
        async with open_client(ca_file=login.ca_file, connect_to=login.connect_to, timeout_seconds=ASK_SECONDS) as http:
            answer = await http.request("GET", login.url, max_bytes=1024 * 1024)
    except (TransportError, OSError, ValueError) as error:
        log.warning("the login URL was not answered", extra={"reason": str(error)})
        return None
    location = answer.headers.get("location")
    return urljoin(login.url, location) if location and 300 <= answer.status < 400 else None


async def _alias(server: AuthoritativeServer) -> str | None:
    """What the name is an alias of, by that server; None when it doesn't say."""
    # Imported here: only tenants with a DNS route need it, and it is a third of a run's start-up.
    import dns.asyncquery  # noqa: PLC0415
    import dns.exception  # noqa: PLC0415
    import dns.message  # noqa: PLC0415
    import dns.rdatatype  # noqa: PLC0415

    try:
        host, port = split_host_port(server.server)
        if not host.replace(".", "").isdigit() and ":" not in host:
            found = await asyncio.get_running_loop().getaddrinfo(host, port or 53)
            host = str(found[0][4][0])
        query = dns.message.make_query(server.name, dns.rdatatype.CNAME)
        answer = await dns.asyncquery.tcp(query, host, port=port or 53, timeout=ASK_SECONDS)
    except (dns.exception.DNSException, OSError, ValueError) as error:
        log.warning("the name server was not asked", extra={"server": server.server, "reason": type(error).__name__})
        return None
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.CNAME:
            return str(rrset[0].target).rstrip(".").lower()
    return None
