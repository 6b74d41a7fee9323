"""Manifests of everything a sync needs, built from a tenant and its policy. Pure: nothing here talks to a cluster."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import yaml

from bcp_operator.api import names
from bcp_operator.api.common import GROUP
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.run import (
    AuthoritativeServer,
    ExitCode,
    ObjectName,
    RunConfig,
    RunGuard,
    RunLimits,
    RunLogin,
    RunMapping,
    RunPostgresql,
    RunReportTarget,
    RunSelection,
    RunSqlite,
    RunStore,
    RunSystem,
    pair_id,
)
from bcp_operator.api.tenant import BCPTenantSpec, SqliteStore, SystemSpec

from .kinds import CRONJOB, TENANT
from .volumes import CA_FOLDER, CREDENTIALS_FOLDER, RUN_FOLDER, STATE_FOLDER, STORE_FOLDER, volumes

Manifest = dict[str, Any]

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast where PyYAML was built with libyaml

ANNOTATION_HASH = f"{GROUP}/hash"
"""Hash of everything that was applied, so that a run's whole set of objects is compared by looking at one of them."""

USER_ID = 65532
STARTING_DEADLINE_SECONDS = 600
"""A missed run is made up for within this time only."""
JOB_TTL_SECONDS = 604800
GRACE_SECONDS = 5
DEFAULT_RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}


@dataclass(frozen=True)
class Owner:
    """The tenant that the objects belong to."""

    namespace: str
    name: str
    uid: str

    def reference(self) -> Manifest:
        """ownerReference: the garbage collector deletes what carries it together with the tenant."""
        return {
            "apiVersion": TENANT.api_version,
            "kind": TENANT.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }


@dataclass(frozen=True)
class Image:
    """Image of the sync pod and its pull policy."""

    name: str
    pull_policy: str


@dataclass(frozen=True)
class Timing:
    """When the CronJob runs: five cron fields, an IANA zone, and the longest a run may take in seconds."""

    cron: str
    time_zone: str
    suspend: bool
    timeout_seconds: int


@dataclass(frozen=True)
class SyncObjects:
    """What a sync needs in the cluster, beside its Lease."""

    run_configmap: Manifest
    report_configmap: Manifest
    claim: Manifest | None  # None: the correlations are in PostgreSQL
    cronjob: Manifest

    @property
    def digest(self) -> str:
        """Hash over everything that a change of tenant or policy may change."""
        return str(self.cronjob["metadata"]["annotations"][ANNOTATION_HASH])


@dataclass(frozen=True)
class ComparisonObjects:
    """What a look for changes in the secondary needs in the cluster, in the order in which it is made."""

    run_configmap: Manifest
    report_configmap: Manifest
    claim: Manifest | None
    job: Manifest


def build(
    owner: Owner,
    spec: BCPTenantSpec,
    policy: SyncPolicySpec,
    timing: Timing,
    image: Image,
    *,
    review: str | None = None,
) -> SyncObjects:
    """All objects of one tenant's sync. `review`: the way back whose first run waits for approval."""
    configmap = _run_configmap(owner, spec, policy, timing.timeout_seconds, review)
    cronjob = _cronjob(owner, spec, policy, timing, image)
    digest = hashlib.sha256(json.dumps([configmap, cronjob], sort_keys=True).encode()).hexdigest()[:32]
    cronjob["metadata"]["annotations"] = {ANNOTATION_HASH: digest}
    return SyncObjects(
        run_configmap=configmap,
        report_configmap=_object(owner, "v1", "ConfigMap", names.report_configmap(owner.name)),
        claim=_claim(owner, spec),
        cronjob=cronjob,
    )


def comparison(
    owner: Owner, spec: BCPTenantSpec, policy: SyncPolicySpec, timeout_seconds: int, image: Image, *, asked_at: datetime
) -> ComparisonObjects:
    """All objects of a look for what was changed in the secondary: the pod of a run, told to write to neither system."""
    job = _object(owner, "batch/v1", "Job", names.comparison_job(owner.name, asked_at))
    pod = _pod(owner, spec, policy, image, ["diverge", "--publish"])
    final = [ExitCode.CONFIG, ExitCode.PARTIAL, ExitCode.FAILED]
    return ComparisonObjects(
        run_configmap=_run_configmap(owner, spec, policy, timeout_seconds),
        report_configmap=_object(owner, "v1", "ConfigMap", names.divergence_configmap(owner.name)),
        claim=_claim(owner, spec),
        job=job | {"spec": _job(owner, pod, timeout_seconds, final)},
    )


def _run_configmap(
    owner: Owner, spec: BCPTenantSpec, policy: SyncPolicySpec, timeout_seconds: int, review: str | None = None
) -> Manifest:
    config = run_config(owner, spec, policy, timeout_seconds).model_copy(update={"review": review})
    text = yaml.dump(config.model_dump(mode="json", by_alias=True, exclude_none=True), Dumper=_DUMPER, sort_keys=False)
    return _object(owner, "v1", "ConfigMap", names.run_configmap(owner.name)) | {"data": {names.RUN_KEY: text}}


def run_config(owner: Owner, spec: BCPTenantSpec, policy: SyncPolicySpec, timeout_seconds: int) -> RunConfig:
    """run.yaml of a tenant."""
    primary, secondary = _system(spec.primary, "primary"), _system(spec.secondary, "secondary")
    custom = policy.mode == "Custom"
    return RunConfig(
        tenant=ObjectName(namespace=owner.namespace, name=owner.name),
        pair=pair_id(primary, secondary),
        primary=primary,
        secondary=secondary,
        entities=[RunSelection(**one.model_dump()) for one in policy.entities] if custom and policy.entities else None,
        exclude=policy.exclude if custom and not policy.entities else None,
        mappings=[RunMapping(**one.model_dump()) for one in policy.mappings or []],
        adopt=policy.adopt,
        on_unresolved=policy.on_unresolved,
        limits=RunLimits(
            requests_per_second=policy.limits.requests_per_second,
            concurrency=policy.limits.concurrency,
            timeout_seconds=timeout_seconds,
        ),
        guard=RunGuard(**policy.guard.model_dump()),
        approval=policy.approval,
        approve=spec.sync.approve,
        dry_run=policy.dry_run,
        store=_store(spec),
        login=_login(spec),
        lease=ObjectName(namespace=owner.namespace, name=names.writer_lease(owner.name)),
        report=RunReportTarget(config_map=names.report_configmap(owner.name)),
    )


def job_at(cronjob: Manifest, tenant: str, asked_at: datetime) -> Manifest:
    """A run at once: the live CronJob's own template under a name made from the time at which it was asked for."""
    template = cronjob["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": cronjob["metadata"]["namespace"],
            "name": names.job_at(tenant, asked_at),
            "labels": metadata.get("labels") or {},
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [
                {
                    "apiVersion": CRONJOB.api_version,
                    "kind": CRONJOB.kind,
                    "name": cronjob["metadata"]["name"],
                    "uid": cronjob["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": template["spec"],
    }


def _object(owner: Owner, api_version: str, kind: str, name: str) -> Manifest:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "namespace": owner.namespace,
            "name": name,
            "labels": names.labels(owner.name),
            "ownerReferences": [owner.reference()],
        },
    }


def _claim(owner: Owner, spec: BCPTenantSpec) -> Manifest | None:
    """No ownerReference: correlations outlive the tenant object."""
    if spec.sync.store.postgresql is not None:
        return None
    sqlite = spec.sync.store.sqlite or SqliteStore()
    claim: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "namespace": owner.namespace,
            "name": names.correlations_claim(owner.name),
            "labels": names.labels(owner.name),
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": sqlite.size}}},
    }
    if sqlite.storage_class_name is not None:
        claim["spec"]["storageClassName"] = sqlite.storage_class_name
    return claim


def _cronjob(owner: Owner, spec: BCPTenantSpec, policy: SyncPolicySpec, timing: Timing, image: Image) -> Manifest:
    pod = _pod(owner, spec, policy, image, ["run"])
    job = _job(owner, pod, timing.timeout_seconds, [ExitCode.CONFIG, ExitCode.PARTIAL, ExitCode.HELD])
    cronjob = _object(owner, "batch/v1", "CronJob", names.sync_cronjob(owner.name))
    cronjob["spec"] = {
        "schedule": timing.cron,
        "timeZone": timing.time_zone,
        "suspend": timing.suspend,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": STARTING_DEADLINE_SECONDS,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"metadata": {"labels": names.labels(owner.name)}, "spec": job},
    }
    return cronjob


def _job(owner: Owner, pod: Manifest, timeout_seconds: int, final: list[ExitCode]) -> Manifest:
    """The spec of a Job. Trying again at once helps after a crash, not after the exit codes in `final`."""
    return {
        "backoffLimit": 1,
        "activeDeadlineSeconds": timeout_seconds,
        "ttlSecondsAfterFinished": JOB_TTL_SECONDS,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": names.SYNC_CONTAINER,
                        "operator": "In",
                        "values": sorted(final),
                    },
                }
            ]
        },
        "template": {"metadata": {"labels": names.labels(owner.name)}, "spec": pod},
    }


def _pod(owner: Owner, spec: BCPTenantSpec, policy: SyncPolicySpec, image: Image, command: list[str]) -> Manifest:
    mounted = volumes(owner.name, spec)
    pod: Manifest = {
        "serviceAccountName": names.SYNC_SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": names.SYNC_CONTAINER,
                "image": image.name,
                "imagePullPolicy": image.pull_policy,
                "command": ["bcp-sync", *command, "--config", f"{RUN_FOLDER}/{names.RUN_KEY}"],
                "resources": policy.job.resources or DEFAULT_RESOURCES,
                "terminationMessagePolicy": "File",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [mount for mount, _ in mounted],
            }
        ],
        "volumes": [volume for _, volume in mounted],
    }
    optional = {
        "nodeSelector": policy.job.node_selector,
        "tolerations": policy.job.tolerations,
        "priorityClassName": policy.job.priority_class_name,
    }
    return pod | {key: value for key, value in optional.items() if value}


def _system(system: SystemSpec, side: str) -> RunSystem:
    return RunSystem(
        profile=system.profile,
        tenant_id=system.tenant_id,
        endpoint=system.endpoint,
        insecure=system.insecure,
        ca_file=f"{CA_FOLDER}/{side}/{system.ca_ref.key}" if system.ca_ref else None,
        credentials_dir=f"{CREDENTIALS_FOLDER}/{side}",
    )


def _store(spec: BCPTenantSpec) -> RunStore:
    if spec.sync.store.postgresql is not None:
        return RunStore(postgresql=RunPostgresql(dsn_file=f"{STORE_FOLDER}/dsn", ca_file=f"{STORE_FOLDER}/ca.crt"))
    return RunStore(sqlite=RunSqlite(path=f"{STATE_FOLDER}/correlations.db"))


def _login(spec: BCPTenantSpec) -> RunLogin:
    login = spec.login
    host = urlsplit(login.url).hostname or login.url
    return RunLogin(
        url=login.url,
        connect_to=login.connect_to,
        ca_file=f"{CA_FOLDER}/login/{login.ca_ref.key}" if login.ca_ref else None,
        primary_login_url=spec.primary.login_url,
        secondary_login_url=spec.secondary.login_url,
        dns=[
            AuthoritativeServer(server=route.rfc2136.server, name=host)
            for route in login.routes
            if route.rfc2136 is not None
        ],
    )
