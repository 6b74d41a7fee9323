"""What the HTTP redirects share: asking the login URL, and telling by the answer which side users are sent to."""

from bcp_operator.api.common import System
from bcp_operator.kube.bundles import read_ca
from bcp_operator.kube.errors import KubeError
from bcp_operator.observe.probes import LoginAnswer, ask_login

from .base import Target, Verification, normalised
from .objects import ObjectRoute

__all__ = ["Redirect", "redirects"]

ASK_TIMEOUT_SECONDS = 2.0


def redirects(answer: LoginAnswer) -> bool:
    """Whether users are sent elsewhere, by us or by anybody."""
    return answer.status in (301, 302, 303, 307, 308)


class Redirect(ObjectRoute):
    """Base of the drivers that redirect over HTTP."""

    _ca_pem: str | None = None
    _ca_read = False

    async def _redirects_to(self, target: Target) -> Verification:
        """The login URL has to redirect to the target's page."""
        answer = await self._ask()
        side = self._side_of(answer.location) if redirects(answer) else None
        return Verification(side == target.system, side or "Unknown", answer.detail)

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
