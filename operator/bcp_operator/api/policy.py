"""SyncPolicy: what is copied and when, one policy for many tenants."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypedDict

from .common import (
    NAMED_TIME_ZONE,
    POSITIVE_DURATION,
    Approval,
    GoDuration,
    LabelValue,
    Model,
    Name,
    PatternSays,
    Rule,
    TimeZone,
    checked_by,
)
from .conditions import Condition

EntityTypeName = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


def _cron_field(value: str) -> str:
    """Regular expression of one cron field: a list of *, values and ranges, each with an optional step."""
    item = rf"(\*|({value})(-({value}))?)(/[1-9][0-9]?)?"
    return rf"{item}(,{item})*"


_MONTH = "0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_WEEKDAY = "[0-6]|SUN|MON|TUE|WED|THU|FRI|SAT"
CRON_PATTERN = (
    "^"
    + " +".join(
        _cron_field(v) for v in ("[0-5]?[0-9]", "[01]?[0-9]|2[0-3]", "0?[1-9]|[12][0-9]|3[01]", _MONTH, _WEEKDAY)
    )
    + "$"
)

QuantityText = Annotated[str, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|[KMGTPE]i?)?$")]
Quantity = Annotated[int, Field(ge=0)] | QuantityText


FieldName = Annotated[str, Field(max_length=256)]
FieldValue = Annotated[str, Field(max_length=256)]
FieldValues = Annotated[
    list[FieldValue], Field(min_length=1, max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})
]
OnMissing = Literal["Deactivate", "Delete", "Keep"]
Adopt = Literal["ByKey", "Never"]
OnUnresolved = Literal["OmitField", "Skip"]


class EntitySelection(Model):
    """One entity type of the profile, or a part of it."""

    type: EntityTypeName = Field(description="Entity type as the profile names it, e.g. user.")
    filter: dict[str, FieldValues] | None = Field(
        None,
        max_length=8,
        description="Only entities that have, in each of these fields, one of its values, e.g. teamName: [Sales]. "
        "Fields are named as in profiles. The others are left alone.",
    )
    on_missing: OnMissing = Field(
        "Deactivate",
        description="What becomes of an entity that vanished from the primary. Deactivate: put out of use, where the "
        "profile knows how. Delete: deleted, where it knows how. Keep: left alone and reported.",
    )


class ValueMapping(Model):
    """Values that are other ones in the secondary, e.g. phone numbers."""

    type: EntityTypeName = Field(description="Entity type as the profile names it.")
    field: FieldName = Field(description="Field, named as in profiles: address, or contact.numbers[].value.")
    values: dict[str, FieldValue] = Field(max_length=256, description="Value in the primary: value in the secondary.")


Cron = Annotated[
    str,
    Field(max_length=100, pattern=CRON_PATTERN),
    PatternSays(
        "write five fields, minute hour day month weekday, e.g. 0 2 * * *; names in upper case (MON), Sunday is 0"
    ),
]


class Schedule(Model):
    """When to run, instead of daily at the minute of enabling."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.jitter) || self.cron.matches('^[0-9]+ ')",
            "needs one minute in cron, e.g. 0 2 * * *: that minute is what it moves",
            ".jitter",
        ),
    )

    cron: Cron = Field(
        description="Five fields: minute hour day month weekday, e.g. 0 2 * * *. Names in upper case, Sunday is 0.",
    )
    time_zone: TimeZone | None = Field(
        None,
        description="IANA time zone of the schedule. Absent: the tenant's.",
        json_schema_extra=checked_by(NAMED_TIME_ZONE),
    )
    jitter: GoDuration | None = Field(
        None,
        description="Each tenant's runs are later by a time of its own, at most this long, that never changes: many "
        "tenants then don't start at once. No run moves into another hour, or day where cron names one hour.",
        json_schema_extra=checked_by(POSITIVE_DURATION),
    )


class Limits(Model):
    """What a run may use."""

    requests_per_second: int = Field(50, ge=1, le=10000, description="Requests per second, for each system.")
    concurrency: int = Field(8, ge=1, le=64, description="Requests in flight, for each system.")
    timeout: GoDuration = Field(
        "2h",
        description="A run that takes longer is ended, e.g. 2h.",
        json_schema_extra=checked_by(POSITIVE_DURATION),
    )


class Guard(Model):
    """How much of each entity type one run may do unasked. What goes beyond is withheld, the rest is done."""

    max_removals: int = Field(
        50, ge=0, le=1000000, description="Most entities of a type to put out of use in one run; 0: none unasked."
    )
    max_removal_percent: int = Field(
        5,
        ge=0,
        le=100,
        description="Most of them as a share of the type's correlated entities, but 3 at least; 0: none unasked. "
        "The lower of the two limits counts.",
    )
    max_update_percent: int = Field(
        50,
        ge=0,
        le=100,
        description="Most updates of a type in one run, as a share of its correlated entities, but 10 at least; 0: none unasked; 100: no limit.",
    )
    max_create_percent: int = Field(
        100,
        ge=0,
        le=10000,
        description="Most creates of a type in one run, as a share of its correlated entities, but 10 at least; 0: none "
        "unasked. The initial copy is not limited.",
    )


class Resources(TypedDict, total=False):
    """Resource requests and limits of the container, passed on as they are."""

    limits: Annotated[dict[str, Quantity], Field(max_length=16, description="Most it may use, e.g. memory: 512Mi.")]
    requests: Annotated[dict[str, Quantity], Field(max_length=16, description="What is set aside, e.g. cpu: 100m.")]


class Toleration(TypedDict, total=False):
    """A toleration of the pod, passed on as it is."""

    key: Annotated[str, Field(max_length=317, description="Key of the taint. Absent: every key.")]
    operator: Annotated[Literal["Exists", "Equal"], Field(description="How value is compared. Absent: Equal.")]
    value: Annotated[str, Field(max_length=63, description="Value of the taint.")]
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"],
        Field(description="Effect of the taint. Absent: every effect."),
    ]
    tolerationSeconds: Annotated[
        int, Field(ge=0, le=2147483647, description="How long a NoExecute taint is tolerated, in seconds.")
    ]


class JobSpec(Model):
    """How the pod of a run is made."""

    resources: Resources | None = Field(None, description="Resource requests and limits of the container.")
    node_selector: dict[str, LabelValue] | None = Field(
        None, max_length=16, description="Labels that the node must have."
    )
    tolerations: list[Toleration] | None = Field(
        None,
        max_length=16,
        description="Taints of the node that are tolerated.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    priority_class_name: Name | None = Field(None, description="PriorityClass of the pod.")


class SyncPolicySpec(Model):
    """What is copied and when."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.mode == 'Custom' || !has(self.entities)",
            "needs mode: Custom; mode: Default copies everything the profile knows",
            ".entities",
        ),
        Rule(
            "self.mode == 'Custom' || !has(self.exclude)",
            "needs mode: Custom; mode: Default copies everything the profile knows",
            ".exclude",
        ),
        Rule(
            "!(self.mode == 'Custom' && has(self.entities) && has(self.exclude))",
            "set entities (only these) or exclude (all but these), not both",
        ),
        Rule(
            "self.mode != 'Custom' || has(self.entities) || has(self.exclude)",
            "mode: Custom needs entities or exclude; to copy everything set mode: Default",
            ".mode",
        ),
    )

    mode: Literal["Default", "Custom"] = Field(
        "Default", description="Default: everything the profile knows. Custom: entities, or all but exclude."
    )
    entities: list[EntitySelection] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Custom: only these types.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    exclude: list[EntityTypeName] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Custom: all types but these.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    mappings: list[ValueMapping] | None = Field(
        None,
        max_length=64,
        description="Values that are other ones in the secondary. What isn't named is copied as it is.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type", "field"]},
    )
    adopt: Adopt = Field(
        "ByKey",
        description="What to do with an entity of the secondary that is not correlated and has the same natural key. "
        "ByKey: it becomes the copy. Never: both are left alone and reported.",
    )
    on_unresolved: OnUnresolved = Field(
        "OmitField",
        description="A reference that leads to nothing in the secondary. OmitField: copied without it. Skip: the "
        "entity is not copied. Both are reported.",
    )
    schedule: Schedule | None = Field(None, description="When to run. Absent: daily at the minute of enabling.")
    suspend: bool = Field(False, description="No scheduled runs for any tenant that uses this policy.")
    guard: Guard = Field(
        default_factory=Guard, description="How much of each type one run may do unasked; what goes beyond is withheld."
    )
    approval: Approval = Field(
        "OnGuard",
        description="OnGuard: what the guard withholds waits for spec.sync.approve of the tenant. Always: every write "
        "waits for it. Never: the guard is off.",
    )
    dry_run: bool = Field(False, description="Plan only: the report says what would be done, nothing is written.")
    limits: Limits = Field(default_factory=Limits, description="What a run may use.")
    job: JobSpec = Field(default_factory=JobSpec, description="How the pod of a run is made.")


class SyncPolicyStatus(Model):
    """What is true of this policy."""

    server_defaults: ClassVar[bool] = False

    observed_generation: int | None = Field(None, description="metadata.generation that this status speaks of.")
    tenants: int | None = Field(None, description="Number of tenants that use it.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Ready, as kstatus reads it.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
