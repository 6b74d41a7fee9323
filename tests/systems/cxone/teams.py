"""Divisions and teams (2.4 Division, Team). A team has two IDs: `teamId`, a whole number, and `teamUuid`."""

from __future__ import annotations

from tests.systems.cxone.api import Call, ItemRefused, Refused, Reply, Row, bulk, route
from tests.systems.cxone.paging import acd_page, search_page
from tests.systems.cxone.tenant import Tenant, given, put, refuse_dangling, refuse_same, taken

DIVISION = ("name", "description", "parentDivisionId", "status", "isDefault", "divisionType", "billingCode")
TEAM = (
    *("teamName", "isActive", "description", "notes", "divisionNo", "teamLeadId", "maxConcurrentChats"),
    *("chatThreshold", "emailThreshold", "voiceThreshold", "workItemThreshold"),
)
TEAM_REFERENCES = {"divisionNo": ("division", "divisionId"), "teamLeadId": ("user", "id")}


@route("POST", "/division-management/v1/division/search", host="userhub", cite="2.4 Division; client")
def divisions(call: Call) -> Reply:
    """Divisions, with the parent's name beside its ID."""
    rows = list(call.tenant.rows("division"))
    names = {row["divisionId"]: row["name"] for row in rows}
    shown = [
        {**row, "parentDivisionName": names.get(row.get("parentDivisionId")), "level": 1 + ("parentDivisionId" in row)}
        for row in rows
    ]
    return search_page(call, shown, "division")


@route("GET", "/division-management/v1/division/{id}", host="userhub", cite="2.4 Division")
def division(call: Call) -> Reply:
    """One division."""
    return Reply(call.tenant.get("division", call.params["id"]))


def _division(tenant: Tenant, body: Row, row_id: object = None) -> Row:
    fields = taken(body, DIVISION)
    if not fields.get("name") or fields.get("status") not in ("ACTIVE", "INACTIVE") or "isDefault" not in fields:
        raise Refused(400, "name, status and isDefault are needed", code="INVALID_REQUEST")
    if fields["isDefault"] and not (row_id and tenant.get("division", row_id)["isDefault"]):
        raise Refused(400, "there is one default division", code="INVALID_REQUEST")
    try:
        refuse_same(tenant, "division", row_id, name=fields["name"])
        refuse_dangling(tenant, fields, {"parentDivisionId": ("division", "divisionId")})
    except ItemRefused as refusal:
        raise Refused(400, str(refusal), code="DIVISION_REFUSED") from None
    return fields


@route("POST", "/division-management/v1/division", host="userhub", cite="2.4 Division; client")
def create_division(call: Call) -> Reply:
    """`billingCode` is bound to the tenant (2.4): another's is refused."""
    fields = _division(call.tenant, call.object())
    own = next(call.tenant.rows("division"))["billingCode"]
    if fields.setdefault("billingCode", own) != own:
        raise Refused(400, "no such billing code", code="INVALID_BILLING_CODE")
    return Reply({"divisionId": call.tenant.add("division", fields)["divisionId"]})


@route("PUT", "/division-management/v1/division", host="userhub", cite="2.4 Division, PUT same path; client")
def update_division(call: Call) -> Reply:
    """The whole division, its ID in the body."""
    body = call.object()
    row = call.tenant.get("division", body.get("divisionId"))
    row.update(_division(call.tenant, body, row["divisionId"]))
    if "parentDivisionId" not in body:
        row.pop("parentDivisionId", None)
    return Reply({"success": True})


@route("POST", "/user-management/v4/teams/search", host="userhub", cite="2.4 Team; client")
def search_teams(call: Call) -> Reply:
    """Teams as UserHub sees them: by UUID."""
    shown = [
        {
            "id": row["teamUuid"],
            "name": row["teamName"],
            "status": "ACTIVE" if row["isActive"] else "INACTIVE",
            "leadUserId": row.get("teamLeadId"),
        }
        for row in call.tenant.rows("team")
    ]
    return search_page(call, shown, "teams")


@route("GET", "/teams", host="acd", cite="2.4 Team (ACD); client")
def teams(call: Call) -> Reply:
    """Teams with both IDs."""
    return acd_page(call, [_shown(call.tenant, row) for row in call.tenant.rows("team")], "teams")


@route("GET", "/teams/{id}", host="acd", cite="2.4 Team (ACD); client")
def team(call: Call) -> Reply:
    """One team, in an array."""
    return Reply({"teams": [_shown(call.tenant, call.tenant.get("team", call.params["id"]))]})


def _shown(tenant: Tenant, row: Row) -> Row:
    agents = len(tenant.find("agent", teamId=row["teamId"]))
    return {**row, "agentCount": agents, "lastUpdateTime": "2026-01-01T00:00:00Z", "wfoEnabled": False}


@route("POST", "/teams", host="acd", cite="2.4 Team (ACD), 2.3 bulk")
def create_teams(call: Call) -> Reply:
    """Several at once; the answer holds the number, the UUID is only in the next listing (assumed)."""

    def make(item: Row) -> Row:
        fields = taken(item, TEAM)
        if not fields.get("teamName"):
            raise ItemRefused("teamName is needed")
        refuse_same(call.tenant, "team", None, teamName=fields["teamName"])
        refuse_dangling(call.tenant, fields, TEAM_REFERENCES)
        row = call.tenant.add("team", {"isActive": True, **fields, "teamUuid": call.tenant.new_uuid()})
        return {"teamId": row["teamId"]}

    return bulk(call, call.objects("teams"), make, "teamResults")


@route("PUT", "/teams/{id}", host="acd", cite="2.4 Team (ACD): isActive, forceInactive; client")
def update_team(call: Call) -> Reply:
    """One team; to put one out of use that has agents, forceInactive is needed."""
    tenant, row = call.tenant, call.tenant.get("team", call.params["id"])
    fields = given(call.object("team"), TEAM)
    if not fields.get("teamName"):
        raise Refused(400, "teamName is needed")
    occupied = tenant.find("agent", teamId=row["teamId"], isActive=True)
    if fields.get("isActive") is False and occupied and not call.object().get("forceInactive"):
        raise Refused(400, "the team has agents: forceInactive is needed")
    try:
        refuse_same(tenant, "team", row["teamId"], teamName=fields["teamName"])
        refuse_dangling(tenant, fields, TEAM_REFERENCES)
    except ItemRefused as refusal:
        raise Refused(400, str(refusal)) from None
    put(row, fields)
    return Reply(None, 204)
