"""The DNSEndpoint route with two real authoritative servers, BIND and Knot: believed are they, never the object alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, cast

import dns.query
import dns.tsig
import dns.update
import pytest
from bcp_operator.api.common import System
from bcp_operator.kube.client import DNSENDPOINT
from bcp_operator.routes.base import Driver
from bcp_operator.routes.waiting import wait_verified
from bcp_operator.systems.hosts import HostPolicy

from tests.systems.externaldns import write
from tests.systems.nameserver import ALGORITHM, KEY_NAME, SECRET, NameServer, start_bind, start_knot
from tests.unit.dnsendpoint_cases import driver
from tests.unit.fake_kube import FakeKube
from tests.unit.routes_world import context

ZONE, HOST = "acme.test", "login.acme.test"
PRIMARY, SECONDARY = "primary.saas.test", "secondary.saas.test"
HOSTS = HostPolicy.parse("*.saas.test,*.acme.test,127.0.0.1")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def servers() -> Iterator[list[NameServer]]:
    with (
        start_bind(ZONE, HOST, PRIMARY, "127.0.0.1", free_port()) as first,
        start_knot(ZONE, HOST, PRIMARY, "127.0.0.1", free_port()) as second,
    ):
        yield [NameServer(ZONE, first), NameServer(ZONE, second)]


def follow(kube: FakeKube, *servers: NameServer) -> None:
    """What external-dns does: read the object, write the record, say which generation was read."""
    found = kube.world.objects[DNSENDPOINT, "team-a", "acme-login"]
    for server in servers:
        write(found, server)
    found["status"] = {"observedGeneration": found["metadata"]["generation"]}


def route(kube: FakeKube, servers: list[NameServer], **more: Any) -> Driver:
    asked = [f"127.0.0.1:{server.asked[1]}" for server in servers]
    return driver(kube, context(), hosts=HOSTS, servers=asked, **more)


async def switch(made: Driver, side: str) -> None:
    await made.apply(context().target(cast(System, side)), await made.observe())


async def test_every_authoritative_server_has_to_say_so(servers: list[NameServer]) -> None:
    kube = FakeKube()
    made, target = route(kube, servers), context().target("Secondary")
    await switch(made, "Primary")
    follow(kube, *servers)
    assert (await made.verify(context().target("Primary"))).ok
    await switch(made, "Secondary")
    seen = await made.verify(target)
    assert (seen.ok, seen.shows) == (False, "Primary")
    assert "CNAME primary.saas.test." in seen.detail
    assert "external-dns has not read DNSEndpoint acme-login yet" in seen.detail
    follow(kube, servers[0])
    seen = await made.verify(target)
    assert (seen.ok, seen.shows) == (False, "Mixed")
    assert f"127.0.0.1:{servers[1].asked[1]}: CNAME primary" in seen.detail
    assert "TXT owner" in seen.detail
    follow(kube, *servers)
    assert (await wait_verified(made, target, 5)).ok


async def test_an_object_that_is_passed_over_is_never_called_a_switch(servers: list[NameServer]) -> None:
    """external-dns says that it has read the object, and leaves the record as it is."""
    kube = FakeKube()
    made = route(kube, servers)
    await switch(made, "Secondary")
    follow(kube)
    seen = await made.verify(context().target("Secondary"))
    assert (seen.ok, seen.shows) == (False, "Primary")
    assert "external-dns has read DNSEndpoint acme-login: look whether" in seen.detail
    assert (await made.observe()).in_place == "Secondary"


async def test_a_server_that_is_down_or_knows_nothing_is_named(servers: list[NameServer]) -> None:
    kube = FakeKube()
    nobody = NameServer(ZONE, ("127.0.0.1", free_port()))
    made = route(kube, [servers[0], nobody])
    await switch(made, "Primary")
    seen = await made.verify(context().target("Primary"))
    assert (seen.ok, seen.shows) == (False, "Unknown")
    assert "can't be reached" in seen.detail
    update = dns.update.UpdateMessage(ZONE, keyring=dns.tsig.Key(KEY_NAME, SECRET, ALGORITHM))
    update.delete("login", "CNAME")
    assert dns.query.tcp(update, servers[0].asked[0], port=servers[0].asked[1], timeout=5).rcode() == 0
    seen = await route(kube, servers[:1]).verify(context().target("Primary"))
    assert (seen.ok, seen.shows) == (False, "Unknown")
    assert "has nothing for login.acme.test." in seen.detail
