"""What the chain of rules says of certificates, at a switch and all the time."""

from dataclasses import replace
from datetime import timedelta

import pytest
from bcp_operator.api.common import System
from bcp_operator.continuity import rules
from bcp_operator.continuity.certificates import CertificateView, Look, looks
from bcp_operator.continuity.health import Track
from bcp_operator.continuity.readiness import WAY_OUT

from tests.unit import simulated_tenant as sim

PAGE = Look("secondary.example", "https://secondary.example/login", login_authority=False)
BAD = CertificateView(PAGE, None, "it has expired")
UNSEEN = CertificateView(PAGE, None, "no answer", unknown=True)


def violation(*views: CertificateView, **safety: object) -> rules.Violation | None:
    world = sim.settled(safety=safety) if safety else sim.settled()
    seen = replace(world.seen, certificates={"Secondary": views, "Primary": (BAD,)})
    return rules.certificate_valid(seen, WAY_OUT, world.clock)


def ends(**after: float) -> CertificateView:
    return CertificateView(PAGE, sim.settled().clock.wall + timedelta(**after))


def test_a_good_one_says_nothing() -> None:
    assert violation() is None
    assert violation(ends(days=15)) is None


def test_one_that_ends_soon_is_a_warning_with_the_date() -> None:
    soon = ends(days=13)
    found = violation(soon)
    assert found is not None
    assert (found.severity, found.unknown) == ("Warn", False)
    assert found.message == f"the certificate for secondary.example ends on {soon.expires:%Y-%m-%d}: renew it"
    assert violation(soon, certificateHorizon="24h") is None
    blocking = {"rules": {"CertificateValid": "Block"}}
    found = violation(soon, **blocking)
    assert found is not None
    assert found.severity == "Warn", "it works today"


@pytest.mark.parametrize("severity", ["Warn", "Block"])
def test_a_bad_one_is_what_the_rule_is_about(severity: str) -> None:
    found = violation(BAD, ends(days=1), rules={"CertificateValid": severity})
    assert found is not None
    assert (found.rule, found.severity, found.unknown) == ("CertificateValid", severity, False)
    assert found.message.startswith("the certificate for secondary.example: it has expired; the certificate for")


def test_not_knowing_never_blocks_and_is_never_fine() -> None:
    found = violation(UNSEEN, rules={"CertificateValid": "Block"})
    assert found is not None
    assert (found.severity, found.unknown) == ("Warn", True)


def test_a_bad_one_refuses_a_switch_where_it_blocks() -> None:
    world = sim.settled(safety={"rules": {"CertificateValid": "Block"}})
    world.seen = replace(world.seen, certificates={"Secondary": (BAD,)})
    world.tick(3600)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert last.result == "Refused"
    assert "CertificateValid: the certificate for secondary.example: it has expired" in last.message
    assert "override: [CertificateValid]" in last.message


def test_readiness_and_the_record_of_a_switch_say_it() -> None:
    world = sim.settled()
    healthy: dict[System, Track] = {"Secondary": Track("Healthy", "asked")}
    world.seen = replace(world.seen, certificates={"Secondary": (ends(days=1),)}, health=healthy)
    world.settle()
    ready = next(c for c in world.seen.status.conditions if c.type == "FailoverReady")
    assert ready.status == "True", "a warning"
    assert "CertificateValid: the certificate for secondary.example ends on" in ready.message
    world.tick(3600)
    world.request(**sim.failover("Secondary", world.clock.wall))
    world.settle()
    last = world.seen.status.last_operation
    assert last is not None
    assert last.result == "Completed"
    assert any(text.startswith("CertificateValid: ") for text in last.warnings)


def test_no_certificate_without_tls() -> None:
    plain = {"loginURL": "http://secondary.example/login", "insecure": True}
    spec = sim.spec()
    other = spec.model_copy(update={"secondary": spec.secondary.model_copy(update={"login_url": plain["loginURL"]})})
    assert looks(other, "Secondary", "login.example", "secondary.example") == ()
