"""A switch that takes long says in which step it is."""

from dataclasses import replace

from bcp_operator.continuity.actions import VerifyLogin
from bcp_operator.continuity.observed import Verified

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
