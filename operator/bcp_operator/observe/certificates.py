"""The certificate that users would meet: one TLS handshake, with the name that they ask for, at the address that serves it."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from bcp_operator.systems.hosts import HostPolicy, HostRefused
from bcp_operator.systems.transport import ssl_context

from .connect import Unresolved, checked_address
from .probes import certificate_fault

__all__ = ["Certificate", "look_at"]


@dataclass(frozen=True)
class Certificate:
    """A valid one has `expires`; else `problem` says why not. `unknown`: we could not tell, users may well be fine."""

    expires: datetime | None
    problem: str = ""
    unknown: bool = False


async def look_at(
    name: str, where: str, *, hosts: HostPolicy, ca_pem: str | None = None, timeout_seconds: float = 1.0
) -> Certificate:
    """What the server at `where` (host or host:port) shows to somebody who asks for `name`. Never raises for what it finds.

    Unknown: no connection, an issuer that we do not know, a host that may not be contacted.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            address, port = await checked_address(hosts, where, 443)
            return await _handshake(name, address, port, ssl_context(ca_pem))
    except ssl.SSLCertVerificationError as error:
        kind, text = certificate_fault(error)
        return Certificate(None, text, unknown=kind == "Untrusted")
    except (HostRefused, Unresolved, ValueError) as error:
        return Certificate(None, str(error), unknown=True)
    except TimeoutError:
        return Certificate(None, f"no answer within {timeout_seconds:g} s", unknown=True)
    except OSError as error:
        return Certificate(None, f"no TLS connection ({type(error).__name__})", unknown=True)


async def _handshake(name: str, address: str, port: int, context: ssl.SSLContext) -> Certificate:
    _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert()
        return Certificate(datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC))
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await writer.wait_closed()
