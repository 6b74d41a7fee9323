"""Taking what the guard withholds out of a planned run, and letting back in what was approved."""

from collections.abc import Collection
from dataclasses import dataclass

from bcp_operator.api.run import GuardedKind, RunConfig

from .correlations.store import Store
from .guard import Correlated, drops_withheld, fingerprint, guarded_kind, judge, withheld_hash
from .report import Tally
from .spool import Spool
from .world import Action, Scope

_VERBS = {"create": "Create", "update": "Update", "adopt": "Adopt", "deactivate": "Deactivate", "delete": "Delete"}


@dataclass(frozen=True, slots=True)
class Decision:
    """What the guard made of a plan."""

    hash: str | None = None  # of what stays withheld
    approval: str | None = None  # the approval that counts in this run; used up when the run comes to its end


def withhold(config: RunConfig, scope: Scope, spool: Spool, store: Store, tally: Tally, *, keep: bool) -> Decision:
    """Judge the actions in the spool; those that are withheld are gone from `spool.actions()` and in the tally.

    `keep`: write to the store what an approval would mean; without it nothing is written. Raises StoreError.
    """
    correlated = _hold(config, scope, spool, store, tally)
    approval = _release(config.approve, spool, store, keep=keep)
    left = withheld_hash(spool.withheld(), store.approval_used)
    if left is not None and keep:
        store.withhold(left, (fingerprint(action) for action in spool.withheld()))
    for action in spool.withheld():
        tally.withhold(action.type, action.key or action.primary_id, describe(action))
    tally.withheld_hash = left
    if left is not None and scope.rebuilt:
        tally.remarks.append("no correlation was known beside a secondary that is not empty: nothing is made unasked")
    if left is not None and any(one.unreviewed for one in correlated.values()):
        tally.remarks.append("users came back from the secondary without Discard: nothing there is overwritten unasked")
    if left is not None and config.approve is not None and approval is None:
        known = "was used up" if store.approval_used(config.approve) else "is not known here: no run withheld that"
        tally.remarks.append(f"the approval {config.approve[:19]}... {known}")
    return Decision(left, approval)


def finish(config: RunConfig, decision: Decision, scope: Scope, store: Store, tally: Tally) -> None:
    """After a run that came to its end: its approval is used up, and what it copied is compared with from now on."""
    if decision.approval is not None:
        store.use_approval(decision.approval)
    waits = [one.type for one in tally.tripped if one.kind == "create" or one.type in scope.rebuilt]
    pending = waits if decision.hash else []
    store.set_copied(sorted(scope.chosen - tally.broken.keys() - set(pending)))
    if config.review is not None:
        unseen = {one.type for one in tally.tripped} if decision.hash else set()
        seen = sorted(scope.chosen - tally.broken.keys() - unseen)
        store.set_copied(_reviewed(config.review, name) for name in seen)


def _reviewed(review: str, type_name: str) -> str:
    """How it is kept, among the types whose copy is done: no type has a colon in its name."""
    return f"review:{review}:{type_name}"


def describe(action: Action) -> str:
    """What would be done, for reports: a word for the kind, and why or to which fields."""
    detail = action.reason or ", ".join(action.fields if action.kind != "create" else ())
    return f"{_VERBS.get(action.kind, action.kind)}: {detail}" if detail else _VERBS.get(action.kind, action.kind)


def _hold(config: RunConfig, scope: Scope, spool: Spool, store: Store, tally: Tally) -> dict[str, Correlated]:
    known = {
        name: Correlated(
            store.count(name, "ACTIVE"),
            store.copied(name),
            rebuilt=name in scope.rebuilt,
            adopts=scope.adopts,
            unreviewed=config.review is not None and not store.copied(_reviewed(config.review, name)),
        )
        for name, _ in spool.guarded()
    }

    def hold(kinds: Collection[GuardedKind]) -> set[str]:
        planned = {key: number for key, number in spool.guarded().items() if key[1] in kinds}
        tripped = judge(planned, known, config.guard, config.approval)
        for one in tripped:
            spool.hold_all(one.type, one.kind)
        tally.tripped.extend(tripped)
        return {one.type for one in tripped}

    removals_of = hold(["remove"])
    if removals_of:  # what these hold back is not among the updates that are counted then
        spool.hold(action for action in spool.actions() if _concerned(scope, action, removals_of))
    hold(["create", "update"])
    return known


def _concerned(scope: Scope, action: Action, removals_of: Collection[str]) -> bool:
    if guarded_kind(action) is None:
        return False
    references = {reference.path: reference.to for reference in scope.primary.types[action.type].references}
    return drops_withheld(action, references, removals_of)


def _release(approve: str | None, spool: Spool, store: Store, *, keep: bool) -> str | None:
    """Let through what is approved. Returns the approval where it counts."""
    if approve is None or store.approval_used(approve):
        return None
    if approve == withheld_hash(spool.withheld(), store.approval_used):
        if keep:  # known from a plan alone: a run that is killed half-way must find again what was approved
            store.withhold(approve, (fingerprint(action) for action in spool.withheld()))
        spool.release(spool.withheld())
        return approve
    if not store.withheld(approve):
        return None
    spool.release(action for action in spool.withheld() if store.withheld(approve, fingerprint(action)))
    return approve
