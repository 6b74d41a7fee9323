"""Asking about what a listing leaves out, before anything is made of its absence.

A listing may be short and yet agree with its own total: a page that a replica hadn't, a right that was taken away. What
it leaves out although it is correlated is read by its ID; if it is there, the listing is no word to go by.
"""

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from bcp_operator.systems.client import ReadOnlyClient
from bcp_operator.systems.errors import CallFailed

from .correlations.store import Store
from .read import ListingError, Reader
from .spool import Spool
from .world import Action, Side

MOST_READ = 1000  # per type; more than that is a matter for the guard
TOGETHER = 16
log = logging.getLogger(__name__)


async def contradicted(
    spool: Spool,
    store: Store,
    clients: Mapping[Side, ReadOnlyClient],
    readers: Mapping[Side, Mapping[str, Reader]],
    types: Collection[str],
) -> dict[str, str]:
    """Types of which a listing left out an entity that can be read: type -> why. Asks only where the plan would act on it."""
    found: dict[str, str] = {}
    for name in sorted(types):
        doubtful = _doubtful(spool, store, name)
        while some := list(islice(doubtful, TOGETHER)):
            answers = await asyncio.gather(
                *(_is_there(clients[side], readers[side][name], name, entity_id) for _, side, entity_id in some)
            )
            there = [(action, side) for (action, side, _), answer in zip(some, answers, strict=True) if answer]
            if there:
                action, side = there[0]
                found[name] = f"{side}: its listing leaves out {action.key or action.primary_id}, which is there"
                break
    return found


def _doubtful(spool: Spool, store: Store, name: str) -> Iterator[tuple[Action, Side, str]]:
    """Actions that are due because a listing lacks an entity, with the side and the ID."""
    for number, action in enumerate(spool.due_to_absence(name)):
        if number == MOST_READ:
            log.warning("too many are absent to ask about each", extra={"type": name, "asked": MOST_READ})
            return
        if action.kind != "create":
            yield action, "primary", action.primary_id or ""
            continue
        row = store.by_primary(name, action.primary_id or "")
        if row is not None and row.secondary_id is not None:
            yield action, "secondary", row.secondary_id


async def _is_there(client: ReadOnlyClient, reader: Reader, name: str, entity_id: str) -> bool:
    """Whether an entity can be read and is in use; one that is out of use may well be left out of a listing."""
    if reader.own.read is None:
        return False
    try:
        raw = await client.read(name, entity_id)
        return raw is not None and not reader.entity(raw)[0].inactive
    except (CallFailed, ListingError, ValueError) as error:
        log.warning("can't ask", extra={"type": name, "reason": str(error)})
        return False
