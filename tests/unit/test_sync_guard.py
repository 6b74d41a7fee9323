"""The guard's own figures: what trips it, what the hash of withheld actions knows, what a short report keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from bcp_operator.api.run import TERMINATION_MESSAGE_LIMIT_BYTES, GuardedKind, RunGuard, RunReport, RunTripped
from bcp_operator.sync.guard import FLOOR, Correlated, allowed, guarded_kind, judge, withheld_hash
from bcp_operator.sync.report import Tally
from bcp_operator.sync.world import Action, Kind
from hypothesis import given
from hypothesis import strategies as st

LIMITS = RunGuard()
NOW = datetime(2026, 11, 24, tzinfo=UTC)


# --- limits


@pytest.mark.parametrize(
    ("kind", "active", "expected"),
    [
        ("remove", 10_000, 50),  # the number is lower
        ("remove", 200, 10),  # the percentage is lower
        ("remove", 10, 3),  # a small directory has leavers, too
        ("remove", 0, 3),
        ("update", 100, 50),
        ("update", 4, 10),
        ("update", 0, None),
        ("create", 100, 100),
        ("create", 1, 10),
        ("create", 0, None),  # nothing correlated yet
    ],
)
def test_limits_by_default(kind: GuardedKind, active: int, expected: int | None) -> None:
    assert allowed(LIMITS, kind, Correlated(active, copied=True)) == expected


def test_zero_is_none_and_a_hundred_percent_of_updates_is_no_limit() -> None:
    strict = RunGuard(max_removals=50, max_removal_percent=0, max_update_percent=0, max_create_percent=0)
    assert [allowed(strict, kind, Correlated(100, True)) for kind in get_args(GuardedKind)] == [0, 0, 0]
    assert allowed(RunGuard(max_removals=0), "remove", Correlated(100, True)) == 0
    assert allowed(RunGuard(max_update_percent=100), "update", Correlated(100, True)) is None


def test_the_initial_copy_is_limited_in_removals_only() -> None:
    known = Correlated(100, copied=False)  # a first run that was killed half-way
    assert [allowed(LIMITS, kind, known) for kind in ("create", "update", "remove")] == [None, None, 5]


@given(
    limits=st.builds(
        RunGuard,
        max_removals=st.integers(0, 100),
        max_removal_percent=st.integers(0, 100),
        max_update_percent=st.integers(0, 100),
        max_create_percent=st.integers(0, 300),
    ),
    active=st.integers(0, 300),
    planned=st.dictionaries(st.sampled_from(get_args(GuardedKind)), st.integers(1, 400)),
    copied=st.booleans(),
)
def test_what_is_not_tripped_is_within_every_limit(
    limits: RunGuard, active: int, planned: dict[GuardedKind, int], copied: bool
) -> None:
    counts = {("person", kind): number for kind, number in planned.items()}
    known = {"person": Correlated(active, copied)}
    tripped = {one.kind for one in judge(counts, known, limits, "OnGuard")}
    free = planned.keys() - tripped
    if "remove" in free:
        assert planned["remove"] <= limits.max_removals
        assert planned["remove"] <= max(FLOOR["remove"], active * limits.max_removal_percent / 100)
    if copied and active:
        for kind, percent in (("update", limits.max_update_percent), ("create", limits.max_create_percent)):
            if kind in free and not (kind == "update" and percent == 100):
                assert planned[kind] <= max(FLOOR[kind], active * percent / 100)
    assert judge(counts, known, limits, "Never") == []
    assert {one.kind for one in judge(counts, known, limits, "Always")} == set(planned)


@pytest.mark.parametrize("kind", ["deactivate", "delete", "update"])
def test_whatever_puts_an_entity_out_of_use_is_a_removal(kind: Kind) -> None:
    assert guarded_kind(Action(9, "person", kind, "a", "p", "s", removes=True)) == "remove"


def test_a_revival_is_an_update() -> None:
    assert guarded_kind(Action(9, "person", "revive", "a", "p", "s")) == "update"


# --- the hash


def actions(number: int) -> list[Action]:
    return [
        Action(9, "person", "deactivate", f"login{n}", f"p{n}", f"s{n}", "vanished", removes=True)
        for n in range(number)
    ]


@given(st.permutations(actions(5)))
def test_the_hash_knows_no_order(shuffled: list[Action]) -> None:
    assert withheld_hash(shuffled, lambda _: False) == withheld_hash(actions(5), lambda _: False)


@pytest.mark.parametrize(
    "change",
    [{"type": "team"}, {"kind": "update"}, {"primary_id": "x"}, {"secondary_id": "x"}, {"fields": ("login",)}],
)
def test_the_hash_knows_what_is_done_to_whom(change: dict[str, Any]) -> None:
    first, *rest = actions(3)
    changed = withheld_hash([replace(first, **change), *rest], lambda _: False)
    assert changed != withheld_hash(actions(3), lambda _: False)


def test_the_hash_knows_neither_words_nor_phases_and_is_none_of_nothing() -> None:
    first, *rest = actions(3)
    same = withheld_hash([replace(first, reason="other words", phase=1, key="renamed"), *rest], lambda _: False)
    assert same == withheld_hash(actions(3), lambda _: False)
    assert withheld_hash([], lambda _: False) is None


def test_a_hash_that_was_used_up_is_not_shown_again() -> None:
    seen: list[str] = []
    for _ in range(3):
        digest = withheld_hash(actions(3), lambda text: text in seen)
        assert digest is not None
        assert digest not in seen
        seen.append(digest)


def test_what_writes_nothing_is_not_guarded() -> None:
    kinds: tuple[Kind, ...] = ("refresh", "unchanged", "tombstone", "keep", "skip")
    assert {guarded_kind(Action(0, "person", kind, "k", "p")) for kind in kinds} == {None}


def test_a_short_report_keeps_totals_and_hash_whatever_was_withheld() -> None:
    tally = Tally(withheld_hash="sha256:" + "a" * 64)
    for number in range(20_000):
        tally.withhold("person", f"login{number}", "Deactivate: vanished from the primary")
    tally.tripped = [
        RunTripped(type=f"type{number}", kind="remove", planned=20_000, allowed=50, correlated=50_000)
        for number in range(64)
    ]
    report = tally.report(tally.result(1), NOW, 1)
    assert len(report.message) < 600
    short = RunReport.model_validate_json(report.render(TERMINATION_MESSAGE_LIMIT_BYTES))
    assert (short.counts.withheld, short.withheld_hash, short.truncated) == (20_000, tally.withheld_hash, True)
