"""Redirect by DNS through external-dns: a DNSEndpoint of our own makes the login host a CNAME of the active page's host.

The object alone proves nothing. external-dns passes over a record whose TXT owner is another one, over an object that its
filters don't match, and over CNAMEs unless it was told to manage them, all without an error: only the authoritative
name servers are believed.
"""

import asyncio

import dns.exception
import dns.name

from bcp_operator.api.common import System
from bcp_operator.api.login import DNSEndpointRoute
from bcp_operator.continuity.externaldns import record, record_target
from bcp_operator.kube.client import DNSENDPOINT, Kube, Object
from bcp_operator.kube.errors import KubeError
from bcp_operator.systems.hosts import HostPolicy

from .base import Context, Observation, RouteError, Target, Verification
from .names import login_name, page_hosts, side_of
from .nameserver import Cname, NameServer
from .objects import OwnObject

__all__ = ["DnsEndpoint"]

HELP = (
    "look whether external-dns runs with --source=crd, manages CNAMEs, passes over this object by a filter, or isn't the "
    "TXT owner of the record"
)


class DnsEndpoint(OwnObject):
    """Our own DNSEndpoint: one CNAME."""

    kind = DNSENDPOINT
    list_field = "endpoints"
    not_served = (
        f"the cluster does not serve DNSEndpoint ({DNSENDPOINT.api_version}): install external-dns with its CRD, or use "
        "another driver"
    )

    def __init__(self, name: str, route: DNSEndpointRoute, context: Context, kube: Kube, hosts: HostPolicy) -> None:
        super().__init__(name, route.name, context, kube, hosts)
        self._route = route

    async def verify(self, target: Target) -> Verification:
        """See Driver.verify: every authoritative server that was named has to answer with the target's host."""
        answers = await asyncio.gather(*(self._asked(server) for server in self._route.servers))
        wrong = [(side, text) for side, text in answers if side != target.system]
        if not wrong:
            return Verification(True, target.system, answers[0][1])
        sides = {side for side, _ in answers}
        shows = "Mixed" if {"Primary", "Secondary"} <= sides else sides.pop() if len(sides) == 1 else None
        return Verification(False, shows or "Unknown", f"{wrong[0][1]}; {await self._why()}")

    async def _asked(self, server: str) -> tuple[System | None, str]:
        """What one server says: the side, and the words for it."""
        try:
            name = login_name(self._context)
            found: Cname = await NameServer(server, name.parent().to_text(), self._hosts).cname(name)
            side = side_of(self._context, found.target)
        except RouteError as error:
            return None, str(error)
        if found.target is None:
            what = "addresses" if found.others else "nothing"
            return None, f"name server {server} has {what} for {name}"
        return side, f"name server {server}: CNAME {found.target}, TTL {found.ttl_seconds} s"

    async def _why(self) -> str:
        """What may keep the record from following the object."""
        try:
            found = await self._kube.get(DNSENDPOINT, self._context.tenant_namespace, self._route.name)
        except KubeError as error:
            return f"cannot read {self._what}: {error.message}"
        if found is None:
            return f"{self._what} does not exist"
        read = (found.get("status") or {}).get("observedGeneration") or 0
        if read < found["metadata"].get("generation", 1):
            return f"external-dns has not read {self._what} yet: {HELP}"
        return f"external-dns has read {self._what}: {HELP}"

    async def _before_write(self, wanted: Object, target: Target, seen: Observation) -> None:
        del wanted, target, seen
        login_name(self._context)
        page_hosts(self._context)

    def _spec(self, target: Target) -> Object:
        return record(self._context.login.url, target.login_url, self._route.ttl_seconds)

    def _side(self, found: Object) -> System | None:
        try:
            return side_of(self._context, dns.name.from_text(record_target(found.get("spec") or {}) or ""))
        except (RouteError, dns.exception.DNSException):
            return None

    def _keeps_path(self, side: System) -> bool:
        del side
        return True
