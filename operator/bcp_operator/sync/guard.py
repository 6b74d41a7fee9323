"""The guard: which planned actions of which type are too many to be done unasked. Pure.

What is tripped withholds its own kind of one type; everything else is done. What is withheld has a hash that stays the
same while the world does, and approving it lets exactly these actions through, once.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from bcp_operator.api.common import Approval
from bcp_operator.api.run import GuardedKind, RunGuard, RunTripped

from .world import Action

# Entities: fewer never trip a percentage. A small directory has leavers, too, and one of them may be in every group.
FLOOR: dict[GuardedKind, int] = {"remove": 3, "update": 10, "create": 10}
NO_LIMIT_PERCENT = 100  # of all there are


@dataclass(frozen=True, slots=True)
class Correlated:
    """What is known of a type.

    `active`: correlations in use; `copied`: whether a run has once come to the end of its copy; `rebuilt`: the store was
    empty beside a secondary that was not, so that a create might be a duplicate; `adopts`: whether the policy wants
    entities of the same key to be taken for copies; `unreviewed`: users came back from the secondary, and nobody has
    looked since at what a run would overwrite there.
    """

    active: int
    copied: bool
    rebuilt: bool = False
    adopts: bool = True
    unreviewed: bool = False


def guarded_kind(action: Action) -> GuardedKind | None:
    """What an action is to the guard; None for what writes nothing to the secondary."""
    match action.kind:
        case "create" | "link":
            return "create"
        case "update" | "adopt" | "revive" | "deactivate" | "delete":
            return "remove" if action.removes else "update"
        case _:
            return None


def allowed(limits: RunGuard, kind: GuardedKind, known: Correlated) -> int | None:
    """Most entities of a type to which `kind` may be done unasked; None: any number.

    The initial copy is limited in nothing but removals: until a run has come to its end there is nothing to compare with.
    What is rebuilt is adopted and not made; where the policy adopts nothing, both wait.
    """
    if kind == "remove":
        return min(limits.max_removals, _share(kind, limits.max_removal_percent, known))
    if known.rebuilt and (kind == "create" or not known.adopts):
        return 0
    if not known.copied or known.active == 0:
        return None
    if kind == "create":
        return _share(kind, limits.max_create_percent, known)
    percent = limits.max_update_percent
    return None if percent >= NO_LIMIT_PERCENT else _share(kind, percent, known)


def judge(
    planned: Mapping[tuple[str, GuardedKind], int],
    known: Mapping[str, Correlated],
    limits: RunGuard,
    approval: Approval,
) -> list[RunTripped]:
    """Which kinds of which types are withheld. `planned`: number of entities per type and kind."""
    found: list[RunTripped] = []
    for (type_name, kind), number in sorted(planned.items()):
        counts: Approval = "Always" if known[type_name].unreviewed else approval
        limit = {"Never": None, "Always": 0, "OnGuard": allowed(limits, kind, known[type_name])}[counts]
        if limit is not None and number > limit:
            active = known[type_name].active
            found.append(RunTripped(type=type_name, kind=kind, planned=number, allowed=limit, correlated=active))
    return found


def drops_withheld(action: Action, references: Mapping[str, Collection[str]], removals_of: Collection[str]) -> bool:
    """Whether an update would take out a reference that may lead to an entity whose removal is withheld.

    `references`: paths of the action's type and the types they lead to. `removals_of`: types with withheld removals.
    """
    if guarded_kind(action) != "update":
        return False
    return any(target in removals_of for path in action.unresolved for target in references.get(path, ()))


def fingerprint(action: Action) -> str:
    """SHA-256 (hex) of what is done to which entity. Of a create all fields are meant, whatever has to wait for others."""
    fields = [] if action.kind == "create" else sorted(action.fields)
    parts = [action.type, action.kind, action.primary_id, action.secondary_id, fields]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def withheld_hash(actions: Iterable[Action], used: Callable[[str], bool]) -> str | None:
    """Hash of a set of actions, whatever their order; None of none.

    `used`: whether an approval was used up. Where the same actions come again later they need a new approval, so they
    get another hash.
    """
    fingerprints = sorted(fingerprint(action) for action in actions)
    if not fingerprints:
        return None
    digest = hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()
    while used(f"sha256:{digest}"):
        digest = hashlib.sha256(f"again\n{digest}".encode()).hexdigest()
    return f"sha256:{digest}"


def _share(kind: GuardedKind, percent: int, known: Correlated) -> int:
    return 0 if percent == 0 else max(FLOOR[kind], known.active * percent // 100)
