"""`bcp-sync diverge --publish`: the same look in a pod, which leaves counts in its termination message and the list in a ConfigMap.

It writes to neither system and takes no Lease: it is made to run while a switch has fenced the runs.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from bcp_operator.api import names
from bcp_operator.api.divergence import ChangeCounts, DivergenceReport, ReportedDifference, UnreadListing
from bcp_operator.api.run import REPORT_LIMIT_BYTES, ExitCode, RunConfig

from .config import Setup
from .correlations.opening import opened
from .correlations.store import Store, StoreError
from .diverge import Unread, compared
from .divergence import Difference
from .fence import ApiError, ApiServer, publish_report
from .report import MAX_LISTED
from .run import private_spool

LONGEST_REASON = 300
NOTHING_KNOWN = "the correlations are empty: there is nothing to compare with"
log = logging.getLogger(__name__)


def compare(setup: Setup) -> DivergenceReport:
    """Look. Never raises for what goes wrong outside; the report says it."""
    start, began = datetime.now(UTC), time.monotonic()

    def ended(report: DivergenceReport) -> DivergenceReport:
        return report.model_copy(update={"seconds": round(time.monotonic() - began, 3)})

    try:
        with opened(setup.config.store, setup.config.pair, read_only=True) as store:
            if next(store.rows(), None) is None:
                return ended(failed(NOTHING_KNOWN, start))
            return ended(asyncio.run(_bounded(setup, store, start)))
    except StoreError as error:
        return ended(failed(str(error), start))
    except TimeoutError:
        return ended(failed(f"not done within {setup.config.limits.timeout_seconds} s", start))


def failed(why: str, start: datetime | None = None) -> DivergenceReport:
    """The report of a comparison that came to nothing."""
    return DivergenceReport(start_time=start or datetime.now(UTC), seconds=0, failure=why)


def publish(config: RunConfig, report: DivergenceReport) -> None:
    """Put the list into the ConfigMap that the operator made; the termination message says the totals all the same."""
    try:
        api = ApiServer.in_cluster(os.environ)
        text = report.render(REPORT_LIMIT_BYTES)
        target = names.divergence_configmap(config.tenant.name)
        asyncio.run(publish_report(api, config.tenant.namespace, target, text, key=names.DIVERGENCE_KEY))
    except ApiError as error:
        log.error("the report was not published", extra={"reason": str(error)})


def exit_code(report: DivergenceReport) -> ExitCode:
    """Of the process."""
    if report.failure:
        return ExitCode.FAILED
    return ExitCode.PARTIAL if report.unread else ExitCode.SUCCEEDED


async def _bounded(setup: Setup, store: Store, start: datetime) -> DivergenceReport:
    limit = setup.config.limits.timeout_seconds
    # A little earlier than the Job's own deadline, which is the same figure and leaves no time for a report.
    async with asyncio.timeout(limit - min(10.0, limit / 10)):
        with private_spool() as spool:
            found, unread = await compared(setup, store, spool)
            return _told(found, unread, start)


def _told(found: Iterable[Difference], unread: Unread, start: datetime) -> DivergenceReport:
    counts: dict[str, Counter[str]] = {}
    listed: list[ReportedDifference] = []
    for one in found:
        counts.setdefault(one.type, Counter())[one.change.lower()] += 1
        if len(listed) < MAX_LISTED:
            fields = [part.field for part in one.fields] if one.change in ("Changed", "Unclear") else []
            key = one.key or one.secondary_id
            listed.append(ReportedDifference(type=one.type, change=one.change, key=key, fields=fields))
    whole: Counter[str] = sum(counts.values(), Counter())
    return DivergenceReport(
        start_time=start,
        seconds=0,
        counts=ChangeCounts(**whole),
        per_type={name: ChangeCounts(**counter) for name, counter in sorted(counts.items())},
        unread=[
            UnreadListing(side=side, type=name, reason=reason[:LONGEST_REASON])
            for side, types in unread.items()
            for name, reason in sorted(types.items())
        ],
        differences=listed,
        truncated=whole.total() > len(listed),
    )
