"""Redirect by DNS: the login host is a CNAME for the host of the active system's login page.

Changed by DNS UPDATE (RFC 2136) signed with TSIG (RFC 8945), as a compare-and-swap. The path of the login URL is
kept; both systems have to serve the login host's certificate.
"""

import dns.name

from bcp_operator.api.tenant import Rfc2136Route
from bcp_operator.api.tenant_status import ActiveSystem
from bcp_operator.kube.client import SECRET, Kube
from bcp_operator.kube.errors import KubeError
from bcp_operator.systems.hosts import HostPolicy, HostRefused

from .base import Context, Observation, RouteError, Target, Verification
from .names import login_name, page_hosts, side_of
from .nameserver import Cname, NameServer, tsig_key

__all__ = ["Rfc2136"]


class Rfc2136:
    """The CNAME of the login host on one authoritative server."""

    def __init__(self, name: str, route: Rfc2136Route, context: Context, kube: Kube, hosts: HostPolicy) -> None:
        self.name = name
        self._route, self._context, self._kube, self._hosts = route, context, kube, hosts

    async def observe(self) -> Observation:
        """Ask the server for the record."""
        try:
            found = await self._server().cname(self._login_name())
            side = side_of(self._context, found.target)
        except RouteError as error:
            return Observation(self.name, "Unknown", exists=False, path_preserved=True, error=str(error))
        if found.target is None:
            conflict = f"{self._login_name()} holds addresses instead of a CNAME: remove them" if found.others else None
            return Observation(self.name, "Unknown", exists=False, path_preserved=True, conflict=conflict, state=found)
        shows: ActiveSystem = side or "Unknown"
        return Observation(
            self.name,
            shows,
            ours=side is not None,
            in_place=side if found.ttl_seconds == self._route.ttl_seconds else None,
            conflict=None if side else f"the CNAME leads to {found.target}, which is neither system: correct it",
            overridable=() if side else ("Primary", "Secondary"),
            path_preserved=True,
            state=found,
        )

    async def apply(self, target: Target, seen: Observation, *, override: bool = False) -> None:
        """See Driver.apply. With override a CNAME that leads elsewhere is replaced; addresses never are."""
        if seen.error:
            raise RouteError(seen.error)
        found: Cname = seen.state
        if seen.conflict and (found.others or not override):
            raise RouteError(seen.conflict)
        if seen.in_place == target.system:
            return
        try:
            self._hosts.check_url(target.login_url)
        except HostRefused as error:
            raise RouteError(f"loginURL of the {target.system.lower()} is refused: {error}") from None
        ref = self._route.tsig_secret_ref.name
        try:
            secret = await self._kube.get(SECRET, self._context.tenant_namespace, ref)
        except KubeError as error:
            raise RouteError(f"cannot read Secret {ref}: {error.message}") from error
        if secret is None:
            raise RouteError(f"Secret {ref} does not exist")
        await self._server().swap(
            tsig_key(secret, ref),
            self._login_name(),
            found.target,
            page_hosts(self._context)[target.system],
            self._route.ttl_seconds,
        )

    async def restore(self, seen: Observation) -> None:
        """See Driver.restore: a record of ours leads to the primary again."""
        if seen.error:
            raise RouteError(seen.error)
        if seen.ours and seen.shows != "Primary":
            await self.apply(self._context.target("Primary"), seen)

    async def verify(self, target: Target) -> Verification:
        """See Driver.verify: the authoritative server has to answer with the target's host."""
        seen = await self.observe()
        if seen.error:
            return Verification(False, "Unknown", seen.error)
        found: Cname = seen.state
        if found.target is None:
            return Verification(False, "Unknown", f"{self._login_name()} has no CNAME")
        detail = f"CNAME {found.target}, TTL {found.ttl_seconds} s"
        return Verification(seen.shows == target.system, seen.shows, detail)

    def _server(self) -> NameServer:
        return NameServer(self._route.server, self._route.zone, self._hosts)

    def _login_name(self) -> dns.name.Name:
        name = login_name(self._context)
        zone = self._server().zone
        if name == zone or not name.is_subdomain(zone):
            raise RouteError(f"{name} can't be a CNAME in zone {zone}: it has to be a name below it")
        return name
