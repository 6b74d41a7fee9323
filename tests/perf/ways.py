"""Three ways by which the login URL reaches a system, each switched by the operator and, for the floor, by hand.

By hand means: the same kind of object, on the same ingress controller or name server, patched by this process itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import dns.query
import dns.tsig
import dns.update

from tests.systems import tenants
from tests.systems.client import asking
from tests.systems.deploy import Object, RentedSystem, ingress, secret
from tests.systems.nameserver import ALGORITHM, KEY_NAME, SECRET, NameServer, start_bind, watching
from tests.systems.stack import TRAEFIK, Stack
from tests.systems.tenants import TEAM
from tests.waiting import until

REDIRECT = "nginx.ingress.kubernetes.io/temporal-redirect"
PRIMARY = RentedSystem("primary", "scim", "primary.saas.test", "primary-token")
SECONDARY = RentedSystem("secondary", "scim", "secondary.saas.test", "secondary-token")
PAGES = frozenset({"PRIMARY", "SECONDARY"})
ZONE, NAMED_PORT, NAMED_BY_HAND_PORT = "acme.test", 5353, 5354
DEADLINE_SECONDS = 30
ASK_EVERY_SECONDS = 0.003


def system(side: str) -> RentedSystem:
    """The system of a side."""
    return SECONDARY if side == "Secondary" else PRIMARY


@dataclass
class Outside:
    """Somebody who knows the login host alone: when it first led to a system, and whether it ever led elsewhere."""

    arrived: Callable[[str], float | None]
    others: Callable[[], list[str]]


@dataclass
class Way:
    """One way. `tenant` is what the operator switches; `act` does the same by hand to another host."""

    name: str
    tenant: str
    outside: Callable[[bool], AbstractContextManager[Outside]]
    act: Callable[[str], object]
    floor_counts: bool = True
    changed: float = 0.0


@contextmanager
def set_up(
    stack: Stack, names: list[str], forward: Callable[[int], int], enter: tuple[str, ...]
) -> Iterator[list[Way]]:
    """Make the objects of the ways that are named; they lead to the primary when the block begins."""
    with ExitStack() as running:
        made = [running.enter_context(MAKERS[name](stack, forward, enter)) for name in names]
        for way in made:
            stack.api.wait("BCPTenant", TEAM, way.tenant, _on_primary, f"{way.name} is ready", 60)
            for by_hand in (False, True):
                with way.outside(by_hand) as outside:
                    until(lambda o=outside: o.arrived("Primary"), f"{way.name} leads to the primary", 30)  # type: ignore[misc]
        yield made


def _on_primary(tenant: Object) -> bool:
    return bool(tenant.get("status", {}).get("phase") == "Primary")


# -- over HTTP


@contextmanager
def _by_ingress(stack: Stack, forward: Callable[[int], int], enter: tuple[str, ...]) -> Iterator[Way]:
    del forward, enter
    host, hand = "login.acme.test", "hand.acme.test"
    for name in (host, hand):
        stack.certificate(f"{name.partition('.')[0]}-tls", name)
    stack.apply(tenants.tenant("acme", PRIMARY, SECONDARY, host, [tenants.managed(host)]))
    theirs = ingress("hand", TEAM, hand, "nobody", "hand-tls")
    theirs["metadata"]["annotations"] = {REDIRECT: PRIMARY.login_url}
    stack.api.apply(theirs)

    def act(side: str) -> object:
        return stack.api.patch(
            "Ingress", TEAM, "hand", {"metadata": {"annotations": {REDIRECT: system(side).login_url}}}
        )

    yield Way("ingress", "acme", lambda by_hand: _page(stack, hand if by_hand else host), act)


@contextmanager
def _by_http_route(stack: Stack, forward: Callable[[int], int], enter: tuple[str, ...]) -> Iterator[Way]:
    del forward, enter
    host, hand = "gateway.acme.test", "gateway-hand.acme.test"
    stack.api.apply(_edge(stack, host, hand))
    refs = [{"name": "edge", "sectionName": "a"}]
    route = {"name": "gw", "httpRoute": {"name": "gateway-login", "parentRefs": refs}}
    stack.apply(tenants.tenant("gateway", PRIMARY, SECONDARY, host, [route]))
    theirs = {"parentRefs": [{"name": "edge", "sectionName": "b"}], "hostnames": [hand], "rules": _rules("Primary")}
    metadata = {"name": "hand", "namespace": TEAM}
    kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    stack.api.apply({**kind, "metadata": metadata, "spec": theirs})

    def act(side: str) -> object:
        return stack.api.patch("HTTPRoute", TEAM, "hand", {"spec": {"rules": _rules(side)}})

    yield Way("httpRoute", "gateway", lambda by_hand: _page(stack, hand if by_hand else host), act)


def _edge(stack: Stack, *hosts: str) -> Object:
    listeners = []
    for name, host in zip("ab", hosts, strict=True):
        stack.certificate(f"edge-{name}-tls", host)
        tls = {"mode": "Terminate", "certificateRefs": [{"name": f"edge-{name}-tls"}]}
        listener = {"name": name, "protocol": "HTTPS", "port": 443, "hostname": host, "tls": tls}
        listeners.append(listener | {"allowedRoutes": {"namespaces": {"from": "Same"}}})
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": TEAM},
        "spec": {"gatewayClassName": "traefik", "listeners": listeners},
    }


def _rules(side: str) -> list[Object]:
    there = {"scheme": "https", "hostname": system(side).host, "statusCode": 302}
    redirect = there | {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/login"}}
    return [{"filters": [{"type": "RequestRedirect", "requestRedirect": redirect}]}]


@contextmanager
def _page(stack: Stack, host: str) -> Iterator[Outside]:
    """Over a new connection with TLS, following the redirect and reading the page."""
    with asking(f"https://{host}/", stack.net, every_seconds=ASK_EVERY_SECONDS) as client:

        def arrived(side: str) -> float | None:
            wanted = system(side).login_url
            return next((seen.at for seen in list(client.seen) if seen.sent_to == wanted), None)

        def others() -> list[str]:
            wrong = [seen.error for seen in client.errors]
            return wrong + [seen.page for seen in client.seen if not seen.error and seen.page not in PAGES]

        yield Outside(arrived, others)


# -- over DNS


@contextmanager
def _by_dns(stack: Stack, forward: Callable[[int], int], enter: tuple[str, ...]) -> Iterator[Way]:
    host, hand = "named.acme.test", "named-hand.acme.test"
    with (
        start_bind(ZONE, host, PRIMARY.host, TRAEFIK, NAMED_PORT, enter),
        start_bind(ZONE, hand, PRIMARY.host, TRAEFIK, NAMED_BY_HAND_PORT, enter),
    ):
        ours = NameServer(ZONE, ("127.0.0.1", forward(NAMED_PORT)))
        theirs = NameServer(ZONE, ("127.0.0.1", forward(NAMED_BY_HAND_PORT)))
        stack.api.apply(secret("tsig", TEAM, {"keyName": KEY_NAME, "algorithm": ALGORITHM, "secret": SECRET}))
        rfc2136 = {"server": f"{TRAEFIK}:{NAMED_PORT}", "zone": ZONE, "tsigSecretRef": {"name": "tsig"}}
        stack.apply(tenants.tenant("named", PRIMARY, SECONDARY, host, [{"name": "dns", "rfc2136": rfc2136}]))

        def act(side: str) -> object:
            update = dns.update.UpdateMessage(ZONE, keyring=dns.tsig.Key(KEY_NAME, SECRET, ALGORITHM))
            update.replace("named-hand", 30, "CNAME", f"{system(side).host}.")
            answer = dns.query.tcp(update, theirs.asked[0], port=theirs.asked[1], timeout=5)
            assert answer.rcode() == 0, answer
            return answer

        # A name server alone answers in a few milliseconds: what is left is the operator's own time, no ratio says anything.
        yield Way(
            "rfc2136",
            "named",
            lambda by_hand: _name(theirs if by_hand else ours, hand if by_hand else host),
            act,
            floor_counts=False,
        )


@contextmanager
def _name(server: NameServer, host: str) -> Iterator[Outside]:
    """At the authoritative server, over TCP."""
    with watching(server, host, every_seconds=ASK_EVERY_SECONDS) as watch:

        def arrived(side: str) -> float | None:
            return next((at for at, target in list(watch.seen) if target == system(side).host), None)

        def others() -> list[str]:
            return watch.errors + [target for target in watch.targets if target not in (PRIMARY.host, SECONDARY.host)]

        yield Outside(arrived, others)


MAKERS = {"ingress": _by_ingress, "httpRoute": _by_http_route, "rfc2136": _by_dns}


def rest(way: Way, seconds: float) -> None:
    """Wait until the last change of this kind of route is `seconds` ago; the next one is now."""
    until(lambda: time.monotonic() >= way.changed + seconds, f"{way.name} rests", DEADLINE_SECONDS)
    way.changed = time.monotonic()
