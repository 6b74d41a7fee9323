"""Redirect by an HTTPRoute of the Gateway API: an object of our own, as a whole, in both states.

Its lists are atomic, so a rule can't be shared with anybody; and of two routes with the same match the older one wins,
so one that is added at the switch would lose. Labels and never an ownerReference: garbage collection must not delete a
login URL.
"""

from urllib.parse import urlsplit

from bcp_operator.api.common import System
from bcp_operator.api.login import HTTPRouteRoute
from bcp_operator.api.tenant_status import ActiveSystem
from bcp_operator.continuity.gateway import keeps_path, redirect_rules, redirect_url
from bcp_operator.kube.client import GATEWAY, HTTPROUTE, Kube, Object
from bcp_operator.kube.errors import KubeError
from bcp_operator.systems.hosts import HostPolicy, host_of

from .acceptance import not_accepted, require_status_code
from .base import Context, Observation, RouteError, Target, Verification
from .ownership import owners_of_spec
from .redirect import ANNOTATION_SHOWS, Redirect

__all__ = ["NOT_SERVED", "HttpRoute"]

REMEDY = "choose another name, or delete it"
NOT_SERVED = (
    f"the cluster does not serve HTTPRoute ({HTTPROUTE.api_version}): install the Gateway API and a controller for it, "
    "or use another driver"
)


class HttpRoute(Redirect):
    """Our own HTTPRoute: one host, one rule, one redirect."""

    def __init__(self, name: str, route: HTTPRouteRoute, context: Context, kube: Kube, hosts: HostPolicy) -> None:
        super().__init__(name, f"HTTPRoute {route.name}", context, kube, hosts)
        self._route = route

    async def observe(self) -> Observation:
        """Read the HTTPRoute. A cluster without the Gateway API is told from one without the object."""
        try:
            found = await self._kube.get(HTTPROUTE, self._context.tenant_namespace, self._route.name)
            served = found is not None or HTTPROUTE in await self._kube.discover([HTTPROUTE])
        except KubeError as error:
            return Observation(self.name, "Unknown", exists=False, error=f"cannot read HTTPRoute: {error.message}")
        if found is not None:
            return self._seen(found)
        return Observation(
            self.name,
            "Unknown",
            exists=False,
            error=None if served else NOT_SERVED,
            unserved=not served,
            path_preserved=self._keeps_path("Primary") and self._keeps_path("Secondary"),
        )

    def _seen(self, found: Object) -> Observation:
        conflict = self._foreign_object(found, REMEDY)
        side = self._side_of(redirect_url(found["spec"]))
        if side is None and self._is_written_by_us(found):
            marked = (found["metadata"].get("annotations") or {}).get(ANNOTATION_SHOWS)
            side = marked if marked in ("Primary", "Secondary") else None
        shows: ActiveSystem = side or "Unknown"
        return Observation(
            self.name,
            shows,
            ours=conflict is None,
            in_place=side if side is not None and self._is_complete(found, side) else None,
            conflict=conflict,
            resource_version=found["metadata"]["resourceVersion"],
            path_preserved=side is not None and self._keeps_path(side),
            state=found,
        )

    async def apply(self, target: Target, seen: Observation, *, override: bool = False) -> None:
        """See Driver.apply. An object of the same name that is not ours is never taken over, whatever is overridden."""
        del override
        if seen.error or seen.conflict:
            raise RouteError(seen.error or seen.conflict)
        if seen.in_place == target.system:
            return
        self._check(target)
        if urlsplit(target.login_url).query:
            raise RouteError(
                f"loginURL of the {target.system.lower()} has a query, which an HTTPRoute can't set: leave it out"
            )
        wanted = self._wanted(target)
        if _status_code(seen.state) != self._route.status_code:
            refs = wanted["spec"]["parentRefs"]
            await require_status_code(self._kube, self._context.tenant_namespace, refs, self._route.status_code)
        if not seen.exists:
            # Server-side apply can't say "only if absent": a stale leader could overwrite what its successor made.
            await self._write(self._kube.create(HTTPROUTE, wanted))
            return
        wanted["metadata"] |= {key: seen.state["metadata"][key] for key in ("uid", "resourceVersion")}
        # The object is ours as a whole, so a field that somebody patched by hand is set right: force.
        await self._write(self._kube.apply(HTTPROUTE, wanted, force=True))

    async def restore(self, seen: Observation) -> None:
        """See Driver.restore: our HTTPRoute stays, and shows the primary."""
        if seen.error:
            raise RouteError(seen.error)
        if seen.exists and seen.ours:
            await self.apply(self._context.target("Primary"), seen)

    async def verify(self, target: Target) -> Verification:
        """See Driver.verify: the login URL redirects to the target's page, and every Gateway has taken the route."""
        answer = await self._redirects_to(target)
        try:
            found = await self._kube.get(HTTPROUTE, self._context.tenant_namespace, self._route.name)
        except KubeError as error:
            return Verification(False, answer.shows, f"{answer.detail}; cannot read {self._what}: {error.message}")
        problem = f"{self._what} does not exist" if found is None else not_accepted(found)
        if problem is None:
            return answer
        return Verification(False, answer.shows, f"{answer.detail}; {problem}")

    def _wanted(self, target: Target) -> Object:
        login_url = self._context.login.url
        return {
            "metadata": {
                "namespace": self._context.tenant_namespace,
                "name": self._route.name,
                "labels": self._labels(),
                "annotations": {ANNOTATION_SHOWS: target.system},
            },
            "spec": {
                "parentRefs": [self._parent_ref(index) for index in range(len(self._route.parent_refs))],
                "hostnames": [host_of(login_url)],
                "rules": redirect_rules(login_url, target.login_url, self._route.status_code),
            },
        }

    def _parent_ref(self, index: int) -> Object:
        """With the defaults of the API, so that what is stored equals what was meant."""
        ref = self._route.parent_refs[index]
        optional = {"namespace": ref.namespace, "sectionName": ref.section_name}
        made = {"group": GATEWAY.group, "kind": GATEWAY.kind, "name": ref.name}
        return made | {key: value for key, value in optional.items() if value is not None}

    def _keeps_path(self, side: System) -> bool:
        return keeps_path(self._context.login.url, self._context.target(side).login_url)

    def _is_complete(self, found: Object, side: System) -> bool:
        wanted, metadata = self._wanted(self._context.target(side)), found["metadata"]
        return (
            found.get("spec") == wanted["spec"]
            and wanted["metadata"]["labels"].items() <= (metadata.get("labels") or {}).items()
            and wanted["metadata"]["annotations"].items() <= (metadata.get("annotations") or {}).items()
            and self._is_written_by_us(found)
        )

    def _is_written_by_us(self, found: Object) -> bool:
        return any(owner.is_ours for owner in owners_of_spec(found, "rules"))


def _status_code(found: Object | None) -> int | None:
    """Status code that a route of ours answers with already: its GatewayClass was asked when it was written."""
    try:
        code = (found or {})["spec"]["rules"][0]["filters"][0]["requestRedirect"]["statusCode"]
    except (KeyError, IndexError, TypeError):
        return None
    return int(code)
