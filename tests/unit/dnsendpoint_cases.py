"""What a DNSEndpoint route does and refuses, as cases for the fake and for the real apiserver alike.

What is common to objects of our own is tried with HTTPRoutes (httproute_cases.py). `ours` is the operator's client, `git` a
pipeline that applies its manifest, `hand` a person with kubectl.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bcp_operator.api.common import LABEL_TENANT
from bcp_operator.api.tenant import Route
from bcp_operator.continuity.externaldns import record
from bcp_operator.kube.client import DNSENDPOINT, Kube, Object
from bcp_operator.routes.base import Context, Driver, RouteChanged, RouteError
from bcp_operator.routes.drivers import build
from bcp_operator.systems.hosts import HostPolicy

from tests.unit.routes_world import HOSTS, OTHER, SECONDARY, context

Case = Callable[[Kube, Kube, Kube, str], Awaitable[None]]
LOGIN = "https://login.acme.test/"


def driver(kube: Kube, where: Context | None = None, *, hosts: HostPolicy = HOSTS, **route: Any) -> Driver:
    spec = {"name": "acme-login", "servers": ["127.0.0.1:1"]} | route
    return build(Route.model_validate({"name": "edns", "dnsEndpoint": spec}), where or context(), kube, hosts)


async def stored(kube: Kube, namespace: str) -> Object:
    found = await kube.get(DNSENDPOINT, namespace, "acme-login")
    assert found is not None
    return found


async def case_is_made_and_switched(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where, ttlSeconds=7)
    seen = await route.observe()
    assert (seen.exists, seen.shows, seen.conflict, seen.error, seen.path_preserved) == (
        False,
        "Unknown",
        None,
        None,
        True,
    )
    for side in ("Primary", "Secondary"):
        await route.apply(where.target(side), await route.observe())
        seen = await route.observe()
        assert (seen.shows, seen.in_place, seen.ours) == (side, side, True)
    found = await stored(ours, namespace)
    assert found["spec"]["endpoints"] == [
        {"dnsName": "login.acme.test", "recordType": "CNAME", "recordTTL": 7, "targets": ["secondary.saas.test"]}
    ]
    assert found["metadata"]["labels"][LABEL_TENANT] == "acme"
    assert "ownerReferences" not in found["metadata"]
    await route.restore(seen)
    assert (await route.observe()).in_place == "Primary"


async def case_by_hand_shows_where_it_leads(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    stale = await route.observe()
    for url, shows in ((SECONDARY, "Secondary"), (OTHER, "Unknown")):
        found = await stored(hand, namespace)
        found["spec"] = record(LOGIN, url, 30)
        await hand.replace(DNSENDPOINT, found)
        seen = await route.observe()
        assert (seen.shows, seen.in_place, seen.conflict) == (shows, None, None)
    with pytest.raises(RouteChanged):
        await route.apply(where.target("Secondary"), stale)
    await route.apply(where.target("Primary"), await route.observe())
    assert (await route.observe()).in_place == "Primary"


async def case_other_ttl_is_drift_on_the_same_side(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    await driver(ours, where).apply(where.target("Secondary"), await driver(ours, where).observe())
    route = driver(ours, where, ttlSeconds=5)
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Secondary", None)
    await route.apply(where.target("Secondary"), seen)
    assert (await stored(ours, namespace))["spec"]["endpoints"][0]["recordTTL"] == 5


async def case_never_takes_over(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    metadata = {"namespace": namespace, "name": "acme-login"}
    await git.apply(DNSENDPOINT, {"metadata": metadata, "spec": record(LOGIN, OTHER, 30)})
    route = driver(ours, context(namespace))
    seen = await route.observe()
    assert (seen.ours, seen.conflict) == (
        False,
        "DNSEndpoint acme-login is not the operator's: choose another name, or delete it",
    )
    for override in (False, True):
        with pytest.raises(RouteError, match="not the operator's"):
            await route.apply(context(namespace).target("Secondary"), seen, override=override)
    await route.restore(seen)
    assert (await stored(ours, namespace))["spec"] == record(LOGIN, OTHER, 30)


CASES: list[Case] = [case for name, case in sorted(globals().items()) if name.startswith("case_")]
