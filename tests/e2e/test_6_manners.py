"""Deleting, least privilege and silence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import PRIMARY, SECONDARY
from tests.e2e.test_2_switch import PRIMARY_PAGE, SECONDARY_PAGE, fail_over, settled
from tests.systems import tenants
from tests.systems.stack import OPERATOR, Stack
from tests.systems.tenants import TEAM
from tests.waiting import until

pytestmark = pytest.mark.e2e

REDIRECT = "nginx.ingress.kubernetes.io/temporal-redirect"
IDLE_SECONDS = 60
WRITES = ("create", "update", "patch", "delete")


@pytest.fixture
def leaving(stack: Stack, request: pytest.FixtureRequest) -> Iterator[str]:
    """A tenant that has failed over, with the deletionPolicy of the test, and every system dead."""
    policy = request.param
    name = f"leave-{policy.lower()}"
    host = f"{name}.acme.test"
    stack.certificate(f"{name}-tls", host)
    wanted = tenants.tenant(name, PRIMARY, SECONDARY, host, [tenants.managed(host)], deletionPolicy=policy)
    stack.apply(wanted)
    stack.api.wait("BCPTenant", TEAM, name, settled("Primary"), "users are on the primary", 40)
    fail_over(stack, name)
    stack.kill("primary")
    stack.kill("secondary")
    yield name
    stack.api.delete("Ingress", TEAM, f"{name}-login")
    stack.revive("primary")
    stack.revive("secondary")


@pytest.mark.parametrize(
    ("leaving", "page"),
    [pytest.param("Restore", PRIMARY_PAGE, id="restore"), pytest.param("Retain", SECONDARY_PAGE, id="retain")],
    indirect=["leaving"],
)
def test_deleting_works_with_everything_dead(stack: Stack, acme: str, leaving: str, page: str) -> None:
    stack.kubectl("delete", "bcptenant", leaving, "--timeout=60s")
    ingress = stack.api.get("Ingress", TEAM, f"{leaving}-login")
    assert ingress is not None, "a login URL must outlive its tenant"
    assert ingress["metadata"]["annotations"][REDIRECT] == page
    stack.api.wait_gone("Lease", TEAM, f"{leaving}-writer")


def test_correlations_outlive_their_tenant(stack: Stack, acme: str) -> None:
    claim = stack.api.get("PersistentVolumeClaim", TEAM, "acme-correlations")
    assert claim is not None
    assert "ownerReferences" not in claim["metadata"]


def test_an_idle_minute_has_no_write_but_the_leaders_lease(stack: Stack, acme: str) -> None:
    """The tenants that sync every minute are put to rest first; what is counted is the API server's own record."""
    stack.api.patch("SyncPolicy", TEAM, "every-minute", {"spec": {"suspend": True}})
    until(lambda: not _active(stack), "no run is active", 90, every_seconds=1)
    mark = _quiet(stack)
    end = time.monotonic() + IDLE_SECONDS
    until(lambda: time.monotonic() > end, "the minute", IDLE_SECONDS + 5, every_seconds=1)
    written = [e for e in stack.audit()[mark:] if e["verb"] in WRITES]
    leader = [e for e in written if e["objectRef"].get("name") == "bcp-operator-leader"]
    assert leader, "the leader renews its Lease"
    others = [
        f"{e['verb']} {e['objectRef']['resource']} {e['objectRef'].get('name')}" for e in written if e not in leader
    ]
    assert others == []


def _active(stack: Stack) -> list[dict[str, Any]]:
    return [j for j in stack.api.list("Job", TEAM) if j["status"].get("active")]


def _quiet(stack: Stack, seconds: float = 5) -> int:
    """Wait until the operator has written nothing for some seconds; returns the length of its record."""
    since, count = time.monotonic(), -1

    def still() -> bool:
        nonlocal since, count
        now = len(
            [e for e in stack.audit() if e["verb"] in WRITES and e["objectRef"].get("name") != "bcp-operator-leader"]
        )
        if now != count:
            since, count = time.monotonic(), now
        return time.monotonic() - since > seconds

    until(still, "the operator has settled", 60, every_seconds=0.5)
    return len(stack.audit())


def test_the_verbs_used_are_the_verbs_granted(stack: Stack, acme: str) -> None:
    """After everything above: what the API server saw of the operator is what its Roles allow, no more and no less."""
    granted = _granted(stack, TEAM, "bcp-operator") | _granted(stack, OPERATOR, "bcp-operator-leader")
    used = set()
    for event in stack.audit():
        if event.get("responseStatus", {}).get("code", 403) in (401, 403):
            continue  # a read of what isn't there, or a write that came too late, was allowed all the same
        ref = event.get("objectRef", {})
        if "namespace" not in ref:
            continue  # discovery, which everybody may
        resource = ref["resource"] + (f"/{ref['subresource']}" if "subresource" in ref else "")
        where = (ref["namespace"], ref.get("apiGroup", ""), resource)
        used.add((*where, event["verb"]))
        if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:
            used.add((*where, "create"))  # server-side apply of something new asks for both
    assert sorted(granted - used) == [], "granted and never used"
    assert sorted(used - granted) == [], "used and not granted by these Roles"


def _granted(stack: Stack, namespace: str, name: str) -> set[tuple[str, str, str, str]]:
    role = stack.api.get("Role", namespace, name)
    assert role is not None
    return {
        (namespace, group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
