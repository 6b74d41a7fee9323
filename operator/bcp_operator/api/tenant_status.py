"""What the operator writes about a tenant: the status of BCPTenant. Nothing in it has a server default."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .common import Model, System, Timestamp
from .conditions import Condition

RuleName = Literal[
    "TargetHealthy", "RouteOwned", "CoolDown", "RecoveryPointFresh", "CertificateValid", "DivergenceKnown", "FourEyes"
]
Mode = Literal["Unplanned", "Planned"]
Step = Literal["Preflight", "Record", "FinalSync", "Fence", "Compare", "Route", "Verify", "Drain", "Finish"]
OperationType = Literal["Failover", "Failback"]
OperationResult = Literal["Completed", "Refused", "Superseded"]
Phase = Literal["Pending", "Primary", "FailingOver", "Secondary", "FailingBack", "Held", "Suspended"]
ActiveSystem = Literal["Primary", "Secondary", "Mixed", "Unknown"]


class Operation(Model):
    """A switch that is under way; recorded before its first outside effect."""

    id: str = Field(max_length=64, description="Unique per operation; part of the fence's holder identity.")
    type: OperationType = Field(description="Failover or Failback.")
    step: Step = Field(description="What is being done now.")
    generation: int = Field(description="metadata.generation that was judged.")
    requested_at: Timestamp | None = Field(None, description="spec.failover.requestedAt of the request.")
    start_time: Timestamp = Field(description="Start of the clock that rtoSeconds measures.")
    start_time_bound: bool = Field(
        False,
        description="The start was taken from managedFields (whole seconds): rtoSeconds is an upper bound.",
    )
    verified_time: Timestamp | None = Field(
        None, description="When a planned switch was seen on its side; it may wait for the drain after that."
    )
    deadline: Timestamp | None = Field(
        None, description="After this the operation is Stalled; it goes on all the same."
    )
    initiator: str = Field("", max_length=512, description="Who asked.")
    initiator_verified: bool = Field(
        False, description="The initiator was stamped at admission; otherwise it is the field manager."
    )
    approved_by: str = Field("", max_length=512, description="Who else agreed, where four-eyes is on.")
    reason: str = Field("", max_length=512, description="spec.failover.reason at the time.")
    override: list[RuleName] = Field(
        default_factory=list,
        max_length=7,
        description="Rules that were passed over.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    warnings: list[Annotated[str, Field(max_length=256)]] = Field(
        default_factory=list,
        max_length=8,
        description="Rules that were not met and did not block.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    secondary_changes: Literal["Keep", "Discard"] = Field("Keep", description="Consent that counted.")
    mode: Mode = Field("Unplanned", description="Consent that counted: Planned has copied once more before.")


class FinishedOperation(Operation):
    """A switch that has ended."""

    result: OperationResult = Field(description="How it ended.")
    end_time: Timestamp = Field(description="When it ended.")
    message: str = Field("", max_length=1024, description="For people: what happened and what to do.")
    rto_seconds: float | None = Field(None, description="From the request to the verified login URL, in seconds.")
    recovery_point_age_seconds: float | None = Field(
        None, description="Age of the last successful sync at the switch, in seconds."
    )


class LastRun(Model):
    """The last sync run, folded in from its pod and its report."""

    name: str = Field(max_length=253, description="Name of the Job.")
    result: Literal["Succeeded", "Failed", "Held", "Partial", "Planned", "Unknown", "Running"] = Field(
        description="How it ended."
    )
    start_time: Timestamp | None = Field(None, description="When it started.")
    seconds: float | None = Field(None, description="How long it took, in seconds.")
    counts: dict[str, int] = Field(
        default_factory=dict,
        max_length=16,
        description="Actions: created, updated, adopted, unchanged, deactivated, deleted, withheld, skipped, failed.",
    )
    withheld_hash: str | None = Field(
        None, max_length=71, description="Hash of what the guard withheld; spec.sync.approve lets it through once."
    )
    message: str = Field("", max_length=1024, description="For people.")


class SyncStatus(Model):
    """What is known of the sync."""

    enabled_at: Timestamp | None = Field(
        None, description="When sync was enabled; the daily minute without a schedule."
    )
    last_success_time: Timestamp | None = Field(None, description="Recovery point: start of the last successful run.")
    last_run: LastRun | None = Field(None, description="The last run.")
    next_sync_time: Timestamp | None = Field(None, description="When the next run is due.")
    missed: int | None = Field(
        None, ge=0, description="Scheduled runs in a row that did not start; nothing held them. Absent: none."
    )
    last_trigger: Timestamp | None = Field(None, description="The last spec.sync.trigger that was dealt with.")
    held_by: str | None = Field(
        None, max_length=253, description="What holds the sync: fence/<operation>, Suspended or nothing."
    )


class Readiness(Model):
    """What users would miss in the secondary, as the last run that came to its end left it. The report names them."""

    users_without_login: int = Field(
        description="People active in the primary who are in the secondary absent, out of use, or known by another "
        "login name or federated identity."
    )
    unsynced_types: list[Annotated[str, Field(max_length=63)]] = Field(
        default_factory=list,
        max_length=64,
        description="Types of the primary that the secondary doesn't get; of more than 64 the first.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    unresolved: int = Field(description="References that lead nowhere in the secondary.")


class Divergence(Model):
    """What was changed in the secondary since the last run wrote to it. The report names it."""

    name: str = Field(max_length=253, description="Name of the Job that looked.")
    result: Literal["Running", "Known", "Unknown"] = Field(
        description="Unknown: not every type of the secondary could be looked at; message says why."
    )
    time: Timestamp | None = Field(None, description="As of when; what was changed later is not in it.")
    changed: int | None = Field(None, description="Entities of which somebody changed a field there.")
    added: int | None = Field(None, description="Entities that somebody made there.")
    removed: int | None = Field(None, description="Entities that somebody deleted there.")
    unclear: int | None = Field(
        None, description="Entities that differ from what was sent; how the secondary stored it was never learned."
    )
    report: str | None = Field(None, max_length=253, description="ConfigMap that names them, under divergence.json.")
    message: str = Field("", max_length=1024, description="For people.")


class RouteStatus(Model):
    """One route: what is wanted, what was written, what it really says."""

    name: str = Field(max_length=253, description="Name of the route.")
    desired: System = Field(description="Where it should send users.")
    written: bool = Field(description="The desired content is in place.")
    verified: bool | None = Field(
        None,
        description="Seen from outside: users get the desired system by it. Absent: not asked yet, or not written.",
    )
    observed: ActiveSystem = Field(description="Where it sends users, as written.")
    path_preserved: bool = Field(False, description="Path and query of the request survive the redirect.")
    message: str = Field("", max_length=512, description="Why it is not as desired.")


class RunbookStep(Model):
    """A command for a person, that works while the operator is down."""

    title: str = Field(max_length=128, description="What it does.")
    command: str = Field(max_length=4096, description="Verbatim shell command.")


class BCPTenantStatus(Model):
    """What is true."""

    server_defaults: ClassVar[bool] = False

    observed_generation: int | None = Field(None, description="metadata.generation this status speaks of.")
    phase: Phase | None = Field(None, description="One word for people.")
    active_system: ActiveSystem | None = Field(None, description="What the routes really say.")
    active_login_url: str | None = Field(
        None, alias="activeLoginURL", max_length=2048, description="Login page of the active system."
    )
    settled_system: System | None = Field(
        None,
        description="Where the last switch put users, or where they were found first; drift away from it is not followed.",
    )
    request_hash: str | None = Field(
        None,
        max_length=64,
        description="Fingerprint of the spec.failover that was judged last; only a change under it is judged again.",
    )
    claims: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list,
        max_length=3,
        description="Hashes of the systems and the login host that this tenant holds: no other tenant may have them.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    operation: Operation | None = Field(None, description="The switch under way.")
    last_operation: FinishedOperation | None = Field(None, description="The last switch.")
    history: list[FinishedOperation] = Field(
        default_factory=list,
        max_length=10,
        description="The last ten, newest first.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    sync: SyncStatus | None = Field(None, description="The sync.")
    readiness: Readiness | None = Field(None, description="What users would miss in the secondary.")
    divergence: Divergence | None = Field(
        None, description="What was changed in the secondary. Only while users are there, or on their way back."
    )
    routes: list[RouteStatus] = Field(
        default_factory=list,
        max_length=8,
        description="Each route.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    runbook: list[RunbookStep] = Field(
        default_factory=list,
        max_length=10,
        description="Commands that work while the operator is down.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="kstatus conditions and our own.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
