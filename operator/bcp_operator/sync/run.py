"""One run from end to end: lease, login check, store, read, plan, apply, report. And a plan alone."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime

from bcp_operator.api.run import REPORT_LIMIT_BYTES, Action, ExitCode, RunReport
from bcp_operator.systems.client import ReadOnlyClient
from bcp_operator.systems.session import Gate
from bcp_operator.systems.writer import WritableClient

from .apply import Applier, SecondaryDown
from .config import Setup
from .connect import connected
from .correlations.opening import opened
from .correlations.store import Store, StoreError
from .fence import ApiError, ApiServer, Fence, Held, publish_report
from .guard import guarded_kind
from .login import refuse_when_secondary
from .planning import Clients, decide, listing_readers
from .readiness import note_readiness
from .report import Tally
from .show import summarise
from .spool import Spool
from .withhold import describe, finish
from .world import Kind, Scope

EXIT_CODES = {
    "Succeeded": ExitCode.SUCCEEDED,
    "Planned": ExitCode.SUCCEEDED,
    "Partial": ExitCode.PARTIAL,
    "Held": ExitCode.HELD,
    "Failed": ExitCode.FAILED,
}
_PLANNED: dict[Kind, Action] = {
    "create": "created",
    "update": "updated",
    "adopt": "adopted",
    "refresh": "unchanged",
    "revive": "updated",
    "unchanged": "unchanged",
    "deactivate": "deactivated",
    "delete": "deleted",
}
log = logging.getLogger(__name__)


class Run:
    """A run, with what is known of it while it goes on."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.tally = Tally()
        self.start = datetime.now(UTC)
        self._began = time.monotonic()

    def report(self, result: str | None = None, message: str = "") -> RunReport:
        """The report as it stands."""
        known = result or self.tally.result(len(self.setup.chosen))
        return self.tally.report(known, self.start, time.monotonic() - self._began, message)  # type: ignore[arg-type]


def run(setup: Setup) -> RunReport:
    """Sync once. Without a Lease in the configuration nothing fences the writer: the caller has asked for that.

    Never raises for what goes wrong outside; the report says it. Raises ConfigError.
    """
    this = Run(setup)
    fence: Fence | None = None
    try:
        api = ApiServer.in_cluster(os.environ) if setup.config.lease or setup.config.report else None
        if setup.config.lease and api and not setup.config.dry_run:
            fence = Fence(api, setup.config.lease.namespace, setup.config.lease.name)
            fence.acquire()
            log.info("writer lease taken", extra={"holder": fence.identity})
        report = asyncio.run(_bounded(this, fence))
    except Held as held:
        report = this.report("Held", str(held))
    except (ApiError, StoreError, SecondaryDown) as error:
        report = this.report("Failed", str(error))
    except TimeoutError:
        report = this.report("Failed", f"not done within {setup.config.limits.timeout_seconds} s; the next run goes on")
    finally:
        if fence is not None:
            fence.close()
    _publish(setup, report)
    return report


async def _bounded(this: Run, fence: Fence | None) -> RunReport:
    limit = this.setup.config.limits.timeout_seconds
    # A little earlier than the Job's own deadline, which is the same figure and leaves no time for a report.
    async with asyncio.timeout(limit - min(10.0, limit / 10)):
        if this.setup.config.login:
            await refuse_when_secondary(this.setup.config.login)
        if this.setup.config.dry_run:
            return await plan_only(this.setup, note_plan, this)
        with opened(this.setup.config.store, this.setup.config.pair) as store, private_spool() as spool:
            gate = fence.gate if fence else _open_gate
            async with _systems(this.setup, gate) as (primary, secondary):
                clients: Clients = {"primary": primary, "secondary": secondary}
                scope, decision = await decide(this.setup, clients, store, spool, this.tally, keep=True)
                applier = Applier(
                    scope,
                    spool,
                    store,
                    secondary,
                    readers=listing_readers(this.setup, "secondary"),
                    tally=this.tally,
                    concurrency=this.setup.config.limits.concurrency,
                )
                await applier.run()
                finish(this.setup.config, decision, scope, store, this.tally)
                note_alone(scope, spool, store, this.tally)
                note_readiness(scope, spool, this.tally)
                reads = primary.requests + secondary.requests - secondary.writes
                log.info("done", extra={"reads": reads, "writes": secondary.writes})
    return this.report()


async def plan_only(setup: Setup, consume: Callable[[Spool, Tally], None], this: Run | None = None) -> RunReport:
    """Read both sides and plan; hands the spool with its actions to `consume`. Writes nothing anywhere.

    Raises StoreError.
    """
    this = this or Run(setup)
    with opened(setup.config.store, setup.config.pair, read_only=True) as store, private_spool() as spool:
        async with both_systems(setup) as (primary, secondary):
            clients: Clients = {"primary": primary, "secondary": secondary}
            await decide(setup, clients, store, spool, this.tally, keep=False)
        consume(spool, this.tally)
    report = this.report()
    if report.result == "Failed":
        return report
    message = "; ".join(part for part in ("plan only, nothing was written", report.message) if part)
    return report.model_copy(update={"result": "Planned", "message": message})


def note_alone(scope: Scope, spool: Spool, store: Store, tally: Tally) -> None:
    """Keep what the secondary alone has, so that what is made in the secondary after this run can be told from what was there."""
    alone: dict[str, set[str]] = {name: set() for name in scope.chosen - tally.broken.keys()}
    for action in spool.actions():
        if action.kind == "keep" and action.primary_id is None and action.secondary_id and action.type in alone:
            alone[action.type].add(action.secondary_id)
    for name, found in sorted(alone.items()):
        store.set_alone(name, found)


def note_plan(spool: Spool, tally: Tally) -> None:
    """Put what would be done into the tally, for the report of a dry run."""
    tally.plan_hash = summarise(spool, tally).hash
    for action in spool.actions():
        counted = _PLANNED.get(action.kind)
        if counted is not None:
            tally.count(action.type, counted)
        if guarded_kind(action) is not None and action.kind != "link":
            tally.plan(action.type, action.key or action.primary_id, describe(action))
        if action.kind == "skip":
            tally.error(action.type, action.key or action.primary_id, action.reason, "skipped")
        if action.kind == "keep":
            tally.keep(action.type, action.key or action.secondary_id, action.reason)


@asynccontextmanager
async def both_systems(setup: Setup) -> AsyncIterator[tuple[ReadOnlyClient, ReadOnlyClient]]:
    """Clients that write nothing."""
    async with _systems(setup, _shut_gate) as systems:
        yield systems


@contextmanager
def private_spool() -> Iterator[Spool]:
    """A spool, deleted at the end."""
    spool = Spool()
    try:
        yield spool
    finally:
        spool.close()


@asynccontextmanager
async def _systems(setup: Setup, gate: Gate) -> AsyncIterator[tuple[ReadOnlyClient, WritableClient]]:
    config, limits = setup.config, setup.config.limits
    async with AsyncExitStack() as stack:
        primary = await stack.enter_async_context(
            connected(setup.primary, config.primary, limits, setup.primary_credentials)
        )
        secondary = await stack.enter_async_context(
            connected(setup.secondary, config.secondary, limits, setup.secondary_credentials, gate)
        )
        writable = await stack.enter_async_context(aclosing(WritableClient(secondary)))
        yield ReadOnlyClient(primary), writable


async def _open_gate(_: float) -> None:
    """Unfenced, as the caller asked."""


async def _shut_gate(_: float) -> None:
    raise Held("a plan writes nothing")


def _publish(setup: Setup, report: RunReport) -> None:
    """The complete report into its ConfigMap; a run that was held leaves the last one there."""
    target = setup.config.report
    if target is None or report.result == "Held":
        return
    try:
        api = ApiServer.in_cluster(os.environ)
        text = report.render(REPORT_LIMIT_BYTES)
        asyncio.run(publish_report(api, setup.config.tenant.namespace, target.config_map, text))
    except ApiError as error:
        log.error("the report was not published", extra={"reason": str(error)})
