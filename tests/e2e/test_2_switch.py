"""The switch, watched by somebody who only knows the login URL."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import ACME, KINTO_PRIMARY, KINTO_SECONDARY
from tests.systems import tenants
from tests.systems.client import Client, asking
from tests.systems.kubeapi import ApiError
from tests.systems.reader import compare
from tests.systems.stack import OPERATOR, Stack
from tests.systems.tenants import TEAM
from tests.waiting import until

pytestmark = pytest.mark.e2e

URL = "https://login.acme.test/"
SECONDARY_PAGE = "https://secondary.saas.test/login"
PRIMARY_PAGE = "https://primary.saas.test/login"
CHANGED = "agent0010@acme.example"


def settled(system: str) -> Any:
    """The tenant's users are on that side, and nothing is under way."""

    def there(tenant: dict[str, Any]) -> bool:
        status = tenant.get("status", {})
        conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
        at_rest = "operation" not in status and conditions.get("LoginVerified") == "True"
        return bool(at_rest and status.get("activeSystem") == system == status.get("settledSystem"))

    return there


def unconditional() -> dict[str, Any]:
    """Consent to a target that takes its time: a loaded test machine may answer a probe late."""
    return {"requestedAt": tenants.now(), "reason": "e2e", "override": ["TargetHealthy"]}


def fail_over(stack: Stack, name: str = "acme") -> dict[str, Any]:
    """Switch and wait for the end; returns lastOperation."""
    stack.patch(name, {**tenants.failover(), **unconditional()})
    status = stack.api.wait("BCPTenant", TEAM, name, settled("Secondary"), "failed over", 40)["status"]
    done: dict[str, Any] = status["lastOperation"]
    assert done["result"] == "Completed", done
    return done


def fail_back(stack: Stack, name: str = "acme") -> dict[str, Any]:
    """Come back and wait for the end; returns lastOperation."""
    stack.patch(name, tenants.failback(**unconditional()))
    status = stack.api.wait("BCPTenant", TEAM, name, settled("Primary"), "failed back", 40)["status"]
    done: dict[str, Any] = status["lastOperation"]
    assert done["result"] == "Completed", done
    return done


def writes(stack: Stack, system: str) -> int:
    """How many requests other than reads the system has had from the sync."""
    return len([r for r in stack.requests(system) if r.method != "GET"])


def holder(stack: Stack, name: str = "acme") -> str:
    """Who holds the writer Lease."""
    lease = stack.api.get("Lease", TEAM, f"{name}-writer")
    assert lease is not None
    return str(lease["spec"].get("holderIdentity", ""))


def steady(client: Client, seconds: float = 1.0) -> None:
    """Let the client look for a while, so that a later change of mind would be seen."""
    end = time.monotonic() + seconds
    until(lambda: client.seen[-1].at > end, "the client goes on asking", seconds + 10)


def one_switch(client: Client, before: str, after: str) -> None:
    """Exactly one change of page, no error, no third answer."""
    assert client.errors == []
    assert client.statuses == {302}
    assert client.targets == [before, after]


def test_failover_with_the_primary_dead(stack: Stack, acme: str) -> None:
    stack.api.wait("BCPTenant", TEAM, acme, settled("Primary"), "users are on the primary", 40)
    before = writes(stack, "secondary")
    with asking(URL, stack.net) as client:
        stack.kill("primary")
        client.wait("unreachable", 0, 20)
        begin = time.monotonic()
        patch = '{"spec":{"failover":{"activeSystem":"Secondary"}}}'
        stack.kubectl("patch", "bcptenant", acme, "--type=merge", "-p", patch)
        patched = time.monotonic()
        seen = client.wait("SECONDARY", 0, 30)
        status = stack.api.wait("BCPTenant", TEAM, acme, settled("Secondary"), "failed over", 40)["status"]
        steady(client)
    one_switch(client, PRIMARY_PAGE, SECONDARY_PAGE)
    assert client.pages == ["PRIMARY", "unreachable", "SECONDARY"]

    done = status["lastOperation"]
    assert (done["type"], done["result"]) == ("Failover", "Completed")
    assert seen.at - patched - 0.1 <= done["rtoSeconds"] <= (time.monotonic() - begin) + 0.1
    age = (datetime.now(UTC) - datetime.fromisoformat(status["sync"]["lastSuccessTime"])).total_seconds()
    assert 0 < done["recoveryPointAgeSeconds"] <= age
    assert status["history"][0] == done
    assert status["activeLoginURL"] == SECONDARY_PAGE
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert conditions["SyncFenced"] == "True"
    assert conditions["Ready"] == "True"
    assert holder(stack) == f"fence/{done['id']}"
    assert status["sync"]["heldBy"] == f"fence/{done['id']}"
    assert writes(stack, "secondary") == before


def test_no_tick_can_exist_while_failed_over(stack: Stack, acme: str) -> None:
    assert stack.api.get("CronJob", TEAM, "acme-sync") is None
    assert "nextSyncTime" not in stack.status(acme)["sync"]


def test_a_run_started_by_hand_is_stopped(stack: Stack, acme: str) -> None:
    """From an old template, with the operator there: it is deleted, and nothing is written."""
    before = writes(stack, "secondary")
    job = by_hand(stack)
    stack.api.create(job)
    stack.api.wait_gone("Job", TEAM, job["metadata"]["name"], 30)
    assert writes(stack, "secondary") == before


def by_hand(stack: Stack) -> dict[str, Any]:
    """A Job as somebody kept it: the spec of the first run, under the next second's name."""
    jobs = stack.api.list("Job", TEAM, "bcp-operator.io/tenant=acme")
    runs = [job for job in jobs if job["metadata"]["name"].startswith("acme-sync-")]  # not those that only compare
    old = min(runs, key=lambda j: str(j["metadata"]["name"]))
    spec = json.loads(json.dumps(old["spec"]))
    for generated in ("selector", "manualSelector", "uid"):
        spec.pop(generated, None)
    spec["suspend"] = False
    labels = {k: v for k, v in old["metadata"]["labels"].items() if "controller-uid" not in k and "job-name" not in k}
    spec["template"]["metadata"] = {"labels": labels}
    metadata = {"name": f"acme-sync-{int(time.time()):010d}", "namespace": TEAM, "labels": labels}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def test_gitops_does_not_move_users(stack: Stack, acme: str) -> None:
    """The pipeline's manifest knows no failover field, and applies itself again and again."""
    manifest = yaml.safe_dump(ACME)
    with asking(URL, stack.net) as client:
        stack.kubectl("apply", "-f", "-", stdin=manifest)
        stack.kubectl(
            "apply", "-f", "-", "--server-side", "--force-conflicts", "--field-manager=argocd", stdin=manifest
        )
        stack.kubectl("apply", "-f", "-", "--server-side", "--force-conflicts", "--field-manager=flux", stdin=manifest)
        assert stack.tenant(acme)["spec"]["failover"]["activeSystem"] == "Secondary"
        refused = stack.kubectl("replace", "-f", "-", stdin=manifest, check=False)
        assert refused.returncode != 0
        assert "requestedAt" in refused.stderr
        steady(client)
    assert client.pages == ["SECONDARY"]
    assert client.errors == []
    assert settled("Secondary")(stack.tenant(acme))


def test_failback_needs_a_newer_request(stack: Stack, acme: str) -> None:
    for careless in ({"activeSystem": "Primary"}, None):
        with pytest.raises(ApiError, match="requestedAt") as refused:
            stack.api.patch("BCPTenant", TEAM, acme, {"spec": {"failover": careless}})
        assert refused.value.status == 422
    assert settled("Secondary")(stack.tenant(acme))


def test_what_was_changed_in_the_secondary_is_seen_before_anybody_goes_back(stack: Stack, acme: str) -> None:
    """A trigger starts no run now: a pod looks, and writes to neither system."""
    stack.revive("primary")
    there = stack.directory("secondary")
    person = there.find("Users", "userName", CHANGED)
    assert person is not None
    there.change("Users", person["id"], title="Hired during the outage")
    before, fence = writes(stack, "secondary"), holder(stack)
    stack.api.patch("BCPTenant", TEAM, acme, {"spec": {"sync": {"trigger": tenants.now()}}})
    status = stack.api.wait("BCPTenant", TEAM, acme, _looked, "somebody has looked", 90)["status"]
    found = status["divergence"]
    assert (found["result"], found["changed"], found["added"], found["removed"]) == ("Known", 1, 0, 0), found
    assert (writes(stack, "secondary"), holder(stack)) == (before, fence)
    assert settled("Secondary")(stack.tenant(acme))


def _looked(tenant: dict[str, Any]) -> bool:
    return bool(tenant["status"].get("divergence", {}).get("result", "Running") != "Running")


def test_failback_needs_consent_to_lose_changes(stack: Stack, acme: str) -> None:
    """Refused with the count and the command that names them; it ends the request, and users stay."""
    with asking(URL, stack.net) as client:
        stack.patch(acme, {"activeSystem": "Primary", **unconditional()})
        found = stack.api.wait("BCPTenant", TEAM, acme, _refused, "the failback is refused", 90)
        steady(client)
    message = found["status"]["lastOperation"]["message"]
    assert message.startswith("1 changed in the secondary as of ")
    assert "Discard" in message
    command = message[message.index("kubectl ") : message.index(" names them")]
    report = json.loads(stack.run("bash", "-c", command).stdout)
    assert [(one["type"], one["key"], one["fields"]) for one in report["differences"]] == [("user", CHANGED, ["title"])]
    assert client.pages == ["SECONDARY"]
    assert found["status"]["settledSystem"] == "Secondary"
    assert holder(stack).startswith("fence/")


def _refused(tenant: dict[str, Any]) -> bool:
    return bool(tenant["status"].get("lastOperation", {}).get("result") == "Refused")


def test_a_change_made_in_the_secondary_survives(stack: Stack, acme: str) -> None:
    """Also a restart of the operator while failed over; nothing is copied over it."""
    there = stack.directory("secondary")
    before = writes(stack, "secondary")
    stack.run("kubectl", "-n", OPERATOR, "delete", "pods", "-l", "app.kubernetes.io/component=operator", "--wait=true")
    stack.scale(OPERATOR, "bcp-operator", 2)
    stack.api.wait("BCPTenant", TEAM, acme, settled("Secondary"), "still on the secondary", 40)
    assert stack.api.get("CronJob", TEAM, "acme-sync") is None
    kept = there.find("Users", "userName", CHANGED)
    assert kept is not None
    assert kept["title"] == "Hired during the outage"
    assert writes(stack, "secondary") == before


def test_failback_unfences_last(stack: Stack, acme: str) -> None:
    runs = {j["metadata"]["name"] for j in stack.api.list("Job", TEAM, "bcp-operator.io/tenant=acme")}
    with asking(URL, stack.net) as client:
        begin = time.monotonic()
        done = fail_back(stack)
        seen = client.wait("PRIMARY", 0, 10)
        assert done["rtoSeconds"] >= seen.at - begin - 0.1
        steady(client)
    one_switch(client, SECONDARY_PAGE, PRIMARY_PAGE)
    assert client.pages == ["SECONDARY", "PRIMARY"]
    assert (done["type"], done["secondaryChanges"]) == ("Failback", "Discard")
    assert "to be discarded: 1 changed in the secondary" in done["message"]
    assert "divergence" not in stack.status(acme)
    stack.api.wait("CronJob", TEAM, "acme-sync", lambda _: True, "the CronJob is back")
    assert holder(stack) == ""
    assert {j["metadata"]["name"] for j in stack.api.list("Job", TEAM, "bcp-operator.io/tenant=acme")} <= runs
    stack.api.wait("BCPTenant", TEAM, acme, lambda t: "nextSyncTime" in t["status"]["sync"], "the next run is due")


def test_an_unhealthy_secondary_is_refused_and_can_be_overridden(stack: Stack) -> None:
    """With the tenant whose secondary may lose its state: it comes back as its dump says."""
    name, here, there = "agents", KINTO_PRIMARY.login_url, KINTO_SECONDARY.login_url
    stack.api.wait("BCPTenant", TEAM, name, settled("Primary"), "users are on the primary", 40)
    stack.kill("kinto-secondary")
    try:
        with asking("https://agents.acme.test/", stack.net) as client:
            stack.patch(name, tenants.failover())
            found = stack.api.wait("BCPTenant", TEAM, name, _refused, "the failover is refused")
            message = found["status"]["lastOperation"]["message"]
            assert "TargetHealthy" in message
            assert "override" in message
            stack.revive("kinto-secondary")  # a rule that clears later starts nothing
            steady(client)
            assert client.targets == [here]
            stack.kill("kinto-secondary")
            begin = time.monotonic()
            done = fail_over(stack, name)
            assert done["override"] == ["TargetHealthy"]
            client.wait("unreachable", begin, 10)
        one_switch(client, here, there)
    finally:
        stack.revive("kinto-secondary")
    fail_back(stack, name)


def test_drift_on_the_same_side_is_repaired(stack: Stack, acme: str) -> None:
    broken = {"metadata": {"annotations": {"nginx.ingress.kubernetes.io/temporal-redirect": None}}}
    stack.api.patch("Ingress", TEAM, "login-login", broken)
    stack.api.wait("Ingress", TEAM, "login-login", lambda i: _redirect(i) == PRIMARY_PAGE, "repaired")
    stack.api.delete("Ingress", TEAM, "login-login")
    stack.api.wait("Ingress", TEAM, "login-login", lambda i: _redirect(i) == PRIMARY_PAGE, "made again")


def _redirect(ingress: dict[str, Any]) -> str:
    return str(ingress["metadata"].get("annotations", {}).get("nginx.ingress.kubernetes.io/temporal-redirect", ""))


def test_drift_to_the_other_side_moves_nobody_back(stack: Stack, acme: str) -> None:
    """Somebody changed the route by hand, and only the route: users stay there, and the sync is held."""
    moved = {"metadata": {"annotations": {"nginx.ingress.kubernetes.io/temporal-redirect": SECONDARY_PAGE}}}
    with asking(URL, stack.net) as client:
        stack.api.patch("Ingress", TEAM, "login-login", moved)
        conflict = stack.api.wait("BCPTenant", TEAM, acme, _conflict, "the conflict is seen")
        until(lambda: holder(stack).startswith("fence/"), "the sync is held")
        stack.api.wait_gone("CronJob", TEAM, "acme-sync")
        client.wait("SECONDARY", 0, 10)
        steady(client)
        assert client.pages == ["PRIMARY", "SECONDARY"]
        assert conflict["status"]["activeSystem"] == "Secondary"
        fail_over(stack)  # the administrator makes it official
    assert client.pages == ["PRIMARY", "SECONDARY"]
    assert client.errors == []
    fail_back(stack)


def _conflict(tenant: dict[str, Any]) -> bool:
    return any(c["type"] == "IntentConflict" and c["status"] == "True" for c in tenant["status"].get("conditions", []))


def test_the_runbook_works_while_the_operator_is_down(stack: Stack, acme: str) -> None:
    """Its steps verbatim in a shell; when the operator is back, users don't move and nothing is written."""
    stack.api.wait("BCPTenant", TEAM, acme, settled("Primary"), "users are on the primary", 40)
    steps = stack.status(acme)["runbook"]
    before = writes(stack, "secondary")
    job = by_hand(stack)
    stack.scale(OPERATOR, "bcp-operator", 0)
    with asking(URL, stack.net) as client:
        for step in steps:
            stack.run("bash", "-euo", "pipefail", "-c", step["command"])
        client.wait("SECONDARY", 0, 10)

        stack.api.create(job)  # nobody is there to delete it: the run itself has to find that it may not
        selector = f"batch.kubernetes.io/job-name={job['metadata']['name']}"
        code = until(lambda: _exit_code(stack, selector), "the run has ended", 60)
        assert code == 4, "a run that may not write ends Held"

        stack.scale(OPERATOR, "bcp-operator", 2)
        status = stack.api.wait("BCPTenant", TEAM, acme, settled("Secondary"), "the operator found it", 60)["status"]
        steady(client)
    one_switch(client, PRIMARY_PAGE, SECONDARY_PAGE)
    assert status["lastOperation"]["result"] == "Completed"
    assert writes(stack, "secondary") == before
    assert stack.api.get("CronJob", TEAM, "acme-sync") is None
    fail_back(stack)


def _exit_code(stack: Stack, selector: str) -> int | None:
    for pod in stack.api.list("Pod", TEAM, selector):
        for container in pod["status"].get("containerStatuses", []):
            if ended := container.get("state", {}).get("terminated"):
                return int(ended["exitCode"])
    return None


def test_the_secondary_is_brought_up_to_date_after_the_way_back(stack: Stack, acme: str) -> None:
    """The consent was Discard: the next run, started here from the CronJob, makes the copy complete again."""
    stack.api.wait("CronJob", TEAM, "acme-sync", lambda _: True, "the CronJob is back")
    name = f"acme-sync-{int(time.time()):010d}"
    stack.kubectl("create", "job", name, "--from=cronjob/acme-sync")
    stack.api.wait("Job", TEAM, name, lambda j: j["status"].get("succeeded") == 1, "the run succeeded", 60)
    assert compare(stack.directory("primary"), stack.directory("secondary")).differences == []
