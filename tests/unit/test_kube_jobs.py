"""Manifests of the sync: restricted, complete, and compared without being fooled by the API server's defaults."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from bcp_operator.api import names
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.run import RunConfig
from bcp_operator.kube import compare, jobs
from kubernetes_validate import validate

from tests.unit.simulated_tenant import spec

OWNER = jobs.Owner("tenants", "acme", "uid-1")
TIMING = jobs.Timing("12 10 * * *", "Europe/Berlin", suspend=False, timeout_seconds=7200)
IMAGE = jobs.Image("registry.test/bcp:1", "IfNotPresent")


def build(policy: dict[str, Any] | None = None, **parts: Any) -> jobs.SyncObjects:
    """All objects."""
    return jobs.build(OWNER, spec(**parts), SyncPolicySpec.model_validate(policy or {}), TIMING, IMAGE)


def test_every_manifest_is_valid_kubernetes() -> None:
    made = build({"job": {"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]}})
    live = copy.deepcopy(made.cronjob)
    live["metadata"]["uid"] = "uid-2"
    job = jobs.job_at(live, "acme", datetime(2026, 11, 24, 10, 12, tzinfo=UTC))
    for manifest in (made.cronjob, made.run_configmap, made.report_configmap, made.claim, job):
        validate(manifest, "1.36", strict=True)
    assert job["metadata"]["name"] == "acme-sync-1795515120"
    assert job["metadata"]["ownerReferences"][0]["uid"] == "uid-2"


def test_a_comparison_is_the_pod_of_a_run_with_another_command() -> None:
    at = datetime(2026, 11, 24, 10, 12, tzinfo=UTC)
    made = jobs.comparison(OWNER, spec(), SyncPolicySpec(), 3600, IMAGE, asked_at=at)
    for manifest in (made.run_configmap, made.report_configmap, made.claim, made.job):
        validate(manifest, "1.36", strict=True)
    assert (made.job["metadata"]["name"], made.report_configmap["metadata"]["name"]) == (
        "acme-diff-1795515120",
        "acme-divergence",
    )
    assert made.job["metadata"]["ownerReferences"] == [OWNER.reference()]
    assert made.job["spec"]["activeDeadlineSeconds"] == 3600
    run, look = build().cronjob["spec"]["jobTemplate"]["spec"]["template"], made.job["spec"]["template"]
    (container,) = look["spec"]["containers"]
    assert container["command"] == ["bcp-sync", "diverge", "--publish", "--config", "/etc/bcp/run.yaml"]
    run["spec"]["containers"][0]["command"] = container["command"]
    assert look == run


def test_also_the_pod_of_a_comparison_of_the_longest_name_says_whose_it_is() -> None:
    """The Job controller cuts what it makes pod names from at 58 characters."""
    at = datetime(2026, 11, 24, 10, 12, tzinfo=UTC)
    assert len(names.comparison_job("a" * 40, at) + "-") <= 58


def test_the_way_back_to_be_reviewed_is_in_run_yaml() -> None:
    made = jobs.build(OWNER, spec(), SyncPolicySpec(), TIMING, IMAGE, review="op-7")
    assert RunConfig.model_validate(yaml.safe_load(made.run_configmap["data"]["run.yaml"])).review == "op-7"
    assert made.digest != build().digest


def test_the_pod_is_restricted_and_holds_no_secret_in_its_environment() -> None:
    pod = build().cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert "env" not in container
    assert "envFrom" not in container
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["command"] == ["bcp-sync", "run", "--config", "/etc/bcp/run.yaml"]


def test_run_yaml_is_what_the_run_reads() -> None:
    made = build(
        {
            "mode": "Custom",
            "entities": [{"type": "user", "filter": {"title": ["Agent"]}, "onMissing": "Keep"}],
            "mappings": [{"type": "user", "field": "title", "values": {"Agent": "Stand-in"}}],
            "adopt": "Never",
            "onUnresolved": "Skip",
            "limits": {"timeout": "1h"},
        },
        login={
            "url": "https://login.acme.example/",
            "caRef": {"name": "web", "key": "ca.pem"},
            "routes": [
                {
                    "name": "dns",
                    "rfc2136": {"server": "10.0.0.53", "zone": "acme.example", "tsigSecretRef": {"name": "t"}},
                }
            ],
        },
    )
    config = RunConfig.model_validate(yaml.safe_load(made.run_configmap["data"]["run.yaml"]))
    (users,) = config.entities or []
    assert (users.type, users.filter, users.on_missing) == ("user", {"title": ["Agent"]}, "Keep")
    assert [(one.type, one.field, one.values) for one in config.mappings] == [("user", "title", {"Agent": "Stand-in"})]
    assert (config.adopt, config.on_unresolved) == ("Never", "Skip")
    assert config.lease is not None
    assert config.lease.name == "acme-writer"
    assert config.login is not None
    assert config.login.ca_file == "/etc/bcp/ca/login/ca.pem"
    assert [(server.server, server.name) for server in config.login.dns] == [("10.0.0.53", "login.acme.example")]


def test_the_claim_outlives_its_tenant_and_the_rest_does_not() -> None:
    made = build()
    assert made.claim is not None
    assert "ownerReferences" not in made.claim["metadata"]
    for manifest in (made.cronjob, made.run_configmap, made.report_configmap):
        assert manifest["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert "data" not in made.report_configmap


def test_postgresql_needs_no_claim_and_its_secret_is_a_file() -> None:
    made = build(sync={"store": {"postgresql": {"dsnSecretRef": {"name": "fleet"}}}})
    assert made.claim is None
    validate(made.cronjob, "1.36", strict=True)
    config = RunConfig.model_validate(yaml.safe_load(made.run_configmap["data"]["run.yaml"]))
    assert config.store.sqlite is None
    assert config.store.postgresql is not None
    pod = made.cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert "state" not in volumes
    assert volumes["store"]["secret"] == {"secretName": "fleet", "optional": True, "defaultMode": 0o440}
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "store"]
    assert mount["readOnly"] is True
    assert config.store.postgresql.dsn_file == f"{mount['mountPath']}/dsn"
    assert config.store.postgresql.ca_file == f"{mount['mountPath']}/ca.crt"
    assert "env" not in pod["containers"][0]


def test_defaults_of_the_server_are_no_difference_and_edits_are() -> None:
    wanted = build().cronjob
    live = copy.deepcopy(wanted)
    live["status"] = {"lastScheduleTime": "2026-11-24T10:12:00Z"}
    live["spec"]["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    live["metadata"]["annotations"]["someone"] = "else"
    assert compare.matches(live, wanted)
    assert not compare.matches(None, wanted)
    for change in ("schedule", "timeZone", "concurrencyPolicy"):
        edited = copy.deepcopy(live)
        edited["spec"][change] = "x"
        assert not compare.matches(edited, wanted)
    suspended = copy.deepcopy(live)
    suspended["spec"]["suspend"] = True
    assert not compare.matches(suspended, wanted)


def test_one_hash_stands_for_everything_a_run_is_made_from() -> None:
    assert build().digest == build().digest
    assert build().digest != build({"limits": {"concurrency": 3}}).digest
    assert (
        build().digest
        != build(secondary={**spec().secondary.model_dump(by_alias=True), "endpoint": "https://x.example"}).digest
    )


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({}, False),
        ({"schedule": "13 10 * * *"}, True),
        ({"timeZone": "UTC"}, True),
        ({"suspend": True}, True),  # it is suspended no longer
        ({"concurrencyPolicy": "Allow"}, False),
    ],
)
def test_a_cronjob_that_would_run_at_other_times_is_made_anew(change: dict[str, Any], anew: bool) -> None:
    wanted = build().cronjob
    live = copy.deepcopy(wanted)
    live["spec"] |= change
    assert compare.retimed(live, wanted) is anew
    paused = copy.deepcopy(wanted)
    paused["spec"]["suspend"] = True
    assert not compare.retimed(live, paused)  # nothing starts: it is changed as it is
