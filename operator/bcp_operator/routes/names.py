"""What the routes through DNS share: the login host and the hosts of the two login pages, as DNS names."""

import dns.exception
import dns.name

from bcp_operator.api.common import System
from bcp_operator.systems.hosts import HostRefused, host_of

from .base import Context, RouteError

__all__ = ["login_name", "page_hosts", "side_of"]


def login_name(context: Context) -> dns.name.Name:
    """The host of login.url. Raises RouteError."""
    return _name(context.login.url, "login.url")


def page_hosts(context: Context) -> dict[System, dns.name.Name]:
    """The host of each side's login page. Raises RouteError, also when both are the same."""
    primary = _name(context.primary_url, "primary.loginURL")
    secondary = _name(context.secondary_url, "secondary.loginURL")
    if primary == secondary:
        raise RouteError("both login pages are on the same host: DNS can't tell them apart, use an HTTP redirect")
    return {"Primary": primary, "Secondary": secondary}


def side_of(context: Context, target: dns.name.Name | None) -> System | None:
    """Which side's host this is. Raises RouteError."""
    return next((side for side, host in page_hosts(context).items() if host == target), None)


def _name(url: str, field: str) -> dns.name.Name:
    try:
        return dns.name.from_text(host_of(url))
    except (HostRefused, dns.exception.DNSException):
        raise RouteError(f"the host of spec.{field} is not a DNS name") from None
