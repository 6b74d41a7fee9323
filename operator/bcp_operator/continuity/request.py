"""What spec.failover asks for, and whether it has been judged already."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from bcp_operator.api.common import System
from bcp_operator.api.tenant import BCPTenantSpec
from bcp_operator.api.tenant_status import BCPTenantStatus, Mode, OperationType, RuleName

from .observed import Observed


@dataclass(frozen=True)
class Request:
    """One reading of spec.failover. Consents count once: only with a requestedAt newer than the last operation's."""

    desired: System
    hash: str
    requested_at: datetime | None
    newer: bool
    reason: str
    override: frozenset[RuleName]
    discard: bool
    mode: Mode = "Unplanned"
    leftovers: tuple[str, ...] = ()
    approved_by: str = ""

    @property
    def type(self) -> OperationType:
        """Failover is the way out, Failback the way back."""
        return "Failover" if self.desired == "Secondary" else "Failback"


def fingerprint(spec: BCPTenantSpec) -> str:
    """Hash of what spec.failover asks for; an absent block and an explicit Primary alone are the same.

    Whoever approves it asks for nothing else.
    """
    block = (
        spec.failover.model_dump(mode="json", exclude_defaults=True, exclude={"approved_by"}) if spec.failover else {}
    )
    if block.get("active_system") == "Primary":
        del block["active_system"]
    return hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()[:32]


def read(spec: BCPTenantSpec, status: BCPTenantStatus) -> Request:
    """Read the request, with the consents that count."""
    block = spec.failover
    if block is None:
        return Request("Primary", fingerprint(spec), None, False, "", frozenset(), False)
    newer = _newer(block.requested_at, status)
    given = {
        "override": bool(block.override),
        "secondaryChanges": block.secondary_changes == "Discard",
        "mode": block.mode == "Planned" and block.active_system == "Secondary",
    }
    return Request(
        desired=block.active_system or "Primary",
        hash=fingerprint(spec),
        requested_at=block.requested_at,
        newer=newer,
        reason=block.reason or "",
        override=frozenset(block.override) if newer else frozenset(),
        discard=newer and given["secondaryChanges"],
        mode="Planned" if newer and given["mode"] else "Unplanned",
        leftovers=() if newer else tuple(name for name, present in given.items() if present),
        approved_by=block.approved_by or "",
    )


def pending(seen: Observed) -> bool:
    """Whether spec.failover has changed since it was judged."""
    return seen.status.request_hash != fingerprint(seen.spec)


def login_url(spec: BCPTenantSpec, system: System) -> str:
    """The login page of one of the two systems."""
    return (spec.primary if system == "Primary" else spec.secondary).login_url


def other(system: System) -> System:
    """The other side."""
    return "Secondary" if system == "Primary" else "Primary"


def _newer(requested_at: datetime | None, status: BCPTenantStatus) -> bool:
    if requested_at is None:
        return False
    past = [operation for operation in (status.operation, *status.history) if operation is not None]
    return all(requested_at > (operation.requested_at or operation.start_time) for operation in past)
