"""From two systems to what is to be done: read both sides, plan, doubt, withhold. Nothing is written to either system."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from bcp_operator.api.policy import OnMissing
from bcp_operator.systems.client import ReadOnlyClient

from .choice import EVERYTHING
from .config import Setup
from .confirm import contradicted
from .correlations.store import Store
from .plan import blocked_types, empty_listings, nothing_chosen, plan
from .read import ListingError, Reader, read_listing
from .rebuild import rebuilt_types
from .report import Tally
from .spool import Spool
from .withhold import Decision, withhold
from .world import Scope, Side

Clients = Mapping[Side, ReadOnlyClient]
BLOCKED = "Blocked: a type it refers to was left out"
log = logging.getLogger(__name__)


async def decide(
    setup: Setup, clients: Clients, store: Store, spool: Spool, tally: Tally, *, keep: bool
) -> tuple[Scope, Decision]:
    """Read both sides, plan, and withhold what is too much: then the spool holds what is to be done.

    `keep`: write to the store what an approval would mean. Raises StoreError.
    """
    await read_both(setup, clients, spool, tally)
    scope = scope_of(setup)
    if setup.config.approval != "Never":  # nobody would be asked
        scope = replace(scope, rebuilt=rebuilt_types(setup.chosen, spool, store, keep=keep))
    _make_plan(scope, spool, store, tally)
    await _distrust(setup, scope, clients, store=store, spool=spool, tally=tally)
    decision = withhold(setup.config, scope, spool, store, tally, keep=keep)
    if decision.hash or decision.approval:
        log.warning("guard", extra={"withheld": decision.hash, "approved": decision.approval})
    return scope, decision


async def read_both(setup: Setup, clients: Clients, spool: Spool, tally: Tally) -> None:
    """Read every listing that the plan needs. A type whose listing fails is noted as left out."""
    scope = scope_of(setup)

    async def one(side: Side, name: str) -> None:
        began = time.monotonic()
        try:
            number = await read_listing(clients[side], listing_readers(setup, side)[name], spool, side, name)
        except ListingError as error:
            tally.leave_out(name, f"{side}: {error}")
            log.error("listing failed", extra={"side": side, "type": name, "reason": str(error)})
        else:
            seconds = round(time.monotonic() - began, 3)
            log.info("listing read", extra={"side": side, "type": name, "entities": number, "seconds": seconds})

    async with asyncio.TaskGroup() as group:
        for name in sorted(scope.chosen | scope.looked_up):
            for side in clients:
                group.create_task(one(side, name))


def _make_plan(scope: Scope, spool: Spool, store: Store, tally: Tally) -> None:
    """Put every action into the spool; types that can't be planned are noted as left out."""
    types = scope.chosen | scope.looked_up
    for name, reason in empty_listings(scope, spool, store, types - tally.broken.keys()).items():
        advice = "; if it is meant to be empty, move the correlation store away"
        tally.leave_out(name, f"EmptyListing: {reason}{advice}")
    for name in nothing_chosen(scope, spool, scope.chosen - tally.broken.keys()):
        number = spool.count("primary", name)
        tally.leave_out(name, f"NothingChosen: the filter takes none of {number}; see its fields and their values")
    blocked = blocked_types(scope, tally.broken.keys())
    for name in sorted(blocked - tally.broken.keys()):
        tally.leave_out(name, BLOCKED)
    planned = 0
    for action in plan(scope, spool, store, blocked | tally.broken.keys()):
        planned += 1
        if action.kind == "unchanged" and not action.unresolved:
            tally.count(action.type, "unchanged")
        else:
            spool.keep(action)
    log.info("planned", extra={"entities": planned, "leftOut": sorted(tally.broken)})


async def _distrust(setup: Setup, scope: Scope, clients: Clients, *, store: Store, spool: Spool, tally: Tally) -> None:
    """Leave out types of which a listing proves to be incomplete, and what refers to them."""
    sides: dict[Side, dict[str, Reader]] = {side: listing_readers(setup, side) for side in clients}
    wrong = await contradicted(spool, store, clients, sides, scope.chosen - tally.broken.keys())
    for name, reason in wrong.items():
        tally.leave_out(name, f"Incomplete: {reason}")
        log.error("listing contradicted", extra={"type": name, "reason": reason})
    for name in sorted(blocked_types(scope, wrong.keys())):
        if name not in tally.broken:
            tally.leave_out(name, BLOCKED)
        spool.drop(name)
        tally.counts.pop(name, None)


def scope_of(setup: Setup) -> Scope:
    """What is planned."""
    config = setup.config
    return Scope(
        setup.primary,
        setup.secondary,
        config.pair,
        setup.chosen,
        kept=_where_missing(setup, "Keep"),
        deleted=_where_missing(setup, "Delete"),
        adopts=config.adopt == "ByKey",
        skips_unresolved=config.on_unresolved == "Skip",
    )


def _where_missing(setup: Setup, what: OnMissing) -> frozenset[str]:
    return frozenset(name for name, choice in setup.choices.items() if choice.on_missing == what)


def listing_readers(setup: Setup, side: Side) -> dict[str, Reader]:
    """What makes heads and contents of one side's entities, by type; only of types that both profiles know."""
    own, other = (setup.primary, setup.secondary) if side == "primary" else (setup.secondary, setup.primary)
    choices = setup.choices if side == "primary" else {}
    return {
        name: Reader(own.types[name], other.types[name], setup.secondary.types[name], choices.get(name, EVERYTHING))
        for name in own.types.keys() & other.types.keys()
    }
