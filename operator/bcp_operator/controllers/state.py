"""What this process knows of a tenant beside the cluster: lost at a restart, which costs time and never correctness."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bcp_operator.continuity.observed import Memory, Now


def now() -> Now:
    """Both clocks, read together."""
    return Now(datetime.now(UTC), time.monotonic())


@dataclass
class TenantState:
    """Mutable, one per tenant; only the worker that holds the tenant's key touches it, and the event handler's sighting."""

    memory: Memory = field(default_factory=Memory)
    seen_generation: int = 0
    seen_at: Now | None = None
    fence_holder: str = ""
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

    def fence_seen(self, holder: str, fenced: bool, moment: Now) -> None:
        """Keep since when the Lease has been fenced without a break, as far as this process saw it."""
        since = self.memory.fence_since_seconds if fenced and holder == self.fence_holder else None
        self.fence_holder = holder if fenced else ""
        self.remember(
            fence_since_seconds=(since if since is not None else moment.monotonic_seconds) if fenced else None
        )

    def fence_renamed(self, holder: str) -> None:
        """We swapped one fence for another ourselves: the time goes on."""
        if self.fence_holder:
            self.fence_holder = holder
