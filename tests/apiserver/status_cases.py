"""One refused status for every constraint of both statuses: what the operator may write is bounded too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.apiserver import cases
from tests.apiserver.cases import Case
from tests.apiserver.manifests import condition, finished

SYSTEMS = ("Primary", "Secondary")
SHOWN = ("Primary", "Secondary", "Mixed", "Unknown")
RULES = (
    "TargetHealthy",
    "RouteOwned",
    "CoolDown",
    "RecoveryPointFresh",
    "CertificateValid",
    "DivergenceKnown",
    "FourEyes",
)


def tenant_status_cases() -> list[Case]:
    """All of BCPTenant's."""
    return [*_tenant(), *_sync(), *_readiness(), *_divergence(), *_routes(), *_conditions()]


def policy_status_cases() -> list[Case]:
    """All of SyncPolicy's."""
    return list(_conditions())


def _tenant() -> Iterator[Case]:
    phases = ("Pending", "Primary", "FailingOver", "Secondary", "FailingBack", "Held", "Suspended")
    yield cases.enum("status.phase", *phases)
    yield cases.enum("status.activeSystem", *SHOWN)
    yield cases.text("status.activeLoginURL", 2048)
    yield cases.enum("status.settledSystem", *SYSTEMS)
    yield cases.text("status.requestHash", 64)
    yield cases.max_items("status.claims", ["a"] * 4)
    yield replace(cases.text("status.claims[]", 64), edits={"status.claims": ["x" * 65]})
    yield from _operation("status.operation")
    yield from _finished("status.lastOperation")
    yield cases.max_items("status.history", [finished(i) for i in range(11)])
    yield from _finished("status.history[]")


def _operation(path: str) -> Iterator[Case]:
    yield from cases.required(path, "generation", "id", "startTime", "step", "type")
    yield cases.text(f"{path}.id", 64)
    yield cases.enum(f"{path}.type", "Failover", "Failback")
    yield cases.enum(
        f"{path}.step", "Preflight", "Record", "FinalSync", "Fence", "Compare", "Route", "Verify", "Drain", "Finish"
    )
    for field in ("requestedAt", "startTime", "verifiedTime", "deadline"):
        yield cases.time(f"{path}.{field}")
    yield cases.text(f"{path}.initiator", 512)
    yield cases.text(f"{path}.approvedBy", 512)
    yield cases.text(f"{path}.reason", 512)
    yield cases.max_items(f"{path}.override", ["CoolDown"] * (len(RULES) + 1))
    yield cases.max_items(f"{path}.warnings", ["x"] * 9)
    yield replace(cases.text(f"{path}.warnings[]", 256), edits={f"{cases.concrete(path)}.warnings": ["x" * 257]})
    yield cases.enum(f"{path}.override[]", *RULES)
    yield cases.enum(f"{path}.secondaryChanges", "Keep", "Discard")
    yield cases.enum(f"{path}.mode", "Unplanned", "Planned")


def _finished(path: str) -> Iterator[Case]:
    yield from _operation(path)
    yield from cases.required(path, "endTime", "result")
    yield cases.enum(f"{path}.result", "Completed", "Refused", "Superseded")
    yield cases.time(f"{path}.endTime")
    yield cases.text(f"{path}.message", 1024)


def _sync() -> Iterator[Case]:
    path, run = "status.sync", "status.sync.lastRun"
    yield from cases.bounds(f"{path}.missed", 0, None)
    for field in ("enabledAt", "lastSuccessTime", "nextSyncTime", "lastTrigger"):
        yield cases.time(f"{path}.{field}")
    yield cases.text(f"{path}.heldBy", 253)
    yield from cases.required(run, "name", "result")
    yield cases.text(f"{run}.name", 253)
    yield cases.enum(f"{run}.result", "Succeeded", "Failed", "Held", "Partial", "Planned", "Unknown", "Running")
    yield cases.time(f"{run}.startTime")
    yield cases.max_entries(f"{run}.counts", {f"c{i}": 1 for i in range(17)})
    yield cases.text(f"{run}.withheldHash", 71)
    yield cases.text(f"{run}.message", 1024)


def _divergence() -> Iterator[Case]:
    path = "status.divergence"
    whole = {"name": "acme-diff-1764000000", "result": "Known"}
    for name in whole:
        rest = {other: value for other, value in whole.items() if other != name}
        yield replace(next(cases.required(path, name)), edits={path: rest})
    for made in (
        cases.text(f"{path}.name", 253),
        cases.enum(f"{path}.result", "Running", "Known", "Unknown"),
        cases.time(f"{path}.time"),
        cases.text(f"{path}.report", 253),
        cases.text(f"{path}.message", 1024),
    ):
        ((field, bad),) = made.edits.items()
        yield replace(made, edits={path: {**whole, field.rsplit(".", 1)[1]: bad}})


def _readiness() -> Iterator[Case]:
    path = "status.readiness"
    numbers = {"usersWithoutLogin": 1, "unresolved": 0}
    for name in numbers:
        rest = {other: value for other, value in numbers.items() if other != name}
        yield replace(next(cases.required(path, name)), edits={path: rest})
    yield replace(
        cases.max_items(f"{path}.unsyncedTypes", ["a"] * 65), edits={path: {**numbers, "unsyncedTypes": ["a"] * 65}}
    )
    long = cases.text(f"{path}.unsyncedTypes[]", 63)
    yield replace(long, edits={path: {**numbers, "unsyncedTypes": ["x" * 64]}})


def _routes() -> Iterator[Case]:
    route = {"desired": "Primary", "written": True, "observed": "Primary"}
    yield cases.max_items("status.routes", [{"name": f"r{i}", **route} for i in range(9)])
    yield cases.unique("status.routes", [{"name": "web", **route}, {"name": "web", **route}])
    yield from cases.required("status.routes[]", "desired", "name", "observed", "written")
    yield cases.text("status.routes[].name", 253)
    yield cases.enum("status.routes[].desired", *SYSTEMS)
    yield cases.enum("status.routes[].observed", *SHOWN)
    yield cases.text("status.routes[].message", 512)
    yield cases.max_items("status.runbook", [{"title": f"t{i}", "command": "true"} for i in range(11)])
    yield from cases.required("status.runbook[]", "command", "title")
    yield cases.text("status.runbook[].title", 128)
    yield cases.text("status.runbook[].command", 4096)


def _conditions() -> Iterator[Case]:
    path = "status.conditions"
    yield cases.max_items(path, [condition("C" + chr(ord("a") + i)) for i in range(17)])
    yield cases.unique(path, [condition(), condition()])
    yield from cases.required(f"{path}[]", "lastTransitionTime", "reason", "status", "type")
    yield cases.pattern(f"{path}[].type", "not a type")
    yield cases.max_length(f"{path}[].type", 64, "T" * 65)
    yield cases.enum(f"{path}[].status", "True", "False", "Unknown")
    yield cases.pattern(f"{path}[].reason", "not a reason")
    yield cases.max_length(f"{path}[].reason", 128, "R" * 129)
    yield cases.text(f"{path}[].message", 1024)
    yield cases.time(f"{path}[].lastTransitionTime")
