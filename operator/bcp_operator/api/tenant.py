"""BCPTenant: one pair of systems, its sync, its login URL and the failover field."""

from typing import Annotated, Literal

from pydantic import Field

from .common import CARef, HostPort, HttpURL, Model, Name, SecretRef, System, Timestamp
from .conditions import Condition

RuleName = Literal["TargetHealthy", "RouteOwned", "CoolDown"]
Severity = Literal["Block", "Warn"]
Step = Literal["Preflight", "Record", "Fence", "Route", "Verify", "Finish"]
OperationType = Literal["Failover", "Failback"]
OperationResult = Literal["Completed", "Refused", "Failed", "Superseded"]
Phase = Literal["Pending", "Primary", "FailingOver", "Secondary", "FailingBack", "Held", "Suspended"]
ActiveSystem = Literal["Primary", "Secondary", "Mixed", "Unknown"]
GoDuration = Annotated[str, Field(max_length=32, pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", min_length=2)]


class Health(Model):
    """How to ask a system whether it works; without it the login page is asked."""

    path: str = Field(max_length=1024, pattern=r"^/[^\s]*$", description="Path below the endpoint, e.g. /health.")
    expect_status: int = Field(200, ge=100, le=599, description="HTTP status that means healthy.")


class SystemSpec(Model):
    """One of the two systems."""

    profile: Name = Field(
        description="Built-in profile (scim), or the name of a profile ConfigMap in this namespace. Immutable."
    )
    tenant_id: str = Field(
        alias="tenantID",
        min_length=1,
        max_length=253,
        description="The system's own name for this tenant. Immutable.",
    )
    endpoint: HttpURL = Field(description="Base URL of the API; its host must be on the operator's allow-list.")
    insecure: bool = Field(False, description="Allow plain http; the host must also be on the chart's insecureHosts.")
    ca_ref: CARef | None = Field(None, description="Private CA of the endpoint and the login page.")
    credentials_secret_ref: SecretRef = Field(description="Secret with the keys the profile's authentication asks for.")
    login_url: HttpURL = Field(alias="loginURL", description="The system's own login page.")
    health: Health | None = Field(
        None, description="Health check; without it any answer of the login page below 500 counts as healthy."
    )


class SqliteStore(Model):
    """Correlations in SQLite on a PersistentVolumeClaim without ownerReference."""

    size: str = Field("1Gi", max_length=32, pattern=r"^[0-9]+(Mi|Gi|Ti)$", description="Size of the claim.")
    storage_class_name: str | None = Field(
        None, max_length=253, description="StorageClass; none = the cluster's default."
    )


class StoreSpec(Model):
    """Where correlations are kept. Immutable."""

    sqlite: SqliteStore = Field(default_factory=SqliteStore, description="SQLite on a PersistentVolumeClaim.")


class SyncSpec(Model):
    """The daily one-way copy from the primary to the secondary."""

    enabled: bool = Field(
        False,
        description="First run at once, then daily at the minute of enabling, or by the policy's schedule.",
    )
    policy_ref: SecretRef | None = Field(None, description="SyncPolicy in this namespace; none = everything, daily.")
    time_zone: str = Field(
        "UTC",
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_+\-/]+$",
        description="IANA time zone of the daily minute.",
    )
    store: StoreSpec = Field(default_factory=StoreSpec, description="Where correlations are kept.")


class IngressRoute(Model):
    """Redirect by the ingress-nginx annotation (also honoured by Traefik >= 3.7)."""

    name: Name = Field(description="Name of the Ingress.")
    mode: Literal["Managed", "Adopted"] = Field(
        "Managed",
        description="Managed = the operator's own object; Adopted = yours, only one annotation is added.",
    )
    class_name: Name | None = Field(None, description="IngressClass of a Managed Ingress.")
    tls_secret_name: Name | None = Field(None, description="TLS Secret of a Managed Ingress.")


class Rfc2136Route(Model):
    """Redirect by a CNAME record through DNS UPDATE (RFC 2136) with TSIG (RFC 8945)."""

    server: HostPort = Field(description="Authoritative primary name server, host or host:port.")
    zone: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Zone that holds the login host.",
    )
    tsig_secret_ref: SecretRef = Field(description="Secret with keyName, algorithm and secret (base64).")
    ttl_seconds: int = Field(30, ge=1, le=86400, description="TTL of the record in seconds.")


class Route(Model):
    """One way by which the login URL reaches the active system: exactly one driver."""

    name: Name = Field(description="Name of this route within the tenant.")
    ingress: IngressRoute | None = Field(None, description="Redirect by Ingress.")
    rfc2136: Rfc2136Route | None = Field(None, description="Redirect by DNS.")


class LoginSpec(Model):
    """What users type, and how it reaches the active system."""

    url: HttpURL = Field(description="The login URL that users know; verification asks it.")
    connect_to: HostPort | None = Field(
        None, description="host:port to connect to when asking the login URL (split-horizon networks)."
    )
    ca_ref: CARef | None = Field(None, description="Private CA of the login host.")
    routes: list[Route] = Field(
        min_length=1,
        max_length=8,
        description="Drivers; all are switched together.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class FailoverSpec(Model):
    """THE field. Leave it out of Git; absent means Primary."""

    active_system: System | None = Field(
        None, description="Where users are sent. This line alone is enough to fail over."
    )
    reason: str | None = Field(None, max_length=512, description="Why, e.g. an incident number. Needed with override.")
    requested_at: Timestamp | None = Field(
        None,
        description="When it was asked for; the way back needs a newer one, and consents count only with one.",
    )
    override: list[RuleName] = Field(
        default_factory=list,
        max_length=3,
        description="Consent, one-shot: rules to pass over; needs reason and a newer requestedAt.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    secondary_changes: Literal["Keep", "Discard"] | None = Field(
        None,
        description="Consent, one-shot: Discard lets the sync overwrite what was changed in the secondary; Keep (default) holds the way back.",
    )


class SafetyRules(Model):
    """Severity of each preflight rule."""

    target_healthy: Severity = Field(
        "Block",
        alias="TargetHealthy",
        description="The system to switch to answers. Only a failed probe blocks; an unknown one warns.",
    )
    route_owned: Severity = Field(
        "Block",
        alias="RouteOwned",
        description="The route carries no foreign redirect; blocks that route alone.",
    )
    cool_down: Severity | None = Field(
        None,
        alias="CoolDown",
        description="minSwitchInterval has passed since the last switch. Without a value: Warn on the way out, Block on the way back.",
    )


class SafetySpec(Model):
    """What is looked at before a switch."""

    min_switch_interval: GoDuration = Field("10m", description="Time between two switches, e.g. 10m.")
    max_recovery_point_age: GoDuration = Field(
        "26h", description="Age of the last successful sync above which RecoveryPointFresh turns False."
    )
    rules: SafetyRules = Field(default_factory=SafetyRules, description="Severity per rule: Block or Warn.")


class BCPTenantSpec(Model):
    """What is wanted for one pair of systems."""

    primary: SystemSpec = Field(description="The system to work in. Nothing ever writes to it.")
    secondary: SystemSpec = Field(description="The system to flee to.")
    sync: SyncSpec = Field(default_factory=SyncSpec, description="The daily one-way copy.")
    login: LoginSpec = Field(description="The login URL and its routes.")
    failover: FailoverSpec | None = Field(None, description="The failover field; leave it out of Git.")
    safety: SafetySpec = Field(default_factory=SafetySpec, description="Preflight rules.")
    suspend: bool = Field(False, description="Stops sync and repair of routes, never a switch.")
    deletion_policy: Literal["Retain", "Restore"] = Field(
        "Retain", description="On deletion: Retain the route as it is, or Restore the primary."
    )


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
    deadline: Timestamp | None = Field(
        None, description="After this the operation is Stalled; it goes on all the same."
    )
    initiator: str = Field("", max_length=512, description="Who asked.")
    initiator_verified: bool = Field(
        False, description="The initiator was stamped at admission; otherwise it is the field manager."
    )
    reason: str = Field("", max_length=512, description="spec.failover.reason at the time.")
    override: list[RuleName] = Field(default_factory=list, max_length=3, description="Rules that were passed over.")
    secondary_changes: Literal["Keep", "Discard"] = Field("Keep", description="Consent that counted.")


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
    result: Literal["Succeeded", "Failed", "Held", "Partial", "Unknown", "Running"] = Field(description="How it ended.")
    start_time: Timestamp | None = Field(None, description="When it started.")
    seconds: float | None = Field(None, description="How long it took, in seconds.")
    counts: dict[str, int] = Field(
        default_factory=dict,
        description="Actions: created, updated, adopted, unchanged, deactivated, skipped, failed.",
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
    held_by: str | None = Field(
        None, max_length=253, description="What holds the sync: fence/<operation>, Suspended or nothing."
    )


class RouteStatus(Model):
    """One route: what is wanted, what was written, what it really says."""

    name: str = Field(max_length=253, description="Name of the route.")
    desired: System = Field(description="Where it should send users.")
    written: bool = Field(description="The desired content is in place.")
    observed: ActiveSystem = Field(description="Where it sends users.")
    path_preserved: bool = Field(False, description="Path and query of the request survive the redirect.")
    message: str = Field("", max_length=512, description="Why it is not as desired.")


class RunbookStep(Model):
    """A command for a person, that works while the operator is down."""

    title: str = Field(max_length=128, description="What it does.")
    command: str = Field(max_length=4096, description="Verbatim shell command.")


class BCPTenantStatus(Model):
    """What is true."""

    observed_generation: int | None = Field(None, description="metadata.generation this status speaks of.")
    phase: Phase | None = Field(None, description="One word for people.")
    active_system: ActiveSystem | None = Field(None, description="What the routes really say.")
    active_login_url: str | None = Field(
        None, alias="activeLoginURL", max_length=2048, description="Login page of the active system."
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
    routes: list[RouteStatus] = Field(
        default_factory=list,
        max_length=8,
        description="Each route.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    runbook: list[RunbookStep] = Field(
        default_factory=list,
        max_length=8,
        description="Commands that work while the operator is down.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="kstatus conditions and our own.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
