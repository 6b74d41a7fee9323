"""Status from what is seen: conditions by the rules of kstatus, phase, routes, sync, runbook."""

from dataclasses import replace
from datetime import datetime

from bcp_operator.api.common import System
from bcp_operator.api.conditions import Condition, ConditionStatus, ConditionType, merge
from bcp_operator.api.tenant_status import BCPTenantStatus, LastRun

from . import (
    approval,
    divergence,
    durations,
    fence,
    health,
    judge,
    operation,
    phase,
    readiness,
    request,
    runbook,
    runs,
    steady,
)
from .observed import Now, Observed, Problem, RouteView

SIDE_WORDS = {"Primary": "the primary", "Secondary": "the secondary"}
MISSES = 2
"""So many wrong answers in a row, and the login URL is no longer verified; one may be anybody's."""
STALLED_ATTEMPTS = 6


class Assessment:
    """One status in the making; `base` is the status with the decisions of this pass already in it."""

    def __init__(self, seen: Observed, base: BCPTenantStatus, now: Now) -> None:
        self.seen = seen = replace(seen, status=base)
        self.base = base
        self.now = now
        self.side = phase.desired(base)
        self.conflict = steady.conflict(seen)
        self.routes = phase.routes(seen, base)
        self.sync = runs.fold(seen, now)
        self.silence = fence.silence(seen, now)
        self.verified = self._login_verified()
        self.held = judge.waiting(seen)

    def status(self) -> BCPTenantStatus:
        """The complete status."""
        seen, base = self.seen, self.base
        active = phase.active_system(seen.routes)
        known = {"Primary": seen.spec.primary.login_url, "Secondary": seen.spec.secondary.login_url}
        return base.model_copy(
            update={
                "observed_generation": seen.generation,
                "phase": phase.phase(
                    base,
                    conflict=bool(self.conflict),
                    set_up=seen.lease is not None,
                    suspended=seen.spec.suspend,
                ),
                "active_system": active,
                "active_login_url": known.get(active),
                "sync": self.sync,
                "readiness": runs.readiness(seen),
                "divergence": divergence.fold(seen),
                "routes": self.routes,
                "runbook": [] if seen.claimed else runbook.steps(seen, self.side),
                "claims": list(seen.claims),
                "conditions": merge(base.conditions, self._conditions()),
            }
        )

    def _conditions(self) -> list[Condition]:
        problems = self._problems()
        progress = self._progress()
        first = problems[0] if problems else None
        going = progress[0] if progress else None
        ready = first or going
        return [
            self._make("Ready", "False" if ready else "True", ready or Problem("Healthy", self._healthy())),
            self._make("Stalled", "True" if first else "False", first or Problem("NotStalled", "")),
            self._make(
                "Reconciling", "True" if going and not first else "False", going if going and not first else _SETTLED
            ),
            *self._systems(),
            self._make("FailoverReady", *readiness.failover_ready(self._current(), self.now, self._holding())),
            self._recovery_point(),
            self._login_routed(),
            self.verified,
            self._sync_fenced(),
            self._correlations(),
            self._guarded(),
            *self._approval(),
            self._make(
                "IntentConflict",
                "True" if self.conflict else "False",
                Problem("Held", self.conflict) if self.conflict else Problem("InAgreement", ""),
            ),
        ]

    def _make(self, kind: ConditionType, status: ConditionStatus, why: Problem) -> Condition:
        return Condition(
            type=kind,
            status=status,
            reason=why.reason,
            message=why.message[:1024],
            observed_generation=self.seen.generation,
            last_transition_time=self.now.wall.replace(microsecond=0),
        )

    def _healthy(self) -> str:
        return f"users are sent to {SIDE_WORDS[self.side]}"

    def _problems(self) -> list[Problem]:
        """What a person has to look at, the worst first."""
        seen, base = self.seen, self.base
        found: list[Problem | None] = [
            seen.refused,
            seen.claimed,
            seen.blocked,
            Problem("IntentConflict", self.conflict) if self.conflict else None,
            self._overdue(),
            self._refusal(),
            seen.sync_problem if seen.spec.sync.enabled else None,
            self._left_over_fence(),
            self._unverified() if self._given_up() else None,
        ]
        found += [Problem("RouteOwned", f"route {r.name}: {r.conflict}") for r in seen.routes if r.conflict]
        if base.operation is None:
            found += [Problem(_unreadable(r), f"route {r.name}: {r.error}") for r in seen.routes if r.error]
            found += [Problem("RouteDrifted", f"route {r.name}: {r.drift}") for r in seen.routes if r.drift]
        return [problem for problem in found if problem is not None]

    def _holding(self) -> Problem | None:
        """What keeps this tenant from doing anything at all."""
        seen = self.seen
        held = Problem("IntentConflict", self.conflict) if self.conflict else None
        return seen.refused or seen.claimed or seen.blocked or held

    def _current(self) -> Observed:
        """What is seen, with the recovery point as it is now."""
        return replace(self.seen, status=self.base.model_copy(update={"sync": self.sync}))

    def _unverified(self) -> Problem | None:
        """Outside a switch the login URL does not show the side on which users should be."""
        if self.base.operation is not None or self.verified.status != "False":
            return None
        return Problem(
            "LoginNotVerified", f"the login URL does not send users to {SIDE_WORDS[self.side]}: {self.verified.message}"
        )

    def _given_up(self) -> bool:
        """It has been asked for about a minute: somebody has to look. A restart forgets the count, not the verdict."""
        stalled = next((c for c in self.base.conditions if c.type == "Stalled"), None)
        before = stalled is not None and stalled.status == "True" and stalled.reason == "LoginNotVerified"
        return before or self.seen.memory.verify_attempts >= STALLED_ATTEMPTS

    def _overdue(self) -> Problem | None:
        running = self.base.operation
        if running is None or not operation.overdue(running, self.now):
            return None
        detail = self.seen.memory.verified.detail if self.seen.memory.verified else ""
        errors = "; ".join(f"route {name}: {text}" for name, text in sorted(self.seen.memory.route_errors.items()))
        foreign = "; ".join(f"route {route.name}: {route.conflict}" for route in self.seen.routes if route.conflict)
        told = "; ".join(filter(None, (errors, foreign, detail)))
        text = f"{running.type} is past its deadline in step {running.step} and goes on: {told}"
        return Problem("DeadlineExceeded", text)

    def _refusal(self) -> Problem | None:
        last = self.base.last_operation
        if last is None or last.result != "Refused" or self.base.operation is not None:
            return None
        wanted = request.read(self.seen.spec, self.base).desired
        return Problem("Refused", last.message) if wanted != self.base.settled_system else None

    def _left_over_fence(self) -> Problem | None:
        seen = self.seen
        fenced = seen.lease is not None and seen.lease.fenced
        if not fenced or self.conflict or self.base.operation or self.base.settled_system != "Primary":
            return None
        text = (
            "the sync is still fenced although users are on the primary: set spec.failover.requestedAt to now and "
            "spec.failover.secondaryChanges: Discard to let it write to the secondary again"
        )
        return Problem("SyncHeld", text)

    def _progress(self) -> list[Problem]:
        running = self.base.operation
        if running is not None:
            return [Problem(running.type, f"{running.type} {running.id}: step {running.step}")]
        if self.base.settled_system is None:
            return [Problem("Observing", "where users are is not known yet")]
        if self.held is not None:
            return [Problem("ApprovalPending", approval.how(self.seen, self.held))]
        unverified = self._unverified()
        if unverified is not None:
            return [unverified]
        off = [route.name for route in self.routes if not route.written and not route.message]
        return [Problem("Routing", f"route {', '.join(off)} is not as desired")] if off and not self.conflict else []

    def _systems(self) -> list[Condition]:
        """What the probes say; Unknown until they have said something."""
        return [self._system("Primary", "PrimaryHealthy"), self._system("Secondary", "SecondaryHealthy")]

    def _system(self, side: System, kind: ConditionType) -> Condition:
        track = self.seen.health.get(side, health.Track())
        status: ConditionStatus = {"Healthy": "True", "Unknown": "Unknown"}.get(track.state, "False")  # type: ignore[assignment]
        return self._make(kind, status, Problem(track.state, track.detail))

    def _recovery_point(self) -> Condition:
        if not self.seen.spec.sync.enabled:
            return self._make("RecoveryPointFresh", "Unknown", Problem("SyncDisabled", "spec.sync.enabled is false"))
        last, run = self.sync.last_success_time, self.sync.last_run
        failed = f"; the last run: {run.result}, {run.message}" if run and run.result not in _FINE else ""
        if last is None:
            status: ConditionStatus = "False" if failed else "Unknown"
            return self._make("RecoveryPointFresh", status, Problem("NeverSynced", f"no run has succeeded yet{failed}"))
        limit = self.seen.spec.safety.max_recovery_point_age
        if self.now.wall - last > durations.parse(limit):
            return self._make("RecoveryPointFresh", "False", Problem("Stale", f"older than {limit}{failed}"))
        return self._make("RecoveryPointFresh", "True", Problem("Fresh", f"younger than {limit}{failed}"))

    def _login_routed(self) -> Condition:
        off = [f"{r.name} ({r.message or r.observed})" for r in self.routes if not r.written]
        if off:
            return self._make("LoginRouted", "False", Problem("NotRouted", f"not as desired: {', '.join(off)}"))
        return self._make("LoginRouted", "True", Problem(self.side, f"all routes point to {SIDE_WORDS[self.side]}"))

    def _login_verified(self) -> Condition:
        answer = self.seen.memory.verified
        ours = self.base.operation.id if self.base.operation else None
        if self.conflict:
            return self._make(
                "LoginVerified", "Unknown", Problem("IntentConflict", "users are not where they should be")
            )
        before = next((c for c in self.base.conditions if c.type == "LoginVerified"), None)
        fine = before is not None and before.status == "True" and before.reason == self.side and ours is None
        missed = answer is not None and not answer.ok and fine and self.seen.memory.verify_attempts < MISSES
        if answer is not None and answer.target == self.side and ours in (None, answer.operation_id) and not missed:
            status: ConditionStatus = "True" if answer.ok else "False"
            detail = f"the login URL sends users to {SIDE_WORDS[self.side]}" if answer.ok else answer.detail
            return self._make("LoginVerified", status, Problem(self.side if answer.ok else "NotVerified", detail))
        if before is not None and fine:
            return self._make("LoginVerified", "True", Problem(before.reason, before.message))
        return self._make("LoginVerified", "Unknown", Problem("NotAsked", "the login URL has not been asked yet"))

    def _sync_fenced(self) -> Condition:
        lease = self.seen.lease
        if lease is None:
            return self._make("SyncFenced", "Unknown", Problem("NoLease", "no writer Lease: every run is held"))
        if self.silence.state == "Open":
            return self._make("SyncFenced", "False", Problem("NotFenced", "runs may write to the secondary"))
        if self.silence.state == "Waiting":
            text = f"held by {lease.holder}; waiting for the writer before it"
            return self._make("SyncFenced", "False", Problem("WaitingForWriter", text))
        return self._make("SyncFenced", "True", Problem("Fenced", f"held by {lease.holder}"))

    def _correlations(self) -> Condition:
        """From the report of the last run; what was known stays when the report is gone."""
        run = self.sync.last_run
        report = next((r.report for r in self.seen.sync.runs if run and r.name == run.name and r.report), None)
        if report is None:
            before = next((c for c in self.base.conditions if c.type == "CorrelationHealthy"), None)
            why = Problem(before.reason, before.message) if before else Problem("NoReport", "no run has reported yet")
            return self._make("CorrelationHealthy", before.status if before else "Unknown", why)
        if report.unresolved:
            text = f"{len(report.unresolved)} references could not be resolved, see the report"
            return self._make("CorrelationHealthy", "False", Problem("Unresolved", text))
        return self._make("CorrelationHealthy", "True", Problem("Resolved", "every reference was resolved"))

    def _guarded(self) -> Condition:
        """From the last run that came so far; one that ended before it planned says nothing new."""
        run = self.sync.last_run
        if run is None or run.result not in ("Succeeded", "Partial", "Planned"):
            before = next((c for c in self.base.conditions if c.type == "SyncGuarded"), None)
            why = Problem(before.reason, before.message) if before else Problem("NoReport", "no run has reported yet")
            return self._make("SyncGuarded", before.status if before else "Unknown", why)
        if run.withheld_hash is None:
            return self._make("SyncGuarded", "False", Problem("NothingWithheld", "nothing waits for approval"))
        if self.seen.spec.sync.approve == run.withheld_hash:
            text = f"{run.withheld_hash} is approved; the next run carries it out"
            return self._make("SyncGuarded", "True", Problem("Approved", text))
        return self._make("SyncGuarded", "True", Problem("GuardTripped", self._how_to_approve(run)))

    def _approval(self) -> list[Condition]:
        """Where four-eyes is on: whether a request waits for somebody else."""
        if not self.seen.four_eyes:
            return []
        if self.held is None:
            return [self._make("ApprovalPending", "False", Problem("NothingWaits", "no request waits for an approval"))]
        return [self._make("ApprovalPending", "True", Problem("Waiting", approval.how(self.seen, self.held)))]

    def _how_to_approve(self, run: LastRun) -> str:
        """The command comes whole, whatever has to be cut of the rest."""
        patch = f'{{"spec":{{"sync":{{"approve":"{run.withheld_hash}"}}}}}}'
        command = f"kubectl -n {self.seen.namespace} patch bcptenant {self.seen.name} --type merge -p '{patch}'"
        text = f"; see the report, then let the next run do them, once: {command}"
        return run.message[: 1024 - len(text)] + text


_SETTLED = Problem("Settled", "")
_FINE = ("Succeeded", "Running")


def status(seen: Observed, base: BCPTenantStatus, now: Now) -> BCPTenantStatus:
    """The status to write for what is seen."""
    return Assessment(seen, base, now).status()


def next_change(seen: Observed, status: BCPTenantStatus, now: Now) -> float | None:
    """Seconds until the status changes by the passing of time alone; None when it doesn't."""
    times: list[datetime] = []
    if status.sync and status.sync.next_sync_time:
        times += [status.sync.next_sync_time, status.sync.next_sync_time + runs.START_GRACE]
    if seen.spec.sync.enabled and status.sync and status.sync.last_success_time:
        times.append(status.sync.last_success_time + durations.parse(seen.spec.safety.max_recovery_point_age))
    if status.operation and status.operation.deadline:
        times.append(status.operation.deadline)
    ready = readiness.next_change(status, seen.spec.safety.min_switch_interval)
    times += [ready] if ready is not None else []
    ahead = [(time - now.wall).total_seconds() for time in times if time > now.wall]
    return min(ahead) + 0.5 if ahead else None


def _unreadable(route: RouteView) -> str:
    return "RouteKindMissing" if route.unserved else "RouteUnreadable"
