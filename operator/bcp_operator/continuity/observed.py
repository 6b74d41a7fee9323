"""What was seen of one tenant, all at once: the only input of a decision beside the clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bcp_operator.api.common import System
from bcp_operator.api.divergence import DivergenceReport
from bcp_operator.api.names import FENCE_PREFIX
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.run import RunReport
from bcp_operator.api.tenant import BCPTenantSpec
from bcp_operator.api.tenant_status import ActiveSystem, BCPTenantStatus

from .certificates import CertificateView
from .health import Track


@dataclass(frozen=True)
class Now:
    """One reading of both clocks: `wall` is aware UTC, `monotonic_seconds` counts in this process only."""

    wall: datetime
    monotonic_seconds: float


@dataclass(frozen=True)
class Problem:
    """Something in the tenant or around it that a person has to put right."""

    reason: str
    message: str


@dataclass(frozen=True)
class Requester:
    """Who set spec.failover.activeSystem, and when, as far as the object itself tells."""

    name: str = ""
    verified: bool = False
    time: datetime | None = None
    at_creation: bool = False


@dataclass(frozen=True)
class WriterView:
    """The Lease that says who may write to the secondary."""

    holder: str = ""
    previous_holder: str | None = None
    enabled_at: datetime | None = None
    held_since: datetime | None = None
    """When it last changed hands; of a free one: when the fence was taken off, or a run ended."""

    @property
    def fenced(self) -> bool:
        """No run may take it."""
        return self.holder.startswith(FENCE_PREFIX)


@dataclass(frozen=True)
class RouteView:
    """One route as its driver saw it; `error` means that it could not be read, `conflict` that it isn't ours to change.

    `overridable`: the sides to which it can be brought all the same by overriding RouteOwned.
    """

    name: str
    shows: ActiveSystem
    exists: bool = True
    managed: bool = True
    current: bool = True
    conflict: str | None = None
    overridable: tuple[System, ...] = ()
    error: str | None = None
    unserved: bool = False
    drift: str | None = None
    dialect: str = "nginx"
    path_preserved: bool = False


@dataclass(frozen=True)
class JobView:
    """One Job of the sync. `deleting`: it starts no pod any more."""

    name: str
    uid: str
    created: datetime
    active: bool
    deleting: bool = False
    start_time: datetime | None = None
    end_time: datetime | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class RunView(JobView):
    """One that writes, with what its pod said when it ended."""

    report: RunReport | None = None


@dataclass(frozen=True)
class ComparisonView(JobView):
    """One that looks for what was changed in the secondary, with what its pod said when it ended."""

    report: DivergenceReport | None = None


@dataclass(frozen=True)
class SyncView:
    """What exists of the sync. `stale` names the objects that differ from what the tenant and its policy ask for.

    `cronjob`: there is one that may start runs; `cronjob_ending`: there is one that is being deleted, which may take
    its time, and whose Jobs would go with it. `retimed`: it is to start runs at other times, and has to be made anew for
    that.
    """

    cronjob: bool = False
    cronjob_ending: bool = False
    retimed: bool = False
    stale: tuple[str, ...] = ()
    runs: tuple[RunView, ...] = ()
    comparisons: tuple[ComparisonView, ...] = ()
    terminated_writers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Probe:
    """Whether a system answers; Unknown is never a reason to block."""

    result: Literal["Healthy", "Failed", "Unknown"]
    detail: str = ""


@dataclass(frozen=True)
class RouteAnswer:
    """What was seen from outside of one route."""

    ok: bool
    detail: str


@dataclass(frozen=True)
class Verified:
    """The last answer from outside: whether all routes that were asked send users to `target`, and each for itself."""

    target: System
    operation_id: str
    ok: bool
    detail: str
    at: Now
    routes: Mapping[str, RouteAnswer] = field(default_factory=dict)


@dataclass(frozen=True)
class Memory:
    """What only this process knows. Times are monotonic seconds.

    `lease_gone_seconds`: when the writer Lease was last found to have gone, or to be another one than before.
    """

    request_hash: str = ""
    request_seen: Now | None = None
    fence_since_seconds: float | None = None
    lease_gone_seconds: float | None = None
    verified: Verified | None = None
    verify_attempts: int = 0
    restore_attempts: int = 0
    drained: str = ""
    drain_asked_seconds: float | None = None
    comparison_refused: Mapping[str, str] = field(default_factory=dict)
    """Jobs, by name, that the API server would not make, and why."""
    route_errors: Mapping[str, str] = field(default_factory=dict)
    route_retry_seconds: float | None = None


@dataclass(frozen=True)
class Observed:
    """One tenant and everything around it.

    `refused`: nothing may be done for it at all. `claims`: what it holds; `claimed`: what it names belongs to another.
    `blocked`: what the API server did not let this process do just now. `four_eyes`: nobody switches alone.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    spec: BCPTenantSpec
    status: BCPTenantStatus
    requester: Requester = Requester()
    four_eyes: bool = False
    deleting: bool = False
    finalizer: bool = False
    refused: Problem | None = None
    claims: tuple[str, ...] = ()
    claimed: Problem | None = None
    blocked: Problem | None = None
    policy: SyncPolicySpec | None = None
    sync_problem: Problem | None = None
    lease: WriterView | None = None
    routes: tuple[RouteView, ...] = ()
    sync: SyncView = SyncView()
    probe: Probe = Probe("Unknown", "not asked")
    health: Mapping[System, Track] = field(default_factory=dict)
    certificates: Mapping[System, tuple[CertificateView, ...]] = field(default_factory=dict)
    memory: Memory = Memory()
