"""What the HTTP redirects share: judging a target, whose an object is, writing on condition, asking the login URL."""

from collections.abc import Awaitable

from bcp_operator.api.common import GROUP, LABEL_MANAGED_BY, LABEL_TENANT, System
from bcp_operator.api.names import COMPONENT_ROUTE, labels
from bcp_operator.kube.bundles import read_ca
from bcp_operator.kube.client import Kube, Object
from bcp_operator.kube.errors import AlreadyExists, Conflict, FieldConflict, KubeError, NotFound
from bcp_operator.observe.probes import LoginAnswer, ask_login
from bcp_operator.systems.hosts import HostPolicy, HostRefused

from .base import Context, RouteChanged, RouteError, Target, Verification, normalised

__all__ = ["ANNOTATION_SHOWS", "Redirect", "redirects"]

ANNOTATION_SHOWS = f"{GROUP}/shows"
"""Side that an object of ours was written for: still true after the login URL of that side was edited."""

ASK_TIMEOUT_SECONDS = 2.0


def redirects(answer: LoginAnswer) -> bool:
    """Whether users are sent elsewhere, by us or by anybody."""
    return answer.status in (301, 302, 303, 307, 308)


class Redirect:
    """Base of the drivers that redirect over HTTP. `what` names the object in messages."""

    def __init__(self, name: str, what: str, context: Context, kube: Kube, hosts: HostPolicy) -> None:
        self.name = name
        self._what, self._context, self._kube, self._hosts = what, context, kube, hosts
        self._ca_pem: str | None = None
        self._ca_read = False

    async def _redirects_to(self, target: Target) -> Verification:
        """The login URL has to redirect to the target's page."""
        answer = await self._ask()
        side = self._side_of(answer.location) if redirects(answer) else None
        return Verification(side == target.system, side or "Unknown", answer.detail)

    def _check(self, target: Target) -> None:
        """A redirect target is written into a proxy's configuration and shown to every user: judge it first."""
        try:
            self._hosts.check_url(target.login_url)
        except HostRefused as error:
            raise RouteError(f"loginURL of the {target.system.lower()} is refused: {error}") from None

    async def _write(self, call: Awaitable[Object]) -> Object:
        try:
            return await call
        except FieldConflict as error:
            # observe() saw no other owner, or it would have said so: somebody came between.
            names = ", ".join(sorted(set(error.owners.values())))
            raise RouteChanged(f"{self._what}: {names} has just set the redirect") from None
        except (Conflict, AlreadyExists, NotFound) as error:
            raise RouteChanged(f"{self._what} changed meanwhile: {error.reason}") from None
        except KubeError as error:
            raise RouteError(f"cannot write {self._what}: {error.message}") from error

    async def _ask(self) -> LoginAnswer:
        login = self._context.login
        if not self._ca_read:
            try:
                self._ca_pem = await read_ca(self._kube, self._context.tenant_namespace, login.ca_ref)
            except KubeError as error:
                return LoginAnswer(None, None, "Untrusted", error.message)
            self._ca_read = True
        return await ask_login(
            login.url,
            hosts=self._hosts,
            connect_to=login.connect_to,
            ca_pem=self._ca_pem,
            timeout_seconds=ASK_TIMEOUT_SECONDS,
        )

    def _side_of(self, url: str | None) -> System | None:
        """Which side's login page this is."""
        wanted = normalised(url)
        if wanted is None:
            return None
        if wanted == normalised(self._context.primary_url):
            return "Primary"
        return "Secondary" if wanted == normalised(self._context.secondary_url) else None

    def _labels(self) -> dict[str, str]:
        return labels(self._context.tenant_name, COMPONENT_ROUTE)

    def _foreign_object(self, found: Object, remedy: str) -> str | None:
        """Why an object of this name is not ours as a whole; None when it is."""
        marks = found["metadata"].get("labels") or {}
        ours = self._labels()
        if all(marks.get(key) == ours[key] for key in (LABEL_TENANT, LABEL_MANAGED_BY)):
            return None
        owner = marks.get(LABEL_TENANT)
        if owner:
            return f"{self._what} belongs to BCPTenant {owner}: choose another name"
        return f"{self._what} is not the operator's: {remedy}"
