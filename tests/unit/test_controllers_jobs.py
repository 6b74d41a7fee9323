"""Jobs, pods and reports as the API shows them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bcp_operator.api.tenant_status import LastRun
from bcp_operator.controllers import jobs

TIME = "2026-11-24T10:00:0{}Z"


def job(name: str = "acme-sync-1", second: int = 0, end: str | None = "Complete") -> dict[str, Any]:
    """A Job."""
    conditions = [{"type": end, "status": "True"}] if end else []
    status = {"startTime": TIME.format(second), "conditions": conditions}
    return {"metadata": {"name": name, "uid": name, "creationTimestamp": TIME.format(second)}, "status": status}


def pod(job_name: str, message: str | None, second: int = 0, code: int = 0) -> dict[str, Any]:
    """Its pod."""
    ended = {"terminated": {"exitCode": code, "message": message}} if message is not None else {"running": {}}
    return {
        "metadata": {
            "name": f"{job_name}-{second}",
            "creationTimestamp": TIME.format(second),
            "labels": {"batch.kubernetes.io/job-name": job_name},
        },
        "status": {"containerStatuses": [{"name": "bcp-sync", "state": ended}]},
    }


def report(start: str = TIME.format(1), result: str = "Succeeded") -> str:
    """A report."""
    return json.dumps({"result": result, "startTime": start, "seconds": 1.0})


def test_the_newest_pod_speaks_for_its_job() -> None:
    pods = [pod("acme-sync-1", report(result="Failed"), 0, 5), pod("acme-sync-1", report(), 3)]
    (view,) = jobs.run_views([job()], pods, None)
    assert view.report is not None
    assert view.report.result == "Succeeded"
    assert not view.active


def test_without_pods_the_report_configmap_counts_when_the_times_fit() -> None:
    fits = {"data": {"report.json": report()}}
    old = {"data": {"report.json": report("2026-11-23T10:00:00Z")}}
    assert jobs.run_views([job()], [], fits)[0].report is not None
    assert jobs.run_views([job()], [], old)[0].report is None


def test_a_pod_may_say_anything() -> None:
    for text in ("", "{", "[]", "null", '{"result":"Succeeded"}', report("2026-11-24T10:00:00")):
        (view,) = jobs.run_views([job()], [pod("acme-sync-1", text, code=3)], None)
        assert (view.report, view.exit_code) == (None, 3)


@pytest.mark.parametrize(
    "part",
    [
        '"seconds":NaN',
        '"seconds":1e999',
        '"seconds":-1',
        f'"counts":{{"created":{10**30}}}',
        '"counts":{"failed":-1}',
        '"withheldHash":"sha256:$(id)"',
    ],
)
def test_what_no_status_can_hold_is_no_report(part: str) -> None:
    text = f'{{"result":"Succeeded","startTime":"{TIME.format(1)}","seconds":1,{part}}}'
    assert jobs.run_views([job()], [pod("acme-sync-1", text)], None)[0].report is None


def test_a_start_at_the_end_of_time_is_no_report() -> None:
    assert jobs.run_views([job()], [pod("acme-sync-1", report("9999-12-31T23:00:00Z"))], None)[0].report is None


def test_a_running_job_has_no_report_yet() -> None:
    (view,) = jobs.run_views([job(end=None)], [pod("acme-sync-1", None)], {"data": {"report.json": report()}})
    assert view.active
    assert view.report is None


def test_pods_are_read_only_for_what_status_does_not_know() -> None:
    known = LastRun(name="acme-sync-1", result="Succeeded")
    assert not jobs.unfolded([job()], known)
    assert not jobs.unfolded([job(end=None)], None)
    assert jobs.unfolded([job()], None)
    assert jobs.unfolded([job()], known.model_copy(update={"result": "Running"}))
    assert jobs.unfolded([job(), job("acme-sync-2", 5)], known)
    assert jobs.unfolded([job(end="Failed")], None)


def test_a_terminated_container_is_a_silent_writer() -> None:
    found = jobs.terminated([pod("a", "x"), pod("b", None)])
    assert found == {"a-0"}
