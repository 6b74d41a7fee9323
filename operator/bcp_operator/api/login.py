"""The login URL of a tenant and the routes by which it reaches the active system."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .common import (
    GROUP,
    LABEL_COMPONENT,
    LABEL_MANAGED_BY,
    LABEL_TENANT,
    CARef,
    HostPort,
    LabelValue,
    LoginHostURL,
    Model,
    Name,
    Rule,
    SecretRef,
    has_ip_host,
    host_of,
)

AnnotationValue = Annotated[str, Field(max_length=1024)]

OWN_LABELS = (LABEL_TENANT, LABEL_COMPONENT, LABEL_MANAGED_BY)
NGINX_REDIRECT = "nginx.ingress.kubernetes.io/temporal-redirect"
NGINX_PERMANENT = "nginx.ingress.kubernetes.io/permanent-redirect"
HAPROXY_REDIRECT = "haproxy.org/request-redirect"
REDIRECT_ANNOTATIONS = (
    f"{GROUP}/shows",
    *(f"{key}{part}" for key in (NGINX_REDIRECT, NGINX_PERMANENT, HAPROXY_REDIRECT) for part in ("", "-code")),
)


def _quoted(keys: tuple[str, ...]) -> str:
    return ", ".join(f"'{key}'" for key in keys)


class IngressRoute(Model):
    """Redirect by an annotation: ingress-nginx's, which Traefik 3.7 and later honours too, or HAProxy's."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.mode == 'Managed' || !has(self.className)",
            "is for mode: Managed; an Adopted Ingress keeps its own class: remove it here",
            ".className",
        ),
        Rule(
            "self.mode == 'Managed' || !has(self.tlsSecretName)",
            "is for mode: Managed; an Adopted Ingress keeps its own tls: remove it here",
            ".tlsSecretName",
        ),
        Rule(
            "self.mode == 'Managed' || (!has(self.labels) && !has(self.annotations))",
            "labels and annotations are for mode: Managed; an Adopted Ingress keeps its own: remove them here",
        ),
        Rule(
            f"!has(self.labels) || ![{_quoted(OWN_LABELS)}].exists(k, k in self.labels)",
            f"the operator sets these itself: leave out {', '.join(OWN_LABELS)}",
            ".labels",
        ),
        Rule(
            f"!has(self.annotations) || ![{_quoted(REDIRECT_ANNOTATIONS)}].exists(k, k in self.annotations)",
            f"the operator alone redirects here: leave out {', '.join(REDIRECT_ANNOTATIONS)}",
            ".annotations",
        ),
    )

    name: Name = Field(description="Name of the Ingress, in this namespace.")
    mode: Literal["Managed", "Adopted"] = Field(
        "Managed",
        description="Managed: the operator's own object, redirecting to the active system in both states. "
        "Adopted: your own Ingress, to which one annotation is added while the secondary is active.",
    )
    class_name: Name | None = Field(None, description="IngressClass of a Managed Ingress. Absent: the default class.")
    tls_secret_name: Name | None = Field(
        None, description="TLS Secret of a Managed Ingress. Absent: the controller's default certificate."
    )
    labels: dict[str, LabelValue] | None = Field(
        None, max_length=16, description="Labels of a Managed Ingress, beside the operator's."
    )
    annotations: dict[str, AnnotationValue] | None = Field(
        None,
        max_length=16,
        description="Annotations of a Managed Ingress, e.g. cert-manager.io/cluster-issuer, beside the operator's.",
    )


class Rfc2136Route(Model):
    """Redirect by a CNAME record, written with DNS UPDATE (RFC 2136) and TSIG (RFC 8945)."""

    server: HostPort = Field(description="Primary name server of the zone: host or host:port.")
    zone: str = Field(
        max_length=253,
        description="Zone that holds the login host, in lower case and without a dot at its end, e.g. acme.example.",
    )
    tsig_secret_ref: SecretRef = Field(description="Secret with keyName, algorithm and secret (base64).")
    ttl_seconds: int = Field(30, ge=1, le=86400, description="TTL of the record, in seconds.")


class DNSEndpointRoute(Model):
    """Redirect by a CNAME record that external-dns writes, from a DNSEndpoint that is the operator's own."""

    name: Name = Field(description="Name of the DNSEndpoint, in this namespace.")
    servers: list[HostPort] = Field(
        min_length=1,
        max_length=4,
        description="Authoritative name servers of the login host, host or host:port: a switch is done when all of them "
        "answer with the active system, whatever the object says.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    ttl_seconds: int = Field(30, ge=1, le=86400, description="TTL of the record, in seconds.")


class ParentRef(Model):
    """A Gateway that serves the login host, or one listener of it."""

    name: Name = Field(description="Name of the Gateway.")
    namespace: Name | None = Field(
        None, description="Its namespace, when it is another one: the Gateway's allowedRoutes have to let this one in."
    )
    section_name: Name | None = Field(
        None, description="Name of one listener, e.g. the one with TLS. Absent: every listener that fits the host."
    )


class HTTPRouteRoute(Model):
    """Redirect by an HTTPRoute of the Gateway API, the operator's own object, in both states."""

    name: Name = Field(description="Name of the HTTPRoute, in this namespace.")
    parent_refs: list[ParentRef] = Field(
        min_length=1,
        max_length=8,
        description="Gateways that serve the login host.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    status_code: Literal[302, 303, 307] = Field(
        302,
        description="Status of the redirect. 303 and 307 need a GatewayClass whose status.supportedFeatures lists "
        "HTTPRoute303RedirectStatusCode or HTTPRoute307RedirectStatusCode; 307 sends a password that was posted on to "
        "the other system. Permanent redirects (301, 308) are kept by browsers, so there are none.",
    )


class Route(Model):
    """One way by which the login URL reaches the active system: exactly one driver."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.ingress), has(self.httpRoute), has(self.dnsEndpoint), has(self.rfc2136)].filter(driver, driver).size() "
            "== 1",
            "set exactly one driver in each route: ingress, httpRoute, dnsEndpoint or rfc2136",
        ),
    )

    name: Name = Field(description="Name of this route within the tenant.")
    ingress: IngressRoute | None = Field(None, description="Redirect by Ingress.")
    http_route: HTTPRouteRoute | None = Field(None, description="Redirect by HTTPRoute (Gateway API).")
    dns_endpoint: DNSEndpointRoute | None = Field(None, description="Redirect by DNS, written by external-dns.")
    rfc2136: Rfc2136Route | None = Field(None, description="Redirect by DNS, written by DNS UPDATE.")


class LoginSpec(Model):
    """What users type, and how it reaches the active system."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.routes.all(a, !has(a.ingress) || "
            "self.routes.exists_one(b, has(b.ingress) && b.ingress.name == a.ingress.name))",
            "two routes name the same Ingress: keep one of them",
            ".routes",
        ),
        Rule(
            "self.routes.all(a, !has(a.httpRoute) || "
            "self.routes.exists_one(b, has(b.httpRoute) && b.httpRoute.name == a.httpRoute.name))",
            "two routes name the same HTTPRoute: keep one of them",
            ".routes",
        ),
        Rule(
            "self.routes.all(a, !has(a.dnsEndpoint) || "
            "self.routes.exists_one(b, has(b.dnsEndpoint) && b.dnsEndpoint.name == a.dnsEndpoint.name))",
            "two routes name the same DNSEndpoint: keep one of them",
            ".routes",
        ),
        Rule(
            "self.routes.all(a, !has(a.rfc2136) || self.routes.exists_one(b, has(b.rfc2136) && "
            "b.rfc2136.server == a.rfc2136.server && b.rfc2136.zone == a.rfc2136.zone))",
            "two routes write the same record (same server and zone): keep one of them",
            ".routes",
        ),
        Rule(
            f"self.routes.all(r, !has(r.rfc2136) || {host_of('self.url')}.endsWith('.' + r.rfc2136.zone))",
            "the host of login.url must lie below the zone of every rfc2136 route (lower case, no dot at its end): "
            "name the zone that holds it; a zone's own name can't be a CNAME",
            ".routes",
        ),
        Rule(
            f"!{has_ip_host('self.url')}",
            "the login URL needs a host name: an IP address can't be moved to another system",
            ".url",
        ),
    )

    url: LoginHostURL = Field(
        description="The login URL that users know: https, host in lower case. Verification asks it."
    )
    connect_to: HostPort | None = Field(
        None,
        description="host:port to connect to when asking the login URL, where its name means something else "
        "inside the cluster (split-horizon networks). Without a port: the URL's.",
    )
    ca_ref: CARef | None = Field(None, description="Private CA of the login host.")
    routes: list[Route] = Field(
        min_length=1,
        max_length=8,
        description="How the login URL reaches the active system. All routes are switched together.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
