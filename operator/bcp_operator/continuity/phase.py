"""One word for people, and what the routes really say."""

from bcp_operator.api.common import System
from bcp_operator.api.tenant_status import ActiveSystem, BCPTenantStatus, Phase, RouteStatus

from . import operation
from .observed import Observed, RouteView


def phase(status: BCPTenantStatus, *, conflict: bool, set_up: bool, suspended: bool) -> Phase:
    """Total: every status has exactly one. `set_up`: the writer Lease exists, which comes after the routes."""
    if status.operation is not None:
        return "FailingOver" if status.operation.type == "Failover" else "FailingBack"
    if conflict:
        return "Held"
    if status.settled_system is None or not set_up:
        return "Pending"
    return "Suspended" if suspended and status.settled_system == "Primary" else status.settled_system


def desired(status: BCPTenantStatus) -> System:
    """Where the routes should send users: the side of the operation under way, else the settled one."""
    if status.operation is not None:
        return operation.target(status.operation)
    return status.settled_system or "Primary"


def active_system(routes: tuple[RouteView, ...]) -> ActiveSystem:
    """The side that the routes agree on; Mixed when they don't, Unknown when one says nothing."""
    shows = {route.shows for route in routes}
    if len(shows) == 1:
        return shows.pop()
    return "Mixed" if {"Primary", "Secondary"} <= shows else "Unknown"


def routes(seen: Observed, status: BCPTenantStatus) -> list[RouteStatus]:
    """Each route for status."""
    side = desired(status)
    return [_route(seen, route, side) for route in seen.routes]


def _route(seen: Observed, route: RouteView, side: System) -> RouteStatus:
    written = route.shows == side and route.current and not route.error
    return RouteStatus(
        name=route.name,
        desired=side,
        written=written,
        observed=route.shows,
        path_preserved=route.path_preserved,
        message=_message(seen, route, written),
    )


def _message(seen: Observed, route: RouteView, written: bool) -> str:
    if written:
        return ""
    text = route.conflict or route.error or route.drift or seen.memory.route_errors.get(route.name, "")
    return text[:512]
