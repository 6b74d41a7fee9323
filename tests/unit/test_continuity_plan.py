"""Properties of the one decision: it never fails, settles, and changes sides only when asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity import actions, divergence
from bcp_operator.continuity.observed import Memory, Now, Observed, Probe, Problem, RouteView, SyncView, WriterView
from bcp_operator.continuity.plan import plan
from bcp_operator.continuity.request import fingerprint
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.unit import simulated_tenant as sim

OUTSIDE = (
    actions.CreateLease
    | actions.HoldWriter
    | actions.ReleaseWriter
    | actions.ApplyRoutes
    | actions.DeleteCronJob
    | actions.DeleteRun
)


@st.composite
def statuses(draw: st.DrawFn) -> BCPTenantStatus:
    """A status as some past of some world left it."""
    if draw(st.booleans()):
        return BCPTenantStatus()
    world = sim.World(draw(worlds_without_past()))
    for _ in range(draw(st.integers(0, 6))):
        world.step()
        world.tick(draw(st.sampled_from([0.0, 0.3, 20.0, 4000.0])))
    return world.seen.status


@st.composite
def worlds_without_past(draw: st.DrawFn) -> Observed:
    """Anything that may be seen of a tenant without status."""
    return Observed(
        namespace="tenants",
        name="acme",
        uid="5f0c1d2e-0000-4000-8000-000000000000",
        generation=draw(st.integers(1, 9)),
        spec=draw(sim.specs),
        status=BCPTenantStatus(),
        requester=draw(sim.requesters),
        refused=draw(st.none() | st.just(Problem("HostNotAllowed", "no"))),
        sync_problem=draw(st.none() | st.just(Problem("PolicyNotFound", "no"))),
        lease=draw(sim.leases),
        routes=(draw(sim.routes), replace(draw(sim.routes), name="b")),
        sync=SyncView(cronjob=draw(st.booleans()), stale=draw(st.sampled_from([(), ("CronJob",)]))),
        probe=Probe(draw(st.sampled_from(["Healthy", "Failed", "Unknown"])), "x"),
    )


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    """Anything at all."""
    seen = draw(worlds_without_past())
    return replace(
        seen,
        status=draw(statuses()),
        deleting=draw(st.booleans()),
        finalizer=draw(st.booleans()),
        memory=Memory(
            fence_since_seconds=draw(st.none() | st.floats(0, 1e9)),
            restore_attempts=draw(st.integers(0, 5)),
            route_retry_seconds=draw(st.none() | st.floats(0, 1e9)),
        ),
    )


# No shrinking: it takes minutes on a busy host, and the worlds are small.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)

many = settings(max_examples=60, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])


@many
@given(worlds(), sim.clocks)
def test_it_never_fails_and_always_names_a_phase(seen: Observed, now: Now) -> None:
    decided = plan(seen, now)
    assert decided.status == seen.status or decided.status.phase is not None
    BCPTenantStatus.model_validate(decided.status.model_dump(by_alias=True))


@many
@given(worlds(), sim.clocks)
def test_the_operation_is_in_status_before_its_first_effect(seen: Observed, now: Now) -> None:
    decided = plan(seen, now)
    if decided.status.operation != seen.status.operation:
        assert not decided.actions


@many
@given(worlds(), sim.clocks)
def test_routes_move_to_the_side_of_the_operation_or_stay_on_the_settled_one(seen: Observed, now: Now) -> None:
    for action in plan(seen, now).actions:
        if isinstance(action, actions.ApplyRoutes):
            operation = seen.status.operation
            if operation is None:
                assert action.target == seen.status.settled_system
            else:
                assert action.target == ("Secondary" if operation.type == "Failover" else "Primary")


@many
@given(worlds(), sim.clocks)
def test_an_operation_starts_only_for_a_change_of_the_request(seen: Observed, now: Now) -> None:
    started = plan(seen, now).status.operation
    if started is not None and (seen.status.operation is None or started.id != seen.status.operation.id):
        assert seen.status.request_hash != fingerprint(seen.spec)


@many
@given(worlds(), sim.clocks)
def test_the_way_back_needs_a_newer_stamp_and_consent(seen: Observed, now: Now) -> None:
    started = plan(seen, now).status.operation
    if started is not None and started != seen.status.operation and started.type == "Failback":
        if seen.status.operation is not None and seen.status.operation.id == started.id:
            return
        block = seen.spec.failover
        assert block is not None
        assert block.requested_at is not None
        there = all(route.shows == "Primary" for route in seen.routes)
        assert there or block.secondary_changes == "Discard" or not divergence.unknowable(seen)
        for earlier in seen.status.history:
            if earlier.result == "Completed":
                assert block.requested_at > earlier.start_time
                break


@many
@given(worlds(), sim.clocks)
def test_no_route_moves_before_the_fence_is_silent(seen: Observed, now: Now) -> None:
    moves = [a for a in plan(seen, now).actions if isinstance(a, actions.ApplyRoutes)]
    if moves and seen.status.operation is not None:
        assert seen.lease is not None
        assert seen.lease.holder == f"fence/{seen.status.operation.id}"


@many
@given(worlds(), sim.clocks)
def test_sync_runs_only_on_a_settled_primary(seen: Observed, now: Now) -> None:
    if any(isinstance(a, actions.ApplySync | actions.StartRun) for a in plan(seen, now).actions):
        assert seen.status.settled_system == "Primary"
        assert seen.lease is not None
        assert not seen.lease.fenced
        assert all(route.shows != "Secondary" for route in seen.routes)


@many
@given(worlds(), sim.clocks)
def test_a_refused_tenant_does_nothing_outside(seen: Observed, now: Now) -> None:
    if seen.refused is not None and not seen.deleting:
        assert plan(seen, now).actions == ()


@settings(max_examples=40, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(worlds_without_past(), sim.blocks, st.booleans())
def test_every_world_settles_and_stays_settled(seen: Observed, later: dict[str, Any] | None, crash: bool) -> None:
    asked = [*(seen.spec.failover.override if seen.spec.failover else []), *(later or {}).get("override", [])]
    # Passing over what can't be passed over is carried on for ever, until a route is ours again.
    assume("RouteOwned" not in asked or not all(route.conflict for route in seen.routes))
    routes = tuple(replace(route, error=None) for route in seen.routes)
    world = sim.World(replace(seen, routes=routes))
    world.settle()
    world.tick(4000)
    world.request(**(later or {}))
    world.step()
    if crash:
        world.restart()
    world.settle()
    calm = len(world.done)
    world.tick(1.0)
    before = world.seen.status
    world.step()
    assert len(world.done) == calm
    assert world.seen.status == before


@settings(max_examples=25, deadline=None, phases=PHASES)
@given(st.lists(sim.blocks, max_size=5), st.data())
def test_sides_follow_requests_only(blocks: list[dict[str, object] | None], data: st.DataObject) -> None:
    world = sim.settled()
    for block in blocks:
        world.tick(data.draw(st.sampled_from([1.0, 700.0])))
        before = world.seen.status.settled_system
        world.request(**(block or {}))
        world.settle()
        after = world.seen.status.settled_system
        if after != before:
            last = world.seen.status.last_operation
            assert last is not None
            assert last.result == "Completed"
            assert last.generation == world.seen.generation
        assert {route.shows for route in world.seen.routes} == {after}


def test_the_shortest_way_out_is_this_list_of_actions() -> None:
    world = sim.settled(sync={"enabled": True})
    done = len(world.done)
    world.tick(3600)
    world.request(**sim.failover("Secondary"))
    world.settle()
    names = [type(action).__name__ for action in world.done[done:]]
    assert names == ["HoldWriter", "DeleteCronJob", "ApplyRoutes", "VerifyLogin"]


def test_a_writer_that_may_live_is_waited_for_and_its_end_ends_the_wait() -> None:
    world = sim.settled()
    assert world.seen.lease is not None
    world.seen = replace(world.seen, lease=replace(world.seen.lease, holder="run/acme-sync-1-abcde/77"))
    world.request(**sim.failover("Secondary"))
    for _ in range(3):
        world.step()
    begun = world.clock.monotonic_seconds
    assert world.seen.status.operation is not None
    assert world.seen.status.operation.step == "Fence"
    world.settle()
    assert 15 <= world.clock.monotonic_seconds - begun < 17

    world = sim.settled()
    assert world.seen.lease is not None
    world.seen = replace(world.seen, lease=replace(world.seen.lease, holder="run/acme-sync-1-abcde/77"))
    world.request(**sim.failover("Secondary"))
    world.step()
    world.step()
    world.seen = replace(world.seen, sync=replace(world.seen.sync, terminated_writers=frozenset({"acme-sync-1-abcde"})))
    begun = world.clock.monotonic_seconds
    world.settle()
    assert world.clock.monotonic_seconds - begun < 1


def test_after_a_leader_change_the_wait_starts_anew() -> None:
    world = sim.settled()
    assert world.seen.lease is not None
    world.seen = replace(world.seen, lease=replace(world.seen.lease, holder="run/p/1"))
    world.request(**sim.failover("Secondary"))
    world.step()
    world.step()
    world.tick(14)
    world.restart()
    begun = world.clock.monotonic_seconds
    world.settle()
    assert world.clock.monotonic_seconds - begun >= 15


def test_the_way_back_is_refused_without_consent_and_names_what_to_do() -> None:
    world = sim.failed_over()
    world.tick(3600)
    world.request(**sim.failover("Primary", world.clock.wall))
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert (last.result, last.type) == ("Refused", "Failback")
    assert "secondaryChanges: Discard" in last.message
    assert world.side() == "Secondary"
    world.tick(60)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.settle()
    assert world.side() == "Primary"
    assert world.seen.lease is not None
    assert (world.seen.lease.holder, world.seen.lease.previous_holder) == ("", None)


def test_a_refusal_ends_the_request_even_when_the_rule_clears() -> None:
    world = sim.settled()
    world.seen = replace(world.seen, probe=Probe("Failed", "connection refused"))
    world.request(**sim.failover("Secondary"))
    world.settle()
    assert world.seen.status.last_operation is not None
    assert "override: [TargetHealthy]" in world.seen.status.last_operation.message
    world.seen = replace(world.seen, probe=Probe("Healthy"), generation=99)
    world.restart()
    world.settle()
    assert world.side() == "Primary"
    assert len(world.seen.status.history) == 1
    world.tick(5)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    assert world.side() == "Secondary"


def test_leftover_consents_count_for_nothing_months_later() -> None:
    world = sim.settled()
    asked = world.clock.wall
    world.seen = replace(world.seen, probe=Probe("Failed", "down"))
    block = sim.failover("Secondary", asked, override=["TargetHealthy"], reason="INC-1")
    world.request(**block)
    world.settle()
    assert world.side() == "Secondary"
    world.tick(90 * 86400)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.seen = replace(world.seen, probe=Probe("Healthy"))
    world.settle()
    assert world.side() == "Primary"
    world.tick(90 * 86400)
    world.seen = replace(world.seen, probe=Probe("Failed", "down"))
    world.request(**block)
    world.settle()
    assert world.side() == "Primary"
    assert world.seen.status.last_operation is not None
    assert "Not counted" in world.seen.status.last_operation.message


def test_created_disagreeing_is_held_until_the_field_changes() -> None:
    world = sim.fresh(failover={"activeSystem": "Secondary"})
    world.seen = replace(world.seen, requester=replace(world.seen.requester, at_creation=True))
    world.settle()
    assert world.phase() == "Held"
    assert not any(isinstance(action, actions.ApplyRoutes) for action in world.done)
    world.seen = replace(world.seen, generation=7)  # something else in the spec changes
    world.settle()
    assert world.phase() == "Held"
    world.tick(60)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    assert world.phase() == "Secondary"


def test_a_request_made_while_the_operator_was_down_is_carried_out_and_counted() -> None:
    world = sim.fresh(failover={"activeSystem": "Secondary"})
    asked = world.clock.wall
    world.seen = replace(world.seen, generation=2, requester=replace(world.seen.requester, time=asked, name="ann"))
    world.tick(90)
    world.settle()
    last = world.seen.status.last_operation
    assert world.side() == "Secondary"
    assert last is not None
    assert last.start_time_bound
    assert last.rto_seconds is not None
    assert last.rto_seconds >= 90


def test_drift_is_held_and_its_end_asks_for_consent() -> None:
    world = sim.settled(sync={"enabled": True})
    moved = tuple(replace(route, shows="Secondary") for route in world.seen.routes)
    home = world.seen.routes
    world.seen = replace(world.seen, routes=moved)
    done = len(world.done)
    world.settle()
    assert world.phase() == "Held"
    assert [type(a).__name__ for a in world.done[done:]] == ["HoldWriter", "DeleteCronJob"]
    world.seen = replace(world.seen, routes=home)
    world.settle()
    assert world.seen.lease is not None
    assert world.seen.lease.fenced
    assert {c.type: c.reason for c in world.seen.status.conditions}["Stalled"] == "SyncHeld"
    world.tick(60)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.settle()
    assert not world.seen.lease.fenced
    assert world.seen.sync.cronjob


def test_the_runbook_done_by_hand_is_completed_without_moving_users() -> None:
    world = sim.settled(sync={"enabled": True})
    assert world.seen.lease is not None
    world.seen = replace(
        world.seen,
        routes=tuple(replace(route, shows="Secondary") for route in world.seen.routes),
        lease=replace(world.seen.lease, holder="fence/runbook", previous_holder=None),
        sync=replace(world.seen.sync, cronjob=False),
        probe=Probe("Failed", "whatever the probe says"),
    )
    world.request(**sim.failover("Secondary", world.clock.wall + timedelta(seconds=1)))
    world.restart()
    done = len(world.done)
    world.settle()
    assert world.phase() == "Secondary"
    assert not any(isinstance(a, actions.ApplyRoutes) for a in world.done[done:])
    assert {c.type: c.status for c in world.seen.status.conditions}["Ready"] == "True"


def test_a_newer_request_supersedes_at_a_safe_point() -> None:
    world = sim.settled()
    assert world.seen.lease is not None
    world.seen = replace(world.seen, lease=replace(world.seen.lease, holder="run/p/1"))
    world.request(**sim.failover("Secondary", world.clock.wall))
    for _ in range(4):
        world.step()
    world.tick(5)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.settle()
    results = [(entry.type, entry.result) for entry in world.seen.status.history]
    assert results == [("Failback", "Completed"), ("Failover", "Superseded")]
    assert world.side() == "Primary"
    assert {route.shows for route in world.seen.routes} == {"Primary"}


def test_a_lost_lease_comes_back_free_only_on_a_primary_that_shows() -> None:
    world = sim.settled()
    world.seen = replace(world.seen, lease=None)
    world.settle()
    assert world.seen.lease == WriterView("", None, None)
    world = sim.failed_over(sync={"enabled": True})
    world.seen = replace(world.seen, lease=None)
    world.settle()
    assert world.seen.lease is not None
    assert world.seen.lease.holder.startswith("fence/lost-")


def test_a_lost_lease_does_not_hide_the_writer_that_held_it() -> None:
    """Deleted under a run, and a failover a moment later: the new fence would know of no writer."""
    world = sim.settled(sync={"enabled": True})
    world.seen = replace(world.seen, lease=None)
    world.step()
    world.tick(2)
    assert world.seen.lease is None
    begun = world.clock.monotonic_seconds
    world.request(**sim.failover("Secondary"))
    world.settle()
    assert world.side() == "Secondary"
    assert world.clock.monotonic_seconds - begun >= 15
    world = sim.settled(sync={"enabled": True})
    world.seen = replace(world.seen, lease=None)
    begun = world.clock.monotonic_seconds
    world.settle()
    assert world.seen.lease is not None
    assert not world.seen.lease.fenced
    assert world.clock.monotonic_seconds - begun >= 15


def test_a_tenant_that_never_synced_need_not_wait_for_a_writer() -> None:
    world = sim.fresh(failover={"activeSystem": "Secondary"})
    world.seen = replace(world.seen, generation=2)
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert last.rto_seconds is not None
    assert last.rto_seconds < 1


def test_a_foreign_redirect_holds_up_its_own_route_only() -> None:
    world = sim.settled()
    first, second = world.seen.routes
    world.seen = replace(world.seen, routes=(replace(first, conflict="set by argocd"), second))
    world.request(**sim.failover("Secondary"))
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert last.result == "Completed"
    assert "except route a" in last.message
    assert {c.type: c.reason for c in world.seen.status.conditions}["Stalled"] == "RouteOwned"


def test_a_switch_whose_routes_all_became_foreign_is_done_only_when_users_are_seen_there() -> None:
    world = sim.settled()
    world.request(**sim.failover("Secondary"))
    world.step()
    foreign = tuple(replace(route, conflict="set by somebody") for route in world.seen.routes)
    world.seen = replace(world.seen, routes=foreign)
    for _ in range(30):
        world.step()
        world.tick(10)
    assert world.seen.status.history == []
    assert {c.type: c.reason for c in world.seen.status.conditions}["Stalled"] == "DeadlineExceeded"
    world.seen = replace(world.seen, routes=tuple(replace(route, shows="Secondary") for route in foreign))
    world.settle()
    assert world.seen.status.history[0].result == "Completed"
    assert not any(isinstance(action, actions.ApplyRoutes) and action.target == "Secondary" for action in world.done)


def test_a_switch_that_stays_unseen_is_stalled_and_says_what_is_seen() -> None:
    world = sim.settled()

    def pass_unseen(detail: str) -> None:
        world.step()
        world.tick(2)
        memory = world.seen.memory
        if memory.verified is not None:
            unseen = replace(memory.verified, ok=False, detail=detail)
            world.seen = replace(world.seen, memory=replace(memory, verified=unseen))

    def told() -> dict[str, str]:
        return {c.type: f"{c.status} {c.reason}: {c.message}" for c in world.seen.status.conditions}

    world.request(**sim.failover("Secondary"))
    for _ in range(100):
        pass_unseen("HTTP 404")
    assert told()["Stalled"].startswith("True DeadlineExceeded")
    assert "HTTP 404" in told()["Stalled"]
    for _ in range(4):
        pass_unseen("HTTP 503")
    assert "HTTP 503" in told()["LoginVerified"]
    assert actions.VerifyLogin in {type(action) for _ in range(2) for action in world.step().actions}
    world.settle()
    assert world.phase() == "Secondary"


def test_an_overdue_operation_is_stalled_and_goes_on() -> None:
    world = sim.settled()
    stuck = tuple(replace(route, error="server down") for route in world.seen.routes)
    world.request(**sim.failover("Secondary"))
    world.step()
    world.seen = replace(world.seen, routes=stuck)
    for _ in range(200):
        world.step()
        world.tick(1)
    assert {c.type: c.reason for c in world.seen.status.conditions}["Stalled"] == "DeadlineExceeded"
    assert world.phase() == "FailingOver"
    world.seen = replace(world.seen, routes=tuple(replace(route, error=None) for route in stuck))
    world.settle()
    assert world.phase() == "Secondary"


def test_history_never_loses_the_last_completed_switch() -> None:
    world = sim.failed_over()
    for _ in range(15):
        world.tick(60)
        world.request(**sim.failover("Primary", world.clock.wall))
        world.settle()
    assert len(world.seen.status.history) == 10
    assert world.seen.status.history[-1].result == "Completed"


def test_deletion_is_bounded_with_everything_dead() -> None:
    world = sim.failed_over(deletionPolicy="Restore")
    assert world.seen.finalizer
    dead = tuple(replace(route, shows="Unknown", error="down") for route in world.seen.routes)
    world.seen = replace(world.seen, deleting=True, routes=dead)
    notes: list[actions.Note] = []
    for _ in range(10):
        notes += world.step().notes
    assert not world.seen.finalizer
    assert [note.reason for note in notes] == ["RouteNotRestored"]


def test_a_route_view_without_trouble_is_the_default() -> None:
    assert RouteView("a", "Primary").error is None
