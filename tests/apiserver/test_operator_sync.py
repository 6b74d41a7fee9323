"""The sync's objects and its reports, with the real cronjob and job controllers; pods end by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.apiserver.api import Api, Object, collection
from tests.apiserver.gateway import Gateway, serve
from tests.apiserver.replica import Replica, Tenants, replica
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def gateway(resources: Cluster, admin: Api, namespace: str) -> Iterator[Gateway]:
    """What stands in front of the login hosts."""
    resources.kubectl("-n", namespace, "create", "configmap", "web-ca", f"--from-literal=ca.crt={resources.ca_pem}")
    resources.kubectl("-n", namespace, "create", "serviceaccount", "bcp-sync")
    with serve(resources, admin, namespace) as made:
        yield made


@pytest.fixture(scope="module")
def tenants(admin: Api, namespace: str, gateway: Gateway) -> Tenants:
    """Tenants of the module's namespace."""
    return Tenants(admin, namespace, gateway)


@pytest.fixture(scope="module", autouse=True)
def leader(
    resources: Cluster, namespace: str, tmp_path_factory: pytest.TempPathFactory, gateway: Gateway
) -> Iterator[Replica]:
    """One replica that leads."""
    folder = tmp_path_factory.mktemp("operator")
    with resources.namespace("own") as own, replica(resources.kubeconfig, own, namespace, folder) as made:
        until(made.ready, "the replica to be ready", 30)
        yield made


class SyncOf:
    """Objects of one tenant's sync."""

    def __init__(self, tenants: Tenants, name: str) -> None:
        self.api, self.namespace, self.name = tenants.api, tenants.namespace, name

    def cronjob(self) -> Object | None:
        """The CronJob."""
        answer = self.api.get(f"/apis/batch/v1/namespaces/{self.namespace}/cronjobs/{self.name}-sync")
        return answer.body if answer.ok else None

    def jobs(self) -> list[Object]:
        """Its Jobs."""
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs"
        answer = self.api.send("GET", path, labelSelector=f"bcp-operator.io/tenant={self.name}")
        return list(answer.body["items"])

    def pods(self, job: str) -> list[Object]:
        """A Job's pods."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        return list(self.api.send("GET", path, labelSelector=f"batch.kubernetes.io/job-name={job}").body["items"])

    def end(self, job: str, message: str, exit_code: int = 0) -> None:
        """The pod of a Job ends, as a kubelet would say it."""
        pod = until(lambda: self.pods(job), f"a pod of {job}", 20)[0]["metadata"]["name"]
        ended = {"exitCode": exit_code, "message": message, "startedAt": now(), "finishedAt": now()}
        status = {
            "phase": "Failed" if exit_code else "Succeeded",
            "startTime": now(),
            "containerStatuses": [
                {
                    "name": "bcp-sync",
                    "image": "x",
                    "imageID": "x",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"terminated": ended},
                }
            ],
        }
        answer = self.api.merge(f"/api/v1/namespaces/{self.namespace}/pods/{pod}/status", {"status": status})
        assert answer.ok, answer.message


def now() -> str:
    """RFC 3339, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def report(result: str = "Succeeded", **more: object) -> str:
    """A termination message."""
    return json.dumps({"result": result, "startTime": now(), "seconds": 1.5, "counts": {"created": 3}} | more)


def test_enabling_makes_everything_and_runs_at_once(tenants: Tenants) -> None:
    tenants.create("acme", sync={"enabled": True, "timeZone": "Europe/Berlin"})
    sync = SyncOf(tenants, "acme")
    cronjob = until(sync.cronjob, "the CronJob", 20)
    status = until(
        lambda: tenants.status("acme").get("sync") if tenants.status("acme").get("sync", {}).get("enabledAt") else None
    )
    enabled_at = datetime.fromisoformat(status["enabledAt"])
    spec = cronjob["spec"]
    minute, _hour, *rest = spec["schedule"].split()
    assert rest == ["*", "*", "*"]
    assert int(minute) == enabled_at.minute
    assert (spec["timeZone"], spec["concurrencyPolicy"], spec["suspend"]) == ("Europe/Berlin", "Forbid", False)
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    job = until(sync.jobs, "the run at once", 20)[0]
    assert job["metadata"]["name"] == f"acme-sync-{int(enabled_at.timestamp()):010d}"
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert until(lambda: tenants.status("acme")["sync"].get("lastRun"))["result"] == "Running"
    for kind, name in (("configmaps", "acme-sync"), ("configmaps", "acme-report")):
        assert tenants.api.get(f"/api/v1/namespaces/{tenants.namespace}/{kind}/{name}").ok
    claim = tenants.api.get(f"/api/v1/namespaces/{tenants.namespace}/persistentvolumeclaims/acme-correlations")
    assert "ownerReferences" not in claim.body["metadata"]

    sync.end(job["metadata"]["name"], report())
    run = until(lambda: _ended(tenants, "acme"), "the run to be folded in", 30)
    assert (run["result"], run["counts"]["created"]) == ("Succeeded", 3)
    assert tenants.condition("acme", "RecoveryPointFresh")["status"] == "True"
    assert tenants.condition("acme", "CorrelationHealthy")["status"] == "True"
    tenants.patch("acme", {"failover": {"activeSystem": "Secondary"}})
    status = tenants.wait_phase("acme", "Secondary")
    assert status["lastOperation"]["recoveryPointAgeSeconds"] >= 0
    assert sync.cronjob() is None
    assert status["sync"]["heldBy"].startswith("fence/")


def test_a_trigger_runs_once_and_waits_for_the_run_under_way(tenants: Tenants) -> None:
    tenants.create("now", sync={"enabled": True})
    sync = SyncOf(tenants, "now")
    first = until(sync.jobs, "the run at once", 20)[0]["metadata"]["name"]
    asked = (datetime.now(UTC) + timedelta(seconds=5)).replace(microsecond=0)
    tenants.patch("now", {"sync": {"trigger": asked.strftime("%Y-%m-%dT%H:%M:%SZ")}})
    assert len(sync.jobs()) == 1
    sync.end(first, report())
    wanted = f"now-sync-{int(asked.timestamp()):010d}"
    until(lambda: wanted in [job["metadata"]["name"] for job in sync.jobs()], "the run that was asked for", 30)
    echoed = until(lambda: tenants.status("now")["sync"].get("lastTrigger"), "the echo", 30)
    assert datetime.fromisoformat(echoed) == asked
    assert len(sync.jobs()) == 2


def test_a_failed_run_and_one_without_a_report_are_said_as_they_are(tenants: Tenants) -> None:
    tenants.create("poor", sync={"enabled": True})
    sync = SyncOf(tenants, "poor")
    first = until(sync.jobs, "the run at once", 20)[0]["metadata"]["name"]
    sync.end(first, report("Failed", message="the primary does not answer"), exit_code=2)
    run = until(lambda: _ended(tenants, "poor"), "the run", 30)
    assert (run["result"], run["message"]) == ("Failed", "the primary does not answer")
    fresh = tenants.condition("poor", "RecoveryPointFresh")
    assert (fresh["status"], fresh["reason"]) == ("False", "NeverSynced")
    assert "the primary does not answer" in fresh["message"]

    tenants.create("mute", sync={"enabled": True})
    sync = SyncOf(tenants, "mute")
    first = until(sync.jobs, "the run at once", 20)[0]["metadata"]["name"]
    sync.end(first, "", exit_code=2)
    run = until(lambda: _ended(tenants, "mute"), "the run", 30)
    assert (run["result"], run["message"]) == ("Unknown", "it ended without a report (exit code 2)")


def test_what_was_withheld_shows_with_its_command_and_the_approval_reaches_the_run(tenants: Tenants) -> None:
    tenants.create("kept", sync={"enabled": True})
    sync = SyncOf(tenants, "kept")
    first = until(sync.jobs, "the run at once", 20)[0]["metadata"]["name"]
    digest = "sha256:" + "5" * 64
    withheld = report("Partial", counts={"created": 3, "withheld": 24}, withheldHash=digest, message="24 withheld")
    sync.end(first, withheld, exit_code=3)
    run = until(lambda: _ended(tenants, "kept"), "the run", 30)
    assert (run["result"], run["withheldHash"], run["counts"]["withheld"]) == ("Partial", digest, 24)
    guarded = tenants.condition("kept", "SyncGuarded")
    assert (guarded["status"], guarded["reason"]) == ("True", "GuardTripped")
    assert tenants.condition("kept", "Ready")["status"] == "True"
    events = f"/apis/events.k8s.io/v1/namespaces/{tenants.namespace}/events"

    def tripped() -> list[Object]:
        found = tenants.api.get(events).body["items"]
        return [e for e in found if e["reason"] == "GuardTripped" and e["regarding"]["name"] == "kept"]

    note = until(tripped, "the event", 20)[0]["note"]
    assert f'bcptenant kept --type merge -p \'{{"spec":{{"sync":{{"approve":"{digest}"}}}}}}\'' in note

    tenants.patch("kept", {"sync": {"approve": digest}})
    until(lambda: tenants.condition("kept", "SyncGuarded")["reason"] == "Approved", "the approval", 20)
    run_yaml = f"/api/v1/namespaces/{tenants.namespace}/configmaps/kept-sync"
    until(lambda: f"approve: {digest}" in tenants.api.get(run_yaml).body["data"]["run.yaml"], "run.yaml", 20)


def test_a_policy_sets_the_schedule_counts_its_tenants_and_may_be_missing(tenants: Tenants, admin: Api) -> None:
    policies = collection(tenants.namespace, "syncpolicies")
    tenants.create("ruled", sync={"enabled": True, "policyRef": {"name": "nightly"}})
    until(lambda: tenants.condition("ruled", "Stalled").get("reason") == "PolicyNotFound", "PolicyNotFound", 20)
    sync = SyncOf(tenants, "ruled")
    assert sync.cronjob() is None
    policy = {
        "apiVersion": "bcp-operator.io/v1alpha1",
        "kind": "SyncPolicy",
        "metadata": {"name": "nightly"},
        "spec": {"schedule": {"cron": "17 2 * * *", "timeZone": "America/New_York"}},
    }
    answer = admin.create(policies, policy)
    assert answer.ok, answer.message
    cronjob = until(sync.cronjob, "the CronJob", 20)
    assert (cronjob["spec"]["schedule"], cronjob["spec"]["timeZone"]) == ("17 2 * * *", "America/New_York")
    until(lambda: (admin.get(f"{policies}/nightly").body.get("status") or {}).get("tenants") == 1, "the count", 20)

    assert admin.merge(f"{policies}/nightly", {"spec": {"schedule": {"cron": "*/5 * * * *"}, "suspend": True}}).ok
    until(lambda: (sync.cronjob() or {})["spec"]["schedule"] == "*/5 * * * *", "the new schedule", 20)
    assert (sync.cronjob() or {})["spec"]["suspend"] is True
    assert until(lambda: tenants.status("ruled")["sync"].get("heldBy")) == "Suspended"

    paused = (sync.cronjob() or {})["metadata"]["uid"]
    assert admin.merge(f"{policies}/nightly", {"spec": {"suspend": False}}).ok
    again = until(
        lambda: (found := sync.cronjob()) and found["metadata"]["uid"] != paused and found, "a new CronJob", 20
    )
    assert again["spec"]["suspend"] is False
    assert "lastScheduleTime" not in (again.get("status") or {})  # it knows no time that it could make up for
    until(lambda: "heldBy" not in tenants.status("ruled")["sync"], "unpaused", 20)

    assert admin.merge(f"{policies}/nightly", {"spec": {"schedule": {"cron": "0 0 31 2 *"}, "suspend": False}}).ok
    until(lambda: tenants.condition("ruled", "Stalled").get("reason") == "InvalidSchedule", "InvalidSchedule", 20)
    conditions = until(lambda: (admin.get(f"{policies}/nightly").body.get("status") or {}).get("conditions"))
    assert [c["type"] for c in conditions] == ["Ready"]


def test_an_unknown_time_zone_is_a_condition_and_never_in_the_way_of_a_switch(tenants: Tenants) -> None:
    tenants.create("lost", sync={"enabled": True, "timeZone": "Mars/Olympus"})
    until(lambda: tenants.condition("lost", "Stalled").get("reason") == "InvalidTimeZone", "InvalidTimeZone", 20)
    tenants.patch("lost", {"failover": {"activeSystem": "Secondary"}})
    tenants.wait_phase("lost", "Secondary", 40)


def test_what_the_api_server_refuses_of_a_policy_is_a_condition(tenants: Tenants, admin: Api) -> None:
    policy = {
        "apiVersion": "bcp-operator.io/v1alpha1",
        "kind": "SyncPolicy",
        "metadata": {"name": "greedy"},
        "spec": {"job": {"resources": {"limits": {"memory": "a lot"}}}},
    }
    answer = admin.create(collection(tenants.namespace, "syncpolicies"), policy)
    if not answer.ok:  # the schema catches it first
        return
    tenants.create("greedy", sync={"enabled": True, "policyRef": {"name": "greedy"}})
    until(lambda: tenants.condition("greedy", "Stalled").get("reason") == "SyncRefused", "SyncRefused", 20)


def test_disabling_deletes_the_cronjob_and_forgets_the_minute(tenants: Tenants) -> None:
    tenants.create("off", sync={"enabled": True})
    sync = SyncOf(tenants, "off")
    until(sync.cronjob, "the CronJob", 20)
    until(lambda: tenants.status("off").get("sync", {}).get("enabledAt"))
    tenants.patch("off", {"sync": {"enabled": False}})
    until(lambda: sync.cronjob() is None, "the CronJob to go", 20)
    until(lambda: "enabledAt" not in tenants.status("off").get("sync", {}))
    lease = tenants.api.get(f"/apis/coordination.k8s.io/v1/namespaces/{tenants.namespace}/leases/off-writer").body
    assert "bcp-operator.io/sync-enabled-at" not in (lease["metadata"].get("annotations") or {})


def _ended(tenants: Tenants, name: str) -> Object | None:
    run: Object | None = tenants.status(name).get("sync", {}).get("lastRun")
    return run if run is not None and run["result"] != "Running" else None
