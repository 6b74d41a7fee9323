"""From a route of the spec to its driver."""

from bcp_operator.api.tenant import Route
from bcp_operator.continuity.dialects import IngressSetup
from bcp_operator.kube.client import Kube
from bcp_operator.systems.hosts import HostPolicy

from .base import Context, Driver, RouteError
from .dnsendpoint import DnsEndpoint
from .httproute import HttpRoute
from .ingress import AdoptedIngress, ManagedIngress
from .rfc2136 import Rfc2136

__all__ = ["build"]

_NO_SETUP = IngressSetup()


def build(route: Route, context: Context, kube: Kube, hosts: HostPolicy, ingresses: IngressSetup = _NO_SETUP) -> Driver:
    """The driver of a route. Raises RouteError for a route without one, which the CRD does not let through."""
    if route.ingress is not None:
        driver = ManagedIngress if route.ingress.mode == "Managed" else AdoptedIngress
        return driver(route.name, route.ingress, context, kube, hosts, setup=ingresses)
    if route.http_route is not None:
        return HttpRoute(route.name, route.http_route, context, kube, hosts)
    if route.dns_endpoint is not None:
        return DnsEndpoint(route.name, route.dns_endpoint, context, kube, hosts)
    if route.rfc2136 is not None:
        return Rfc2136(route.name, route.rfc2136, context, kube, hosts)
    raise RouteError(f"route {route.name} names no driver")
