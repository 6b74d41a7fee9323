"""The sync on real parts: real cronjob-controller, real directories behind real TLS, an independent reader."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.conftest import KINTO_PRIMARY, KINTO_SECONDARY, LOCAL_GROUP, PRIMARY, SECONDARY, synced
from tests.systems import tenants
from tests.systems.deploy import RentedSystem, secret
from tests.systems.reader import compare
from tests.systems.stack import OPERATOR, Stack
from tests.systems.tenants import TEAM
from tests.systems.web import ask
from tests.waiting import until

pytestmark = pytest.mark.e2e


def test_the_first_run_fills_the_secondary(stack: Stack, acme: str) -> None:
    run = stack.status(acme)["sync"]["lastRun"]
    assert run["result"] == "Succeeded", run
    assert run["counts"]["created"] == 330
    copied = compare(stack.directory("primary"), stack.directory("secondary"))
    assert copied.differences == []
    assert (copied.users, copied.groups) == (300, 30)
    assert copied.memberships > 600


def test_the_primary_was_listed_and_nothing_but_read(stack: Stack, acme: str) -> None:
    asked = stack.requests("primary")
    assert {r.method for r in asked} == {"GET"}
    api = {r.path for r in asked if r.status == 200}
    assert {"/v2/Users", "/v2/Groups"} <= api


def test_the_first_run_is_named_after_the_enabling_minute(stack: Stack, acme: str) -> None:
    sync = stack.status(acme)["sync"]
    enabled = datetime.fromisoformat(sync["enabledAt"])
    assert sync["lastRun"]["name"] == f"acme-sync-{int(enabled.timestamp()):010d}"
    job = stack.api.get("Job", TEAM, sync["lastRun"]["name"])
    assert job is not None
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("CronJob", "acme-sync")


def test_the_cronjob_is_what_the_policy_says(stack: Stack, acme: str) -> None:
    cronjob = stack.api.get("CronJob", TEAM, "acme-sync")
    assert cronjob is not None
    spec = cronjob["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("0 2 * * *", "Europe/Berlin")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] > 0
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "bcp-sync"


def test_the_full_report_is_in_its_configmap(stack: Stack, acme: str) -> None:
    found = stack.api.get("ConfigMap", TEAM, "acme-report")
    assert found is not None
    report = json.loads(found["data"]["report.json"])
    assert report["result"] == "Succeeded"
    assert report["counts"]["created"] == 330
    assert report["perType"]["user"]["created"] == 300


def test_no_secret_shows_anywhere(stack: Stack, acme: str) -> None:
    pods = stack.api.list("Pod", TEAM, "bcp-operator.io/tenant=acme")
    said = "".join(stack.api.logs(TEAM, p["metadata"]["name"], "bcp-sync") for p in pods)
    said += "".join(
        stack.api.logs(OPERATOR, p["metadata"]["name"])
        for p in stack.pods(OPERATOR, "app.kubernetes.io/component=operator")
    )
    objects = [stack.api.list(kind, TEAM) for kind in ("BCPTenant", "Job", "CronJob", "Pod", "ConfigMap", "Event")]
    said += json.dumps(objects)
    assert len(said) > 1000
    for canary in (PRIMARY.token, SECONDARY.token):
        assert canary not in said
        assert base64.b64encode(canary.encode()).decode() not in said


def test_another_kind_of_system_needs_only_a_profile(stack: Stack) -> None:
    run = synced(stack, "agents")
    assert run["result"] == "Succeeded", run
    here, there = _agents(stack, KINTO_PRIMARY), _agents(stack, KINTO_SECONDARY)
    assert len(here) == 120
    assert here == there
    assert {r.method for r in stack.requests("kinto-primary")} == {"GET"}


def _agents(stack: Stack, system: RentedSystem) -> dict[str, Any]:
    basic = base64.b64encode(f"bcp:{system.token}".encode()).decode()
    url = f"{system.endpoint}/buckets/agents/collections/agents/records?_limit=1000"
    headers = {"Authorization": f"Basic {basic}", "User-Agent": "independent-reader"}
    found: dict[str, Any] = {}
    while url:
        answer = ask(url, stack.net, headers=headers)
        assert answer.status == 200
        rows = answer.json()["data"]
        found |= {r["login"]: {k: v for k, v in r.items() if k not in ("id", "last_modified", "schema")} for r in rows}
        url = answer.headers.get("next-page", "")
    return found


def test_custom_without_groups_leaves_groups_alone(stack: Stack) -> None:
    run = synced(stack, "branch")
    assert run["result"] == "Succeeded", run
    here, there = stack.directory("branch-primary"), stack.directory("branch-secondary")
    assert compare(here, there, groups=False).differences == []
    assert [g["id"] for g in there.list("Groups")] == [LOCAL_GROUP[0]["id"]]
    assert "/v2/Groups" not in {r.path for r in stack.requests("branch-secondary")}


def test_the_real_cronjob_controller_carries_a_change_across(stack: Stack) -> None:
    """The policy says every minute: the run that does it is none of ours."""
    synced(stack, "branch")
    here, there = stack.directory("branch-primary"), stack.directory("branch-secondary")
    person = here.find("Users", "userName", "agent0001@acme.example")
    leaver = here.find("Users", "userName", "agent0002@acme.example")
    assert person is not None
    assert leaver is not None
    here.change("Users", person["id"], title="Head of agents")
    here.delete("Users", leaver["id"])
    changed = datetime.now(UTC)

    def carried() -> bool:
        copy = there.find("Users", "userName", "agent0001@acme.example")
        gone = there.find("Users", "userName", "agent0002@acme.example")
        return copy is not None and copy.get("title") == "Head of agents" and gone is not None and not gone["active"]

    until(carried, "a scheduled run carried the change across", 130, every_seconds=1)
    ticks = [j for j in stack.api.list("Job", TEAM, "bcp-operator.io/tenant=branch") if _by_controller(j)]
    assert [
        j for j in ticks if datetime.fromisoformat(j["metadata"]["creationTimestamp"]) >= changed.replace(microsecond=0)
    ]
    assert len([u for u in there.list("Users") if u["userName"] == "agent0002@acme.example"]) == 1


def _by_controller(job: dict[str, Any]) -> bool:
    return "batch.kubernetes.io/cronjob-scheduled-timestamp" in job["metadata"].get("annotations", {})


def test_the_daily_minute_is_the_minute_of_enabling(stack: Stack) -> None:
    """No policy: the minute survives a restart of the operator and a wiped status, and moves with off and on."""
    synced(stack, "agents")
    first = _daily(stack)
    enabled = datetime.fromisoformat(stack.status("agents")["sync"]["enabledAt"]).astimezone(UTC)
    assert first == f"{enabled.minute} {enabled.hour} * * *"

    stack.scale(OPERATOR, "bcp-operator", 0)
    stack.kubectl("patch", "bcptenant", "agents", "--subresource=status", "--type=merge", "-p", '{"status":null}')
    assert "sync" not in stack.status("agents")
    stack.scale(OPERATOR, "bcp-operator", 2)
    stack.api.wait(
        "BCPTenant", TEAM, "agents", lambda t: "enabledAt" in t.get("status", {}).get("sync", {}), "status is back"
    )
    assert _daily(stack) == first
    assert datetime.fromisoformat(stack.status("agents")["sync"]["enabledAt"]) == enabled
    jobs = stack.api.list("Job", TEAM, "bcp-operator.io/tenant=agents")
    assert len(jobs) == 1, "a wiped status started another run"

    stack.api.patch("BCPTenant", TEAM, "agents", {"spec": {"sync": {"enabled": False}}})
    stack.api.wait_gone("CronJob", TEAM, "agents-sync")
    off = "the end of the sync is noted"
    stack.api.wait("BCPTenant", TEAM, "agents", lambda t: "enabledAt" not in t["status"]["sync"], off)
    until(lambda: datetime.now(UTC).minute != enabled.minute, "the next minute", 61)
    stack.api.patch("BCPTenant", TEAM, "agents", {"spec": {"sync": {"enabled": True}}})
    stack.api.wait("CronJob", TEAM, "agents-sync", lambda _: True, "the CronJob is back")
    assert _daily(stack) != first


def _daily(stack: Stack) -> str:
    cronjob = stack.api.get("CronJob", TEAM, "agents-sync")
    assert cronjob is not None
    return str(cronjob["spec"]["schedule"])


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("no-policy", {"sync": {"policyRef": {"name": "nowhere"}}}, "nowhere"),
        ("no-secret", {"secondary": {"credentialsSecretRef": {"name": "nothing"}}}, "'token' is missing"),
    ],
)
def test_what_is_missing_is_a_condition(stack: Stack, name: str, change: dict[str, Any], said: str) -> None:
    """Not a crash, and not silence: a condition is False, and its message names what is missing."""
    stack.certificate(f"{name}-tls", f"{name}.acme.test")
    stack.apply(_broken(name, change))
    try:
        stack.api.wait("BCPTenant", TEAM, name, lambda t: _says(t, said), f"a condition says {said}", 90)
    finally:
        stack.kubectl("delete", "bcptenant", name, "--timeout=60s")
    _nobody_crashed(stack)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bad-secret", {"secondary": {"credentialsSecretRef": {"name": "wrong-token"}}}),
        ("unreachable", {"secondary": {"endpoint": "https://secondary.saas.test:4443/v2"}}),
    ],
)
def test_a_system_that_refuses_is_a_failed_run(stack: Stack, name: str, change: dict[str, Any]) -> None:
    """The run ends Failed with words for people; the tenant says so and stays switchable."""
    stack.api.apply(secret("wrong-token", TEAM, {"token": "not-the-token"}))
    stack.certificate(f"{name}-tls", f"{name}.acme.test")
    stack.apply(_broken(name, change))
    try:
        run = synced(stack, name)
        assert run["result"] == "Failed", run
        assert run["message"]
        assert "not-the-token" not in json.dumps(stack.tenant(name))
        stack.api.wait("BCPTenant", TEAM, name, lambda t: _condition(t, "LoginRouted")["status"] == "True", "routed")
    finally:
        stack.kubectl("delete", "bcptenant", name, "--timeout=60s")
    _nobody_crashed(stack)


def _broken(name: str, change: dict[str, Any]) -> dict[str, Any]:
    wanted = tenants.tenant(
        name, PRIMARY, SECONDARY, f"{name}.acme.test", [tenants.managed(f"{name}.acme.test")], sync={}
    )
    for part, values in change.items():
        wanted["spec"][part] = {**wanted["spec"][part], **values}
    return wanted


def _condition(tenant: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = tenant.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {"status": "", "message": "", "reason": ""})


def _says(tenant: dict[str, Any], what: str) -> bool:
    conditions = tenant.get("status", {}).get("conditions", [])
    return any(c["status"] == "False" and what in c["message"] for c in conditions)


def _nobody_crashed(stack: Stack) -> None:
    for pod in stack.pods(OPERATOR, "app.kubernetes.io/component=operator"):
        assert [s["restartCount"] for s in pod["status"].get("containerStatuses", [])] in ([0], [])


def test_nothing_but_reads_reached_the_primaries(stack: Stack) -> None:
    """After all of the above."""
    for name in ("primary", "branch-primary", "kinto-primary"):
        assert {r.method for r in stack.requests(name)} == {"GET"}, name
