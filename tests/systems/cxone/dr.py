"""The vendor's own switch: DR configuration of a pair of tenants (2.1, "New in 26.3")."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.systems.cxone.api import Call, Refused, Reply, Row, route

PATH = "/dr-manager/v1/tenant/{tenantId}/config"
# 2.1: PATCH takes exactly one of five shapes: what names the shape, and what may be beside it.
SHAPES: dict[str, set[str]] = {
    "multiRegionHA": {"secondaryTenants"},
    "drEnabled": set(),
    "entitySyncConfiguration": {"syncStart"},
    "secondaryTenants": set(),
    "syncStart": set(),
}
BESIDE = {"ifMatchVersion", "passkey"}


@dataclass
class DisasterRecovery:
    """The record that both tenants of a pair answer from, so that either can enable (1.7)."""

    primary: str
    secondary: str
    passkey: str
    region: str = "us-west-2"
    version: int = 1
    state: Row = field(default_factory=lambda: {"drEnabled": False, "multiRegionHA": False, "syncStart": False})

    def shown(self, tenant_id: str) -> Row:
        """The record as one of the two tenants reads it; the passkey is not in it."""
        return {
            "tenantId": tenant_id,
            "primaryTenantId": self.primary,
            "configurationId": "dr-1",
            "version": self.version,
            "primaryTenantRegion": "us-east-1",
            "originDdbRegion": "us-east-1",
            "primaryTenantSchema": "schema",
            "secondaryTenants": [{"tenantId": self.secondary, "region": self.region}],
            "entitySyncConfiguration": [],
            **self.state,
        }


def _record(call: Call) -> DisasterRecovery:
    record = call.tenant.recovery
    if record is None or call.params["tenantId"] not in (record.primary, record.secondary):
        raise Refused(404, "no DR configuration", code="DR_CONFIG_NOT_FOUND")
    return record


@route("GET", PATH, host="userhub", cite="2.1 DR config, Read")
def read(call: Call) -> Reply:
    """The configuration with its version."""
    return Reply(_record(call).shown(call.params["tenantId"]))


@route("POST", PATH, host="userhub", cite="2.1 DR config, create answers message and configurationId")
def create(call: Call) -> Reply:
    """A configuration for a tenant that has none; the passkey is generated (1.5) and not answered."""
    if call.tenant.recovery is not None:
        raise Refused(409, "there is one already", code="DR_CONFIG_EXISTS")
    wanted = call.object().get("secondaryTenants") or []
    if not wanted or not {"tenantId", "region"} <= wanted[0].keys():
        raise Refused(400, "secondaryTenants need tenantId and region")
    one = wanted[0]
    call.tenant.recovery = DisasterRecovery(
        call.params["tenantId"], one["tenantId"], call.tenant.new_uuid(), one["region"]
    )
    return Reply({"message": "created", "configurationId": "dr-1"})


@route("PATCH", PATH, host="userhub", cite="2.1 DR config, PATCH: one of five shapes, ifMatchVersion, passkey")
def update(call: Call) -> Reply:
    """Change one thing, if the version is still the one that was read."""
    record, body = _record(call), call.object()
    shapes = [shape for shape, more in SHAPES.items() if shape in body and not body.keys() - {shape} - more - BESIDE]
    if len(shapes) != 1:
        raise Refused(400, "exactly one kind of change at a time", code="INVALID_REQUEST")
    if not isinstance(body.get("ifMatchVersion"), int):
        raise Refused(400, "ifMatchVersion is needed", code="INVALID_REQUEST")
    if body["ifMatchVersion"] != record.version:
        raise Refused(409, "the version has moved on", code="VERSION_CONFLICT")
    if shapes[0] == "drEnabled" and body.get("passkey") != record.passkey:
        raise Refused(403, "wrong passkey", code="INVALID_PASSKEY")
    record.state.update({name: value for name, value in body.items() if name not in BESIDE})
    record.version += 1
    return Reply(None, 204)
