"""What the operator and a sync run say to each other: `run.yaml` in, the report out.

`RunConfig` is what the operator renders into the ConfigMap `<tenant>-sync`; `RunReport` is what a run leaves in
its termination message and, complete, in the ConfigMap `<tenant>-report`. Both are pure models.
"""

import hashlib
import json
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from .common import Approval, ApprovalHash, HostPort, HttpURL
from .policy import Adopt, EntitySelection, OnUnresolved, ValueMapping

TERMINATION_MESSAGE_LIMIT_BYTES = 3 * 1024
REPORT_LIMIT_BYTES = 900 * 1024

RunResult = Literal["Succeeded", "Partial", "Failed", "Held", "Planned"]
Action = Literal[
    "created", "updated", "adopted", "unchanged", "deactivated", "deleted", "withheld", "skipped", "failed"
]
ACTIONS: tuple[Action, ...] = get_args(Action)
GuardedKind = Literal["create", "update", "remove"]

Text = Annotated[str, Field(min_length=1, max_length=4096)]
Count = Annotated[int, Field(ge=0, le=2**53)]  # what JSON, and so status, holds exactly


class ExitCode(IntEnum):
    """Exit codes of `bcp-sync`; the Job's podFailurePolicy knows them."""

    SUCCEEDED = 0
    CONFIG = 2  # bad usage, run.yaml, profile or credentials: nothing was written
    PARTIAL = 3  # everything else was done, some entities were not, or were withheld by the guard
    HELD = 4  # the writer lease is fenced or taken, or the login URL shows the secondary
    FAILED = 5


class RunModel(BaseModel):
    """A part of run.yaml or of a report: camelCase outside, snake_case inside, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class RunSystem(RunModel):
    """One of the two systems, as the run sees it."""

    profile: Text = Field(description="Built-in profile, or the name of a file in the profiles folder.")
    tenant_id: Text = Field(alias="tenantID", description="The system's own name for this tenant.")
    endpoint: HttpURL = Field(description="Base URL of the API.")
    insecure: bool = Field(False, description="Plain http was allowed.")
    ca_file: str | None = Field(None, description="PEM bundle of a private CA.")
    credentials_dir: Text = Field(description="Folder with one file per credential key.")

    @model_validator(mode="after")
    def _plain_http_is_allowed(self) -> "RunSystem":
        if self.endpoint.startswith("http://") and not self.insecure:
            raise ValueError("endpoint is plain http: use https, or set insecure: true beside it")
        return self


class RunLimits(RunModel):
    """What a run may use."""

    requests_per_second: int = Field(50, ge=1, le=10000, description="Requests per second, per system.")
    concurrency: int = Field(8, ge=1, le=64, description="Requests in flight, per system.")
    timeout_seconds: int = Field(7200, ge=1, description="A run that takes longer is ended.")


class RunGuard(RunModel):
    """How much of each type the run may do unasked; the same figures as SyncPolicy's."""

    max_removals: int = Field(50, ge=0, description="Most entities of a type to put out of use.")
    max_removal_percent: int = Field(5, ge=0, le=100, description="The same, of the type's correlated entities.")
    max_update_percent: int = Field(50, ge=0, le=100, description="Most updates, of the type's correlated entities.")
    max_create_percent: int = Field(100, ge=0, description="Most creates, of the type's correlated entities.")


class RunSelection(EntitySelection):
    """SyncPolicy's selection of a type, unknown fields refused."""

    model_config = ConfigDict(extra="forbid")


class RunMapping(ValueMapping):
    """SyncPolicy's value mapping, unknown fields refused."""

    model_config = ConfigDict(extra="forbid")


class RunSqlite(RunModel):
    """Correlations in a SQLite file."""

    path: Text = Field(description="Path of the database.")


class RunPostgresql(RunModel):
    """Correlations in PostgreSQL."""

    dsn_file: Text = Field(description="File with the DSN: postgresql://user:password@host:5432/database.")
    ca_file: str | None = Field(None, description="PEM bundle of a private CA; not there = the public authorities.")


class RunStore(RunModel):
    """Where correlations are kept: exactly one of the two."""

    sqlite: RunSqlite | None = Field(None, description="SQLite.")
    postgresql: RunPostgresql | None = Field(None, description="PostgreSQL.")

    @model_validator(mode="after")
    def _one_kind(self) -> "RunStore":
        if (self.sqlite is None) == (self.postgresql is None):
            raise ValueError("give sqlite or postgresql, and not both")
        return self


class AuthoritativeServer(RunModel):
    """A name server that knows where the login host points."""

    server: HostPort = Field(description="host or host:port of the authoritative server.")
    name: Text = Field(description="Name whose CNAME is asked.")


class RunLogin(RunModel):
    """How the run asks which system is live, before it writes."""

    url: HttpURL = Field(description="The login URL that users know.")
    connect_to: HostPort | None = Field(None, description="host:port to connect to instead of the URL's own.")
    ca_file: str | None = Field(None, description="PEM bundle of a private CA.")
    primary_login_url: HttpURL = Field(alias="primaryLoginURL", description="The primary's login page.")
    secondary_login_url: HttpURL = Field(alias="secondaryLoginURL", description="The secondary's login page.")
    dns: list[AuthoritativeServer] = Field(default_factory=list, description="Asked instead of the URL in DNS mode.")


class ObjectName(RunModel):
    """A namespaced object."""

    namespace: Text = Field(description="Its namespace.")
    name: Text = Field(description="Its name.")


class RunReportTarget(RunModel):
    """Where the complete report goes, beside the termination message."""

    config_map: Text = Field(description="ConfigMap in the tenant's namespace; made by the operator.")


class RunConfig(RunModel):
    """`run.yaml`: everything a run has to know. Secrets are not in it, only the folders that hold them."""

    tenant: ObjectName = Field(description="The BCPTenant this run belongs to.")
    pair: str = Field(pattern=r"^[0-9a-f]{64}$", description="Key of the correlations: see pair_id.")
    primary: RunSystem = Field(description="The system that is read and never written to.")
    secondary: RunSystem = Field(description="The system that is brought up to date.")
    entities: list[RunSelection] | None = Field(None, description="Only these types; none = all the profile knows.")
    exclude: list[Text] | None = Field(None, description="All types but these.")
    mappings: list[RunMapping] = Field(default_factory=list, description="Values that are other ones in the secondary.")
    adopt: Adopt = Field("ByKey", description="What to do with an entity of the same key that is there already.")
    on_unresolved: OnUnresolved = Field("OmitField", description="What to do with a reference that leads nowhere.")
    limits: RunLimits = Field(default_factory=RunLimits, description="What the run may use.")
    guard: RunGuard = Field(default_factory=RunGuard, description="How much the run may do unasked.")
    approval: Approval = Field("OnGuard", description="What waits for approval.")
    review: str | None = Field(
        None,
        max_length=64,
        description="The way back after which everything waits for approval, until a run has come to its end with it.",
    )
    approve: ApprovalHash | None = Field(None, description="Hash of withheld actions to let through, once.")
    dry_run: bool = Field(False, description="Plan only.")
    store: RunStore = Field(description="Where correlations are kept.")
    login: RunLogin | None = Field(None, description="How to ask which system is live; none = not asked (desk use).")
    lease: ObjectName | None = Field(None, description="The writer Lease; none = desk use, needs --unfenced.")
    report: RunReportTarget | None = Field(None, description="Where the complete report goes.")

    @model_validator(mode="after")
    def _one_selection(self) -> "RunConfig":
        if self.entities is not None and self.exclude is not None:
            raise ValueError("give entities or exclude, not both")
        return self


class RunCounts(RunModel):
    """Number of entities per action."""

    created: Count = 0
    updated: Count = 0
    adopted: Count = 0
    unchanged: Count = 0
    deactivated: Count = 0
    deleted: Count = 0
    withheld: Count = 0
    skipped: Count = 0
    failed: Count = 0


class RunIssue(RunModel):
    """One entity that was not, or not wholly, carried across."""

    type: str = Field(description="Entity type.")
    key: str = Field(description="Natural key of the entity, or its ID where it has none.")
    reason: str = Field(description="UpperCamelCase reason, a colon and words for people; never a vendor's own text.")


class RunTripped(RunModel):
    """A limit of the guard that would have been passed."""

    type: str = Field(description="Entity type.")
    kind: GuardedKind = Field(description="What was limited.")
    planned: Count = Field(description="Number of entities that it would have been done to.")
    allowed: Count = Field(description="Most of them that needed no approval.")
    correlated: Count = Field(description="Correlated entities of this type.")


class RunReadiness(RunModel):
    """What users would miss in the secondary as the run left it, in numbers."""

    users_without_login: Count = Field(description="People active in the primary who could not log in to it.")
    unsynced_types: Count = Field(description="Types of the primary that it doesn't get.")
    unresolved: Count = Field(description="References that lead nowhere there.")


class Report(RunModel):
    """What is left behind twice: short in the termination message, complete in a ConfigMap."""

    def render(self, limit_bytes: int) -> str:
        """The report as JSON of at most `limit_bytes` UTF-8 bytes; lists are cut, and `truncated` set, to fit."""
        report = self
        text = report.model_dump_json(by_alias=True)
        while len(text.encode()) > limit_bytes:
            report = report.shortened()
            text = report.model_dump_json(by_alias=True)
        return text

    def shortened(self) -> Self:
        """The same in fewer words, never with other totals. Raises ValueError when nothing is left to be cut."""
        raise NotImplementedError


class RunReport(Report):
    """What a run did. Short form: termination message. Complete form: report.json."""

    result: RunResult = Field(description="How it ended.")
    start_time: datetime = Field(description="When it started; a successful run's recovery point.")
    seconds: float = Field(ge=0, allow_inf_nan=False, description="How long it took, in seconds.")
    counts: RunCounts = Field(default_factory=RunCounts, description="Entities per action.")
    per_type: dict[str, RunCounts] = Field(default_factory=dict, description="The same per entity type.")
    message: str = Field("", description="For people.")
    errors: list[RunIssue] = Field(default_factory=list, description="Entities that failed or were skipped.")
    unresolved: list[RunIssue] = Field(
        default_factory=list, description="References left out: their target is unknown."
    )
    kept: list[RunIssue] = Field(default_factory=list, description="Entities of the secondary that were left alone.")
    withheld: list[RunIssue] = Field(default_factory=list, description="What waits for approval.")
    withheld_hash: ApprovalHash | None = Field(
        None, description="Hash of all of that; approving it lets it through once."
    )
    tripped: list[RunTripped] = Field(default_factory=list, description="Limits of the guard that were passed.")
    planned: list[RunIssue] = Field(default_factory=list, description="Dry run: what would have been done.")
    plan_hash: ApprovalHash | None = Field(None, description="Dry run: hash of the plan, as bcp-sync plan shows it.")
    readiness: RunReadiness | None = Field(None, description="What users would miss; none = the run didn't get so far.")
    without_login: list[RunIssue] = Field(default_factory=list, description="People who could not log in, and why.")
    unsynced: list[RunIssue] = Field(default_factory=list, description="Types the secondary doesn't get, and why.")
    truncated: bool = Field(False, description="A list was cut to fit.")

    def shortened(self) -> Self:
        """Half of the longest list, or of the message, or no figures per type; never the totals."""
        names = ("errors", "unresolved", "kept", "withheld", "planned", "tripped", "without_login", "unsynced")
        lists = {name: getattr(self, name) for name in names}
        name = max(lists, key=lambda n: len(lists[n]))
        if lists[name]:
            return self.model_copy(update={name: lists[name][: len(lists[name]) // 2], "truncated": True})
        if len(self.message) > 200:
            return self.model_copy(update={"message": self.message[:200], "truncated": True})
        if self.per_type:
            return self.model_copy(update={"per_type": {}, "truncated": True})
        raise ValueError("the report's totals alone don't fit; raise the limit")


def pair_id(primary: RunSystem, secondary: RunSystem) -> str:
    """SHA-256 (hex) of profile, endpoint host and tenantID of both systems: the key of a pair's correlations.

    Endpoint paths, credentials and the tenant's name may change without losing the correlations.
    """
    parts = [[s.profile, urlsplit(s.endpoint).netloc.lower(), s.tenant_id] for s in (primary, secondary)]
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()
