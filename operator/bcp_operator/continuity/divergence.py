"""What was changed in the secondary while users worked there: a Job looks, status tells, and the way back asks.

The Job reads both systems and the correlations, and writes to neither. It can run because a switch has fenced every run.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from bcp_operator.api import names
from bcp_operator.api.divergence import ChangeCounts, DivergenceReport
from bcp_operator.api.tenant_status import BCPTenantStatus, Divergence, Operation

from . import fence
from .actions import Action, DeleteRun, StartComparison
from .history import last_completed
from .observed import ComparisonView, Now, Observed

POLL_SECONDS = 5.0
"""Jobs make events; this is for the one that got lost."""
TYPES_TOLD = 5
DISCARD = "secondaryChanges: Discard lets the next sync overwrite what is left"


@dataclass(frozen=True)
class Comparison:
    """What is left to do of the look on the way back: actions, waiting, or `failed`, which ends the way back."""

    actions: tuple[Action, ...] = ()
    failed: str = ""


def unknowable(seen: Observed) -> str:
    """Why nobody can look; empty when a Job can."""
    if not seen.spec.sync.enabled:
        return "spec.sync.enabled is false"
    if seen.sync_problem is not None:
        return seen.sync_problem.message
    if seen.policy is None or seen.status.sync is None or seen.status.sync.last_success_time is None:
        return "no sync is known to have succeeded, so there is nothing to compare with"
    return ""


def left(seen: Observed, operation: Operation) -> Comparison | None:
    """What the way back has to wait for; None when it may go on.

    Not where all routes are on the primary already: nobody is helped by holding that up, and what the sync would
    overwrite waits for an approval.
    """
    moved = bool(seen.routes) and all(route.shows == "Primary" for route in seen.routes)
    passed = "DivergenceKnown" in operation.override or operation.secondary_changes == "Discard"
    if operation.type != "Failback" or passed or moved:
        return None
    name = names.comparison_job(seen.name, operation.start_time)
    found = _outcome(seen, name)
    if found is not None:
        return _judge(seen, found)
    if any(one.name == name for one in seen.sync.comparisons):
        return Comparison()
    why = unknowable(seen) or seen.memory.comparison_refused.get(name, "")
    if why:
        return None if _only_warns(seen) else Comparison(failed=not_known(why))
    return Comparison((StartComparison(operation.start_time),))


def asked(seen: Observed, now: Now) -> datetime | None:
    """The trigger that asks for a look now, between switches."""
    trigger, known = seen.spec.sync.trigger, seen.status.sync
    last = known.last_trigger if known is not None else None
    if trigger is None or (last is not None and trigger <= last) or not possible(seen, now) or looked(seen, trigger):
        return None
    return trigger


def possible(seen: Observed, now: Now) -> bool:
    """Whether a look between switches can be made: users are on the secondary and no run writes."""
    at_rest = seen.status.settled_system == "Secondary" and seen.status.operation is None
    return at_rest and not unknowable(seen) and fence.silence(seen, now).state == "Silent"


def looked(seen: Observed, at: datetime) -> bool:
    """Whether the look that was asked for then has its Job, or has told, or was refused."""
    name = names.comparison_job(seen.name, at)
    known = seen.status.divergence
    told = known is not None and known.name >= name
    return told or name in seen.memory.comparison_refused or any(c.name == name for c in seen.sync.comparisons)


def clear(seen: Observed) -> tuple[Action, ...]:
    """Runs are about to write again: nobody reads the correlations any more."""
    return tuple(DeleteRun(one.name, one.uid) for one in seen.sync.comparisons if one.active and not one.deleting)


def fold(seen: Observed) -> Divergence | None:
    """status.divergence as it is now: of the latest look; nothing while users are on the primary.

    While one runs the figures are those of the last one that ended.
    """
    running = seen.status.operation
    if seen.status.settled_system != "Secondary" and (running is None or running.type != "Failback"):
        return None
    first = _first_name(seen.status, seen.name)
    known = seen.status.divergence
    known = known if known is not None and known.name >= first else None
    looks = {one.name: one for one in seen.sync.comparisons if one.name >= first}
    latest = max({*looks, *seen.memory.comparison_refused}, default="")
    if known is not None and latest < known.name:
        return _gone(known) if known.result == "Running" else known
    if latest not in looks:
        why = seen.memory.comparison_refused.get(latest, "")
        return Divergence(name=latest, result="Unknown", message=why[:1024]) if why else known
    if looks[latest].active:
        return (known or Divergence(name=latest, result="Running")).model_copy(
            update={"name": latest, "result": "Running"}
        )
    final = known is not None and known.name == latest and known.result != "Running"
    return known if final and looks[latest].report is None else describe(seen, looks[latest])


def describe(seen: Observed, one: ComparisonView) -> Divergence:
    """What one look came to. Without a report it is not known, which is never nothing."""
    if one.report is None:
        code = "" if one.exit_code is None else f" (exit code {one.exit_code})"
        return Divergence(name=one.name, result="Unknown", message=f"it ended without a report{code}")
    report = one.report
    if report.failure:
        return Divergence(name=one.name, result="Unknown", time=report.start_time, message=report.failure[:1024])
    return Divergence(
        name=one.name,
        result="Known" if report.known else "Unknown",
        time=report.start_time,
        **report.counts.model_dump(),
        report=names.divergence_configmap(seen.name),
        message="; ".join((*_per_type(report), *_unread(report)))[:1024],
    )


def unreviewed(status: BCPTenantStatus) -> str | None:
    """The way back after which nobody has agreed yet that a run overwrites the secondary; the runs know when one has."""
    done = last_completed(status)
    agreed = done is None or done.type == "Failover" or done.secondary_changes == "Discard"
    return None if done is None or agreed else done.id


def total(found: Divergence) -> int:
    """Entities that were changed in any way, as far as that is known."""
    return sum((found.changed or 0, found.added or 0, found.removed or 0, found.unclear or 0))


def counts(found: Divergence) -> str:
    """Its figures, for people."""
    words = {"changed": found.changed, "added": found.added, "removed": found.removed, "unclear": found.unclear}
    told = ", ".join(f"{number} {word}" for word, number in words.items() if number) or "nothing changed"
    return f"{told} in the secondary as of {found.time:%Y-%m-%dT%H:%M:%SZ}" if found.time else told


def outcome(seen: Observed, operation: Operation) -> str:
    """What the end of a way back says of it."""
    found = seen.status.divergence
    if operation.type != "Failback" or found is None or found.result == "Running":
        return ""
    text = counts(found) if found.result == "Known" else "what was changed in the secondary is not known"
    return f"; {'to be discarded: ' if operation.secondary_changes == 'Discard' else ''}{text}"


def not_known(why: str) -> str:
    """Why the way back is refused when nobody can say what was changed, and what to do."""
    return (
        f"what was changed in the secondary is not known: {why}. Have it put right, or go back without knowing, with a "
        f"newer requestedAt and either override: [DivergenceKnown] and a reason (what the next sync would write then waits "
        f"for an approval) or secondaryChanges: Discard"
    )


def _judge(seen: Observed, found: Divergence) -> Comparison | None:
    if total(found):
        return Comparison(failed=_changed(seen, found))
    if found.result == "Known" or _only_warns(seen):
        return None
    return Comparison(failed=not_known(found.message))


def _changed(seen: Observed, found: Divergence) -> str:
    command = (
        f"kubectl -n {seen.namespace} get configmap {found.report} -o jsonpath='{{.data.{_KEY}}}'"
        if found.report
        else ""
    )
    kinds = f" ({found.message[:300]})" if found.message else ""
    return (
        f"{counts(found)}{kinds}: {command} names them. Carry over to the primary by hand what must stay, then ask again "
        f"with a newer requestedAt; {DISCARD}"
    )


_KEY = names.DIVERGENCE_KEY.replace(".", "\\.")


def _only_warns(seen: Observed) -> bool:
    return seen.spec.safety.rules.divergence_known == "Warn"


def _outcome(seen: Observed, name: str) -> Divergence | None:
    """By its Job, or by what status remembers of it; None while it runs, or before."""
    view = next((one for one in seen.sync.comparisons if one.name == name), None)
    if view is not None and view.active:
        return None
    if view is not None and view.report is not None:
        return describe(seen, view)
    known = seen.status.divergence
    if known is not None and known.name == name and known.result == "Known":
        return known
    return None if view is None else describe(seen, view)


def _gone(known: Divergence) -> Divergence:
    return known.model_copy(update={"result": "Unknown", "message": "its Job was deleted before it reported"})


def _first_name(status: BCPTenantStatus, tenant: str) -> str:
    """Looks since users moved come after this. Their names are times, and sort as these do."""
    done = [entry for entry in status.history if entry.result == "Completed"]
    moved = list(takewhile(lambda entry: entry.type == done[0].type, done))  # asked for once more moves nobody
    return names.comparison_job(tenant, moved[-1].start_time) if moved else ""


def _per_type(report: DivergenceReport) -> list[str]:
    def words(one: ChangeCounts) -> str:
        return ", ".join(f"{number} {word}" for word, number in one.model_dump().items() if number)

    told = [f"{name}: {words(one)}" for name, one in report.per_type.items()]
    return told[:TYPES_TOLD] + ([f"and {len(told) - TYPES_TOLD} more types"] if len(told) > TYPES_TOLD else [])


def _unread(report: DivergenceReport) -> list[str]:
    worst_first = sorted(report.unread, key=lambda one: (one.side == "primary", one.type))
    told = [
        f"{one.type} of the {one.side} could not be read ({one.reason})"
        + (", so also what it has already is counted" if one.side == "primary" else "")
        for one in worst_first[:TYPES_TOLD]
    ]
    return told + ([f"and {len(worst_first) - TYPES_TOLD} more"] if len(worst_first) > TYPES_TOLD else [])
