"""Conditions as kstatus reads them: Ready, Reconciling and Stalled, beside our own."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from .common import Model, Timestamp

ConditionStatus = Literal["True", "False", "Unknown"]
ConditionType = Literal[
    "Ready",
    "Reconciling",
    "Stalled",
    "FailoverReady",
    "RecoveryPointFresh",
    "PrimaryHealthy",
    "SecondaryHealthy",
    "LoginRouted",
    "LoginVerified",
    "SyncFenced",
    "CorrelationHealthy",
    "SyncGuarded",
    "IntentConflict",
    "ApprovalPending",
]


class Condition(Model):
    """A metav1.Condition."""

    type: str = Field(max_length=64, pattern=r"^[A-Z][A-Za-z]*$", description="Type, e.g. Ready.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: str = Field(max_length=128, pattern=r"^[A-Z][A-Za-z0-9]*$", description="One CamelCase word for machines.")
    message: str = Field("", max_length=1024, description="For people: what it means and what to do.")
    observed_generation: int | None = Field(None, description="metadata.generation it speaks of.")
    last_transition_time: Timestamp = Field(description="When status last changed.")


def merge(old: Iterable[Condition], new: Iterable[Condition]) -> list[Condition]:
    """Keep lastTransitionTime of every condition whose status did not change; sorted by type, so that equal worlds give equal bytes."""
    before = {c.type: c for c in old}
    merged = []
    for condition in new:
        earlier = before.get(condition.type)
        if earlier is not None and earlier.status == condition.status:
            condition = condition.model_copy(update={"last_transition_time": earlier.last_transition_time})  # noqa: PLW2901
        merged.append(condition)
    return sorted(merged, key=lambda c: c.type)
