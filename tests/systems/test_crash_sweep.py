"""Killed at three points of a request of every kind: nothing lost, nothing twice, nothing dangling. All points: make crash-sweep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
from bcp_operator.sync.world import Kind

from tests.systems.crash.stage import Stage, staged
from tests.systems.crash.sweep import MOMENTS, Expected, explore, one_of_each, sweep
from tests.systems.reader import Count, Directory, compare, count, portrait
from tests.systems.servers import start_scim

LEAST_POINTS = 200


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("crash")) as made:
        yield made


@pytest.fixture(scope="module")
def expected(stage: Stage) -> Expected:
    return explore(stage)


def test_every_kind_of_action_is_due_and_there_are_pages_and_a_cycle(stage: Stage) -> None:
    stage.reset()
    plan = stage.run("plan")
    due = {action["action"] for action in plan["actions"]} | {kind for c in plan["counts"].values() for kind in c}
    assert due == set(get_args(Kind))
    ring = [a for a in plan["actions"] if a["action"] == "link"]
    assert {action["key"] for action in ring} >= {"Ring A", "Ring B", "new00@acme.example", "new01@acme.example"}
    pages = [e.target for e in stage.proxy.seen if e.target.startswith("/v2/Users")]
    assert len(pages) >= 6
    assert len(set(pages)) >= 3


def test_left_alone_the_run_copies_everything(stage: Stage, expected: Expected) -> None:
    assert len(expected.points) >= LEAST_POINTS
    primary, secondary = stage.pair.directories()
    only_there = {issue["key"] for issue in expected.report["kept"]} | {"Ambiguous"}
    left = {user["userName"] for user in secondary.list("Users")} - {u["userName"] for u in primary.list("Users")}
    rest = compare(primary, secondary).differences
    assert [d for d in rest if not any(name in d for name in only_there | left)] == []
    assert len(left) == 2  # somebody who has left, and somebody who was only ever there


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_a_request_of_every_kind_nothing_is_lost_twice_or_dangling(
    stage: Stage, expected: Expected, moment: str
) -> None:
    points = [point for point in one_of_each(expected.points) if point.moment == moment]
    assert len(points) >= 12
    outcomes = list(sweep(stage, expected, points, once_more=False))
    assert [outcome for outcome in outcomes if not outcome.fine] == []


def test_the_reader_counts_what_is_lost_twice_and_dangling() -> None:
    schemas = ["urn:ietf:params:scim:schemas:core:2.0:Group"]
    with start_scim(token="t", snapshots=True) as server:
        directory = Directory(server.base + "/v2", "t")
        made = [directory.create("Groups", {"schemas": schemas, "displayName": name}) for name in "ab"]
        directory.change("Groups", made[0]["id"], members=[{"value": made[1]["id"], "type": "Group"}])
        before = portrait(directory)
        server.keep("before")
        assert count(before, portrait(directory)) == Count(0, 0, 0)
        directory.create("Groups", {"schemas": schemas, "displayName": "b"})
        assert count(before, portrait(directory)) == Count(0, 1, 0)
        directory.delete("Groups", made[1]["id"])
        assert count(before, portrait(directory)) == Count(1, 0, 1)  # the group no longer says what it said
        server.restore("before")
        assert count(before, portrait(directory)) == Count(0, 0, 0)
