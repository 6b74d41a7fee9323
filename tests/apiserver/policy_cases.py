"""One refused SyncPolicy for every constraint of its spec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.apiserver import cases
from tests.apiserver.cases import Case, rule
from tests.apiserver.manifests import DROP
from tests.apiserver.tenant_cases import duration, time_zone

DEFAULT_ONLY = "needs mode: Custom; mode: Default copies everything the profile knows"


def policy_cases() -> list[Case]:
    """All of them."""
    return [*cases.required("", "spec"), *_selection(), *_schedule(), *_guard(), *_job()]


def _selection() -> Iterator[Case]:
    yield cases.enum("spec.mode", "Default", "Custom", bad="Everything")
    yield rule("spec.entities", DEFAULT_ONLY, {"spec.mode": "Default"})
    yield rule("spec.exclude", DEFAULT_ONLY, {"spec.mode": DROP, "spec.entities": DROP, "spec.exclude": ["group"]})
    yield rule("spec", "set entities (only these) or exclude (all but these), not both", {"spec.exclude": ["group"]})
    yield rule(
        "spec.mode",
        "mode: Custom needs entities or exclude; to copy everything set mode: Default",
        {"spec.entities": DROP},
    )
    yield cases.min_items("spec.entities")
    yield cases.max_items("spec.entities", [{"type": f"t{i}"} for i in range(65)])
    yield cases.unique("spec.entities", [{"type": "user"}, {"type": "user"}])
    yield from cases.required("spec.entities[]", "type")
    yield cases.pattern("spec.entities[].type", "2nd type")
    yield cases.text("spec.entities[].type", 63)
    yield from _parts()
    for case in (
        cases.min_items("spec.exclude"),
        cases.max_items("spec.exclude", [f"t{i}" for i in range(65)]),
        cases.unique("spec.exclude", ["user", "user"]),
        Case("spec.exclude[]", "pattern", {"spec.exclude": [""]}, "FieldValueInvalid", "should match"),
        Case("spec.exclude[]", "maxLength", {"spec.exclude": ["t" * 64]}, "FieldValueTooLong", "more than 63 bytes"),
    ):
        yield Case(
            case.path, case.constraint, {"spec.entities": DROP, **case.edits}, case.reason, case.message, case.at
        )


def _parts() -> Iterator[Case]:
    """What is copied of a type, and how."""
    title = "spec.entities[0].filter.title"
    yield cases.max_entries("spec.entities[].filter", {f"f{i}": ["x"] for i in range(9)})
    yield replace(cases.min_items("spec.entities[].filter.*"), edits={title: []}, at=title)
    yield replace(
        cases.max_items("spec.entities[].filter.*", many := [f"v{i}" for i in range(65)]), edits={title: many}, at=title
    )
    yield replace(
        cases.unique("spec.entities[].filter.*", []), edits={title: ["a", "a"]}, at="spec.entities[0].filter[title][1]"
    )
    yield cases.text("spec.entities[].filter.*[]", 256, f"{title}[0]")
    yield cases.enum("spec.entities[].onMissing", "Deactivate", "Delete", "Keep")
    yield cases.max_items(
        "spec.mappings", [{"type": "user", "field": f"f{i}", "values": {"a": "b"}} for i in range(65)]
    )
    yield cases.unique("spec.mappings", [{"type": "user", "field": "title", "values": {"a": "b"}}] * 2)
    yield from cases.required("spec.mappings[]", "type", "field", "values")
    yield cases.pattern("spec.mappings[].type", "2nd type")
    yield cases.text("spec.mappings[].type", 63)
    yield cases.text("spec.mappings[].field", 256)
    yield cases.max_entries("spec.mappings[].values", {f"v{i}": "x" for i in range(257)})
    yield cases.text("spec.mappings[].values.*", 256, "spec.mappings[0].values.Agent")
    yield cases.enum("spec.adopt", "ByKey", "Never")
    yield cases.enum("spec.onUnresolved", "OmitField", "Skip")


def _schedule() -> Iterator[Case]:
    yield from cases.required("spec.schedule", "cron")
    yield cases.max_length("spec.schedule.cron", 100, "0" + " " * 93 + "2 * * *")
    yield rule(
        "spec.schedule.cron",
        "write five fields, minute hour day month weekday, e.g. 0 2 * * *; names in upper case (MON), Sunday is 0",
        {"spec.schedule.cron": "0 24 * * *"},
    )
    yield from time_zone("spec.schedule.timeZone")
    yield from duration("spec.schedule.jitter")
    yield rule(
        "spec.schedule.jitter",
        "needs one minute in cron, e.g. 0 2 * * *: that minute is what it moves",
        {"spec.schedule.cron": "*/5 2 * * *"},
    )


def _guard() -> Iterator[Case]:
    for field, most in (
        ("maxRemovals", 1000000),
        ("maxRemovalPercent", 100),
        ("maxUpdatePercent", 100),
        ("maxCreatePercent", 10000),
    ):
        yield from cases.bounds(f"spec.guard.{field}", 0, most)
    yield cases.enum("spec.approval", "OnGuard", "Always", "Never")


def _job() -> Iterator[Case]:
    yield from cases.bounds("spec.limits.requestsPerSecond", 1, 10000)
    yield from cases.bounds("spec.limits.concurrency", 1, 64)
    yield from duration("spec.limits.timeout")
    for field in ("limits", "requests"):
        path, at = f"spec.job.resources.{field}", f"spec.job.resources.{field}.cpu"
        yield cases.max_entries(path, {f"r{i}": 1 for i in range(17)})
        yield cases.pattern(f"{path}.*", "many", at)
        yield cases.max_length(f"{path}.*", 32, "1" * 33, at)
        yield from cases.bounds(f"{path}.*", 0, None, at)
    yield cases.max_entries("spec.job.nodeSelector", {f"l{i}": "x" for i in range(17)})
    yield cases.pattern("spec.job.nodeSelector.*", "not a label", "spec.job.nodeSelector.zone")
    yield cases.text("spec.job.nodeSelector.*", 63, "spec.job.nodeSelector.zone")
    yield cases.max_items("spec.job.tolerations", [{"key": f"k{i}"} for i in range(17)])
    yield cases.text("spec.job.tolerations[].key", 317)
    yield cases.enum("spec.job.tolerations[].operator", "Exists", "Equal")
    yield cases.text("spec.job.tolerations[].value", 63)
    yield cases.enum("spec.job.tolerations[].effect", "NoSchedule", "PreferNoSchedule", "NoExecute")
    yield from cases.bounds("spec.job.tolerations[].tolerationSeconds", 0, 2147483647)
    yield from cases.name("spec.job.priorityClassName")
