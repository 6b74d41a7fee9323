"""What a comparison says to the operator: what somebody has changed in the secondary since the last run wrote to it.

Left in the termination message and, complete, in the ConfigMap `<tenant>-divergence`. It names entities and fields, never
their values: those are people's data, and stay in the two systems.
"""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field

from .run import Count, Report, RunModel

Change = Literal["Changed", "Added", "Removed", "Unclear"]


class ChangeCounts(RunModel):
    """Number of entities per kind of change."""

    changed: Count = 0
    added: Count = 0
    removed: Count = 0
    unclear: Count = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.changed + self.added + self.removed + self.unclear


class ReportedDifference(RunModel):
    """An entity of the secondary that is no longer, or not only, what the runs made it."""

    type: str = Field(description="Entity type.")
    change: Change = Field(description="What became of it.")
    key: str = Field(description="Natural key of the entity, or its ID in the secondary where it has none.")
    fields: list[str] = Field(default_factory=list, description="Names of the fields that differ.")


class UnreadListing(RunModel):
    """A listing that could not be read, so that nothing, or too much, is said of its type."""

    side: Literal["primary", "secondary"] = Field(description="Of which system.")
    type: str = Field(description="Entity type.")
    reason: str = Field(description="Why, in our words.")


class DivergenceReport(Report):
    """What was changed in the secondary, as of `start_time`."""

    start_time: datetime = Field(description="When it was looked.")
    seconds: float = Field(ge=0, allow_inf_nan=False, description="How long it took, in seconds.")
    counts: ChangeCounts = Field(default_factory=ChangeCounts, description="Entities per kind of change.")
    per_type: dict[str, ChangeCounts] = Field(default_factory=dict, description="The same per entity type.")
    unread: list[UnreadListing] = Field(default_factory=list, description="Listings that could not be read.")
    failure: str = Field("", description="Why nothing was compared at all; empty when it was.")
    differences: list[ReportedDifference] = Field(default_factory=list, description="What differs, by type.")
    truncated: bool = Field(False, description="A list was cut to fit.")

    @property
    def known(self) -> bool:
        """Every type of the secondary was looked at. Without the primary at most too much is told."""
        return not self.failure and not any(one.side == "secondary" for one in self.unread)

    def shortened(self) -> Self:
        """Half of the longer list, or of the words, or no figures per type; never the totals, nor that it is not known."""
        if len(self.differences) >= len(self.unread) and self.differences:
            kept = self.differences[: len(self.differences) // 2]
            return self.model_copy(update={"differences": kept, "truncated": True})
        if len(self.unread) > 1:
            worst_first = sorted(self.unread, key=lambda one: one.side == "primary")
            return self.model_copy(update={"unread": worst_first[: len(worst_first) // 2], "truncated": True})
        if self.per_type:
            return self.model_copy(update={"per_type": {}, "truncated": True})
        if len(self.failure) > 200:
            return self.model_copy(update={"failure": self.failure[:200], "truncated": True})
        raise ValueError("the report's totals alone don't fit; raise the limit")
