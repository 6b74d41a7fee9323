"""What this process knows of a tenant beside the cluster: lost at a restart, which costs time and never correctness."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bcp_operator.continuity.observed import Memory, Now
from bcp_operator.kube.lease import WriterState


def now() -> Now:
    """Both clocks, read together."""
    return Now(datetime.now(UTC), time.monotonic())


@dataclass
class TenantState:
    """Mutable, one per tenant; only the worker that holds the tenant's key touches it, and the event handler's sighting."""

    memory: Memory = field(default_factory=Memory)
    seen_generation: int = 0
    seen_at: Now | None = None
    fence: tuple[str, int] | None = None
    """Holder and number of changes of hands of the fence that is being timed."""
    terminated_pods: set[str] = field(default_factory=set)
    refused_sync: tuple[str, str] | None = None
    """Hash of sync objects that the API server refused as invalid, and what it said."""

    def remember(self, **changes: Any) -> None:
        """Change fields of the memory."""
        self.memory = replace(self.memory, **changes)

    def sighted(self, generation: int, moment: Now) -> None:
        """A generation was seen for the first time: the clock of a request starts here."""
        if generation > self.seen_generation:
            self.seen_generation, self.seen_at = generation, moment

    def fence_seen(self, writer: WriterState | None, moment: Now) -> None:
        """Keep since when the Lease has been fenced without a break, as far as this process saw it.

        A fence of the same name after a change of hands that was not seen is another one: a run may have come between.
        """
        fence = None if writer is None or writer.fenced_by is None else (writer.holder, writer.transitions)
        since = self.memory.fence_since_seconds if fence is not None and fence == self.fence else None
        self.fence = fence
        started = moment.monotonic_seconds if since is None else since
        gone = self.memory.lease_gone_seconds
        self.remember(
            fence_since_seconds=None if fence is None else started,
            lease_gone_seconds=None if writer is not None else moment.monotonic_seconds if gone is None else gone,
        )

    def fence_renamed(self, writer: WriterState) -> None:
        """We swapped one fence for another ourselves: the time goes on, unless it was another one that we swapped."""
        if self.fence is not None and writer.transitions == self.fence[1] + 1:
            self.fence = (writer.holder, writer.transitions)
