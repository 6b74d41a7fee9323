"""What is looked at before a switch, and how much it counts."""

from typing import Literal

from pydantic import Field

from .common import POSITIVE_DURATION, CARef, GoDuration, HttpURL, Model, checked_by

Severity = Literal["Block", "Warn"]


class SafetyRules(Model):
    """Severity of each preflight rule: Block refuses the switch, Warn only says so."""

    target_healthy: Severity = Field(
        "Block",
        alias="TargetHealthy",
        description="The system to switch to answers. Only a failed probe blocks; an unknown one warns.",
    )
    route_owned: Severity = Field(
        "Block",
        alias="RouteOwned",
        description="The route carries no redirect of somebody else's. Blocks that route alone.",
    )
    cool_down: Severity | None = Field(
        None,
        alias="CoolDown",
        description="minSwitchInterval has passed since the last switch. Absent: Warn on the way out, Block on the way back.",
    )
    recovery_point_fresh: Severity = Field(
        "Warn",
        alias="RecoveryPointFresh",
        description="On the way out: the last successful sync is younger than maxRecoveryPointAge. Says nothing while sync is disabled.",
    )
    certificate_valid: Severity = Field(
        "Warn",
        alias="CertificateValid",
        description="The certificates that users would meet are valid: the login page's, and the login host's own at that "
        "system where DNS leads there. One that ends within certificateHorizon only warns.",
    )
    divergence_known: Severity = Field(
        "Block",
        alias="DivergenceKnown",
        description="On the way back, without secondaryChanges: Discard: it can be said what was changed in the secondary.",
    )


class Drain(Model):
    """When those who still work in the primary have finished."""

    url: HttpURL = Field(
        description="Asked with GET every 5 seconds: 200 means drained, everything else not yet. Its host must be on "
        "the operator's allow-list."
    )
    ca_ref: CARef | None = Field(None, description="Private CA of this host.")
    timeout: GoDuration = Field(
        "30m",
        description="The switch ends after this time all the same, and says so.",
        json_schema_extra=checked_by(POSITIVE_DURATION),
    )


class SafetySpec(Model):
    """What is looked at before a switch."""

    min_switch_interval: GoDuration = Field(
        "10m",
        description="Time to let pass between two switches, e.g. 10m.",
        json_schema_extra=checked_by(POSITIVE_DURATION),
    )
    max_recovery_point_age: GoDuration = Field(
        "26h",
        description="Age of the last successful sync above which RecoveryPointFresh turns False, e.g. 26h.",
        json_schema_extra=checked_by(POSITIVE_DURATION),
    )
    certificate_horizon: GoDuration = Field(
        "336h",
        description="A certificate that ends within this time is warned of, with the date, e.g. 336h.",
        json_schema_extra=checked_by(POSITIVE_DURATION),
    )
    drain: Drain | None = Field(
        None, description="A planned switch waits for this at its end. New log-ins go to the secondary from the start."
    )
    rules: SafetyRules = Field(default_factory=SafetyRules, description="Severity of each preflight rule.")
