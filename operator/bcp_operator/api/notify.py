"""Whom to tell what happens to a tenant."""

from typing import Literal

from pydantic import Field

from .common import CARef, Model, SecretRef

URL_KEY = "url"
"""Key of the Secret that holds the URL: it often contains a token."""

NotifyEvent = Literal[
    "PrimaryDown",
    "PrimarySlow",
    "PrimaryFlapping",
    "PrimaryRecovered",
    "SecondaryUnhealthy",
    "SecondaryRecovered",
    "RecoveryPointStale",
    "SyncFailed",
    "GuardTripped",
    "FailoverNotReady",
    "FailoverRequested",
    "FailoverRefused",
    "FailoverCompleted",
    "FailbackRequested",
    "FailbackRefused",
    "FailbackCompleted",
    "OverrideUsed",
    "ApprovalNeeded",
    "IntentConflictHeld",
    "LoginNotVerified",
]
"""Reasons of the Kubernetes events that are also sent."""

NotifyFormat = Literal["JSON", "CloudEvents", "Slack"]


class Notify(Model):
    """One receiver of notices."""

    url_secret_ref: SecretRef = Field(
        description="Secret with the key url: where to POST to. Its host must be on the operator's allow-list."
    )
    ca_ref: CARef | None = Field(None, description="Private CA of the receiver.")
    format: NotifyFormat = Field(
        "JSON",
        description="JSON: an object of our own. CloudEvents: the same as data of a CloudEvent 1.0. "
        "Slack: an object with text, which Slack and many other chats take.",
    )
    events: list[NotifyEvent] = Field(
        default_factory=list,
        max_length=20,
        description="Which events to send. Empty: all of them.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
