"""Counting what a run did, and saying so."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from bcp_operator.api.run import (
    ACTIONS,
    Action,
    GuardedKind,
    RunCounts,
    RunIssue,
    RunReadiness,
    RunReport,
    RunResult,
    RunTripped,
)

MAX_LISTED = 10_000  # of each list; totals are always complete
MAX_LIMITS_TOLD = 5
_KINDS_WORST_FIRST: tuple[GuardedKind, ...] = ("remove", "update", "create")
_NOUNS = {"remove": "removals", "update": "updates", "create": "creates"}
WHOLE_TYPE = "(whole type)"


def describe_limit(tripped: RunTripped) -> str:
    """A limit of the guard that was passed, for people."""
    what = f"{tripped.type}: {tripped.planned} {_NOUNS[tripped.kind]}"
    return f"{what}, {tripped.allowed} need no approval, {tripped.correlated} correlated"


@dataclass
class Tally:
    """Counts and lists of a run, while it goes on."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    errors: list[RunIssue] = field(default_factory=list)
    unresolved: list[RunIssue] = field(default_factory=list)
    kept: list[RunIssue] = field(default_factory=list)
    withheld: list[RunIssue] = field(default_factory=list)
    planned: list[RunIssue] = field(default_factory=list)
    tripped: list[RunTripped] = field(default_factory=list)
    withheld_hash: str | None = None
    plan_hash: str | None = None
    remarks: list[str] = field(default_factory=list)  # on what was withheld
    references_unresolved: int = 0
    readiness: RunReadiness | None = None
    without_login: list[RunIssue] = field(default_factory=list)
    unsynced: list[RunIssue] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)  # type -> why it was left out
    truncated: bool = False

    def count(self, type_name: str, action: Action, number: int = 1) -> None:
        """Note that so many entities were dealt with in this way."""
        self.counts.setdefault(type_name, Counter())[action] += number

    def error(self, type_name: str, key: str | None, reason: str, action: Action = "failed") -> None:
        """Note an entity that could not be carried across."""
        self.count(type_name, action)
        self._list(self.errors, type_name, key, reason)

    def leave_out(self, type_name: str, reason: str) -> None:
        """Note a type that could not be synced as a whole."""
        self.broken[type_name] = reason
        self._list(self.errors, type_name, WHOLE_TYPE, reason)

    def unresolved_reference(self, type_name: str, key: str | None, path: str) -> None:
        """Note a reference that was left out."""
        self.references_unresolved += 1
        self._list(self.unresolved, type_name, key, f"UnresolvedReference: {path}")

    def cannot_log_in(self, type_name: str, key: str, reason: str) -> None:
        """Note somebody who works in the primary and could not log in to the secondary."""
        self._list(self.without_login, type_name, key, reason)

    def withhold(self, type_name: str, key: str | None, what: str) -> None:
        """Note an entity to which something was to be done that waits for approval."""
        self.count(type_name, "withheld")
        self._list(self.withheld, type_name, key, what)

    def plan(self, type_name: str, key: str | None, what: str) -> None:
        """Note an entity to which a dry run would have done something."""
        self._list(self.planned, type_name, key, what)

    def keep(self, type_name: str, key: str | None, reason: str) -> None:
        """Note an entity of the secondary that was left alone."""
        self._list(self.kept, type_name, key, reason)

    def total(self, action: Action) -> int:
        """Entities dealt with in this way, over all types."""
        return sum(counter[action] for counter in self.counts.values())

    def result(self, chosen: int) -> RunResult:
        """How a run over `chosen` types that came to its end has gone."""
        if self.broken and len(self.broken) >= chosen:
            return "Failed"
        undone: tuple[Action, ...] = ("failed", "skipped", "withheld")
        return "Partial" if self.broken or any(self.total(action) for action in undone) else "Succeeded"

    def report(self, result: RunResult, start: datetime, seconds: float, message: str = "") -> RunReport:
        """The complete report."""
        return RunReport(
            result=result,
            start_time=start,
            seconds=round(seconds, 3),
            counts=RunCounts(**{action: self.total(action) for action in ACTIONS}),
            per_type={name: RunCounts(**counter) for name, counter in sorted(self.counts.items())},
            message=message or self._message(),
            errors=self.errors,
            unresolved=self.unresolved,
            kept=self.kept,
            withheld=self.withheld,
            withheld_hash=self.withheld_hash,
            tripped=self.tripped,
            planned=self.planned,
            plan_hash=self.plan_hash,
            readiness=self.readiness,
            without_login=self.without_login,
            unsynced=self.unsynced,
            truncated=self.truncated,
        )

    def _list(self, issues: list[RunIssue], type_name: str, key: str | None, reason: str) -> None:
        if len(issues) < MAX_LISTED:
            issues.append(RunIssue(type=type_name, key=key or "", reason=reason))
        else:
            self.truncated = True

    def _message(self) -> str:
        return "; ".join(part for part in (self._withheld(), self._undone()) if part)

    def _withheld(self) -> str:
        """How many of what the guard withheld. The worst first: what takes something away."""
        if self.withheld_hash is None:
            return ""
        worst_first = sorted(self.tripped, key=lambda one: (_KINDS_WORST_FIRST.index(one.kind), one.type))
        limits = [describe_limit(one) for one in worst_first[:MAX_LIMITS_TOLD]]
        more = len(worst_first) - len(limits)
        tail = f"; and {more} more limits" if more else ""
        told = f"{self.total('withheld')} actions withheld ({'; '.join(limits)}{tail})"
        return "; ".join([told, *self.remarks])

    def _undone(self) -> str:
        if self.broken:
            name, reason = next(iter(self.broken.items()))
            return f"{len(self.broken)} types were left out; {name}: {reason}"
        if self.errors:
            first = self.errors[0]
            return f"{self.total('failed') + self.total('skipped')} entities were not synced; {first.type} {first.key}: {first.reason}"
        return ""
