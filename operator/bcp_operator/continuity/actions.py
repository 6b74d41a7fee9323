"""Everything the operator can do to the world: a small closed set. Status and events are part of the Plan itself."""

from dataclasses import dataclass
from datetime import datetime

from bcp_operator.api.common import System
from bcp_operator.api.safety import Drain
from bcp_operator.api.tenant_status import BCPTenantStatus


@dataclass(frozen=True)
class CreateLease:
    """Create the writer Lease; `holder` is empty (free) or a fence."""

    holder: str


@dataclass(frozen=True)
class HoldWriter:
    """Swap the holder of the writer Lease to a fence, by compare-and-swap."""

    holder: str


@dataclass(frozen=True)
class ReleaseWriter:
    """Take the fence off: runs may write again."""


@dataclass(frozen=True)
class MarkEnabled:
    """Remember on the Lease when sync was enabled; None forgets it."""

    at: datetime | None


@dataclass(frozen=True)
class ApplySync:
    """Bring CronJob, ConfigMaps and claim to what the tenant and its policy ask for."""

    enabled_at: datetime


@dataclass(frozen=True)
class StartRun:
    """Make the Job of a run outside the schedule, named after its time: enabling, a trigger, or the start of a planned switch."""

    at: datetime


@dataclass(frozen=True)
class StartComparison:
    """Make the Job that looks for what was changed in the secondary, named after the time at which that was asked for."""

    at: datetime


@dataclass(frozen=True)
class DeleteCronJob:
    """Delete the CronJob; its Jobs stay for their history."""


@dataclass(frozen=True)
class DeleteRun:
    """Delete one active Job, of a run or of a comparison, and its pod."""

    name: str
    uid: str


@dataclass(frozen=True)
class ApplyRoutes:
    """Make these routes send users to `target`, on the condition that they are as they were seen."""

    target: System
    names: tuple[str, ...]
    override: bool = False


@dataclass(frozen=True)
class VerifyLogin:
    """Ask from outside until these routes send users to `target`, or a short time has passed.

    `operation_id` is empty between switches: then one answer is enough.
    """

    target: System
    names: tuple[str, ...]
    operation_id: str


@dataclass(frozen=True)
class AskDrained:
    """Ask whether those who work in the primary have finished."""

    drain: Drain
    operation_id: str


@dataclass(frozen=True)
class RestoreRoutes:
    """The tenant goes: send users back to the primary."""


@dataclass(frozen=True)
class SetFinalizer:
    """Put our finalizer on the tenant, or take it off."""

    present: bool


Action = (
    CreateLease
    | HoldWriter
    | ReleaseWriter
    | MarkEnabled
    | ApplySync
    | StartRun
    | StartComparison
    | DeleteCronJob
    | DeleteRun
    | ApplyRoutes
    | VerifyLogin
    | AskDrained
    | RestoreRoutes
    | SetFinalizer
)


@dataclass(frozen=True)
class Note:
    """An event of events.k8s.io: reasons are stable, one per transition. `audit` also writes an audit log line."""

    reason: str
    message: str
    warning: bool = False
    audit: bool = False


@dataclass(frozen=True)
class Plan:
    """What to do now: the actions in order, then the status, then the notes; and when to look again.

    A plan that starts an operation has no actions: the operation is in status before its first effect outside.
    """

    status: BCPTenantStatus
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    wake_seconds: float | None = None
