"""The chain of rules: at a switch and all the time, with severities, overrides and consents that count once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bcp_operator.api.common import System
from bcp_operator.api.tenant_status import BCPTenantStatus, SyncStatus
from bcp_operator.continuity.health import Track
from bcp_operator.continuity.observed import Probe
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import simulated_tenant as sim
from tests.unit.simulated_tenant import World

HEALTHY: dict[System, Track] = {"Primary": Track("Healthy", "asked"), "Secondary": Track("Healthy", "asked")}
STAMP = timedelta(seconds=1)


def rule_world(severity: str, rule: str, **parts: Any) -> World:
    """A settled tenant, healthy on both sides, with one rule's severity set."""
    world = sim.settled(safety={"rules": {rule: severity}}, **parts)
    world.seen = replace(world.seen, health=HEALTHY)
    world.tick(3600)
    world.settle()
    return world


def sick(world: World) -> None:
    """The secondary is down."""
    down: dict[System, Track] = {**HEALTHY, "Secondary": Track("Down", "HTTP 503")}
    world.seen = replace(world.seen, probe=Probe("Failed", "HTTP 503"), health=down)


def foreign(world: World) -> None:
    """Every route is somebody else's."""
    both: tuple[System, ...] = ("Primary", "Secondary")
    taken = tuple(replace(r, conflict="set by argocd", overridable=both) for r in world.seen.routes)
    world.seen = replace(world.seen, routes=taken)


def hot(world: World) -> None:
    """A switch has ended a moment ago."""
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    world.tick(5)
    world.request(
        **sim.failover("Primary", world.clock.wall, secondaryChanges="Discard", override=["CoolDown"], reason="drill")
    )
    world.settle()
    assert world.side() == "Primary"


def stale(world: World) -> None:
    """Sync is wanted, and its last success is two days old."""
    wanted = sim.spec(sync={"enabled": True}, safety=world.seen.spec.safety.model_dump(by_alias=True))
    old = SyncStatus(last_success_time=world.clock.wall - timedelta(days=2))
    status = world.seen.status.model_copy(update={"sync": old})
    world.seen = replace(world.seen, spec=wanted, status=status)


BREAKS: dict[str, Callable[[World], None]] = {
    "TargetHealthy": sick,
    "RouteOwned": foreign,
    "CoolDown": hot,
    "RecoveryPointFresh": stale,
}


@pytest.mark.parametrize("rule", BREAKS)
def test_a_blocking_rule_refuses_and_says_so_beforehand(rule: str) -> None:
    world = rule_world("Block", rule)
    assert world.condition("FailoverReady").status == "True"
    BREAKS[rule](world)
    world.settle()
    ready = world.condition("FailoverReady")
    assert (ready.status, ready.reason) == ("False", rule)
    world.tick(1)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert last.result == "Refused"
    assert rule in last.message
    assert f"override: [{rule}]" in last.message
    assert world.side() == "Primary"

    world.tick(1)
    world.request(**sim.failover("Secondary", world.clock.wall, override=[rule], reason="INC-1"))
    world.step()
    running = world.seen.status.operation
    assert running is not None
    assert running.override == [rule]
    assert any(text.startswith(rule) for text in running.warnings)


@pytest.mark.parametrize("rule", BREAKS)
def test_a_warning_rule_lets_it_pass_and_is_recorded(rule: str) -> None:
    world = rule_world("Warn", rule)
    BREAKS[rule](world)
    world.settle()
    ready = world.condition("FailoverReady")
    assert (ready.status, ready.reason) == ("True", "Ready")
    assert f"warnings: {rule}" in ready.message
    world.tick(1)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.step()
    running = world.seen.status.operation
    assert running is not None
    assert [text.split(":")[0] for text in running.warnings] == [rule]


def test_not_knowing_is_never_a_yes() -> None:
    world = sim.settled()
    assert world.condition("FailoverReady").status == "Unknown"
    assert "could not be probed" in world.condition("FailoverReady").message
    world.seen = replace(world.seen, health=HEALTHY)
    world.settle()
    assert world.condition("FailoverReady").status == "True"
    unread = tuple(replace(r, error="the API server is down") for r in world.seen.routes)
    world.seen = replace(world.seen, routes=unread)
    world.step()
    assert (world.condition("FailoverReady").status, world.condition("FailoverReady").reason) == (
        "Unknown",
        "RouteOwned",
    )


def test_the_cool_down_ends_by_itself_in_the_condition_too() -> None:
    world = rule_world("Block", "CoolDown")
    hot(world)
    assert world.condition("FailoverReady").status == "False"
    wake = world.step().wake_seconds
    assert wake is not None
    world.tick(wake)
    world.step()
    assert world.condition("FailoverReady").status == "True"


def test_it_is_neither_ready_while_held_nor_unready_once_failed_over() -> None:
    world = sim.failed_over()
    assert (world.condition("FailoverReady").status, world.condition("FailoverReady").reason) == ("True", "FailedOver")
    world.seen = replace(world.seen, routes=tuple(replace(r, shows="Primary") for r in world.seen.routes))
    world.settle()
    assert (world.condition("FailoverReady").status, world.condition("FailoverReady").reason) == (
        "False",
        "IntentConflict",
    )


states = st.sampled_from(["Healthy", "Slow", "Flapping", "Down", "Unknown"])
severities = st.fixed_dictionaries({rule: st.sampled_from(["Block", "Warn"]) for rule in BREAKS})


@settings(max_examples=60, deadline=None)
@given(severities, states, st.booleans(), st.booleans(), st.booleans())
def test_a_plain_request_is_refused_exactly_when_the_condition_says_no(
    chosen: dict[str, str], state: str, conflict: bool, fresh: bool, again: bool
) -> None:
    world = sim.settled(safety={"rules": chosen})
    if again:
        hot(world)
    world.tick(1)
    probe = {"Healthy": "Healthy", "Slow": "Healthy", "Unknown": "Unknown"}.get(state, "Failed")
    health: dict[System, Track] = {"Secondary": Track(state, "x")}  # type: ignore[arg-type]
    world.seen = replace(world.seen, probe=Probe(probe, "x"), health=health)  # type: ignore[arg-type]
    if conflict:
        foreign(world)
    if not fresh:
        stale(world)
    world.settle()
    said = world.condition("FailoverReady").status
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.step()
    refused = world.seen.status.operation is None
    assert refused == (said == "False")
    if refused:
        assert world.seen.status.last_operation is not None
        assert world.seen.status.last_operation.result == "Refused"


def test_consents_of_an_old_manifest_count_for_nothing_after_requests_without_a_time() -> None:
    world = sim.settled()
    old = sim.failover("Secondary", world.clock.wall, override=["TargetHealthy"], reason="INC-1")
    world.request(**old)
    world.settle()
    world.tick(86400)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.settle()
    world.tick(86400)
    world.request(**sim.failover("Secondary"))  # without requestedAt: nothing of it says how old the next one may be
    world.settle()
    world.tick(86400)
    world.request(**sim.failover("Primary", world.clock.wall, secondaryChanges="Discard"))
    world.settle()
    assert world.side() == "Primary"
    world.tick(86400)
    world.seen = replace(world.seen, probe=Probe("Failed", "down"))
    world.request(**old)
    world.settle()
    assert world.side() == "Primary"
    assert "Not counted" in (world.seen.status.last_operation or pytest.fail("nothing was judged")).message


def test_a_login_url_that_fails_while_failed_over_is_noticed_and_told() -> None:
    world = sim.failed_over()
    assert world.condition("Ready").status == "True"
    world.login_down = True
    world.tick(61)
    notes = list(world.step().notes)
    notes += world.step().notes
    assert world.condition("LoginVerified").status == "True", "one answer may be anybody's"
    for _ in range(4):
        world.tick(3)
        notes += world.step().notes
    assert world.condition("LoginVerified").status == "False"
    assert (world.condition("Ready").status, world.condition("Ready").reason) == ("False", "LoginNotVerified")
    assert world.condition("Reconciling").status == "True"
    assert [note.reason for note in notes] == ["LoginNotVerified"]
    for _ in range(20):
        world.tick(30)
        world.step()
    assert (world.condition("Stalled").status, world.condition("Stalled").reason) == ("True", "LoginNotVerified")
    assert "HTTP 503" in world.condition("Stalled").message
    world.restart()
    for _ in range(3):
        world.step()
    assert world.condition("Stalled").status == "True", "a restart forgets the count, not the verdict"
    world.login_down = False
    world.tick(60)
    world.settle()
    assert world.condition("Ready").status == "True"
    assert world.condition("LoginVerified").status == "True"


def test_on_the_primary_nobody_asks_again() -> None:
    world = sim.settled()
    done = len(world.done)
    for _ in range(5):
        world.tick(300)
        world.step()
    assert world.done[done:] == []


def test_every_condition_fits_a_status() -> None:
    assert BCPTenantStatus.model_validate(sim.failed_over().seen.status.model_dump(by_alias=True))
