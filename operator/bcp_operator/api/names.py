"""Names of everything that belongs to a tenant: one place, so that no two rooms spell a name differently."""

import re
from datetime import datetime

from .common import LABEL_COMPONENT, LABEL_MANAGED_BY, LABEL_TENANT

MANAGED_BY = "bcp-operator"
COMPONENT_SYNC = "sync"
COMPONENT_ROUTE = "route"

SYNC_CONTAINER = "bcp-sync"
SYNC_SERVICE_ACCOUNT = "bcp-sync"
LEADER_LEASE = "bcp-operator-leader"

RUN_KEY = "run.yaml"
REPORT_KEY = "report.json"
DIVERGENCE_KEY = "divergence.json"
PROFILE_KEY = "profile.yaml"

FENCE_PREFIX = "fence/"
RUN_PREFIX = "run/"
"""What the holder of a writer Lease begins with: fence/<operation>, or run/<pod>/<random>."""
WRITER_LEASE_SECONDS = 15
"""A run that could not renew for so long writes no more; so does one that lost the Lease to a fence."""


def sync_cronjob(tenant: str) -> str:
    """Name of the CronJob that runs the daily sync."""
    return f"{tenant}-sync"


def sync_job_prefix(tenant: str) -> str:
    """What the name of every Job and every pod of this tenant's sync begins with."""
    return f"{tenant}-sync-"


def job_at(tenant: str, asked_at: datetime) -> str:
    """Name of a run at once; made from the time of enabling or of the trigger, so that a crash makes no second one.

    `asked_at` must carry a time zone.
    Raises ValueError when it does not.
    """
    return f"{sync_job_prefix(tenant)}{_seconds(asked_at)}"


def comparison_job(tenant: str, asked_at: datetime) -> str:
    """Name of the Job that looks for what was changed in the secondary, made from the time at which that was asked for.

    No longer than that of a run, so that also its pods' names say whose they are. Raises ValueError as job_at does.
    """
    return f"{tenant}-diff-{_seconds(asked_at)}"


def is_comparison(tenant: str, job: str) -> bool:
    """Whether a Job of this tenant is one that only looks."""
    return re.fullmatch(re.escape(f"{tenant}-diff-") + "[0-9]{10}", job) is not None


def _seconds(asked_at: datetime) -> str:
    if asked_at.tzinfo is None:
        raise ValueError("asked_at needs a time zone")
    return f"{int(asked_at.timestamp()):010d}"


def writer_lease(tenant: str) -> str:
    """Name of the Lease that says who may write to the secondary."""
    return f"{tenant}-writer"


def run_configmap(tenant: str) -> str:
    """Name of the ConfigMap with the configuration of a run."""
    return f"{tenant}-sync"


def report_configmap(tenant: str) -> str:
    """Name of the ConfigMap that a run writes its full report to."""
    return f"{tenant}-report"


def divergence_configmap(tenant: str) -> str:
    """Name of the ConfigMap with what was changed in the secondary."""
    return f"{tenant}-divergence"


def correlations_claim(tenant: str) -> str:
    """Name of the PersistentVolumeClaim that holds the correlations."""
    return f"{tenant}-correlations"


def labels(tenant: str, component: str = COMPONENT_SYNC) -> dict[str, str]:
    """Labels of everything the operator makes for a tenant; `component` is COMPONENT_SYNC or COMPONENT_ROUTE."""
    return {LABEL_TENANT: tenant, LABEL_COMPONENT: component, LABEL_MANAGED_BY: MANAGED_BY}
