"""A switch that takes long says in which step it is."""

from dataclasses import replace

from bcp_operator.continuity import assess
from bcp_operator.continuity.actions import ApplyRoutes, VerifyLogin
from bcp_operator.continuity.observed import Memory, RouteAnswer, Verified

from tests.unit import simulated_tenant as sim


def test_a_login_url_that_keeps_its_old_answer_shows_as_step_verify() -> None:
    world = sim.settled()
    world.request(**sim.failover("Secondary"))
    while not any(isinstance(action, VerifyLogin) for action in world.step().actions):
        pass
    running = world.seen.status.operation
    assert running is not None
    old = Verified("Secondary", running.id, False, "it still shows the primary", world.clock)
    world.seen = replace(world.seen, memory=replace(world.seen.memory, verified=old))
    plan = world.step()
    assert plan.actions == ()
    assert plan.status.operation is not None
    assert plan.status.operation.step == "Verify"
    assert [type(action) for action in world.step().actions] == [VerifyLogin]


def test_every_route_is_told_for_itself_while_they_disagree() -> None:
    world = sim.settled()
    world.tick(3600)
    world.request(**sim.failover("Secondary", world.clock.wall))
    while not any(isinstance(action, ApplyRoutes) for action in world.step().actions):
        pass
    running = world.seen.status.operation
    assert running is not None
    first, second = world.seen.routes
    answer = Verified("Secondary", running.id, False, "a", world.clock, {"a": RouteAnswer(False, "HTTP 503")})
    memory = replace(world.seen.memory, verified=answer, route_errors={"b": "name server is down"})
    routes = (replace(first, shows="Secondary"), replace(second, shows="Primary"))
    seen = replace(world.seen, routes=routes, memory=memory)
    told = assess.status(seen, seen.status, world.clock)
    assert told.active_system == "Mixed"
    assert [(r.name, r.written, r.verified, r.message) for r in told.routes] == [
        ("a", True, False, "users don't get it yet: HTTP 503"),
        ("b", False, None, "name server is down"),
    ]
    world.settle()
    assert [(r.written, r.verified) for r in world.seen.status.routes] == [(True, True)] * 2
    assert world.seen.status.active_system == "Secondary"
    world.seen = replace(world.seen, memory=Memory())
    before = world.seen.status
    world.settle()
    assert world.seen.status == before, "a new process asks nobody again"


def test_drift_of_an_adopted_route_is_told_until_it_is_put_right() -> None:
    world = sim.settled()
    first, second = world.seen.routes
    world.seen = replace(world.seen, routes=(replace(first, managed=False, current=False, drift="why"), second))
    world.step()
    stalled = next(c for c in world.seen.status.conditions if c.type == "Stalled")
    assert (stalled.status, stalled.reason, stalled.message) == ("True", "RouteDrifted", "route a: why")
    told = {route.name: (route.written, route.message) for route in world.seen.status.routes}
    assert told == {"a": (False, "why"), "b": (True, "")}
    world.seen = replace(world.seen, routes=(first, second))
    world.settle()
    assert next(c for c in world.seen.status.conditions if c.type == "Ready").status == "True"


def test_a_kind_that_the_cluster_does_not_serve_is_told_from_an_unreadable_route() -> None:
    world = sim.settled()
    first, second = world.seen.routes
    told = {True: "RouteKindMissing", False: "RouteUnreadable"}
    for unserved, reason in told.items():
        unreadable = replace(first, shows="Unknown", exists=False, current=False, error="why", unserved=unserved)
        world.seen = replace(world.seen, routes=(unreadable, second))
        world.step()
        stalled = next(c for c in world.seen.status.conditions if c.type == "Stalled")
        assert (stalled.status, stalled.reason, stalled.message) == ("True", reason, "route a: why")
    world.seen = replace(world.seen, routes=(first, second))
    world.settle()
    assert world.phase() == "Primary"
