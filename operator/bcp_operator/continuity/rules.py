"""Preflight: a chain of named rules that look at the target of a switch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bcp_operator.api.tenant import Severity
from bcp_operator.api.tenant_status import RuleName

from . import divergence, durations
from .history import last_completed
from .observed import Now, Observed
from .request import Request


@dataclass(frozen=True)
class Violation:
    """A rule that is not met, or of which it is not known.

    `rule` is None for what is no rule; `overridable`: passing over it would help.
    """

    rule: RuleName | None
    message: str
    severity: Severity = "Block"
    overridable: bool = True
    unknown: bool = False

    @property
    def text(self) -> str:
        """For people, with the rule's name."""
        return f"{self.rule}: {self.message}" if self.rule else self.message


Rule = Callable[[Observed, Request, Now], Violation | None]


def target_healthy(seen: Observed, request: Request, now: Now) -> Violation | None:
    """Only a probe that failed blocks; not knowing is a warning."""
    del now
    rule = seen.spec.safety.rules.target_healthy
    if seen.probe.result == "Healthy":
        return None
    failed = seen.probe.result == "Failed"
    state = "is not healthy" if failed else "could not be probed"
    text = f"the {request.desired.lower()} {state}: {seen.probe.detail}"
    return Violation("TargetHealthy", text, rule if failed else "Warn", unknown=not failed)


def route_owned(seen: Observed, request: Request, now: Now) -> Violation | None:
    """A foreign redirect blocks its own route; the switch only when no route is left."""
    del now
    foreign = [route for route in seen.routes if route.conflict]
    if not foreign:
        return _unread(seen)
    severity = seen.spec.safety.rules.route_owned if len(foreign) == len(seen.routes) else "Warn"
    text = "; ".join(f"{route.name}: {route.conflict}" for route in foreign)
    return Violation("RouteOwned", text, severity, any(request.desired in route.overridable for route in foreign))


def _unread(seen: Observed) -> Violation | None:
    unread = [f"{route.name}: {route.error}" for route in seen.routes if route.error]
    return Violation("RouteOwned", f"not known for route {'; '.join(unread)}", "Warn", unknown=True) if unread else None


def recovery_point_fresh(seen: Observed, request: Request, now: Now) -> Violation | None:
    """What users will miss on the secondary; nothing to be compared with where no sync is wanted."""
    if request.desired == "Primary" or not seen.spec.sync.enabled:
        return None
    severity, limit = seen.spec.safety.rules.recovery_point_fresh, seen.spec.safety.max_recovery_point_age
    last = seen.status.sync.last_success_time if seen.status.sync else None
    if last is None:
        return Violation("RecoveryPointFresh", "no sync has succeeded yet", severity)
    if now.wall - last > durations.parse(limit):
        return Violation("RecoveryPointFresh", f"the last successful sync is older than {limit}", severity)
    return None


def cool_down(seen: Observed, request: Request, now: Now) -> Violation | None:
    """Two switches want some time between them: a warning on the way out, a block on the way back."""
    last = last_completed(seen.status)
    if last is None or last.end_time + durations.parse(seen.spec.safety.min_switch_interval) <= now.wall:
        return None
    severity = seen.spec.safety.rules.cool_down or ("Warn" if request.desired == "Secondary" else "Block")
    message = f"the last switch ended less than {seen.spec.safety.min_switch_interval} ago"
    return Violation("CoolDown", message, severity)


def certificate_valid(seen: Observed, request: Request, now: Now) -> Violation | None:
    """A bad one is what the rule is about; one that ends soon, or that could not be looked at, is only warned of."""
    views = seen.certificates.get(request.desired, ())
    bad = [f"{view.look.what}: {view.problem}" for view in views if view.problem and not view.unknown]
    unknown = [f"{view.look.what} could not be looked at: {view.problem}" for view in views if view.unknown]
    horizon = now.wall + durations.parse(seen.spec.safety.certificate_horizon)
    soon = [
        f"{view.look.what} ends on {view.expires:%Y-%m-%d}: renew it"
        for view in views
        if view.expires is not None and view.expires <= horizon
    ]
    text = "; ".join((*bad, *unknown, *soon))
    if not text:
        return None
    severity = seen.spec.safety.rules.certificate_valid if bad else "Warn"
    return Violation("CertificateValid", text, severity, unknown=bool(unknown) and not bad)


def newer_request(seen: Observed, request: Request, now: Now) -> Violation | None:
    """The way back is asked for after the failover that it undoes, never by what was left over."""
    del now
    if request.desired == "Secondary":
        return None
    undone = seen.status.operation or last_completed(seen.status)
    if request.requested_at is None or (undone is not None and request.requested_at <= undone.start_time):
        return Violation(None, "the way back needs a spec.failover.requestedAt later than the start of the failover")
    return None


def divergence_known(seen: Observed, request: Request, now: Now) -> Violation | None:
    """What was changed in the secondary can be looked for, or somebody agrees to lose it. What it is, the operation asks."""
    del now
    if request.desired == "Secondary" or request.discard:
        return None
    why = divergence.unknowable(seen)
    if not why:
        return None
    severity = seen.spec.safety.rules.divergence_known
    return Violation("DivergenceKnown", divergence.not_known(why), severity, unknown=True)


def sync_to_begin_with(seen: Observed, request: Request, now: Now) -> Violation | None:
    """A planned switch begins with one more run."""
    del now
    if request.mode != "Planned" or (seen.spec.sync.enabled and seen.sync_problem is None):
        return None
    why = seen.sync_problem.message if seen.sync_problem else "spec.sync.enabled is false"
    return Violation(None, f"mode: Planned begins with a sync, and there is none to run: {why}. Ask without it")


CHAIN: tuple[Rule, ...] = (
    newer_request,
    divergence_known,
    sync_to_begin_with,
    target_healthy,
    route_owned,
    cool_down,
    recovery_point_fresh,
    certificate_valid,
)


def preflight(seen: Observed, request: Request, now: Now) -> tuple[Violation, ...]:
    """Run the whole chain. Overridden rules, and rules about a move that has been made already, only warn."""
    moved = bool(seen.routes) and all(route.shows == request.desired for route in seen.routes)
    found = []
    for rule in CHAIN:
        violation = rule(seen, request, now)
        if violation is None:
            continue
        if violation.rule is not None and (moved or violation.rule in request.override):
            violation = replace(violation, severity="Warn")
        found.append(violation)
    return tuple(found)


def refusal(violations: tuple[Violation, ...], request: Request) -> str:
    """Why, and what to do instead; empty when nothing blocks."""
    blocking = [violation for violation in violations if violation.severity == "Block"]
    if not blocking:
        return ""
    text = "; ".join(violation.text for violation in blocking)
    passable = [violation for violation in blocking if violation.rule and violation.overridable]
    if passable:
        names = sorted({str(violation.rule) for violation in passable})
        text += (
            f". {'To go on all the same' if passable == blocking else 'Once the rest is put right'} "
            f"set spec.failover.override: [{', '.join(names)}] with a reason and a newer requestedAt"
        )
    if request.leftovers:
        text += (
            f". Not counted, because requestedAt is not newer than the last operation's: {', '.join(request.leftovers)}"
        )
    return text


def warnings(violations: tuple[Violation, ...]) -> list[str]:
    """What did not block, for status."""
    return [violation.text[:256] for violation in violations if violation.severity == "Warn"][:8]
