"""Random patches, crashes, clock jumps, drift and dead parts, in any order: what must never happen does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bcp_operator.api.tenant_status import BCPTenantStatus, Divergence, Operation
from bcp_operator.continuity import actions, divergence
from bcp_operator.continuity.health import Track
from bcp_operator.continuity.observed import Now, Probe
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit import simulated_tenant as sim

LEASE_SECONDS = 15.0

sides = st.sampled_from(["Primary", "Secondary"])
waits = st.sampled_from([0.05, 1.0, 4.0, 14.0, 16.0, 61.0, 700.0, 90000.0])


class Switching(RuleBasedStateMachine):
    """One tenant, its operator, a writer with a clock of its own, and a world that is against them."""

    @initialize(sync=st.booleans(), suspend=st.booleans())
    def begin(self, sync: bool, suspend: bool) -> None:
        """A settled tenant."""
        self.world = sim.synced(suspend=suspend) if sync and not suspend else sim.settled(suspend=suspend)
        self.real = 0.0
        self.writer_until: float | None = None
        self.asked: list[Any] = []

    # -- people and the world

    @rule(passes=st.integers(0, 8))
    def flee(self, passes: int) -> None:
        """The plain way out."""
        self.world.request(**sim.failover("Secondary"))
        self.work(passes)

    @rule(passes=st.integers(0, 8))
    def return_home(self, passes: int) -> None:
        """The way back, as it should be asked for."""
        self.world.request(**sim.failover("Primary", self.world.clock.wall, secondaryChanges="Discard"))
        self.work(passes)

    @rule(side=sides, newer=st.booleans(), stamped=st.booleans(), discard=st.booleans(), planned=st.booleans())
    def patch(self, side: str, newer: bool, stamped: bool, discard: bool, planned: bool) -> None:
        """Somebody writes spec.failover, sensibly or not."""
        age = timedelta() if newer else timedelta(days=30)
        at = self.world.clock.wall - age if stamped else None
        more: dict[str, Any] = {"mode": "Planned"} if planned else {}
        more |= {"secondaryChanges": "Discard"} if discard else {}
        self.world.request(**sim.failover(side, at, **more))
        self.work(3)

    @rule(seconds=waits)
    def wait(self, seconds: float) -> None:
        """Time passes; a writer that still holds the Lease renews it in time."""
        self._renew()
        self.world.tick(seconds)
        self.real += seconds
        self._renew()

    @rule(hours=st.sampled_from([-48, -1, 1, 48]))
    def jump(self, hours: int) -> None:
        """Somebody sets the clock of the node."""
        clock = self.world.clock
        self.world.clock = Now(clock.wall + timedelta(hours=hours), clock.monotonic_seconds)

    @rule()
    def crash(self) -> None:
        """The operator is killed, and another one starts."""
        self.world.restart()

    @rule(name=st.sampled_from(["a", "b"]), shows=st.sampled_from(["Primary", "Secondary", "Unknown"]))
    def drift(self, name: str, shows: str) -> None:
        """Somebody writes a route by hand, and the operator sees it."""
        self._route(name, shows=shows, current=False)
        self.work(2)

    @rule(name=st.sampled_from(["a", "b"]), error=st.sampled_from([None, "down"]))
    def unread(self, name: str, error: str | None) -> None:
        """A route can't be read, or can be again."""
        self._route(name, error=error)

    @rule(changes=st.sampled_from([None, 0, 0, 3]), last=st.booleans())
    def edit(self, changes: int | None, last: bool) -> None:
        """Somebody works in the secondary, or it can't be read; a look lasts or ends at once."""
        self.world.changes, self.world.looks_last = changes, last
        if any(one.active for one in self.world.seen.sync.comparisons[-1:]) and not last:
            self.world.looked()

    @rule(state=st.sampled_from(["Healthy", "Failed", "Unknown"]), login=st.booleans(), runs=st.booleans())
    def weather(self, state: str, login: bool, runs: bool) -> None:
        """Systems and login host come and go; a last run lasts or ends at once."""
        health = {"Secondary": Track("Down" if state == "Failed" else "Healthy", "x")}
        self.world.seen = replace(self.world.seen, probe=Probe(state, "x"), health=health)  # type: ignore[arg-type]
        self.world.login_down, self.world.runs_last = login, runs

    @rule()
    def lose_lease(self) -> None:
        """Somebody deletes the writer Lease."""
        self._renew()
        self.world.seen = replace(self.world.seen, lease=None)

    @rule()
    def take_lease(self) -> None:
        """A run begins to write, where it may."""
        lease = self.world.seen.lease
        if lease is not None and lease.holder == "" and self.world.seen.spec.sync.enabled:
            self.world.seen = replace(self.world.seen, lease=replace(lease, holder="run/pod/1"))
            self._renew()
            self.wait(4.0)

    # -- the operator

    @rule()
    def rest(self) -> None:
        """Nobody disturbs for a while, and everything is well."""
        self.weather("Healthy", False, False)
        for name in ("a", "b"):
            self._route(name, error=None)
        for _ in range(30):
            self._pass()
            self.wait(1.0)

    @rule(passes=st.integers(1, 4))
    def work(self, passes: int) -> None:
        """Some passes, each of which is looked at."""
        for _ in range(passes):
            self._pass()

    def _pass(self) -> None:
        self._renew()
        before, done = self.world.seen.status, len(self.world.done)
        self.there = all(route.shows == "Primary" for route in self.world.seen.routes)
        fenced = self.world.seen.lease is not None and self.world.seen.lease.fenced
        decided = self.world.step()
        after = decided.status
        for action in self.world.done[done:]:
            self._fits(action, before, fenced)
        self._started(before, after)
        self._moved(before, after)

    def _fits(self, action: actions.Action, before: BCPTenantStatus, fenced: bool) -> None:
        """Nothing happens outside that no request, and no settled side, stands for."""
        running, settled = before.operation, before.settled_system
        if isinstance(action, actions.ApplyRoutes):
            wanted = {"Failover": "Secondary", "Failback": "Primary"}[running.type] if running else settled
            assert action.target == wanted
            if running:
                assert self.world.seen.lease is not None
                assert self.world.seen.lease.holder == f"fence/{running.id}"
                self._agreed(running, before.divergence)
        if isinstance(action, actions.ApplySync | actions.StartRun):
            assert not fenced
            assert all(route.shows != "Secondary" for route in self.world.seen.routes)
        if isinstance(action, actions.ReleaseWriter):
            assert running is not None
            assert running.type == "Failback"

    def _agreed(self, running: Operation, found: Divergence | None) -> None:
        """Nobody is moved back from changes that nobody has looked at, or that nobody has agreed to lose."""
        if running.type == "Failback" and running.secondary_changes == "Keep" and not self.there:
            assert found is not None
            assert (found.result, divergence.total(found)) == ("Known", 0)

    def _started(self, before: BCPTenantStatus, after: BCPTenantStatus) -> None:
        """An operation begins in status alone, for a change of the request; the way back with a newer time and consent."""
        new = after.operation
        if new is None or (before.operation is not None and before.operation.id == new.id):
            return
        assert after.request_hash != before.request_hash
        if new.type == "Failback":
            block = self.world.seen.spec.failover
            assert block is not None
            assert block.requested_at is not None
            there = all(route.shows == "Primary" for route in self.world.seen.routes)
            assert there or block.secondary_changes == "Discard" or not divergence.unknowable(self.world.seen)
            undone = before.operation or next((e for e in before.history if e.result == "Completed"), None)
            assert undone is None or block.requested_at > undone.start_time

    def _moved(self, before: BCPTenantStatus, after: BCPTenantStatus) -> None:
        """The settled side changes by a completed operation only."""
        if before.settled_system in (None, after.settled_system):
            return
        last = after.last_operation
        assert last is not None
        assert last.result == "Completed"
        assert last.type == ("Failover" if after.settled_system == "Secondary" else "Failback")
        assert before.operation is not None
        assert last.id == before.operation.id

    # -- what holds at any time

    @invariant()
    def one_word_for_everything(self) -> None:
        """The phase is total, and the status can be written."""
        status = self.world.seen.status
        assert status.phase is not None
        BCPTenantStatus.model_validate(status.model_dump(by_alias=True))

    @invariant()
    def nobody_writes_behind_a_fence(self) -> None:
        """SyncFenced in status: a writer that was there has had its whole Lease to end in, and has ended."""
        lease = self.world.seen.lease
        if lease is None or not lease.fenced or self.world.condition("SyncFenced").status != "True":
            return
        if f"held by {lease.holder}" in self.world.condition("SyncFenced").message:
            assert self.writer_until is None or self.real >= self.writer_until

    def _renew(self) -> None:
        lease = self.world.seen.lease
        if lease is not None and lease.holder.startswith("run/"):
            self.writer_until = self.real + LEASE_SECONDS

    def _route(self, name: str, **changes: Any) -> None:
        routes = tuple(replace(r, **changes) if r.name == name else r for r in self.world.seen.routes)
        self.world.seen = replace(self.world.seen, routes=routes)


TestSwitching = Switching.TestCase
TestSwitching.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
