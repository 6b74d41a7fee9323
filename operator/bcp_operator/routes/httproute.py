"""Redirect by an HTTPRoute of the Gateway API: an object of our own, as a whole, in both states.

Of two routes with the same match the older one wins, so one that is added at the switch would lose.
"""

import asyncio
from urllib.parse import urlsplit

from bcp_operator.api.common import System
from bcp_operator.api.login import HTTPRouteRoute
from bcp_operator.continuity.gateway import keeps_path, redirect_rules, redirect_url
from bcp_operator.kube.client import GATEWAY, HTTPROUTE, Kube, Object
from bcp_operator.kube.errors import KubeError
from bcp_operator.systems.hosts import HostPolicy, host_of

from .acceptance import not_accepted, require_status_code
from .base import Context, Observation, RouteError, Target, Verification
from .objects import OwnObject
from .redirect import Redirect

__all__ = ["HttpRoute"]


class HttpRoute(OwnObject, Redirect):
    """Our own HTTPRoute: one host, one rule, one redirect."""

    kind = HTTPROUTE
    list_field = "rules"
    not_served = (
        f"the cluster does not serve HTTPRoute ({HTTPROUTE.api_version}): install the Gateway API and a controller for "
        "it, or use another driver"
    )

    def __init__(self, name: str, route: HTTPRouteRoute, context: Context, kube: Kube, hosts: HostPolicy) -> None:
        super().__init__(name, route.name, context, kube, hosts)
        self._route = route

    async def verify(self, target: Target) -> Verification:
        """See Driver.verify: the login URL redirects to the target's page, and every Gateway has taken the route."""
        answer, problem = await asyncio.gather(self._redirects_to(target), self._not_accepted())
        if problem is None:
            return answer
        return Verification(False, answer.shows, f"{answer.detail}; {problem}")

    async def _not_accepted(self) -> str | None:
        try:
            found = await self._kube.get(HTTPROUTE, self._context.tenant_namespace, self._route.name)
        except KubeError as error:
            return f"cannot read {self._what}: {error.message}"
        return f"{self._what} does not exist" if found is None else not_accepted(found)

    async def _before_write(self, wanted: Object, target: Target, seen: Observation) -> None:
        if urlsplit(target.login_url).query:
            raise RouteError(
                f"loginURL of the {target.system.lower()} has a query, which an HTTPRoute can't set: leave it out"
            )
        if _status_code(seen.state) != self._route.status_code:
            refs = wanted["spec"]["parentRefs"]
            await require_status_code(self._kube, self._context.tenant_namespace, refs, self._route.status_code)

    def _spec(self, target: Target) -> Object:
        login_url = self._context.login.url
        return {
            "parentRefs": [self._parent_ref(index) for index in range(len(self._route.parent_refs))],
            "hostnames": [host_of(login_url)],
            "rules": redirect_rules(login_url, target.login_url, self._route.status_code),
        }

    def _side(self, found: Object) -> System | None:
        return self._side_of(redirect_url(found["spec"]))

    def _parent_ref(self, index: int) -> Object:
        """With the defaults of the API, so that what is stored equals what was meant."""
        ref = self._route.parent_refs[index]
        optional = {"namespace": ref.namespace, "sectionName": ref.section_name}
        made = {"group": GATEWAY.group, "kind": GATEWAY.kind, "name": ref.name}
        return made | {key: value for key, value in optional.items() if value is not None}

    def _keeps_path(self, side: System) -> bool:
        return keeps_path(self._context.login.url, self._context.target(side).login_url)


def _status_code(found: Object | None) -> int | None:
    """Status code that a route of ours answers with already: its GatewayClass was asked when it was written."""
    try:
        code = (found or {})["spec"]["rules"][0]["filters"][0]["requestRedirect"]["statusCode"]
    except (KeyError, IndexError, TypeError):
        return None
    return int(code)
