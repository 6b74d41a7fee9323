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
    lease: tuple[str, int] | None = None
    """UID and number of changes of hands of the writer Lease, the furthest that was seen."""
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

    def fence_seen(self, writer: WriterState | None, moment: Now, *, fresh: bool) -> None:
        """Keep since when the Lease has been fenced without a break, as far as this process saw it.

        A fence of the same name after a change of hands that was not seen is another one: a run may have come between.
        `fresh`: read just now; what the watch knows may be older than what was read before.
        """
        if self._lost(writer, fresh):
            self.remember(lease_gone_seconds=moment.monotonic_seconds)
        fence = None if writer is None or writer.fenced_by is None else (writer.holder, writer.transitions)
        since = self.memory.fence_since_seconds if fence is not None and fence == self.fence else None
        self.fence = fence
        started = moment.monotonic_seconds if since is None else since
        self.remember(fence_since_seconds=None if fence is None else started)

    def fence_set(self, writer: WriterState, moment: Now) -> None:
        """We swapped the holder for a fence ourselves. From one fence to another the time goes on, unless it was another one."""
        if self.lease is not None and (writer.uid != self.lease[0] or writer.transitions <= self.lease[1]):
            self.remember(lease_gone_seconds=moment.monotonic_seconds)  # it was another Lease that we found
        self.lease = (writer.uid, writer.transitions)
        if self.fence is not None and writer.transitions == self.fence[1] + 1:
            self.fence = (writer.holder, writer.transitions)

    def lease_begun(self) -> None:
        """We made it, free, when no writer could be alive: nothing was lost."""
        self.remember(lease_gone_seconds=None)

    def _lost(self, writer: WriterState | None, fresh: bool) -> bool:
        """It has gone, or somebody brought another or an old one: whoever held ours is not in it."""
        known, self.lease = self.lease, None
        if writer is None:
            return known is not None or self.memory.lease_gone_seconds is None
        self.lease = (writer.uid, writer.transitions)
        if known is None or (writer.uid == known[0] and writer.transitions >= known[1]):
            return False
        if not fresh:
            self.lease = known
        return fresh
