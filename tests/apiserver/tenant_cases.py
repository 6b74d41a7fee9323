"""One refused BCPTenant for every constraint of its spec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.apiserver import cases
from tests.apiserver.cases import LATER, Case, rule
from tests.apiserver.manifests import DROP, tenant

DNS = "spec.login.routes[1].rfc2136"
EXTERNAL = "spec.login.routes[3].dnsEndpoint"
GATEWAY = "spec.login.routes[2].httpRoute"
ROUTES = tenant("example")["spec"]["login"]["routes"]
HTTPS = "use https, or set insecure: true beside it (the host must then also be on the chart's insecureHosts)"
PLAIN_URL = (
    "write a URL such as https://host.example/path?query: http or https, no user name, no fragment, and anything "
    "but letters, digits and . _ ~ : @ ! & ( ) * + , = - percent-encoded"
)
IDENTITY = "is immutable, because the correlations are kept under it: create another BCPTenant for another system"
APPROVE = "copy the whole hash from status.sync.lastRun.withheldHash: sha256: and 64 hexadecimal digits"
STORE = "is immutable, because the correlations are in it: create another BCPTenant to start with an empty store"
WEB = "spec.login.routes[0].ingress"
ADOPTED = {f"{WEB}.mode": "Adopted", f"{WEB}.labels": DROP, f"{WEB}.annotations": DROP}
ONE_SWITCH = {"spec.failover.activeSystem": "Secondary"}
RULES = ("TargetHealthy", "RouteOwned", "CoolDown", "RecoveryPointFresh", "CertificateValid", "DivergenceKnown")
OVERRIDABLE = (*RULES, "FourEyes")

NOTIFY_EVENTS = (
    "PrimaryDown",
    "PrimarySlow",
    "PrimaryFlapping",
    "PrimaryRecovered",
    "SecondaryUnhealthy",
    "SecondaryRecovered",
    "RecoveryPointStale",
    "SyncFailed",
    "GuardTripped",
    "FailoverNotReady",
    "FailoverRequested",
    "FailoverRefused",
    "FailoverCompleted",
    "FailbackRequested",
    "FailbackRefused",
    "FailbackCompleted",
    "OverrideUsed",
    "ApprovalNeeded",
    "IntentConflictHeld",
    "LoginNotVerified",
)


def tenant_cases() -> list[Case]:
    """All of them."""
    return [
        *_object(),
        *_across_systems(),
        *_system("spec.primary"),
        *_system("spec.secondary"),
        *_sync(),
        *_login(),
        *_routes(),
        *_failover(),
        *_safety(),
        *_notify(),
    ]


def _object() -> Iterator[Case]:
    yield from cases.required("", "spec")
    yield from cases.required("spec", "login", "primary", "secondary")
    yield rule(
        "",
        "metadata.name may have at most 40 characters, because its Jobs and pods are named after it: choose a shorter name",
        {"metadata.name": "a" * 41},
        at="<nil>",
    )
    yield rule(
        "",
        "metadata.name may not contain dots, because its Jobs and pods are named after it: use - instead",
        {"metadata.name": "acme.example"},
        at="<nil>",
    )
    yield cases.enum("spec.deletionPolicy", "Retain", "Restore")


def _across_systems() -> Iterator[Case]:
    yield rule(
        "spec",
        "primary and secondary are the same system (profile, tenantID and endpoint host): a system can't stand in for itself",
        {"spec.secondary.tenantID": "acme-primary", "spec.secondary.endpoint": "https://API.primary.example:443/other"},
    )
    yield rule(
        "spec.secondary.loginURL",
        "must differ from the primary's loginURL: otherwise nobody can tell which system is active",
        {"spec.secondary.loginURL": "https://primary.example/login"},
    )
    yield rule(
        "spec.login.url",
        "the host of login.url must differ from the hosts of both loginURLs: otherwise the redirect leads back to itself",
        {"spec.secondary.loginURL": "https://LOGIN.acme.example/elsewhere"},
    )
    yield rule(
        "spec.secondary.loginURL",
        "DNS can only tell hosts apart: with an rfc2136 or dnsEndpoint route the two loginURLs need different hosts",
        {"spec.secondary.loginURL": "https://Primary.example/other"},
    )
    yield rule(
        "spec.login.routes",
        "a CNAME can't lead to an IP address: with an rfc2136 or dnsEndpoint route both loginURLs need host names",
        {"spec.secondary.loginURL": "https://192.0.2.7/login"},
    )
    yield rule(
        "spec.login.routes",
        "DNS can't change scheme or port: with an rfc2136 or dnsEndpoint route both loginURLs need https and the port of login.url",
        {"spec.secondary.loginURL": "https://secondary.example:8443/login"},
    )
    yield rule(
        "spec.login.routes",
        "an HTTPRoute can't set a query: with an httpRoute route both loginURLs have to be without one",
        {"spec.secondary.loginURL": "https://secondary.example/login?tenant=acme"},
    )


def _system(path: str) -> Iterator[Case]:
    yield from cases.required(path, "credentialsSecretRef", "endpoint", "loginURL", "profile", "tenantID")
    plain = {"spec.login.routes": ROUTES[:1]}  # a DNS route asks for https too
    yield rule(f"{path}.endpoint", HTTPS, {f"{path}.endpoint": "http://api.example/v2"})
    yield rule(f"{path}.loginURL", HTTPS, {f"{path}.loginURL": "http://page.example/login", **plain})
    yield from cases.name(f"{path}.profile")
    yield rule(f"{path}.profile", IDENTITY, {f"{path}.profile": "other"}, stored={})
    yield cases.pattern(f"{path}.tenantID", " acme")
    yield cases.text(f"{path}.tenantID", 253)
    yield rule(f"{path}.tenantID", IDENTITY, {f"{path}.tenantID": "other"}, stored={})
    yield cases.max_length(f"{path}.endpoint", 2048, "https://a.example/" + "x" * 2031)
    yield rule(
        f"{path}.endpoint",
        "write a base URL such as https://api.example/v2: http or https, no user name, query or fragment",
        {f"{path}.endpoint": "https://user@api.example/v2"},
    )
    yield from cases.ca_ref(f"{path}.caRef")
    yield from cases.reference(f"{path}.credentialsSecretRef")
    yield cases.max_length(f"{path}.loginURL", 2048, "https://a.example/" + "x" * 2031)
    yield rule(f"{path}.loginURL", PLAIN_URL, {f"{path}.loginURL": 'https://page.example/";return'})
    yield from cases.required(f"{path}.health", "path")
    yield cases.pattern(f"{path}.health.path", "health")
    yield cases.max_length(f"{path}.health.path", 1024, "/" + "x" * 1024)
    yield from cases.bounds(f"{path}.health.expectStatus", 100, 599)
    yield from cases.bounds(f"{path}.health.failureThreshold", 1, 10)
    for field in ("interval", "timeout", "slowAfter"):
        yield from duration(f"{path}.health.{field}")
    yield rule(
        f"{path}.health.timeout",
        "must not be longer than interval: an answer has to be there before the next question",
        {f"{path}.health.interval": "4s"},
    )
    yield rule(
        f"{path}.health.slowAfter",
        "must not be longer than timeout: what takes longer than that is no answer at all",
        {f"{path}.health.slowAfter": "6s"},
    )


def _sync() -> Iterator[Case]:
    yield from cases.reference("spec.sync.policyRef")
    yield from time_zone("spec.sync.timeZone")
    yield cases.time("spec.sync.trigger")
    yield cases.max_length("spec.sync.approve", 71, "sha256:" + "a" * 65)
    yield rule("spec.sync.approve", APPROVE, {"spec.sync.approve": "sha256:" + "A" * 64})
    yield rule("spec.sync.store", STORE, {"spec.sync.store.sqlite.size": "2Gi"}, stored={})
    yield from _postgresql("spec.sync.store")
    yield cases.pattern("spec.sync.store.sqlite.size", "0Gi")
    yield cases.max_length("spec.sync.store.sqlite.size", 12, "1" * 11 + "Gi")
    yield from cases.name("spec.sync.store.sqlite.storageClassName")


def _postgresql(store: str) -> Iterator[Case]:
    """In place of the example's SQLite."""
    ref = f"{store}.postgresql.dsnSecretRef"
    both = {f"{store}.postgresql": {"dsnSecretRef": {"name": "fleet"}}}
    yield rule(store, "set exactly one kind of store: sqlite or postgresql", both)
    for case in (*cases.required(f"{store}.postgresql", "dsnSecretRef"), *cases.reference(ref)):
        ((where, value),) = case.edits.items()
        inner = {} if value is DROP else {"name": value}
        yield replace(case, edits={store: {"postgresql": {} if where == ref else {"dsnSecretRef": inner}}})


def _login() -> Iterator[Case]:
    url, no_dns = "spec.login.url", {"spec.login.routes": ROUTES[:1]}
    yield from cases.required("spec.login", "routes", "url")
    yield rule(
        url,
        "the login URL needs a host name: an IP address can't be moved to another system",
        {url: "https://192.0.2.1/", **no_dns},
    )
    yield cases.max_length(url, 2048, "https://login.acme.example/" + "x" * 2022)
    yield rule(
        url,
        "write a URL such as https://login.example/: https, host in lower case, no user name, query or fragment",
        {url: "http://login.acme.example/", **no_dns},
    )
    yield from host_port("spec.login.connectTo")
    yield from cases.ca_ref("spec.login.caRef")


def _routes() -> Iterator[Case]:
    routes = "spec.login.routes"
    ingress, web = f"{routes}[].ingress", WEB
    yield cases.min_items(routes)
    yield cases.max_items(routes, [{"name": f"r{i}", "ingress": {"name": f"i{i}"}} for i in range(9)])
    yield cases.unique(routes, [ROUTES[0], {"name": "web", "ingress": {"name": "other"}}])
    yield rule(
        routes,
        "two routes name the same Ingress: keep one of them",
        {routes: [ROUTES[0], {"name": "again", "ingress": ROUTES[0]["ingress"]}]},
    )
    yield rule(
        routes,
        "two routes name the same HTTPRoute: keep one of them",
        {routes: [ROUTES[2], {"name": "again", "httpRoute": ROUTES[2]["httpRoute"]}]},
    )
    yield rule(
        routes,
        "two routes name the same DNSEndpoint: keep one of them",
        {routes: [ROUTES[3], {"name": "again", "dnsEndpoint": ROUTES[3]["dnsEndpoint"]}]},
    )
    yield rule(
        routes,
        "two routes write the same record (same server and zone): keep one of them",
        {routes: [ROUTES[1], {"name": "again", "rfc2136": ROUTES[1]["rfc2136"]}]},
    )
    yield rule(
        routes,
        "the host of login.url must lie below the zone of every rfc2136 route (lower case, no dot at its end): "
        "name the zone that holds it; a zone's own name can't be a CNAME",
        {f"{DNS}.zone": "login.acme.example"},
    )
    yield from cases.required(f"{routes}[]", "name")
    yield rule(
        f"{routes}[]",
        "set exactly one driver in each route: ingress, httpRoute, dnsEndpoint or rfc2136",
        {f"{routes}[0].ingress": DROP},
    )
    yield from cases.name(f"{routes}[].name")
    yield from cases.required(ingress, "name")
    yield rule(
        f"{ingress}.className",
        "is for mode: Managed; an Adopted Ingress keeps its own class: remove it here",
        {**ADOPTED, f"{web}.tlsSecretName": DROP},
    )
    yield rule(
        f"{ingress}.tlsSecretName",
        "is for mode: Managed; an Adopted Ingress keeps its own tls: remove it here",
        {**ADOPTED, f"{web}.className": DROP},
    )
    yield cases.enum(f"{ingress}.mode", "Managed", "Adopted")
    yield from _labels_and_annotations(ingress)
    for field in ("name", "className", "tlsSecretName"):
        yield from cases.name(f"{ingress}.{field}")
    yield from _dns(f"{routes}[].rfc2136")
    yield from _gateway(f"{routes}[].httpRoute")
    yield from _external_dns(f"{routes}[].dnsEndpoint")


def _labels_and_annotations(path: str) -> Iterator[Case]:
    bare = {f"{WEB}.className": DROP, f"{WEB}.tlsSecretName": DROP}
    yield rule(
        path,
        "labels and annotations are for mode: Managed; an Adopted Ingress keeps its own: remove them here",
        {f"{WEB}.mode": "Adopted", f"{WEB}.labels": DROP, **bare},
    )
    labels = "bcp-operator.io/tenant, app.kubernetes.io/component, app.kubernetes.io/managed-by"
    yield rule(
        f"{path}.labels",
        f"the operator sets these itself: leave out {labels}",
        {f"{WEB}.labels": {"app.kubernetes.io/managed-by": "Helm"}},
    )
    keys = (
        "bcp-operator.io/shows, nginx.ingress.kubernetes.io/temporal-redirect, "
        "nginx.ingress.kubernetes.io/temporal-redirect-code, nginx.ingress.kubernetes.io/permanent-redirect, "
        "nginx.ingress.kubernetes.io/permanent-redirect-code, haproxy.org/request-redirect, "
        "haproxy.org/request-redirect-code"
    )
    yield rule(
        f"{path}.annotations",
        f"the operator alone redirects here: leave out {keys}",
        {f"{WEB}.annotations": {"haproxy.org/request-redirect": "https://elsewhere.example"}},
    )
    for field, key, limit in (("labels", "team", 63), ("annotations", "cert-manager.io/cluster-issuer", 1024)):
        yield cases.max_entries(f"{path}.{field}", {f"k{number}": "v" for number in range(17)})
        long = cases.max_length(f"{path}.{field}.*", limit, "x" * (limit + 1), f"{WEB}.{field}.{key}")
        yield replace(long, edits={f"{WEB}.{field}": {key: "x" * (limit + 1)}})
    yield cases.pattern(f"{path}.labels.*", "not a label", f"{WEB}.labels.team")


def _dns(path: str) -> Iterator[Case]:
    yield from cases.required(path, "server", "tsigSecretRef", "zone", at=DNS)
    yield from host_port(f"{path}.server", f"{DNS}.server")
    yield cases.max_length(f"{path}.zone", 253, ".".join(["a" * 63] * 3) + "." + "a" * 62, f"{DNS}.zone")
    yield from cases.reference(f"{path}.tsigSecretRef", f"{DNS}.tsigSecretRef")
    yield from cases.bounds(f"{path}.ttlSeconds", 1, 86400, f"{DNS}.ttlSeconds")


def _external_dns(path: str) -> Iterator[Case]:
    yield from cases.required(path, "name", "servers", at=EXTERNAL)
    yield from cases.name(f"{path}.name", f"{EXTERNAL}.name")
    servers, server = f"{EXTERNAL}.servers", f"{EXTERNAL}.servers[0]"
    too_many, twice = [f"10.0.0.{i}" for i in range(5)], ["10.0.0.1", "10.0.0.1"]
    yield replace(cases.min_items(f"{path}.servers"), edits={servers: []}, at=servers)
    yield replace(cases.max_items(f"{path}.servers", too_many), edits={servers: too_many}, at=servers)
    yield replace(cases.unique(f"{path}.servers", twice), edits={servers: twice}, at=f"{servers}[1]")
    yield from host_port(f"{path}.servers[]", server)
    yield from cases.bounds(f"{path}.ttlSeconds", 1, 86400, f"{EXTERNAL}.ttlSeconds")


def _gateway(path: str) -> Iterator[Case]:
    yield from cases.required(path, "name", "parentRefs", at=GATEWAY)
    yield from cases.name(f"{path}.name", f"{GATEWAY}.name")
    refs, ref = f"{GATEWAY}.parentRefs", f"{GATEWAY}.parentRefs[0]"
    too_many = [{"name": f"g{i}"} for i in range(9)]
    yield replace(cases.min_items(f"{path}.parentRefs"), edits={refs: []}, at=refs)
    yield replace(cases.max_items(f"{path}.parentRefs", too_many), edits={refs: too_many}, at=refs)
    yield from cases.required(f"{path}.parentRefs[]", "name", at=ref)
    for field in ("name", "namespace", "sectionName"):
        yield from cases.name(f"{path}.parentRefs[].{field}", f"{ref}.{field}")
    yield cases.enum(f"{path}.statusCode", "302", "303", "307", at=f"{GATEWAY}.statusCode", bad=301)


def _failover() -> Iterator[Case]:
    path = "spec.failover"
    yield rule(
        "spec",
        "the way back to the primary needs a newer spec.failover.requestedAt than before: set it to the time of now (to a later one, if it was in the future), together with activeSystem",
        {},
        stored=ONE_SWITCH,
    )
    yield rule(
        "spec",
        "while the secondary is active spec.failover.requestedAt may be neither removed nor lowered: keep it, or set a newer one",
        {**ONE_SWITCH, f"{path}.requestedAt": "2026-11-24T09:59:59Z"},
        stored=ONE_SWITCH,
    )
    yield rule(
        f"{path}.override",
        "override passes over safety rules: give a reason beside it, e.g. an incident number",
        {f"{path}.reason": "  "},
    )
    yield rule(
        f"{path}.override",
        "override counts once, together with a new requestedAt: set requestedAt to the time of now",
        {f"{path}.requestedAt": DROP},
    )
    yield rule(
        f"{path}.secondaryChanges",
        "Discard counts once, together with a new requestedAt: set requestedAt to the time of now",
        {f"{path}.requestedAt": DROP, f"{path}.override": DROP, f"{path}.secondaryChanges": "Discard"},
    )
    yield rule(
        f"{path}.mode",
        "Planned counts once, together with a new requestedAt: set requestedAt to the time of now",
        {f"{path}.requestedAt": DROP, f"{path}.override": DROP, f"{path}.mode": "Planned"},
    )
    yield cases.enum(f"{path}.mode", "Unplanned", "Planned")
    yield cases.enum(f"{path}.activeSystem", "Primary", "Secondary")
    yield cases.text(f"{path}.reason", 512)
    yield replace(cases.time(f"{path}.requestedAt"), edits={f"{path}.requestedAt": "2026-02-30T10:00:00Z"})
    yield cases.pattern(f"{path}.requestedAt", LATER.replace("Z", "+24:00"))
    yield cases.max_items(f"{path}.override", [*OVERRIDABLE, RULES[0]])
    yield cases.enum(f"{path}.override[]", *OVERRIDABLE, bad=["Nonsense"])
    yield cases.enum(f"{path}.secondaryChanges", "Keep", "Discard")
    yield cases.text(f"{path}.approvedBy", 512)


def _safety() -> Iterator[Case]:
    for field in ("minSwitchInterval", "maxRecoveryPointAge", "certificateHorizon"):
        yield from duration(f"spec.safety.{field}")
    yield from cases.required("spec.safety.drain", "url")
    yield cases.max_length("spec.safety.drain.url", 2048, "https://a.example/" + "x" * 2031)
    yield rule("spec.safety.drain.url", PLAIN_URL, {"spec.safety.drain.url": 'https://calls.example/";return'})
    yield from cases.ca_ref("spec.safety.drain.caRef")
    yield from duration("spec.safety.drain.timeout")
    for name in RULES:
        yield cases.enum(f"spec.safety.rules.{name}", "Block", "Warn")


def _notify() -> Iterator[Case]:
    path = "spec.notify"
    yield cases.max_items(path, [{"urlSecretRef": {"name": "chat"}}] * 9)
    yield from cases.required(f"{path}[]", "urlSecretRef", at=f"{path}[0]")
    yield from cases.reference(f"{path}[].urlSecretRef")
    yield from cases.ca_ref(f"{path}[].caRef")
    yield cases.enum(f"{path}[].format", "JSON", "CloudEvents", "Slack")
    yield cases.max_items(f"{path}[].events", [*NOTIFY_EVENTS, "SyncFailed"])
    yield cases.enum(f"{path}[].events[]", *NOTIFY_EVENTS, bad=["Nonsense"])


def duration(path: str) -> Iterator[Case]:
    """A duration."""
    yield cases.max_length(path, 32, "1h" * 16 + "1")
    yield rule(path, "write whole hours, minutes and seconds in this order, e.g. 26h, 1h30m or 90s", {path: "1.5h"})
    yield rule(path, "must be longer than zero: e.g. 30s, 10m or 26h", {path: "0h0m0s"})


def time_zone(path: str) -> Iterator[Case]:
    """A time zone."""
    yield cases.max_length(path, 64, "z" * 65)
    yield rule(path, "name an IANA time zone, e.g. UTC or Europe/Berlin", {path: "/etc/passwd"})
    yield rule(path, "Local differs from node to node: name a zone, e.g. Europe/Berlin", {path: "local"})


def host_port(path: str, at: str | None = None) -> Iterator[Case]:
    """host or host:port."""
    where = path if at is None else at
    yield cases.max_length(path, 260, "h" * 261, where)
    yield rule(
        path, "write host or host:port, e.g. 10.0.0.53:53 or [2001:db8::53]:53", {where: "10.0.0.53:65536"}, at=where
    )
