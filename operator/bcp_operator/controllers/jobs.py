"""Jobs, pods and reports of the sync as the API shows them, turned into what decisions read."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from bcp_operator.api import names
from bcp_operator.api.divergence import DivergenceReport
from bcp_operator.api.run import RunReport
from bcp_operator.api.tenant_status import BCPTenantStatus, LastRun
from bcp_operator.continuity.observed import ComparisonView, RunView
from bcp_operator.kube.client import Object

from .requester import parse_time

JOB_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")
CLOCK_SKEW = timedelta(seconds=30)
END_OF_TIME = datetime(9000, 1, 1, tzinfo=UTC)
"""Nothing can be reckoned with times much later."""
"""Between the node that ran the pod and the control plane that timed its Job."""

Said = TypeVar("Said", RunReport, DivergenceReport)


def split(tenant: str, jobs: Iterable[Object]) -> tuple[list[Object], list[Object]]:
    """The Jobs of a tenant: those that write, and those that only look."""
    runs: list[Object] = []
    comparisons: list[Object] = []
    for job in jobs:
        (comparisons if names.is_comparison(tenant, job["metadata"]["name"]) else runs).append(job)
    return runs, comparisons


def run_views(jobs: Iterable[Object], pods: Iterable[Object], report: Object | None) -> tuple[RunView, ...]:
    """Each Job with what its newest pod, else the report ConfigMap, said of it."""
    by_job = _by_job(pods)
    views = [_view(job, by_job.get(job["metadata"]["name"], []), report) for job in jobs]
    return tuple(sorted(views, key=lambda view: (view.created, view.name)))


def comparison_views(jobs: Iterable[Object], pods: Iterable[Object]) -> tuple[ComparisonView, ...]:
    """Each Job that only looks, with what its newest pod said."""
    by_job = _by_job(pods)
    views = []
    for job in jobs:
        ended = _last_words(by_job.get(job["metadata"]["name"], []))
        seen = _job_view(job, ended)
        report = None if seen["active"] else parse_report(DivergenceReport, ended.get("message"))
        views.append(ComparisonView(**seen, report=report))
    return tuple(sorted(views, key=lambda view: view.name))


def untold(comparisons: Iterable[Object], status: BCPTenantStatus) -> bool:
    """Whether a comparison has ended of which status should tell and doesn't yet."""
    if status.settled_system == "Primary" and status.operation is None:
        return False
    known = status.divergence
    told = "" if known is None or known.result == "Running" else known.name
    return any(not is_active(job) and job["metadata"]["name"] > told for job in comparisons)


def unfolded(jobs: Iterable[Object], known: LastRun | None) -> bool:
    """Whether a Job has ended whose outcome is not in status yet: only then pods and report are worth reading."""
    finished = [job for job in jobs if not is_active(job)]
    if known is None or known.result in ("Running", "Unknown"):
        return bool(finished)
    times = {job["metadata"]["name"]: job["metadata"]["creationTimestamp"] for job in finished}
    since = times.get(known.name)
    return any(name != known.name and (since is None or time >= since) for name, time in times.items())


def is_active(job: Object) -> bool:
    """Neither complete nor failed."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return not any(c.get("type") in ("Complete", "Failed") and c.get("status") == "True" for c in conditions)


def terminated(pods: Iterable[Object]) -> frozenset[str]:
    """Names of pods whose sync container has ended: such a writer is silent."""
    return frozenset(pod["metadata"]["name"] for pod in pods if _termination(pod) is not None)


def _view(job: Object, pods: list[Object], report: Object | None) -> RunView:
    ended = _last_words(pods)
    seen = _job_view(job, ended)
    view = RunView(**seen, report=None if seen["active"] else parse_report(RunReport, ended.get("message")))
    if not view.active and view.report is None:
        return _from_configmap(view, report)
    return view


def _job_view(job: Object, ended: Object) -> dict[str, Any]:
    metadata, status = job["metadata"], job.get("status") or {}
    return {
        "name": metadata["name"],
        "uid": metadata["uid"],
        "created": parse_time(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC),
        "active": is_active(job),
        "deleting": "deletionTimestamp" in metadata,
        "start_time": parse_time(status.get("startTime")),
        "end_time": parse_time(status.get("completionTime")),
        "exit_code": ended.get("exitCode"),
    }


def _by_job(pods: Iterable[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for pod in pods:
        found.setdefault(_job_of(pod), []).append(pod)
    return found


def _last_words(pods: list[Object]) -> Object:
    """How the newest of a Job's pods ended; empty when it has not, or there is none."""
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)
    return (_termination(newest) if newest is not None else None) or {}


def _from_configmap(view: RunView, report: Object | None) -> RunView:
    """The report ConfigMap holds the last run's: it belongs to this Job when the times say so."""
    text = ((report or {}).get("data") or {}).get(names.REPORT_KEY)
    found = parse_report(RunReport, text)
    if found is None or view.start_time is None:
        return view
    late = view.end_time is not None and found.start_time > view.end_time + CLOCK_SKEW
    if found.start_time < view.start_time - CLOCK_SKEW or late:
        return view
    return RunView(**{**view.__dict__, "report": found})


def parse_report(kind: type[Said], text: str | None) -> Said | None:
    """A report, or None for what is none: a pod may say anything, and no status must be unwritable for it."""
    try:
        report = kind.model_validate_json(text or "")
    except ValidationError:
        return None
    return report if report.start_time.tzinfo is not None and report.start_time < END_OF_TIME else None


def _termination(pod: Object) -> Object | None:
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated")
        if container.get("name") == names.SYNC_CONTAINER and ended is not None:
            return dict(ended)
    return None


def _job_of(pod: Object) -> str:
    labels = pod["metadata"].get("labels") or {}
    return next((str(labels[key]) for key in JOB_NAME_LABELS if key in labels), "")
