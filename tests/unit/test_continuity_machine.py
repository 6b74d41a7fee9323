"""Patches, crashes, lost calls, clocks that jump, hands on the routes and runs that write, in any order.

A model holds the promises: never two live sides, no side without a request, no way back without a newer stamp, nothing
written to the secondary once users are sent there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import get_args

from bcp_operator.api.names import FENCE_PREFIX, WRITER_LEASE_SECONDS
from bcp_operator.api.tenant_status import ActiveSystem, Phase
from bcp_operator.continuity import actions, divergence
from bcp_operator.continuity.observed import Now, RunView
from bcp_operator.continuity.plan import plan
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit import simulated_tenant as sim


def wants_secondary(machine: Switching) -> bool:
    """The field says so now."""
    block = machine.world.seen.spec.failover
    return block is not None and block.active_system == "Secondary"


class Switching(RuleBasedStateMachine):
    """One tenant, its operator, and everybody who may interfere."""

    def __init__(self) -> None:
        super().__init__()
        self.world = sim.fresh(sync={"enabled": True}, safety={"minSwitchInterval": "1s"})
        self.time = 0.0
        """Seconds that really passed, whatever the clocks say."""
        self.writer = ""
        """Holder of the Lease by which a run writes, as that run believes."""
        self.writes_until = 0.0
        self.runs = 0
        self.asked: set[str] = {"Primary"}
        """Sides that were asked for since the last switch, or are settled."""

    # -- people

    @initialize()
    def set_up(self) -> None:
        """On the primary, with a sync."""
        self.world.settle()

    @rule(
        system=st.sampled_from(["Primary", "Secondary"]),
        ahead=st.sampled_from([None, 0, 0, 3600, -3600]),
        consents=st.sets(st.sampled_from(["override", "discard", "planned"])),
    )
    def patch(self, system: str, ahead: int | None, consents: set[str]) -> None:
        """Somebody changes spec.failover, as far as the API server lets them."""
        before = self.world.seen.spec.failover
        stamp = None if ahead is None else self.world.clock.wall.replace(microsecond=0) + timedelta(seconds=ahead)
        if not self._latch(
            before.active_system if before else None, before.requested_at if before else None, system, stamp
        ):
            return
        block = sim.failover(system, stamp)
        if stamp is not None and "override" in consents:
            block |= {"override": ["TargetHealthy", "CoolDown"], "reason": "INC-1"}
        if stamp is not None and "discard" in consents:
            block["secondaryChanges"] = "Discard"
        if stamp is not None and "planned" in consents and system == "Secondary":
            block["mode"] = "Planned"
        self.world.request(**block)
        self.asked.add(system)

    @precondition(wants_secondary)
    @rule(barely=st.booleans(), discard=st.booleans())
    def ask_for_the_way_back(self, barely: bool, discard: bool) -> None:
        """As the API server lets it through: `barely` newer than the last stamp, which may be old, or of now."""
        block = self.world.seen.spec.failover
        stamped = block.requested_at if block else None
        stamp = stamped + timedelta(seconds=1) if stamped and barely else self.world.clock.wall.replace(microsecond=0)
        if stamped is not None and stamp <= stamped:
            return
        self.world.request(**sim.failover("Primary", stamp, **({"secondaryChanges": "Discard"} if discard else {})))
        self.asked.add("Primary")

    @staticmethod
    def _latch(was: str | None, stamped: datetime | None, system: str, stamp: datetime | None) -> bool:
        """The CEL rules of the CRD."""
        if was != "Secondary":
            return True
        if stamped is None:
            return system == "Secondary" or stamp is not None
        return stamp is not None and (stamp >= stamped if system == "Secondary" else stamp > stamped)

    @rule(name=st.sampled_from(["a", "b"]), shows=st.sampled_from(["Primary", "Secondary", "Unknown"]))
    def hand_on_a_route(self, name: str, shows: ActiveSystem) -> None:
        """Somebody changes a route."""
        routes = tuple(
            replace(route, shows=shows, current=False) if route.name == name else route
            for route in self.world.seen.routes
        )
        self.world.seen = replace(self.world.seen, routes=routes)

    @rule()
    def wipe_status(self) -> None:
        """Restored without it: from then on the routes are the record of where users are."""
        self.world.seen = replace(self.world.seen, status=type(self.world.seen.status)())

    # -- runs

    @precondition(lambda self: self.world.seen.lease is not None and self.world.seen.lease.holder == "")
    @rule()
    def a_run_begins(self) -> None:
        """From the CronJob, or by hand from an old template: whoever gets the Lease may write."""
        self.runs += 1
        self.writer, self.writes_until = f"run/pod-{self.runs}/x", self.time + WRITER_LEASE_SECONDS
        seen = self.world.seen
        assert seen.lease is not None
        run = RunView(f"job-{self.runs}", f"uid-{self.runs}", self.world.clock.wall, active=True)
        sync = replace(seen.sync, runs=(*seen.sync.runs, run))
        self.world.seen = replace(seen, lease=replace(seen.lease, holder=self.writer), sync=sync)

    @precondition(lambda self: self.writer)
    @rule()
    def a_run_renews(self) -> None:
        """Only while the Lease is its own, and before its time is over."""
        lease = self.world.seen.lease
        if lease is not None and lease.holder == self.writer and self.time < self.writes_until:
            self.writes_until = self.time + WRITER_LEASE_SECONDS

    @precondition(lambda self: self.writer)
    @rule(reported=st.booleans())
    def a_run_ends(self, reported: bool) -> None:
        """It gives the Lease back if it still has it; whether anybody sees its container end is another matter."""
        seen = self.world.seen
        pod = self.writer.split("/")[1]
        sync = replace(seen.sync, runs=tuple(replace(run, active=False) for run in seen.sync.runs))
        if reported:
            sync = replace(sync, terminated_writers=seen.sync.terminated_writers | {pod})
        lease = seen.lease
        if lease is not None and lease.holder == self.writer:
            lease = replace(lease, holder="")
        self.world.seen = replace(seen, lease=lease, sync=sync)
        self.writer, self.writes_until = "", 0.0

    # -- the operator

    @rule(survives=st.integers(0, 3), written=st.booleans(), passes=st.integers(0, 3))
    def work(self, survives: int, written: bool, passes: int) -> None:
        """Some passes; then one that loses everything after so many calls, its status too unless it was `written`."""
        for _ in range(passes):
            self._step(99, True)
        self._step(survives, written)

    @rule(seconds=st.sampled_from([2.0, 16.0]))
    def come_to_rest(self, seconds: float) -> None:
        """Undisturbed for a while."""
        for _ in range(12):
            self._step(99, True)
        self.wait(seconds)
        for _ in range(12):
            self._step(99, True)

    @rule()
    def restart(self) -> None:
        """kill -9, and another process."""
        self.world.restart()

    @rule(seconds=st.sampled_from([0.3, 2.0, 5.0, 16.0, 700.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.time += seconds
        self.world.tick(seconds)

    @rule(hours=st.sampled_from([-3, -1, 1, 3]))
    def clock_jumps(self, hours: int) -> None:
        """The wall clock is set; no time passes."""
        clock = self.world.clock
        self.world.clock = Now(clock.wall + timedelta(hours=hours), clock.monotonic_seconds)

    def _step(self, survives: int, written: bool) -> None:
        world = self.world
        if world.seen.lease is not None:
            world._lease(world.seen.lease)  # what a look notes of the fence's time
        decided = plan(world.seen, world.clock)
        before = world.seen.status
        for number, action in enumerate(decided.actions):
            if number >= survives:
                return
            self._judge(action)
            world.perform(action)
        if len(decided.actions) >= survives and not written:
            return
        world.seen = replace(world.seen, status=decided.status)
        self._judge_status(before.settled_system, decided.status.settled_system)

    # -- what has to hold

    def _judge(self, action: actions.Action) -> None:
        seen = self.world.seen
        if isinstance(action, actions.ApplyRoutes):
            assert action.target in self.asked, f"users are sent to the {action.target}, which nobody asked for"
            if seen.status.operation is None:
                moved = [
                    r.name for r in seen.routes if r.name in action.names and r.shows not in ("Unknown", action.target)
                ]
                assert moved == [], "a route that a person moved is moved back without anybody's asking"
            if action.target == "Secondary" and any(route.shows == "Primary" for route in seen.routes):
                assert not self._writing(), "users are sent to a system that a run still writes to"
        if isinstance(action, actions.ReleaseWriter):
            assert {route.shows for route in seen.routes} == {"Primary"}, "unfenced before all routes show the primary"

    def _writing(self) -> bool:
        return bool(self.writer) and self.time < self.writes_until

    def _judge_status(self, before: str | None, after: str | None) -> None:
        running = self.world.seen.status.operation
        if running is not None and running.type == "Failback":
            last = next((e for e in self.world.seen.status.history if e.result == "Completed"), None)
            there = all(route.shows == "Primary" for route in self.world.seen.routes)
            assert there or running.secondary_changes == "Discard" or not divergence.unknowable(self.world.seen)
            assert running.requested_at is not None
            assert last is None or running.requested_at > last.start_time
        if before != after and after is not None:
            assert before is None or after in self.asked, "a side that nobody asked for"
            wanted = self.world.seen.spec.failover
            self.asked = {after, (wanted.active_system if wanted else None) or "Primary"}

    @invariant()
    def every_status_has_a_phase(self) -> None:
        """One of the words, always."""
        status = plan(self.world.seen, self.world.clock).status
        assert status.phase is None or status.phase in get_args(Phase)

    @invariant()
    def nobody_works_where_a_sync_may_write(self) -> None:
        """Users whom we sent to the secondary and left there, and a Lease that any run could take."""
        status, lease = self.world.seen.status, self.world.seen.lease
        if status.settled_system == "Secondary" and status.operation is None and lease is not None:
            held = lease.holder.startswith(FENCE_PREFIX) or self.writer == lease.holder != ""
            assert held or lease.holder == "", lease.holder

    def teardown(self) -> None:
        """Left alone it comes to rest, and then there is nothing to do."""
        if self.writer:
            self.a_run_ends(reported=True)
        try:
            self.world.settle(400)
        except AssertionError:
            running = self.world.seen.status.operation
            assert running is not None, "no rest without an operation"
            return
        assert plan(self.world.seen, self.world.clock).actions == ()


TestSwitching = Switching.TestCase
TestSwitching.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
