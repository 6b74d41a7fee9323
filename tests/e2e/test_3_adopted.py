"""An Ingress that the team has already: one annotation comes and goes, nothing else of it is touched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import PRIMARY, SECONDARY
from tests.e2e.test_2_switch import SECONDARY_PAGE, fail_back, fail_over, settled, steady
from tests.systems import tenants
from tests.systems.client import asking
from tests.systems.deploy import RentedSystem
from tests.systems.stack import Stack
from tests.systems.tenants import TEAM
from tests.waiting import until

pytestmark = pytest.mark.e2e

PORTAL = RentedSystem("portal", "scim", "portal.acme.test", "portal-token", namespace=TEAM)
URL = "https://portal.acme.test/login"
REDIRECT = "nginx.ingress.kubernetes.io/temporal-redirect"


@pytest.fixture(scope="module")
def portal(stack: Stack) -> Iterator[str]:
    """The team's own portal behind its own Ingress, adopted by a tenant."""
    manifests = PORTAL.manifests(stack.cluster.issue_cert([PORTAL.host]))
    for manifest in manifests:
        stack.api.apply(manifest, manager="team")
    until(lambda: stack.shows(URL), "the portal shows its page", 60)
    wanted = tenants.tenant("portal", PRIMARY, SECONDARY, PORTAL.host, [tenants.adopted("portal")])
    wanted["spec"]["login"]["url"] = URL
    stack.apply(wanted)
    stack.api.wait("BCPTenant", TEAM, "portal", settled("Primary"), "adopted", 40)
    yield "portal"
    stack.kubectl("delete", "bcptenant", "portal", "--timeout=60s")
    for manifest in manifests:
        stack.api.delete(manifest["kind"], TEAM, manifest["metadata"]["name"])


def test_adopting_changes_nothing(stack: Stack, portal: str) -> None:
    ingress = _ingress(stack)
    assert ingress["metadata"].get("annotations", {}) == {}
    assert {f["manager"] for f in ingress["metadata"]["managedFields"] if "subresource" not in f} == {"team"}


def test_the_annotation_comes_and_goes(stack: Stack, portal: str) -> None:
    before = _ingress(stack)
    with asking(URL, stack.net) as client:
        fail_over(stack, portal)
        assert _ingress(stack)["metadata"]["annotations"] == {REDIRECT: SECONDARY_PAGE}
        steady(client)
        fail_back(stack, portal)
        steady(client)
    assert client.pages == ["PORTAL", "SECONDARY", "PORTAL"]
    assert client.errors == []
    assert client.statuses == {200, 302}
    after = _ingress(stack)
    assert after["metadata"].get("annotations", {}) == {}
    assert after["spec"] == before["spec"]


def test_the_team_may_apply_its_ingress_meanwhile(stack: Stack, portal: str) -> None:
    """Its manifest has no redirect, and applying it takes none away."""
    mine = PORTAL.manifests(stack.cluster.issue_cert([PORTAL.host]))[-1]
    with asking(URL, stack.net) as client:
        fail_over(stack, portal)
        begin = time.monotonic()
        stack.api.apply(mine, manager="team")
        until(lambda: client.seen[-1].at > begin + 1, "the client goes on asking", 10)
        assert client.pages == ["PORTAL", "SECONDARY"]
        fail_back(stack, portal)


def test_a_foreign_redirect_is_not_overwritten(stack: Stack, portal: str) -> None:
    foreign = "https://maintenance.example/page"
    stack.api.apply(_annotated(foreign), manager="somebody")
    try:
        stack.patch(portal, tenants.failover())
        found = stack.api.wait("BCPTenant", TEAM, portal, _refused, "the failover is refused")
        assert "RouteOwned" in found["status"]["lastOperation"]["message"]
        assert _ingress(stack)["metadata"]["annotations"][REDIRECT] == foreign
        assert found["status"]["settledSystem"] == "Primary"
    finally:
        stack.api.apply(_annotated(None), manager="somebody")
    fail_over(stack, portal)
    fail_back(stack, portal)


def _annotated(value: str | None) -> dict[str, Any]:
    annotations = {REDIRECT: value} if value else {}
    metadata = {"name": "portal", "namespace": TEAM, "annotations": annotations}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata}


def _refused(tenant: dict[str, Any]) -> bool:
    return bool(tenant["status"].get("lastOperation", {}).get("result") == "Refused")


def _ingress(stack: Stack) -> dict[str, Any]:
    found = stack.api.get("Ingress", TEAM, "portal")
    assert found is not None
    return found
