"""Where a connection really goes: names are resolved here, judged, and the judged address is the one connected to."""

import ipaddress
import socket

from bcp_operator.systems.hosts import HostPolicy, HostRefused
from bcp_operator.systems.transport import split_host_port

from .resolver import resolve

__all__ = ["Unresolved", "checked_address"]


class Unresolved(Exception):
    """A host name led to no address. `temporary` says that the resolver, not the name, may be at fault."""

    def __init__(self, message: str, *, temporary: bool) -> None:
        super().__init__(message)
        self.temporary = temporary


async def checked_address(hosts: HostPolicy, where: str, default_port: int) -> tuple[str, int]:
    """Resolve `host` or `host:port` to an address the policy lets us connect to.

    Connecting to the returned address, not to the name again, leaves no gap for a name that changes between the two.
    Raises Unresolved, or HostRefused when every address is refused or `where` is malformed.
    """
    try:
        host, port = split_host_port(where)
    except ValueError as error:
        raise HostRefused(str(error)) from None
    try:
        found = await _addresses(host)
    except socket.gaierror as error:
        temporary = error.errno in (socket.EAI_AGAIN, socket.EAI_SYSTEM)
        raise Unresolved(f"host {host} cannot be resolved", temporary=temporary) from None
    except (OSError, UnicodeError):
        raise Unresolved(f"host {host} cannot be resolved", temporary=False) from None
    refusal: HostRefused | None = None
    for address in found:
        try:
            hosts.check_address(address.partition("%")[0])
        except HostRefused as error:
            refusal = error
        else:
            return address, port or default_port
    raise refusal or Unresolved(f"host {host} has no address", temporary=False)


async def _addresses(host: str) -> list[str]:
    """All addresses of a host; an address is its own and needs no resolver."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        return await resolve(host)
