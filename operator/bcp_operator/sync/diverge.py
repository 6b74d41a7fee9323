"""`bcp-sync diverge`: reads both sides, writes nothing, and prints what somebody may have to carry back by hand."""

import asyncio
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TextIO

from bcp_operator.api.run import ExitCode

from .config import Setup
from .correlations.opening import opened
from .correlations.store import Store
from .divergence import Difference, Listed, differences
from .planning import listing_readers, scope_of
from .read import ListingError, read_listing
from .run import both_systems, private_spool
from .spool import Spool
from .world import Side

Output = Literal["text", "json", "csv"]
Unread = dict[Side, dict[str, str]]  # side -> type -> why

_COLUMNS = ("type", "key", "change", "field", "primary", "secondary", "primaryID", "secondaryID")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


def diverge(setup: Setup, output: Output, target: TextIO = sys.stdout) -> ExitCode:
    """Print the differences. Raises StoreError, ConfigError."""
    with opened(setup.config.store, setup.config.pair, read_only=True) as store, private_spool() as spool:
        found, unread = asyncio.run(compared(setup, store, spool))
        {"text": _text, "json": _json, "csv": _csv}[output](found, unread, target)
    if setup.chosen <= unread["secondary"].keys():
        return ExitCode.FAILED
    return ExitCode.PARTIAL if any(unread.values()) else ExitCode.SUCCEEDED


async def compared(setup: Setup, store: Store, spool: Spool) -> tuple[Iterator[Difference], Unread]:
    """What differs, found as it is asked for while store and spool are open; and what could not be read."""
    unread = await _read(setup, store, spool)
    scope = scope_of(setup)
    listed = Listed.of(scope.chosen | scope.looked_up, {side: found.keys() for side, found in unread.items()})
    had = {name: frozenset(store.alone(name)) for name in setup.chosen}
    return differences(scope, spool, store, listed, had), unread


async def _read(setup: Setup, store: Store, spool: Spool) -> Unread:
    """Both sides, each listing for itself: the primary may be the one that is down."""
    unread: Unread = {"primary": {}, "secondary": {}}
    scope = scope_of(setup)

    async def one(side: Side, name: str) -> None:
        try:
            number = await read_listing(clients[side], listing_readers(setup, side)[name], spool, side, name)
        except ListingError as error:
            unread[side][name] = str(error)
        else:
            if number == 0 and store.count(name, "ACTIVE"):
                unread[side][name] = f"EmptyListing: although {store.count(name, 'ACTIVE')} are known"
        if name in unread[side]:
            spool.clear(side, name)

    async with both_systems(setup) as (primary, secondary):
        clients = {"primary": primary, "secondary": secondary}
        async with asyncio.TaskGroup() as group:
            for name in sorted(scope.chosen | scope.looked_up):
                for side in ("primary", "secondary"):
                    group.create_task(one(side, name))
    return unread


def _json(found: Iterable[Difference], unread: Unread, target: TextIO) -> None:
    """One document, written as it comes."""
    counts: dict[str, Counter[str]] = {}
    target.write('{"differences":[')
    for number, difference in enumerate(_counted(found, counts)):
        target.write(("," if number else "") + json.dumps(_as_json(difference)))
    rest = {"counts": {name: dict(sorted(counter.items())) for name, counter in sorted(counts.items())}}
    target.write("]," + json.dumps({**rest, "unread": unread})[1:] + "\n")


def _as_json(difference: Difference) -> dict[str, Any]:
    line: dict[str, Any] = {
        "type": difference.type,
        "change": difference.change,
        "key": difference.key,
        "primaryID": difference.primary_id,
        "secondaryID": difference.secondary_id,
    }
    return line | {"fields": [{"field": one.field, **one.values} for one in difference.fields]}


def _csv(found: Iterable[Difference], unread: Unread, target: TextIO) -> None:
    """One line per field. Values are JSON, so that a spreadsheet takes none for a formula or a number."""
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in found:
        ids = (one.primary_id or "", one.secondary_id)
        rows = [(part.field, *(_cell(part.values, side) for side in ("primary", "secondary"))) for part in one.fields]
        for row in rows or [("", "", "")]:
            writer.writerow([_plain(cell) for cell in (one.type, one.key or "", one.change, *row, *ids)])
    _say_unread(unread)


def _text(found: Iterable[Difference], unread: Unread, target: TextIO) -> None:
    counts: dict[str, Counter[str]] = {}
    for one in _counted(found, counts):
        target.write(f"{one.change:<9} {one.type:<16} {one.key or one.secondary_id}\n")
        for part in one.fields:
            primary, secondary = (_cell(part.values, side) or "-" for side in ("primary", "secondary"))
            target.write(f"          {part.field}: {primary} -> {secondary}\n")
    for name, counter in sorted(counts.items()):
        target.write(f"{name}: " + ", ".join(f"{number} {kind}" for kind, number in sorted(counter.items())) + "\n")
    if not counts:
        target.write("nothing differs\n")
    _say_unread(unread)


def _say_unread(unread: Unread) -> None:
    for side, types in unread.items():
        for name, reason in sorted(types.items()):
            print(f"not read: {name} of the {side}: {reason}", file=sys.stderr)


def _counted(found: Iterable[Difference], counts: dict[str, Counter[str]]) -> Iterator[Difference]:
    for one in found:
        counts.setdefault(one.type, Counter())[one.change] += 1
        yield one


def _cell(values: Any, side: str) -> str:
    return json.dumps(values[side], ensure_ascii=False) if side in values else ""


def _plain(cell: str) -> str:
    return "'" + cell if cell.startswith(_FORMULA) else cell
