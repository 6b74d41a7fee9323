"""A failover in the middle of a run: the writer is stopped first, and what it left is finished after the way back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.test_2_switch import fail_back, fail_over, holder, writes
from tests.systems import tenants, world
from tests.systems.deploy import RentedSystem
from tests.systems.reader import compare
from tests.systems.stack import Stack
from tests.systems.tenants import TEAM
from tests.waiting import until

pytestmark = pytest.mark.e2e

SOURCE = RentedSystem("busy-primary", "scim", "busy-primary.saas.test", "source-token", world.scim_dump(20, 4, 5))
TARGET = RentedSystem("busy-secondary", "scim", "busy-secondary.saas.test", "busy-token", [])


@pytest.fixture
def busy(stack: Stack) -> Iterator[str]:
    """A tenant whose first run takes its time: two requests a second."""
    stack.rent(SOURCE, TARGET)
    stack.certificate("busy-tls", "busy.acme.test")
    stack.ready(SOURCE.name, TARGET.name)
    slow = tenants.policy("slow", limits={"requestsPerSecond": 2, "concurrency": 2, "timeout": "10m"})
    sync = {"policyRef": {"name": "slow"}}
    routes = [tenants.managed("busy.acme.test")]
    stack.apply(slow, tenants.tenant("busy", SOURCE, TARGET, "busy.acme.test", routes, sync=sync))
    yield "busy"
    stack.kubectl("delete", "bcptenant", "busy", "--timeout=60s")
    for system in (SOURCE, TARGET):
        stack.api.delete("Deployment", "systems", system.name)


def test_no_write_is_sent_after_the_fence(stack: Stack, busy: str) -> None:
    until(lambda: writes(stack, TARGET.name) >= 5, "the run writes", 90, every_seconds=0.2)
    assert holder(stack, busy).startswith("run/")
    done = fail_over(stack, busy)
    written = writes(stack, TARGET.name)
    assert written < 24, "the run had ended before the failover: this test has shown nothing"
    assert holder(stack, busy) == f"fence/{done['id']}"
    end = time.monotonic() + 3
    until(lambda: time.monotonic() > end, "three more seconds", 10)
    assert writes(stack, TARGET.name) == written
    assert not [j for j in stack.api.list("Job", TEAM, "bcp-operator.io/tenant=busy") if j["status"].get("active")]

    fail_back(stack, busy)
    fast = {"spec": {"limits": {"requestsPerSecond": 500, "concurrency": 8}}}
    stack.api.patch("SyncPolicy", TEAM, "slow", fast)
    stack.api.wait("CronJob", TEAM, "busy-sync", lambda _: True, "the CronJob is back")
    until(lambda: "requestsPerSecond: 500" in _run_yaml(stack), "the policy has reached the run", 30)
    name = f"busy-sync-{int(time.time()):010d}"
    stack.kubectl("create", "job", name, "--from=cronjob/busy-sync")
    stack.api.wait("Job", TEAM, name, lambda j: j["status"].get("succeeded") == 1, "the run succeeded", 60)
    copied = compare(stack.directory(SOURCE.name), stack.directory(TARGET.name))
    assert copied.differences == [], "half a run and a whole one are a complete copy, and nothing is there twice"


def _run_yaml(stack: Stack) -> str:
    found = stack.api.get("ConfigMap", TEAM, "busy-sync")
    return str((found or {}).get("data", {}).get("run.yaml", ""))
