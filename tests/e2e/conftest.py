"""One installation for all end-to-end tests: systems, operator from its chart, three tenants that sync."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.systems import tenants, world
from tests.systems.deploy import RentedSystem
from tests.systems.stack import OPERATOR, ROOT, ClusterTool, Stack
from tests.systems.tenants import TEAM

PRIMARY = RentedSystem("primary", "scim", "primary.saas.test", "primary-token", world.scim_dump())
SECONDARY = RentedSystem("secondary", "scim", "secondary.saas.test", "secondary-token", [])
BRANCH_PRIMARY = RentedSystem(
    "branch-primary", "scim", "branch-primary.saas.test", "bp-token", world.scim_dump(20, 4, 3)
)
LOCAL_GROUP = [r for r in world.scim_dump(1, 1, 4) if r["meta"]["resourceType"] == "Group"]
BRANCH_SECONDARY = RentedSystem("branch-secondary", "scim", "branch-secondary.saas.test", "bs-token", LOCAL_GROUP)
KINTO_PRIMARY = RentedSystem(
    "kinto-primary", "kinto", "kinto-primary.saas.test", "kp", world.kinto_dump("agents", records=120)
)
KINTO_SECONDARY = RentedSystem(
    "kinto-secondary", "kinto", "kinto-secondary.saas.test", "ks", {"agents": {"agents": []}}
)
EVERY = (PRIMARY, SECONDARY, BRANCH_PRIMARY, BRANCH_SECONDARY, KINTO_PRIMARY, KINTO_SECONDARY)

NIGHTLY = tenants.policy("nightly", schedule={"cron": "0 2 * * *", "timeZone": "Europe/Berlin"})
EVERY_MINUTE = tenants.policy(
    "every-minute", mode="Custom", entities=[{"type": "user"}], schedule={"cron": "* * * * *"}
)
ACME = tenants.tenant(
    "acme",
    PRIMARY,
    SECONDARY,
    "login.acme.test",
    [tenants.managed("login.acme.test")],
    sync={"policyRef": {"name": "nightly"}},
)
BRANCH = tenants.tenant(
    "branch",
    BRANCH_PRIMARY,
    BRANCH_SECONDARY,
    "branch.acme.test",
    [tenants.managed("branch.acme.test")],
    sync={"policyRef": {"name": "every-minute"}},
)
AGENTS = tenants.tenant(
    "agents", KINTO_PRIMARY, KINTO_SECONDARY, "agents.acme.test", [tenants.managed("agents.acme.test")], sync={}
)


@pytest.fixture(scope="session")
def stack(cluster: ClusterTool) -> Stack:
    """The installation; its first syncs have been started, not awaited."""
    stack = Stack(cluster)
    stack.start_over()
    stack.namespaces()
    stack.rent(*EVERY)
    for host in ("login", "branch", "agents"):
        stack.certificate(f"{host}-tls", f"{host}.acme.test")
    profile = (ROOT / "tests" / "systems" / "kinto-profile.yaml").read_text()
    labels = {"bcp-operator.io/profile": "true"}
    stack.api.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kinto", "namespace": TEAM, "labels": labels},
            "data": {"profile.yaml": profile},
        }
    )
    stack.ready()
    stack.install(["*.saas.test", "*.acme.test"])
    stack.apply(NIGHTLY, EVERY_MINUTE, ACME, BRANCH, AGENTS)
    return stack


@pytest.fixture(scope="session")
def acme(stack: Stack) -> str:
    """Tenant acme with its first copy done: 300 users and 30 groups."""
    synced(stack, "acme")
    return "acme"


def synced(stack: Stack, name: str, deadline_seconds: float = 120) -> dict[str, object]:
    """Wait for the first sync of a tenant; returns status.sync.lastRun."""
    found = stack.api.wait(
        "BCPTenant",
        TEAM,
        name,
        lambda t: t.get("status", {}).get("sync", {}).get("lastRun", {}).get("result", "Running") != "Running",
        "the first sync has ended",
        deadline_seconds,
    )
    run: dict[str, object] = found["status"]["sync"]["lastRun"]
    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test tells what the operator said and what the tenants' status was."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report is not None and report.failed and isinstance(stack, Stack):
        report.sections += [("operator", _operator_logs(stack)), ("tenants", _tenants(stack))]
    return report


def _operator_logs(stack: Stack) -> str:
    done = stack.run(
        "kubectl",
        "-n",
        OPERATOR,
        "logs",
        "-l",
        "app.kubernetes.io/component=operator",
        "--tail=60",
        "--prefix",
        check=False,
    )
    return done.stdout + done.stderr


def _tenants(stack: Stack) -> str:
    told = ("phase", "activeSystem", "settledSystem", "operation", "lastOperation", "sync", "conditions")
    items = {t["metadata"]["name"]: t.get("status", {}) for t in stack.api.list("BCPTenant", TEAM)}
    return "".join(f"{name}: {json.dumps({k: status.get(k) for k in told})}\n" for name, status in items.items())
