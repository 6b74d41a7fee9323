"""Plans and correlations, for people (a table) and for machines (JSON)."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from .correlations.store import Row
from .report import Tally, describe_limit
from .spool import Spool
from .world import Action


def show_plan(spool: Spool, tally: Tally, output: str) -> None:
    """Print what a run would do and what it would withhold. Equal worlds have equal plans and hashes, byte for byte."""
    digest = hashlib.sha256()
    counts: dict[str, Counter[str]] = {name: Counter(counter) for name, counter in tally.counts.items()}
    lines: list[dict[str, Any]] = []
    held = [_line(action) for action in spool.withheld()]
    for action in spool.actions():
        if action.kind != "link":
            counts.setdefault(action.type, Counter())[action.kind] += 1
        lines.append(_line(action))
        digest.update(json.dumps(lines[-1], sort_keys=True).encode())
    if output == "json":
        document = {
            "hash": f"sha256:{digest.hexdigest()}",
            "counts": {name: dict(sorted(counter.items())) for name, counter in sorted(counts.items())},
            "leftOut": tally.broken,
            "withheld": {
                "hash": tally.withheld_hash,
                "limits": [tripped.model_dump(by_alias=True) for tripped in tally.tripped],
                "actions": held,
            },
            "actions": lines,
        }
        print(json.dumps(document, sort_keys=True))
        return
    for line in [*lines, *({**line, "action": f"withheld {line['action']}"} for line in held)]:
        detail = line.get("reason") or ", ".join(line.get("fields", []))
        print(
            f"{line['action']:<19} {line['type']:<16} {line.get('key') or line.get('secondaryID', '')}  {detail}".rstrip()
        )
    for name, reason in sorted(tally.broken.items()):
        print(f"left out            {name:<16} {reason}")
    for name, counter in sorted(counts.items()):
        print(f"{name}: " + ", ".join(f"{number} {kind}" for kind, number in sorted(counter.items())))
    print(f"plan sha256:{digest.hexdigest()}")
    for tripped in tally.tripped:
        print(f"guard {describe_limit(tripped)}")
    if tally.withheld_hash:
        print(f"withheld {tally.withheld_hash}")


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
