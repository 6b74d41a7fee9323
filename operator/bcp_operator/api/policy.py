"""SyncPolicy: what is synced and when, one policy for many tenants."""

from typing import Annotated, Any, Literal

from pydantic import Field

from .common import Model
from .conditions import Condition
from .tenant import GoDuration

EntityTypeName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class EntitySelection(Model):
    """One entity type of the profile."""

    type: EntityTypeName = Field(description="Entity type as the profile names it, e.g. user.")


class Schedule(Model):
    """When to run, instead of daily at the minute of enabling."""

    cron: str = Field(
        min_length=9,
        max_length=100,
        pattern=r"^[0-9A-Za-z*,/-]+( +[0-9A-Za-z*,/#-]+){4}$",
        description="Five fields: minute hour day month weekday.",
    )
    time_zone: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_+\-/]+$",
        description="IANA time zone; none = the tenant's.",
    )


class Limits(Model):
    """What a run may use."""

    requests_per_second: int = Field(50, ge=1, le=10000, description="Requests per second, per system.")
    concurrency: int = Field(8, ge=1, le=64, description="Requests in flight, per system.")
    timeout: GoDuration = Field("2h", description="A run that takes longer is ended, e.g. 2h.")


class JobSpec(Model):
    """How the pod of a run is made."""

    resources: dict[str, Any] | None = Field(
        None,
        description="Resource requests and limits of the container.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    node_selector: dict[str, str] | None = Field(None, max_length=16, description="Node labels.")
    tolerations: list[dict[str, Any]] | None = Field(
        None,
        max_length=16,
        description="Tolerations.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    priority_class_name: str | None = Field(None, max_length=253, description="PriorityClass.")


class SyncPolicySpec(Model):
    """What is synced and when."""

    mode: Literal["Default", "Custom"] = Field(
        "Default", description="Default = everything the profile knows; Custom = entities or all but exclude."
    )
    entities: list[EntitySelection] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Custom: these types.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    exclude: list[EntityTypeName] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Custom: all types but these.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    schedule: Schedule | None = Field(None, description="When; none = daily at the minute of enabling.")
    suspend: bool = Field(False, description="No scheduled runs for any tenant of this policy.")
    limits: Limits = Field(default_factory=Limits, description="What a run may use.")
    job: JobSpec = Field(default_factory=JobSpec, description="How the pod of a run is made.")


class SyncPolicyStatus(Model):
    """What is true of this policy."""

    observed_generation: int | None = Field(None, description="metadata.generation this status speaks of.")
    tenants: int | None = Field(None, description="Tenants that use it.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Ready.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
