"""A tenant's world in a few dozen lines: what each action does to what is observed. Clock and writer included."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bcp_operator.api import names
from bcp_operator.api.conditions import Condition
from bcp_operator.api.divergence import ChangeCounts, DivergenceReport, UnreadListing
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.run import RunReport
from bcp_operator.api.tenant import BCPTenantSpec
from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity import actions
from bcp_operator.continuity.actions import Action, Plan
from bcp_operator.continuity.observed import (
    ComparisonView,
    Memory,
    Now,
    Observed,
    Probe,
    Requester,
    RouteAnswer,
    RouteView,
    RunView,
    Verified,
    WriterView,
)
from bcp_operator.continuity.plan import plan
from hypothesis import strategies as st

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def spec(**parts: Any) -> BCPTenantSpec:
    """A spec with two Managed routes; keyword arguments replace parts of it."""

    def system(side: str) -> dict[str, Any]:
        return {
            "profile": "scim",
            "tenantID": side,
            "endpoint": f"https://api.{side}.example",
            "credentialsSecretRef": {"name": side},
            "loginURL": f"https://{side}.example/login",
        }

    routes = [{"name": "a", "ingress": {"name": "a"}}, {"name": "b", "ingress": {"name": "b"}}]
    whole = {
        "primary": system("primary"),
        "secondary": system("secondary"),
        "login": {"url": "https://login.acme.example/", "routes": routes},
    }
    return BCPTenantSpec.model_validate(whole | parts)


def failover(system: str | None, at: datetime | None = None, **more: Any) -> dict[str, Any]:
    """A failover block."""
    block = {"activeSystem": system, "requestedAt": at} | more
    return {key: value for key, value in block.items() if value is not None}


@dataclass
class World:
    """What is, and what happened to it."""

    seen: Observed
    clock: Now = field(default_factory=lambda: Now(START, 1000.0))
    done: list[Action] = field(default_factory=list)
    sides: list[set[str]] = field(default_factory=list)
    had_lease: bool = False
    login_down: bool = False
    runs_last: bool = False
    drained: bool = False
    looks_last: bool = False
    changes: int | None = 0
    """How many entities somebody has changed in the secondary; None: it can't be read."""

    def tick(self, seconds: float) -> None:
        """Time passes."""
        self.clock = Now(self.clock.wall + timedelta(seconds=seconds), self.clock.monotonic_seconds + seconds)

    def request(self, **block: Any) -> None:
        """Somebody changes spec.failover."""
        new = BCPTenantSpec.model_validate(self.seen.spec.model_dump(by_alias=True) | {"failover": block or None})
        self.seen = replace(self.seen, spec=new, generation=self.seen.generation + 1)

    def step(self) -> Plan:
        """One pass: plan, do everything, keep the status."""
        if self.seen.lease is not None:
            self._lease(self.seen.lease)
        gone = self.seen.memory.lease_gone_seconds
        lost = self.seen.lease is None and (self.had_lease or gone is None)
        since = self.clock.monotonic_seconds if lost else gone
        self.had_lease = self.seen.lease is not None
        self.seen = replace(self.seen, memory=replace(self.seen.memory, lease_gone_seconds=since))
        decided = plan(self.seen, self.clock)
        for action in decided.actions:
            self.perform(action)
        self.seen = replace(self.seen, status=decided.status)
        self.sides.append({route.shows for route in self.seen.routes})
        return decided

    def settle(self, passes: int = 200) -> None:
        """Pass after pass until nothing is left to do; the clock moves on where a plan asks to wait."""
        for _ in range(passes):
            before = self.seen.status
            decided = self.step()
            if decided.actions or decided.status != before:
                continue
            if decided.wake_seconds is None or decided.wake_seconds > 30:
                return
            self.tick(max(decided.wake_seconds, 0.05))
        raise AssertionError(f"not settled: {plan(self.seen, self.clock)}")

    def side(self) -> str | None:
        """The settled side."""
        return self.seen.status.settled_system

    def condition(self, kind: str) -> Condition:
        """One condition."""
        return next(c for c in self.seen.status.conditions if c.type == kind)

    def phase(self) -> str | None:
        """The phase."""
        return self.seen.status.phase

    def restart(self) -> None:
        """The operator's memory is gone, and its monotonic clock starts elsewhere."""
        fenced = self.seen.lease is not None and self.seen.lease.fenced
        self.clock = Now(self.clock.wall, 5.0)
        self.seen = replace(self.seen, memory=Memory(fence_since_seconds=5.0 if fenced else None))

    def perform(self, action: Action) -> None:
        """What the action does."""
        self.done.append(action)
        match action:
            case actions.CreateLease() | actions.HoldWriter() | actions.ReleaseWriter() | actions.MarkEnabled():
                self._on_lease(action)
            case actions.ApplySync() | actions.DeleteCronJob() | actions.DeleteRun() | actions.StartRun():
                self._on_sync(action)
            case actions.StartComparison(at):
                job = ComparisonView(names.comparison_job(self.seen.name, at), "uid", self.clock.wall, active=True)
                self._sync(comparisons=(*self.seen.sync.comparisons, job))
                if not self.looks_last:
                    self.looked()
            case actions.ApplyRoutes() | actions.VerifyLogin() | actions.RestoreRoutes():
                self._on_routes(action)
            case actions.AskDrained(_, operation_id):
                asked = replace(self.seen.memory, drain_asked_seconds=self.clock.monotonic_seconds)
                drained = operation_id if self.drained else asked.drained
                self.seen = replace(self.seen, memory=replace(asked, drained=drained))
            case actions.SetFinalizer(present):
                self.seen = replace(self.seen, finalizer=present)

    def _on_lease(self, action: Action) -> None:
        if isinstance(action, actions.CreateLease):
            self._lease(WriterView(action.holder, None, None))
            if not action.holder:
                self.seen = replace(self.seen, memory=replace(self.seen.memory, lease_gone_seconds=None))
            return
        lease = self.seen.lease
        assert lease is not None
        match action:
            case actions.HoldWriter(holder):
                previous = lease.previous_holder if lease.fenced else lease.holder
                self._lease(replace(lease, holder=holder, previous_holder=previous))
            case actions.ReleaseWriter():
                self._lease(replace(lease, holder="", previous_holder=None, held_since=self.clock.wall))
            case actions.MarkEnabled(at):
                self._lease(replace(lease, enabled_at=at))

    def policy(self, **fields: Any) -> None:
        """Somebody changes the policy: the CronJob is to start runs at other times."""
        assert self.seen.policy is not None
        new = SyncPolicySpec.model_validate(self.seen.policy.model_dump(by_alias=True) | fields)
        timed = (self.seen.policy.schedule, self.seen.policy.suspend) != (new.schedule, new.suspend)
        self.seen = replace(self.seen, policy=new)
        self._sync(stale=("CronJob",), retimed=timed and not new.suspend and self.seen.sync.cronjob)

    def change(self, **parts: Any) -> None:
        """Somebody changes other parts of the spec."""
        new = BCPTenantSpec.model_validate(self.seen.spec.model_dump(by_alias=True) | parts)
        self.seen = replace(self.seen, spec=new, generation=self.seen.generation + 1)

    def ran(self, **more: Any) -> None:
        """The CronJob starts a run."""
        run = RunView(f"acme-sync-{len(self.seen.sync.runs)}", "uid", self.clock.wall, **({"active": False} | more))
        self._sync(runs=(*self.seen.sync.runs, run))

    def _on_sync(self, action: Action) -> None:
        runs = self.seen.sync.runs
        match action:
            case actions.ApplySync():
                self._sync(cronjob=True, stale=())
            case actions.DeleteCronJob():
                self._sync(cronjob=False, retimed=False, stale=("CronJob",))
            case actions.DeleteRun(name):
                looks = tuple(one for one in self.seen.sync.comparisons if one.name != name)
                self._sync(runs=tuple(run for run in runs if run.name != name), comparisons=looks)
            case actions.StartRun(at):
                run = RunView(names.job_at(self.seen.name, at), "uid", self.clock.wall, active=self.runs_last)
                self._sync(runs=(*runs, run))

    def looked(self, report: DivergenceReport | None = None) -> None:
        """The last look ends, with what there is to be seen."""
        unread = [UnreadListing(side="secondary", type="user", reason="HTTP 503")] if self.changes is None else []
        count = ChangeCounts(changed=self.changes or 0)
        per_type = {"user": count} if count.total else {}
        told = report or DivergenceReport(
            start_time=self.clock.wall, seconds=1, counts=count, per_type=per_type, unread=unread
        )
        *earlier, last = self.seen.sync.comparisons
        self._sync(comparisons=(*earlier, replace(last, active=False, report=told)))

    def _on_routes(self, action: Action) -> None:
        seen = self.seen
        match action:
            case actions.ApplyRoutes(target, chosen, override):
                routes = tuple(
                    replace(route, shows=target, exists=True, current=True, conflict=None)
                    if route.name in chosen and (not route.conflict or (override and target in route.overridable))
                    else route
                    for route in seen.routes
                )
                self.seen = replace(seen, routes=routes, memory=replace(seen.memory, verified=None))
            case actions.VerifyLogin(target, chosen, operation_id):
                said = "HTTP 503" if self.login_down else "asked"
                asked = {
                    r.name: RouteAnswer(r.shows == target and not self.login_down, said)
                    for r in seen.routes
                    if r.name in chosen
                }
                ok = all(answer.ok for answer in asked.values())
                answer = Verified(target, operation_id, ok, said, self.clock, asked)
                attempts = 0 if ok else seen.memory.verify_attempts + 1
                self.seen = replace(seen, memory=replace(seen.memory, verified=answer, verify_attempts=attempts))
            case actions.RestoreRoutes():
                tried = replace(seen.memory, restore_attempts=seen.memory.restore_attempts + 1)
                self.seen = replace(seen, memory=tried)

    def _lease(self, lease: WriterView) -> None:
        since = self.seen.memory.fence_since_seconds
        if not lease.fenced:
            since = None
        elif since is None:
            since = self.clock.monotonic_seconds
        self.seen = replace(self.seen, lease=lease, memory=replace(self.seen.memory, fence_since_seconds=since))

    def _sync(self, **changes: Any) -> None:
        self.seen = replace(self.seen, sync=replace(self.seen.sync, **changes))


def fresh(**parts: Any) -> World:
    """A tenant that was just created: nothing exists yet."""
    blank = tuple(RouteView(name, "Unknown", exists=False, current=False) for name in ("a", "b"))
    seen = Observed(
        namespace="tenants",
        name="acme",
        uid="5f0c1d2e-0000-4000-8000-000000000000",
        generation=1,
        spec=spec(**parts),
        status=BCPTenantStatus(),
        policy=SyncPolicySpec(),
        routes=blank,
        probe=Probe("Healthy"),
    )
    seen = replace(seen, sync=replace(seen.sync, stale=("CronJob",)))
    return World(seen)


def synced(**parts: Any) -> World:
    """A tenant on its primary, whose first run has succeeded."""
    world = settled(**({"sync": {"enabled": True}} | parts))
    report = RunReport.model_validate({"result": "Succeeded", "startTime": world.clock.wall, "seconds": 1.0})
    world._sync(runs=tuple(replace(run, active=False, report=report) for run in world.seen.sync.runs))
    world.settle()
    assert world.seen.status.sync is not None
    assert world.seen.status.sync.last_success_time is not None
    return world


def settled(**parts: Any) -> World:
    """A tenant on its primary, with everything in place."""
    world = fresh(**parts)
    world.settle()
    return world


def failed_over(**parts: Any) -> World:
    """A tenant whose users are on the secondary."""
    world = settled(**parts)
    world.tick(3600)
    world.request(**failover("Secondary", world.clock.wall))
    world.settle()
    assert world.seen.status.settled_system == "Secondary"
    return world


times = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1), timezones=st.just(UTC))
sides = st.sampled_from(["Primary", "Secondary"])
blocks = st.none() | st.builds(
    lambda system, at, override, changes, mode: failover(
        system, at, **({"override": override, "reason": "x"} if override else {}), secondaryChanges=changes, mode=mode
    ),
    st.none() | sides,
    st.none() | times,
    st.lists(st.sampled_from(["TargetHealthy", "RouteOwned", "CoolDown", "RecoveryPointFresh"]), unique=True),
    st.none() | st.sampled_from(["Keep", "Discard"]),
    st.none() | st.sampled_from(["Unplanned", "Planned"]),
)
specs = st.builds(
    lambda block, sync, zone, suspend, deletion: spec(
        failover=block, sync={"enabled": sync, "timeZone": zone}, suspend=suspend, deletionPolicy=deletion
    ),
    blocks,
    st.booleans(),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]),
    st.booleans(),
    st.sampled_from(["Retain", "Restore"]),
)
routes = st.builds(
    RouteView,
    name=st.just("a"),
    shows=st.sampled_from(["Primary", "Secondary", "Unknown"]),
    exists=st.booleans(),
    managed=st.booleans(),
    current=st.booleans(),
    conflict=st.none() | st.just("foreign"),
    error=st.none() | st.just("unreadable"),
    path_preserved=st.booleans(),
)
leases = st.none() | st.builds(
    WriterView,
    holder=st.sampled_from(["", "run/pod/1", "fence/x", "somebody"]),
    previous_holder=st.none() | st.sampled_from(["", "run/pod/1"]),
    enabled_at=st.none() | times,
)
requesters = st.builds(
    Requester, name=st.text(max_size=8), verified=st.booleans(), time=st.none() | times, at_creation=st.booleans()
)
clocks = st.builds(Now, times, st.floats(min_value=0, max_value=1e9))
