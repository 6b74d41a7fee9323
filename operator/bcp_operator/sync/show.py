"""Plans and correlations, for people (a table) and for machines (JSON). Written as it is read: no plan is held in memory."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .correlations.store import Row
from .report import Tally, describe_limit
from .spool import Spool
from .world import Action

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Summary:
    """A plan in short. `hash`: of every action, withheld or not; `counts`: entities per type and action."""

    hash: str
    counts: Counts


def summarise(spool: Spool, tally: Tally) -> Summary:
    """Equal worlds have equal plans, and so equal hashes."""
    digest = hashlib.sha256()
    # What is withheld is counted in the tally for the report; here it is counted by its own lines.
    counts = _without(tally.counts, "withheld")
    for line in _lines(spool):
        if line["action"] != "link":  # the second pass of a create, which is counted
            kind = "withheld" if line.get("withheld") else line["action"]
            counts.setdefault(line["type"], Counter())[kind] += 1
        digest.update(json.dumps(line, sort_keys=True).encode())
    ordered = {
        name: {kind: number for kind, number in sorted(counts[name].items()) if number} for name in sorted(counts)
    }
    return Summary(f"sha256:{digest.hexdigest()}", ordered)


def show_plan(spool: Spool, tally: Tally, output: str) -> None:
    """Print what a run would do and what it would withhold, byte for byte the same for equal worlds."""
    summary = summarise(spool, tally)
    if output == "json":
        _print_json(spool, tally, summary)
    else:
        _print_table(spool, tally, summary)


def _print_json(spool: Spool, tally: Tally, summary: Summary) -> None:
    head = {
        "hash": summary.hash,
        "counts": summary.counts,
        "leftOut": tally.broken,
        "withheldHash": tally.withheld_hash,
        "limits": [tripped.model_dump(by_alias=True) for tripped in tally.tripped],
    }
    print(json.dumps(head, sort_keys=True)[:-1] + ', "actions": [')
    last = ""
    for line in _lines(spool):
        print(last, end="")
        print(json.dumps(line, sort_keys=True), end="")
        last = ",\n"
    print("\n]}")


def _print_table(spool: Spool, tally: Tally, summary: Summary) -> None:
    for line in _lines(spool):
        action = f"withheld {line['action']}" if line.get("withheld") else line["action"]
        name = line.get("key") or line.get("primaryID") or line.get("secondaryID", "")
        print(f"{action:<19} {line['type']:<16} {name}  {_detail(line)}".rstrip())
    for name, reason in sorted(tally.broken.items()):
        print(f"{'left out':<19} {name:<16} {reason}")
    print(*_counts_table(summary.counts), sep="\n")
    print(f"plan {summary.hash}")
    for tripped in tally.tripped:
        print(f"guard {describe_limit(tripped)}")
    if tally.withheld_hash:
        print(f"withheld {tally.withheld_hash}")


def _counts_table(counts: Counts) -> Iterator[str]:
    kinds = sorted({kind for of_type in counts.values() for kind in of_type})
    width = max([4, *map(len, counts)])
    yield f"{'TYPE':<{width}}  " + "  ".join(kind.upper() for kind in kinds)
    for name, of_type in counts.items():
        yield f"{name:<{width}}  " + "  ".join(f"{of_type.get(kind, 0):>{len(kind)}}" for kind in kinds)


def _detail(line: Mapping[str, Any]) -> str:
    """Why, what of it, and what can't be had."""
    parts = [
        line.get("reason", ""),
        ", ".join(line.get("fields", [])),
        "leads nowhere: " + ", ".join(line["unresolved"]) if "unresolved" in line else "",
    ]
    return "; ".join(part for part in parts if part)


def _without(counts: Mapping[str, Counter[str]], kind: str) -> dict[str, Counter[str]]:
    return {
        name: Counter({other: number for other, number in of_type.items() if other != kind})
        for name, of_type in counts.items()
    }


def show_rows(rows: Iterable[Row], output: str) -> int:
    """Print correlations; returns how many."""
    number = 0
    for row in rows:
        number += 1
        line = {
            "type": row.type,
            "primaryID": row.primary_id,
            "secondaryID": row.secondary_id,
            "key": row.key,
            "status": row.status,
            "correlationID": row.correlation_id,
        }
        if output == "json":
            print(json.dumps(line))
        else:
            print(f"{row.type:<16} {row.primary_id:<36} {row.secondary_id or '-':<36} {row.status:<8} {row.key or ''}")
    return number


def _lines(spool: Spool) -> Iterator[dict[str, Any]]:
    """Every action: first what would be done, in order, then what waits for approval."""
    held = ({**_line(action), "withheld": True} for action in spool.withheld())
    return itertools.chain(map(_line, spool.actions()), held)


def _line(action: Action) -> dict[str, Any]:
    parts = {
        "action": action.kind,
        "type": action.type,
        "key": action.key,
        "primaryID": action.primary_id,
        "secondaryID": action.secondary_id,
        "reason": action.reason,
        "fields": list(action.fields),
        "unresolved": list(action.unresolved),
    }
    return {name: value for name, value in parts.items() if value}
