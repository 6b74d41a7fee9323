"""Four-eyes: a switch waits until somebody else than who asked for it has agreed. Admission stamps both names."""

import json

from bcp_operator.api.tenant_status import RuleName

from .observed import Observed
from .request import Request

RULE: RuleName = "FourEyes"
"""What override names when nobody else can be asked."""
LONGEST_NAME, LONGEST_REASON = 128, 200


def agreed(seen: Observed, request: Request) -> bool:
    """Nothing has to be waited for."""
    return not seen.four_eyes or RULE in request.override or approver(seen, request) != ""


def approver(seen: Observed, request: Request) -> str:
    """Who else agreed; empty when nobody did. Both names must come from admission: a field manager proves nobody."""
    sound = seen.four_eyes and seen.requester.verified and request.approved_by != seen.requester.name
    return request.approved_by if sound else ""


def how(seen: Observed, request: Request) -> str:
    """What waits, and the exact command for whoever agrees: it fails if anything was changed since it was shown."""
    patch = [
        {"op": "test", "path": "/metadata/generation", "value": seen.generation},
        {"op": "add", "path": "/spec/failover/approvedBy", "value": "me"},
    ]
    command = f"kubectl -n {seen.namespace} patch bcptenant {seen.name} --type json -p '{json.dumps(patch)}'"
    who, why = seen.requester.name[:LONGEST_NAME] or "somebody", request.reason[:LONGEST_REASON]
    if not seen.requester.verified:
        return (
            f"a {request.type.lower()} is asked for, by whom is not known for sure: set a newer "
            "spec.failover.requestedAt, so that admission stamps who asks; then somebody else can approve it"
        )
    return (
        f"{who} asks for a {request.type.lower()}{f' ({why})' if why else ''}. Somebody else, with the verb failover-approve, "
        f"lets it go on: {command} - When nobody can be reached: set spec.failover.override: [{RULE}] with a reason and "
        "a newer requestedAt (ClusterRole bcp-break-glass)"
    )
