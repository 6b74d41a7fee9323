"""One word for people, and what the routes really say."""

from bcp_operator.api.common import System
from bcp_operator.api.tenant_status import ActiveSystem, BCPTenantStatus, Phase, RouteStatus

from . import operation
from .observed import Observed, RouteAnswer, RouteView


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
    answer = _answer(seen, route.name, side) if written else None
    return RouteStatus(
        name=route.name,
        desired=side,
        written=written,
        verified=answer.ok if answer else _verified_before(seen, route.name, side) if written else None,
        observed=route.shows,
        path_preserved=route.path_preserved,
        message=_message(seen, route, written, answer),
    )


def _answer(seen: Observed, name: str, side: System) -> RouteAnswer | None:
    """What was seen from outside of one route, as far as it is about this side and this operation."""
    known, running = seen.memory.verified, seen.status.operation
    if known is None or known.target != side or (running is not None and known.operation_id != running.id):
        return None
    return known.routes.get(name)


def _verified_before(seen: Observed, name: str, side: System) -> bool | None:
    """As status has it: a restart asks nobody again."""
    before = next((route for route in seen.status.routes if route.name == name and route.desired == side), None)
    return None if before is None else before.verified


def _message(seen: Observed, route: RouteView, written: bool, answer: RouteAnswer | None) -> str:
    if written:
        return "" if answer is None or answer.ok else f"users don't get it yet: {answer.detail}"
    text = route.conflict or route.error or route.drift or seen.memory.route_errors.get(route.name, "")
    return text[:512]
