"""Events are what changed between two statuses: one per transition, never one per retry, and none is invented."""

from collections.abc import Iterable

from bcp_operator.api import names
from bcp_operator.api.common import System
from bcp_operator.api.conditions import Condition
from bcp_operator.api.tenant_status import BCPTenantStatus, FinishedOperation, LastRun, Operation

from . import divergence
from .actions import Note

_BECAME_TRUE = {
    "IntentConflict": ("IntentConflictHeld", True),
    "SyncFenced": ("SyncFenced", False),
    "LoginRouted": ("RouteApplied", False),
    "LoginVerified": ("LoginVerified", False),
}
"""Conditions whose turning True is an event, in the order of a switch."""
_BECAME_FALSE = {
    "LoginVerified": "LoginNotVerified",
    "RecoveryPointFresh": "RecoveryPointStale",
    "FailoverReady": "FailoverNotReady",
}


def notes(old: BCPTenantStatus, new: BCPTenantStatus) -> tuple[Note, ...]:
    """The events of one status write, in the order in which things happened."""
    return (
        *_ended(old, new),
        *_waits(old, new),
        *_started(old, new),
        *_conditions(old, new),
        *_completed(old, new),
        *_due(old, new),
        *_run(old, new),
        *_compared(old, new),
        *_lost(old, new),
        *_stood_aside(old, new),
        *_system(old, new, "Primary"),
        *_system(old, new, "Secondary"),
    )


def _started(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    operation = new.operation
    if operation is None:
        return
    why = f": {operation.reason}" if operation.reason else ""
    known = old.operation if old.operation is not None and old.operation.id == operation.id else None
    passed = [rule for rule in operation.override if known is None or rule not in known.override]
    if known is None:
        yield _asked_for(operation, why)
    if passed:
        yield Note("OverrideUsed", f"passed over {', '.join(passed)}{why}", warning=True, audit=True)


def _asked_for(operation: Operation, why: str) -> Note:
    who = f" by {operation.initiator}" if operation.initiator else ""
    unverified = "" if operation.initiator_verified or not who else " (unverified)"
    agreed = f", approved by {operation.approved_by}" if operation.approved_by else ""
    text = f"operation {operation.id} asked for{who}{unverified}{agreed}{why}"
    return Note(f"{operation.type}Requested", text, audit=True)


def _waits(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    """A request needs somebody else: once per request, and again when the command for them is another."""
    before, after = _find(old, "ApprovalPending"), _find(new, "ApprovalPending")
    if after is not None and after.status == "True" and (before is None or before.message != after.message):
        yield Note("ApprovalNeeded", after.message, warning=True, audit=True)


def _finished_now(old: BCPTenantStatus, new: BCPTenantStatus) -> list[FinishedOperation]:
    before = {(entry.id, entry.result) for entry in old.history}
    return [entry for entry in reversed(new.history) if (entry.id, entry.result) not in before]


def _ended(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    for entry in _finished_now(old, new):
        if entry.result != "Completed":
            text = f"operation {entry.id}: {entry.message}"
            yield Note(f"{entry.type}{entry.result}", text, warning=True, audit=True)


def _completed(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    for entry in _finished_now(old, new):
        if entry.result == "Completed":
            bound = "at most " if entry.start_time_bound else ""
            age = entry.recovery_point_age_seconds
            point = "no recovery point" if age is None else f"recovery point {age:.0f} s old"
            text = f"operation {entry.id}: {entry.message}; {bound}{entry.rto_seconds} s, {point}"
            yield Note(f"{entry.type}Completed", text, audit=True)


def _conditions(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    was_true = {c.type for c in old.conditions if c.status == "True"}
    now_true = {c.type: c for c in new.conditions if c.status == "True"}
    for kind, (reason, warning) in _BECAME_TRUE.items():
        if kind in now_true and kind not in was_true:
            yield Note(reason, f"{now_true[kind].message}{_during(old, new)}", warning, audit=True)


def _lost(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    """What was fine outside a switch and is so no longer."""
    if new.operation is not None:
        return
    for kind, reason in _BECAME_FALSE.items():
        before, after = _find(old, kind), _find(new, kind)
        expected = kind == "RecoveryPointFresh" and new.settled_system == "Secondary"
        if (
            after is not None
            and after.status == "False"
            and (before is None or before.status != "False")
            and not expected
        ):
            yield Note(reason, f"{after.message}, since {after.last_transition_time:%H:%M:%S} UTC", warning=True)


def _stood_aside(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    """Another tenant has what this one names. Everything else that stalls a tenant has an event of its own."""
    before, after = _find(old, "Stalled"), _find(new, "Stalled")
    if after is not None and after.reason == "SystemClaimed" and (before is None or before.reason != after.reason):
        yield Note("SystemClaimed", after.message, warning=True)


def _during(old: BCPTenantStatus, new: BCPTenantStatus) -> str:
    """Which operation, so that the same event of the next switch is another one."""
    operation = new.operation or old.operation
    return f" (operation {operation.id})" if operation else ""


def _due(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    """Runs that did not start, and triggers. The first status of a sync tells of nothing that happened."""
    if old.sync is None or new.sync is None:
        return
    if (new.sync.missed or 0) > (old.sync.missed or 0):
        text = f"no run started at {old.sync.next_sync_time:%Y-%m-%d %H:%M} UTC; {new.sync.missed} missed in a row"
        yield Note("SyncMissed", text, warning=True)
    if new.sync.last_trigger != old.sync.last_trigger and new.sync.last_trigger is not None:
        asked, held = f"trigger {new.sync.last_trigger:%Y-%m-%dT%H:%M:%SZ}", new.sync.held_by
        text = f"{asked} is passed over: the sync is held by {held}; set a newer one afterwards"
        if new.divergence is not None and new.divergence.name.endswith(names.comparison_job("", new.sync.last_trigger)):
            yield Note("ComparisonTriggered", f"{asked}: looking for what was changed in the secondary")
        else:
            yield Note("TriggerIgnored", text, warning=True) if held else Note("SyncTriggered", f"{asked}: run at once")


def _system(old: BCPTenantStatus, new: BCPTenantStatus, side: System) -> Iterable[Note]:
    """A system that became ill, in whichever way, or well again. Not knowing is no news, and neither is the first word."""
    before, after = _find(old, f"{side}Healthy"), _find(new, f"{side}Healthy")
    if before is None or after is None or before.reason == after.reason:
        return
    text = f"{after.message}, since {after.last_transition_time:%H:%M:%S} UTC"
    if after.status == "False":
        reason = f"Primary{after.reason}" if side == "Primary" else "SecondaryUnhealthy"
        yield Note(reason, f"the {side.lower()} is {after.reason.lower()}: {text}", warning=True)
    elif after.status == "True" and before.status == "False":
        yield Note(f"{side}Recovered", f"the {side.lower()} {text}")


def _find(status: BCPTenantStatus, kind: str) -> Condition | None:
    return next((c for c in status.conditions if c.type == kind), None)


def _run(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    run = new.sync.last_run if new.sync else None
    before = old.sync.last_run if old.sync else None
    if run is None or run.result == "Running" or (before and (before.name, before.result) == (run.name, run.result)):
        return
    yield _describe(run)
    yield from _tripped(old, new)


def _compared(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    """What a look for changes in the secondary came to."""
    found, before = new.divergence, old.divergence
    if found is None or found.result == "Running":
        return
    if before is not None and (before.name, before.result) == (found.name, found.result):
        return
    known = found.result == "Known"
    text = divergence.counts(found) if known else f"what was changed in the secondary is not known: {found.message}"
    yield Note("DivergenceReported", f"{found.name}: {text}", warning=not known or divergence.total(found) > 0)


def _tripped(old: BCPTenantStatus, new: BCPTenantStatus) -> Iterable[Note]:
    """Once per set of withheld actions, not once per run that withholds the same."""
    before = next((c.message for c in old.conditions if c.type == "SyncGuarded"), "")
    guarded = next((c for c in new.conditions if c.type == "SyncGuarded"), None)
    withheld = new.sync.last_run.withheld_hash if new.sync and new.sync.last_run else None
    if guarded is not None and guarded.reason == "GuardTripped" and withheld and withheld not in before:
        yield Note("GuardTripped", guarded.message, warning=True, audit=True)


def _describe(run: LastRun) -> Note:
    counts = ", ".join(f"{count} {action}" for action, count in run.counts.items() if count)
    text = ": ".join(part for part in (run.name, run.message or counts) if part)
    reasons = {"Succeeded": "SyncSucceeded", "Partial": "SyncPartial", "Held": "SyncHeld", "Planned": "SyncPlanned"}
    return Note(reasons.get(run.result, "SyncFailed"), text, warning=run.result not in ("Succeeded", "Held", "Planned"))
