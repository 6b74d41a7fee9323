"""What every route driver can do: observe, apply, restore, verify.

A driver writes only on the condition that the world is as observe() saw it. When it is not, RouteChanged asks the
caller to observe and plan again, so that a stale leader can never undo what its successor did.
"""

from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from bcp_operator.api.common import System
from bcp_operator.api.tenant import LoginSpec
from bcp_operator.api.tenant_status import ActiveSystem

__all__ = [
    "Context",
    "Driver",
    "Observation",
    "RouteChanged",
    "RouteError",
    "Target",
    "Verification",
    "normalised",
]


class RouteError(Exception):
    """The route can't be read or written as things are; the message says what to do and holds no secret."""


class RouteChanged(RouteError):
    """Somebody changed the route since it was observed: nothing was written, observe and plan again."""


@dataclass(frozen=True)
class Target:
    """Where a route should send users."""

    system: System
    login_url: str


@dataclass(frozen=True)
class Context:
    """The tenant a route belongs to."""

    tenant_namespace: str
    tenant_name: str
    login: LoginSpec
    primary_url: str
    secondary_url: str

    def target(self, system: System) -> Target:
        """The target of one side."""
        return Target(system, self.primary_url if system == "Primary" else self.secondary_url)


@dataclass(frozen=True)
class Observation:
    """What a route said when it was asked.

    `shows` is where it sends users as written (not as verified); Unknown when it is absent, foreign or unreadable.
    `in_place` names the side for which apply() would change nothing. `conflict` is why the route is not ours to
    change (rule RouteOwned), `overridable` the sides to which apply() brings it all the same when that rule is
    overridden; `error` why it could not be read; `unserved` with it means that the cluster does not know the kind.
    `drift` is what is wrong with an object of somebody else's that shows the right side all the same: told, not repaired.
    `dialect` names how an Ingress is told to redirect (continuity.dialects). `state` belongs to the driver.
    """

    name: str
    shows: ActiveSystem
    exists: bool = True
    ours: bool = False
    in_place: System | None = None
    conflict: str | None = None
    overridable: tuple[System, ...] = ()
    error: str | None = None
    resource_version: str | None = None
    path_preserved: bool = False
    unserved: bool = False
    drift: str | None = None
    dialect: str = "nginx"
    state: Any = None


@dataclass(frozen=True)
class Verification:
    """What users get, as far as it can be asked from here. `ok` means that they get the target."""

    ok: bool
    shows: ActiveSystem
    detail: str


class Driver(Protocol):
    """One way of sending users to the active system. `name` is the route's name within its tenant."""

    name: str

    async def observe(self) -> Observation:
        """Read the route. Never raises for what it finds: see Observation.error."""

    async def apply(self, target: Target, seen: Observation, *, override: bool = False) -> None:
        """Make the route send users to the target, provided it still is as `seen`; no write when it is in place.

        `override` passes over a conflict (rule RouteOwned) where that does not mean taking over somebody's object.
        Raises RouteChanged (observe and plan again) or RouteError.
        """

    async def restore(self, seen: Observation) -> None:
        """The tenant goes: leave the route as it was without us, or with the primary. What is not ours stays.

        Raises RouteChanged or RouteError.
        """

    async def verify(self, target: Target) -> Verification:
        """Ask from outside whether users get the target. Never raises for what it finds."""


def normalised(url: str | None) -> str | None:
    """A URL in the form in which two spellings of the same place compare equal; None for what is no URL."""
    try:
        parts = urlsplit(url or "")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    default_port = {"http": 80, "https": 443}.get(parts.scheme)
    host = parts.hostname.rstrip(".") + ("" if port in (None, default_port) else f":{port}")
    return parts._replace(netloc=host, path=parts.path or "/").geturl()
