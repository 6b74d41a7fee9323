"""Preflight: a chain of named rules that look at the target of a switch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bcp_operator.api.tenant import Severity
from bcp_operator.api.tenant_status import RuleName

from . import durations
from .history import last_completed
from .observed import Now, Observed
from .request import Request


@dataclass(frozen=True)
class Violation:
    """A rule that is not met. `rule` is None for what is no rule; `overridable`: passing over it would help."""

    rule: RuleName | None
    message: str
    severity: Severity = "Block"
    overridable: bool = True


Rule = Callable[[Observed, Request, Now], Violation | None]


def target_healthy(seen: Observed, request: Request, now: Now) -> Violation | None:
    """Only a probe that failed blocks; not knowing is a warning."""
    del now
    rule = seen.spec.safety.rules.target_healthy
    if seen.probe.result == "Healthy":
        return None
    severity: Severity = rule if seen.probe.result == "Failed" else "Warn"
    state = "is not healthy" if seen.probe.result == "Failed" else "could not be probed"
    return Violation("TargetHealthy", f"the {request.desired.lower()} {state}: {seen.probe.detail}", severity)


def route_owned(seen: Observed, request: Request, now: Now) -> Violation | None:
    """A foreign redirect blocks its own route; the switch only when no route is left."""
    del now
    foreign = [route for route in seen.routes if route.conflict]
    if not foreign:
        return None
    severity = seen.spec.safety.rules.route_owned if len(foreign) == len(seen.routes) else "Warn"
    text = "; ".join(f"{route.name}: {route.conflict}" for route in foreign)
    return Violation("RouteOwned", text, severity, any(request.desired in route.overridable for route in foreign))


def cool_down(seen: Observed, request: Request, now: Now) -> Violation | None:
    """Two switches want some time between them: a warning on the way out, a block on the way back."""
    last = last_completed(seen.status)
    if last is None or last.end_time + durations.parse(seen.spec.safety.min_switch_interval) <= now.wall:
        return None
    severity = seen.spec.safety.rules.cool_down or ("Warn" if request.desired == "Secondary" else "Block")
    message = f"the last switch ended less than {seen.spec.safety.min_switch_interval} ago"
    return Violation("CoolDown", message, severity)


def newer_request(seen: Observed, request: Request, now: Now) -> Violation | None:
    """The way back is asked for after the failover that it undoes, never by what was left over."""
    del now
    if request.desired == "Secondary":
        return None
    undone = seen.status.operation or last_completed(seen.status)
    if request.requested_at is None or (undone is not None and request.requested_at <= undone.start_time):
        return Violation(None, "the way back needs a spec.failover.requestedAt later than the start of the failover")
    return None


def changes_discarded(seen: Observed, request: Request, now: Now) -> Violation | None:
    """What was changed in the secondary may be overwritten by the next sync: somebody has to agree."""
    del seen, now
    if request.desired == "Secondary" or request.discard:
        return None
    return Violation(
        None,
        "what was changed in the secondary may be overwritten by the next sync: copy over by hand what must stay, "
        "then set spec.failover.secondaryChanges: Discard together with a newer requestedAt",
    )


CHAIN: tuple[Rule, ...] = (newer_request, changes_discarded, target_healthy, route_owned, cool_down)


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
    text = "; ".join(
        f"{violation.rule}: {violation.message}" if violation.rule else violation.message for violation in blocking
    )
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
