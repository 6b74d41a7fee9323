"""Counting what a run did, and saying so."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from bcp_operator.api.run import ACTIONS, Action, RunCounts, RunIssue, RunReport, RunResult

MAX_LISTED = 10_000  # of each list; totals are always complete
WHOLE_TYPE = "(whole type)"


@dataclass
class Tally:
    """Counts and lists of a run, while it goes on."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    errors: list[RunIssue] = field(default_factory=list)
    unresolved: list[RunIssue] = field(default_factory=list)
    kept: list[RunIssue] = field(default_factory=list)
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
        self._list(self.unresolved, type_name, key, f"UnresolvedReference: {path}")

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
        return "Partial" if self.broken or self.total("failed") or self.total("skipped") else "Succeeded"

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
            truncated=self.truncated,
        )

    def _list(self, issues: list[RunIssue], type_name: str, key: str | None, reason: str) -> None:
        if len(issues) < MAX_LISTED:
            issues.append(RunIssue(type=type_name, key=key or "", reason=reason))
        else:
            self.truncated = True

    def _message(self) -> str:
        if self.broken:
            name, reason = next(iter(self.broken.items()))
            return f"{len(self.broken)} types were left out; {name}: {reason}"
        if self.errors:
            first = self.errors[0]
            return f"{self.total('failed') + self.total('skipped')} entities were not synced; {first.type} {first.key}: {first.reason}"
        return ""
