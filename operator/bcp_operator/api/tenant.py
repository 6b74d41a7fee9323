"""What people write about a tenant: the spec of BCPTenant, with every rule the API server checks beside its field."""

from typing import ClassVar, Literal

from pydantic import Field

from .common import (
    NAMED_TIME_ZONE,
    POSITIVE_DURATION,
    ApprovalHash,
    BaseURL,
    CARef,
    GoDuration,
    HttpURL,
    Model,
    Name,
    PolicyRef,
    Rule,
    SecretRef,
    System,
    Timestamp,
    TimeZone,
    checked_by,
    has_ip_host,
    host_of,
    not_longer,
    port_of,
)
from .login import IngressRoute, LoginSpec, Rfc2136Route, Route
from .notify import Notify
from .safety import SafetyRules, SafetySpec, Severity
from .tenant_status import (
    ActiveSystem,
    BCPTenantStatus,
    FinishedOperation,
    LastRun,
    Mode,
    Operation,
    OperationResult,
    OperationType,
    Phase,
    RouteStatus,
    RuleName,
    RunbookStep,
    Step,
    SyncStatus,
)

__all__ = [
    "TENANT_RULES",
    "ActiveSystem",
    "BCPTenantSpec",
    "BCPTenantStatus",
    "FailoverSpec",
    "FinishedOperation",
    "GoDuration",
    "Health",
    "IngressRoute",
    "LastRun",
    "LoginSpec",
    "Notify",
    "Operation",
    "OperationResult",
    "OperationType",
    "Phase",
    "PostgresqlStore",
    "Rfc2136Route",
    "Route",
    "RouteStatus",
    "RuleName",
    "RunbookStep",
    "SafetyRules",
    "SafetySpec",
    "Severity",
    "SqliteStore",
    "Step",
    "StoreSpec",
    "SyncSpec",
    "SyncStatus",
    "SystemSpec",
]

# RFC 3339 as every reader of ours takes it, in a year with which all can reckon; the API server's own check of date-time lets more through.
RFC3339_PATTERN = (
    r"^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)

IDENTITY = Rule(
    "self == oldSelf",
    "is immutable, because the correlations are kept under it: create another BCPTenant for another system",
)


class Health(Model):
    """How to ask a system whether it works."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            not_longer("self.timeout", "self.interval"),
            "must not be longer than interval: an answer has to be there before the next question",
            ".timeout",
        ),
        Rule(
            not_longer("self.slowAfter", "self.timeout"),
            "must not be longer than timeout: what takes longer than that is no answer at all",
            ".slowAfter",
        ),
    )

    path: str = Field(max_length=1024, pattern=r"^/[^\s#]*$", description="Path below the endpoint, e.g. /health.")
    expect_status: int = Field(200, ge=100, le=599, description="HTTP status that means healthy.")
    interval: GoDuration = Field(
        "60s", description="Time between two questions, e.g. 60s.", json_schema_extra=checked_by(POSITIVE_DURATION)
    )
    timeout: GoDuration = Field(
        "5s",
        description="Without an answer by then a question has failed. A switch itself waits one second at most.",
        json_schema_extra=checked_by(POSITIVE_DURATION),
    )
    slow_after: GoDuration = Field(
        "2s", description="Answers that take longer are slow.", json_schema_extra=checked_by(POSITIVE_DURATION)
    )
    failure_threshold: int = Field(
        3,
        ge=1,
        le=10,
        description="So many failed (or slow, or impossible) questions in a row make it Down (Slow, Unknown).",
    )


class SystemSpec(Model):
    """One of the two systems."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.insecure || self.endpoint.startsWith('https://')",
            "use https, or set insecure: true beside it (the host must then also be on the chart's insecureHosts)",
            ".endpoint",
        ),
        Rule(
            "self.insecure || self.loginURL.startsWith('https://')",
            "use https, or set insecure: true beside it (the host must then also be on the chart's insecureHosts)",
            ".loginURL",
        ),
    )

    profile: Name = Field(
        description="Kind of system: a built-in profile (scim, cxone), or the name of a profile ConfigMap in this namespace. Immutable.",
        json_schema_extra=checked_by(IDENTITY),
    )
    tenant_id: str = Field(
        alias="tenantID",
        max_length=253,
        pattern=r"^[!-~]+( [!-~]+)*$",  # printable, no blanks around it: it becomes part of URLs and keys
        description="The system's own name for this tenant. Immutable.",
        json_schema_extra=checked_by(IDENTITY),
    )
    endpoint: BaseURL = Field(
        description="Base URL of the API, without query. Its host must be on the operator's allow-list."
    )
    insecure: bool = Field(
        False, description="Allow plain http for this system. Its hosts must also be on the chart's insecureHosts."
    )
    ca_ref: CARef | None = Field(None, description="Private CA of the endpoint and of the login page.")
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the keys that the profile's authentication asks for, e.g. token, or username and password."
    )
    login_url: HttpURL = Field(
        alias="loginURL",
        description="The system's own login page: where users are sent while this system is active.",
    )
    health: Health | None = Field(
        None,
        description="Health check. Without it, any answer of the login page below 500 counts as healthy, with the other "
        "values as they are by default.",
    )


class SqliteStore(Model):
    """Correlations in SQLite on a PersistentVolumeClaim that outlives the tenant."""

    size: str = Field("1Gi", max_length=12, pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$", description="Size of the claim.")
    storage_class_name: Name | None = Field(
        None, description="StorageClass of the claim. Absent: the cluster's default."
    )


class PostgresqlStore(Model):
    """Correlations in a PostgreSQL database that any number of tenants may share."""

    dsn_secret_ref: SecretRef = Field(
        description="Secret with the key dsn, postgresql://user:password@host:5432/database, and where the server's "
        "certificate is of a private CA its bundle under ca.crt."
    )


class StoreSpec(Model):
    """Where the correlations (which entity is which in the other system) are kept: exactly one kind."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.sqlite) != has(self.postgresql)", "set exactly one kind of store: sqlite or postgresql"),
    )

    sqlite: SqliteStore | None = Field(None, description="SQLite on a PersistentVolumeClaim.")
    postgresql: PostgresqlStore | None = Field(None, description="PostgreSQL; the run brings its schema up to date.")


class SyncSpec(Model):
    """The daily one-way copy from the primary to the secondary."""

    enabled: bool = Field(
        False,
        description="Copy: the first run at once, then daily at the minute of enabling, or by the policy's schedule.",
    )
    policy_ref: PolicyRef | None = Field(
        None, description="SyncPolicy with what to copy and when. Absent: everything, daily."
    )
    time_zone: TimeZone = Field(
        "UTC", description="IANA time zone of the daily run.", json_schema_extra=checked_by(NAMED_TIME_ZONE)
    )
    trigger: Timestamp | None = Field(
        None,
        description="Run now: set it to the present time. A newer time is another run; status.sync.lastTrigger echoes what was dealt "
        "with. While users are on the secondary it looks for what was changed there; else, while held or suspended, it is passed over.",
    )
    approve: ApprovalHash | None = Field(
        None,
        description="Lets the withheld actions with this hash through, once; status.sync.lastRun.withheldHash has it.",
    )
    store: StoreSpec = Field(
        default_factory=lambda: StoreSpec(sqlite=SqliteStore()),
        description="Where the correlations are kept. Immutable.",
        json_schema_extra={
            "default": {"sqlite": {}},
            **checked_by(
                Rule(
                    "self == oldSelf",
                    "is immutable, because the correlations are in it: create another BCPTenant to start with an empty store",
                )
            ),
        },
    )


class FailoverSpec(Model):
    """THE field. Leave the whole block out of Git; absent means Primary."""

    server_defaults: ClassVar[bool] = False
    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.override) || self.override.size() == 0 || (has(self.reason) && self.reason.trim() != '')",
            "override passes over safety rules: give a reason beside it, e.g. an incident number",
            ".override",
        ),
        Rule(
            "!has(self.override) || self.override.size() == 0 || has(self.requestedAt)",
            "override counts once, together with a new requestedAt: set requestedAt to the time of now",
            ".override",
        ),
        Rule(
            "!has(self.mode) || self.mode != 'Planned' || has(self.requestedAt)",
            "Planned counts once, together with a new requestedAt: set requestedAt to the time of now",
            ".mode",
        ),
        Rule(
            "!has(self.secondaryChanges) || self.secondaryChanges != 'Discard' || has(self.requestedAt)",
            "Discard counts once, together with a new requestedAt: set requestedAt to the time of now",
            ".secondaryChanges",
        ),
    )

    active_system: System | None = Field(
        None, description="Where users are sent. Absent: Primary. This line alone is enough to fail over."
    )
    reason: str | None = Field(None, max_length=512, description="Why, e.g. an incident number. Needed with override.")
    requested_at: Timestamp | None = Field(
        None,
        description="When it was asked for, RFC 3339 with Z or offset. The way back needs a newer one than the last, "
        "and mode, override and secondaryChanges count only with a newer one.",
        json_schema_extra={"pattern": RFC3339_PATTERN},
    )
    mode: Mode | None = Field(
        None,
        description="Consent, one-shot, for the way out: Planned runs one more sync first and switches only when that has succeeded; "
        "needs a newer requestedAt. Absent or Unplanned: at once.",
    )
    override: list[RuleName] = Field(
        default_factory=list,
        max_length=7,
        description="Consent, one-shot: safety rules to pass over. Needs a reason, a newer requestedAt and the right failover-override; "
        "FourEyes (nobody else could be asked) the right failover-break-glass too.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},  # one decision: never merged from two writers
    )
    secondary_changes: Literal["Keep", "Discard"] | None = Field(
        None,
        description="Consent, one-shot: Discard lets the sync overwrite what was changed in the secondary; needs a newer requestedAt and "
        "the right failover-override. Absent or Keep: refused where anything was changed; the first run after it waits for approval.",
    )
    approved_by: str | None = Field(
        None,
        max_length=512,
        description="Only where four-eyes is on: somebody else than who asked, with the right failover-approve, sets it to anything, and "
        "admission writes their name. A changed request clears it.",
    )


_BY_DNS = "self.login.routes.exists(r, has(r.rfc2136) || has(r.dnsEndpoint))"
_HOST_1, _HOST_2 = host_of("self.primary.loginURL"), host_of("self.secondary.loginURL")
_OLD_SYSTEM = "oldSelf.?failover.?activeSystem.orValue('Primary')"
_NEW_SYSTEM = "self.?failover.?activeSystem.orValue('Primary')"
_OLD_HAS_TIME = "oldSelf.?failover.?requestedAt.hasValue()"
_NEW_HAS_TIME = "self.?failover.?requestedAt.hasValue()"


class BCPTenantSpec(Model):
    """What is wanted for one pair of systems."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!({_OLD_SYSTEM} == 'Secondary' && {_NEW_SYSTEM} == 'Primary') || "
            f"({_NEW_HAS_TIME} && (!{_OLD_HAS_TIME} || self.failover.requestedAt > oldSelf.failover.requestedAt))",
            "the way back to the primary needs a newer spec.failover.requestedAt than before: set it to the time of now (to a later one, if it was in the future), together with activeSystem",
        ),
        Rule(
            f"!({_OLD_SYSTEM} == 'Secondary' && {_NEW_SYSTEM} == 'Secondary' && {_OLD_HAS_TIME}) || "
            f"({_NEW_HAS_TIME} && self.failover.requestedAt >= oldSelf.failover.requestedAt)",
            "while the secondary is active spec.failover.requestedAt may be neither removed nor lowered: keep it, or set a newer one",
        ),
        Rule(
            "!(self.primary.profile == self.secondary.profile && self.primary.tenantID == self.secondary.tenantID && "
            f"{host_of('self.primary.endpoint')} == {host_of('self.secondary.endpoint')})",
            "primary and secondary are the same system (profile, tenantID and endpoint host): a system can't stand in for itself",
        ),
        Rule(
            "self.primary.loginURL != self.secondary.loginURL",
            "must differ from the primary's loginURL: otherwise nobody can tell which system is active",
            ".secondary.loginURL",
        ),
        Rule(
            f"!({host_of('self.login.url')} in [{_HOST_1}, {_HOST_2}])",
            "the host of login.url must differ from the hosts of both loginURLs: otherwise the redirect leads back to itself",
            ".login.url",
        ),
        Rule(
            f"!{_BY_DNS} || self.primary.loginURL == self.secondary.loginURL || {_HOST_1} != {_HOST_2}",
            "DNS can only tell hosts apart: with an rfc2136 or dnsEndpoint route the two loginURLs need different hosts",
            ".secondary.loginURL",
        ),
        Rule(
            f"!{_BY_DNS} || !({has_ip_host('self.primary.loginURL')} || {has_ip_host('self.secondary.loginURL')})",
            "a CNAME can't lead to an IP address: with an rfc2136 or dnsEndpoint route both loginURLs need host names",
            ".login.routes",
        ),
        Rule(
            f"!{_BY_DNS} || [self.primary.loginURL, self.secondary.loginURL].all(u, "
            f"u.startsWith('https://') && {port_of('u')} == {port_of('self.login.url')})",
            "DNS can't change scheme or port: with an rfc2136 or dnsEndpoint route both loginURLs need https and the port of login.url",
            ".login.routes",
        ),
        Rule(
            "!self.login.routes.exists(r, has(r.httpRoute)) || "
            "![self.primary.loginURL, self.secondary.loginURL].exists(u, u.contains('?'))",
            "an HTTPRoute can't set a query: with an httpRoute route both loginURLs have to be without one",
            ".login.routes",
        ),
    )

    primary: SystemSpec = Field(description="The system to work in. Nothing ever writes to it.")
    secondary: SystemSpec = Field(description="The system to flee to.")
    sync: SyncSpec = Field(default_factory=SyncSpec, description="The daily copy. Changes need the right sync.")
    login: LoginSpec = Field(description="The login URL and how it reaches the active system.")
    failover: FailoverSpec | None = Field(
        None, description="The failover field. Leave it out of Git. Changes need the right failover."
    )
    safety: SafetySpec = Field(default_factory=SafetySpec, description="What is looked at before a switch.")
    notify: list[Notify] = Field(
        default_factory=list,
        max_length=8,
        description="Whom to tell what happens, by HTTP POST. Best effort, never in a switch's way.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    suspend: bool = Field(False, description="Stops the sync and the repair of routes, never a switch.")
    deletion_policy: Literal["Retain", "Restore"] = Field(
        "Retain",
        description="When the tenant is deleted: Retain leaves the routes as they are, Restore sends users to the primary first.",
    )


TENANT_RULES = (
    Rule(
        "self.metadata.name.size() <= 40",
        "metadata.name may have at most 40 characters, because its Jobs and pods are named after it: choose a shorter name",
    ),
    Rule(
        "!self.metadata.name.contains('.')",
        "metadata.name may not contain dots, because its Jobs and pods are named after it: use - instead",
    ),
)
