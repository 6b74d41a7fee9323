"""Could we fail over now? The same chain of rules as at a switch, asked all the time; not knowing is never a yes."""

from dataclasses import replace
from datetime import datetime

from bcp_operator.api.conditions import ConditionStatus
from bcp_operator.api.tenant_status import BCPTenantStatus

from . import durations, rules
from .health import Track
from .history import last_completed
from .observed import Now, Observed, Probe, Problem
from .request import Request

WAY_OUT = Request("Secondary", "", None, newer=False, reason="", override=frozenset(), discard=False)
"""A plain request, without any consent."""


def failover_ready(seen: Observed, now: Now, problem: Problem | None) -> tuple[ConditionStatus, Problem]:
    """The condition FailoverReady; `problem` is what holds the tenant as a whole."""
    if seen.status.operation is not None:
        return "Unknown", Problem("Switching", "a switch is under way")
    if problem is not None:
        return "False", problem
    if seen.status.settled_system is None:
        return "Unknown", Problem("Observing", "where users are is not known yet")
    if seen.status.settled_system == "Secondary":
        return "True", Problem("FailedOver", "users are on the secondary")
    found = rules.preflight(replace(seen, probe=_probe(seen.health.get("Secondary", Track()))), WAY_OUT, now)
    return _answer(found)


def next_change(status: BCPTenantStatus, min_switch_interval: str) -> datetime | None:
    """When the cool-down ends; the other times that count here are those of other conditions."""
    last = last_completed(status)
    return None if last is None else last.end_time + durations.parse(min_switch_interval)


def _answer(found: tuple[rules.Violation, ...]) -> tuple[ConditionStatus, Problem]:
    blocking = [violation for violation in found if violation.severity == "Block"]
    unknown = [violation for violation in found if violation.unknown]
    worst = blocking or unknown
    text = "; ".join(violation.text for violation in worst or found)
    if worst:
        return "False" if blocking else "Unknown", Problem(worst[0].rule or "Refused", text)
    return "True", Problem("Ready", f"no rule blocks; warnings: {text}" if found else "every rule is met")


def _probe(track: Track) -> Probe:
    """What the probes of the last minutes say, as the chain reads it: a slow system answers all the same."""
    if track.state in ("Down", "Flapping"):
        return Probe("Failed", f"{track.state}, {track.detail}")
    return Probe("Unknown" if track.state == "Unknown" else "Healthy", track.detail)
