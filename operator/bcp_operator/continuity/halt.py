"""A tenant of which nothing can be found out now: what is known of it stays, and status says why nothing goes on."""

from bcp_operator.api.conditions import Condition, ConditionStatus, merge
from bcp_operator.api.tenant_status import BCPTenantStatus

from .observed import Now, Problem


def status(known: BCPTenantStatus, why: Problem, generation: int, now: Now) -> BCPTenantStatus:
    """The status that is known, Stalled. Conditions about the world keep what was last seen of it."""

    def made(kind: str, value: ConditionStatus, told: Problem) -> Condition:
        return Condition(
            type=kind,
            status=value,
            reason=told.reason,
            message=told.message[:1024],
            observed_generation=generation,
            last_transition_time=now.wall.replace(microsecond=0),
        )

    told = [made("Ready", "False", why), made("Stalled", "True", why)]
    told.append(made("Reconciling", "False", Problem("Settled", "")))
    others = [condition for condition in known.conditions if condition.type not in {c.type for c in told}]
    update = {
        "observed_generation": generation,
        "phase": known.phase or "Pending",
        "conditions": merge(known.conditions, [*others, *told]),
    }
    return known.model_copy(update=update)
