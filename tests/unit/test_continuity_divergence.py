"""The way back asks what was changed in the secondary: nothing, somebody agrees to lose it, or users stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bcp_operator.api import names
from bcp_operator.api.divergence import DivergenceReport, ReportedDifference, UnreadListing
from bcp_operator.api.tenant_status import Divergence, FinishedOperation
from bcp_operator.continuity import actions
from bcp_operator.continuity.observed import Probe, Problem

from tests.unit import simulated_tenant as sim
from tests.unit.simulated_tenant import World


def on_secondary(**parts: Any) -> World:
    """Users work in the secondary, of which a run had made a copy."""
    world = sim.synced(**parts)
    world.tick(3600)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    assert world.side() == "Secondary"
    world.tick(3600)
    world.done.clear()
    return world


def go_back(world: World, **more: Any) -> None:
    """The way back is asked for, and goes as far as it goes now."""
    world.request(**sim.failover("Primary", world.clock.wall, **more))
    for _ in range(12):
        world.step()


def last(world: World) -> FinishedOperation:
    """What the last operation came to."""
    found = world.seen.status.last_operation
    assert found is not None
    return found


def known(world: World) -> Divergence:
    """status.divergence."""
    found = world.seen.status.divergence
    assert found is not None
    return found


def looks(world: World) -> int:
    """How many looks were started."""
    return sum(isinstance(action, actions.StartComparison) for action in world.done)


def moved(world: World) -> bool:
    """Whether any route was written."""
    return any(isinstance(action, actions.ApplyRoutes) for action in world.done)


def step(world: World) -> str | None:
    """Where the switch stands."""
    return world.seen.status.operation.step if world.seen.status.operation else None


def test_with_nothing_changed_the_way_back_needs_no_consent() -> None:
    world = on_secondary()
    go_back(world)
    world.settle()
    assert (last(world).result, last(world).secondary_changes, world.side()) == ("Completed", "Keep", "Primary")
    assert "nothing changed in the secondary as of" in last(world).message
    assert [type(action).__name__ for action in world.done][:2] == ["HoldWriter", "StartComparison"]
    assert world.seen.status.divergence is None, "users are on the primary: it says nothing any more"
    assert world.seen.lease is not None
    assert not world.seen.lease.fenced


def test_with_changes_it_is_refused_with_the_counts_and_what_to_do() -> None:
    world = on_secondary()
    world.changes = 3
    go_back(world)
    world.settle()
    message = last(world).message
    assert last(world).result == "Refused"
    assert message.startswith("3 changed in the secondary as of 2026-11-24T12:00:00Z (user: 3 changed)")
    assert "kubectl -n tenants get configmap acme-divergence -o jsonpath='{.data.divergence\\.json}'" in message
    assert "secondaryChanges: Discard" in message
    assert (known(world).result, known(world).changed, known(world).report) == ("Known", 3, "acme-divergence")
    assert (moved(world), world.side()) == (False, "Secondary")
    assert world.condition("SyncFenced").status == "True"
    assert world.condition("Stalled").message.startswith("3 changed")


def test_what_was_carried_back_is_looked_for_anew() -> None:
    world = on_secondary()
    world.changes = 3
    go_back(world)
    world.settle()
    world.tick(900)
    world.changes = 0
    go_back(world)
    world.settle()
    assert (looks(world), last(world).result, world.side()) == (2, "Completed", "Primary")


def test_discard_asks_nobody_and_keeps_the_count_that_was_known() -> None:
    world = on_secondary()
    world.changes = 3
    go_back(world)
    world.settle()
    world.tick(60)
    go_back(world, secondaryChanges="Discard")
    world.settle()
    assert (looks(world), last(world).result) == (1, "Completed")
    assert "to be discarded: 3 changed in the secondary" in last(world).message


@pytest.mark.parametrize("way", ["unread", "failure", "silent"])
def test_not_knowing_is_not_nothing_and_can_be_passed_over(way: str) -> None:
    world = on_secondary()
    world.looks_last = True
    go_back(world)
    assert (step(world), moved(world)) == ("Compare", False)
    assert world.condition("Stalled").status == "False", "a look may take its time"
    world.changes = None
    world.looked(
        DivergenceReport(start_time=world.clock.wall, seconds=1, failure="no store") if way == "failure" else None
    )
    if way == "silent":
        ended = replace(world.seen.sync.comparisons[-1], report=None, exit_code=1)
        world.seen = replace(world.seen, sync=replace(world.seen.sync, comparisons=(ended,)))
    world.settle()
    assert last(world).result == "Refused"
    assert "not known" in last(world).message
    assert "override: [DivergenceKnown]" in last(world).message
    assert known(world).result == "Unknown"
    assert known(world).message
    world.tick(60)
    go_back(world, override=["DivergenceKnown"], reason="INC-4711")
    world.settle()
    assert (last(world).result, looks(world), world.side()) == ("Completed", 1, "Primary")


def test_a_rule_that_only_warns_lets_not_knowing_pass_but_no_changes() -> None:
    world = on_secondary(safety={"rules": {"DivergenceKnown": "Warn"}})
    world.changes = 1
    go_back(world)
    world.settle()
    assert last(world).result == "Refused"
    world.tick(60)
    world.changes = None
    go_back(world)
    world.settle()
    assert last(world).result == "Completed"


def test_where_nobody_can_look_it_is_refused_at_once() -> None:
    world = on_secondary()
    world.seen = replace(world.seen, sync_problem=Problem("HostNotAllowed", "that host is not allowed"))
    go_back(world)
    world.settle()
    assert (last(world).result, looks(world)) == ("Refused", 0)
    assert "DivergenceKnown" in last(world).message
    assert "that host is not allowed" in last(world).message


def test_a_dead_primary_is_refused_with_the_reason_before_anybody_looks() -> None:
    world = on_secondary()
    world.seen = replace(world.seen, probe=Probe("Failed", "no answer"))
    go_back(world)
    world.settle()
    assert (last(world).result, looks(world)) == ("Refused", 0)
    assert "TargetHealthy: the primary is not healthy: no answer" in last(world).message


def test_without_the_primarys_listing_at_most_too_much_is_told() -> None:
    world = on_secondary()
    world.looks_last = True
    go_back(world)
    unread = [UnreadListing(side="primary", type="user", reason="HTTP 503")]
    world.looked(DivergenceReport(start_time=world.clock.wall, seconds=1, unread=unread))
    world.settle()
    assert last(world).result == "Completed"


def test_a_restart_at_any_time_starts_no_second_look() -> None:
    world = on_secondary()
    world.looks_last = True
    go_back(world)
    for _ in range(3):
        world.restart()
        world.tick(20)
        world.step()
    assert (looks(world), step(world)) == (1, "Compare")
    world.looked()
    world.restart()
    world.settle()
    assert (looks(world), last(world).result) == (1, "Completed")


def test_what_status_remembers_counts_when_the_job_has_gone() -> None:
    world = on_secondary()
    world.looks_last = True
    go_back(world)
    world.looked()
    world.login_down = True
    for _ in range(6):
        world.step()
    assert moved(world)
    world.seen = replace(world.seen, sync=replace(world.seen.sync, comparisons=()))
    world.login_down = False
    world.settle()
    assert (looks(world), last(world).result) == (1, "Completed")


def test_a_look_that_somebody_deletes_is_started_anew() -> None:
    world = on_secondary()
    world.looks_last = True
    go_back(world)
    world.seen = replace(world.seen, sync=replace(world.seen.sync, comparisons=()))
    for _ in range(3):
        world.step()
    assert (looks(world), step(world), moved(world)) == (2, "Compare", False)


def test_consent_in_the_meantime_goes_on_at_once_and_ends_the_look_before_a_run_may_write() -> None:
    world = on_secondary()
    world.looks_last = True
    go_back(world)
    world.tick(5)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.settle()
    assert (last(world).result, last(world).secondary_changes) == ("Completed", "Discard")
    kinds = [type(action).__name__ for action in world.done]
    assert kinds.index("DeleteRun") < kinds.index("ReleaseWriter")
    assert len(world.seen.status.history) == 2, "it is the same operation, with a consent more"


def test_a_change_of_mind_in_the_meantime_wins() -> None:
    world = on_secondary()
    world.looks_last = True
    go_back(world)
    world.tick(5)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    assert [entry.result for entry in world.seen.status.history][:2] == ["Completed", "Superseded"]
    assert world.side() == "Secondary"
    world.looked()
    world.settle()
    assert (known(world).result, known(world).changed) == ("Known", 0)


def test_a_job_that_the_api_server_refuses_is_said_and_not_tried_for_ever() -> None:
    world = on_secondary()
    name = names.comparison_job("acme", world.clock.wall)
    refused = replace(world.seen.memory, comparison_refused={name: "refused: memory is no quantity"})
    world.seen = replace(world.seen, memory=refused)
    go_back(world)
    world.settle()
    assert (last(world).result, looks(world)) == ("Refused", 0)
    assert "memory is no quantity" in last(world).message
    assert known(world).result == "Unknown"


def trigger(world: World) -> None:
    """Somebody wants to know now."""
    world.change(sync=world.seen.spec.sync.model_dump(by_alias=True) | {"trigger": world.clock.wall})
    for _ in range(4):
        world.step()


def test_a_trigger_while_failed_over_shows_the_counts_and_moves_nobody() -> None:
    world = on_secondary()
    world.changes = 2
    world.looks_last = True
    trigger(world)
    assert known(world).result == "Running"
    world.looked()
    world.settle()
    assert (known(world).result, known(world).changed, known(world).time) == ("Known", 2, world.clock.wall)
    assert (looks(world), moved(world), world.side()) == (1, False, "Secondary")
    assert world.seen.status.sync is not None
    assert world.seen.status.sync.last_trigger == world.seen.spec.sync.trigger
    world.restart()
    world.settle()
    assert looks(world) == 1
    world.tick(600)
    world.changes = 5
    trigger(world)
    assert (known(world).result, known(world).changed) == ("Running", 2), "until the newer one has told"
    world.looked()
    world.settle()
    assert (looks(world), known(world).changed) == (2, 5)


def test_looks_of_an_earlier_failover_say_nothing_of_this_one() -> None:
    world = on_secondary()
    world.changes = 2
    trigger(world)
    world.settle()
    go_back(world, secondaryChanges="Discard")
    world.settle()
    world.tick(3600)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    assert world.seen.sync.comparisons
    assert world.seen.status.divergence is None


def test_a_status_that_was_wiped_finds_the_last_look_again() -> None:
    world = on_secondary()
    world.changes = 2
    trigger(world)
    world.settle()
    wiped = world.seen.status.model_copy(update={"divergence": None})
    world.seen = replace(world.seen, status=wiped)
    world.settle()
    assert (known(world).result, known(world).changed) == ("Known", 2)


def test_events_tell_of_each_look_once() -> None:
    world = on_secondary()
    world.changes = 2
    said: list[tuple[str, bool]] = []
    world.change(sync=world.seen.spec.sync.model_dump(by_alias=True) | {"trigger": world.clock.wall})
    for _ in range(10):
        said += [(note.reason, note.warning) for note in world.step().notes]
    assert said == [("ComparisonTriggered", False), ("DivergenceReported", True)]


def test_a_report_is_cut_to_fit_and_never_its_totals() -> None:
    one = ReportedDifference(type="user", change="Changed", key="x" * 40, fields=["title"])
    unread = [UnreadListing(side="primary", type=f"t{n}", reason="x" * 300) for n in range(20)]
    unread.append(UnreadListing(side="secondary", type="group", reason="HTTP 503"))
    whole = DivergenceReport(
        start_time=sim.START, seconds=1, counts={"changed": 500}, differences=[one] * 500, unread=unread
    )
    cut = DivergenceReport.model_validate_json(whole.render(3 * 1024))
    assert (cut.counts.changed, cut.truncated, cut.known) == (500, True, False)
    assert len(whole.render(3 * 1024)) <= 3 * 1024
