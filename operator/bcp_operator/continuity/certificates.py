"""What users would meet at a system: certificates that are bad, or soon will be."""

from dataclasses import dataclass
from datetime import datetime

from bcp_operator.api.common import System
from bcp_operator.api.tenant import BCPTenantSpec

__all__ = ["CertificateView", "Look", "looks"]


@dataclass(frozen=True)
class Look:
    """One certificate to look at: what users ask for, where it is served, and whose authority counts for it."""

    name: str
    url: str
    login_authority: bool

    @property
    def what(self) -> str:
        """For people."""
        return f"the certificate for {self.name}" + (f" at {self.url}" if self.login_authority else "")


@dataclass(frozen=True)
class CertificateView:
    """What was seen of one: `expires` when it is valid, else why not; `unknown` when we could not tell."""

    look: Look
    expires: datetime | None
    problem: str = ""
    unknown: bool = False


def looks(spec: BCPTenantSpec, side: System, login_host: str, page_host: str) -> tuple[Look, ...]:
    """Certificates that the routes of a tenant need on one side.

    A redirect leads to the system's own name; DNS leads to the system under the name of the login host.
    """
    url = (spec.primary if side == "Primary" else spec.secondary).login_url
    if not url.startswith("https://"):
        return ()
    by_name = any(route.rfc2136 or route.dns_endpoint for route in spec.login.routes)
    by_redirect = any(route.ingress or route.http_route for route in spec.login.routes)
    return (
        *((Look(page_host, url, login_authority=False),) if by_redirect else ()),
        *((Look(login_host, url, login_authority=True),) if by_name else ()),
    )
