"""Users and agents (2.4 User, Agent): one person, a UUID in UserHub and a whole number in the ACD."""

from __future__ import annotations

from tests.systems.cxone.api import Call, ItemRefused, Refused, Reply, Row, bulk, route
from tests.systems.cxone.paging import acd_page, search_page
from tests.systems.cxone.tenant import Tenant, given, put, refuse_dangling, refuse_same, taken

USER = (
    *("firstName", "lastName", "emailAddress", "userName", "role", "secondaryRoleIds", "teamId", "mobileNumber"),
    *("hireDate", "timeZone", "rank", "assignedGroup", "externalIdentity", "views"),
)
USER_NEEDS = ("firstName", "lastName", "emailAddress", "userName", "role")
USER_REFERENCES = {
    "role": ("role", "roleId"),
    "secondaryRoleIds": ("role", "roleId"),
    "teamId": ("team", "teamUuid"),
}
AGENT = (
    *("firstName", "lastName", "emailAddress", "userName", "teamId", "teamUuid", "profileId", "roleId", "reportToId"),
    *("locationId", "timeZone", "country", "city", "internalId", "federatedId", "isActive", "notes", "hireDate"),
    *("custom1", "custom2", "custom3", "custom4", "custom5", "chatRefusalTimeout", "phoneRefusalTimeout"),
)
AGENT_NEEDS = ("firstName", "lastName", "teamId", "profileId", "emailAddress", "userName", "timeZone", "country")
AGENT_REFERENCES = {
    "teamId": ("team", "teamId"),
    "teamUuid": ("team", "teamUuid"),
    "profileId": ("securityProfile", "securityProfileId"),
    "roleId": ("role", "roleId"),
    "reportToId": ("agent", "agentId"),
    "locationId": ("location", "locationId"),
}


@route("POST", "/user-management/v2/users/search", host="userhub", cite="2.4 User; client")
def search_users(call: Call) -> Reply:
    """Everybody, the deactivated too (assumed)."""
    return search_page(call, [_shown(call.tenant, row) for row in call.tenant.rows("user")], "users")


@route("GET", "/user-management/v3/users/{id}", host="userhub", cite="2.4 User; client")
def user(call: Call) -> Reply:
    """One user."""
    return Reply({"user": _shown(call.tenant, call.tenant.get("user", call.params["id"]))})


def _shown(tenant: Tenant, row: Row) -> Row:
    agents = tenant.find("agent", userID=row["id"])
    computed = {"fullName": f"{row['firstName']} {row['lastName']}", "billable": True, "impersonated": False}
    role = {"role": tenant.get("role", row["role"])["roleName"], "roleUUID": row["role"]}  # client: read by both
    return {**row, **role, **computed, "acdInfos": [{"loginId": str(agent["agentId"])} for agent in agents]}


def _checked(tenant: Tenant, body: Row, row_id: object) -> Row:
    fields = taken(body, USER)
    missing = [name for name in USER_NEEDS if not fields.get(name)]
    if missing:
        raise Refused(400, f"{missing[0]} is needed", code="INVALID_REQUEST")
    try:
        refuse_same(tenant, "user", row_id, userName=fields["userName"])
    except ItemRefused as refusal:
        raise Refused(400, str(refusal), code="USER_ALREADY_EXISTS") from None  # 2.4
    try:
        refuse_dangling(tenant, fields, USER_REFERENCES)
    except ItemRefused as refusal:
        raise Refused(400, str(refusal), code="INVALID_REQUEST") from None
    return fields


@route("POST", "/user-management/v1/users", host="userhub", cite="2.4 User; client")
def create_user(call: Call) -> Reply:
    """No password (2.4): an invitation goes out, and until it is taken up the status is PENDING."""
    if "password" in call.object():
        raise Refused(400, "no password can be given", code="INVALID_REQUEST")
    fields = _checked(call.tenant, call.object(), None)
    return Reply({"success": True, "uuid": call.tenant.add("user", {**fields, "status": "PENDING"})["id"]})


@route("PUT", "/user-management/v1/users", host="userhub", cite="2.4 User; client")
def update_user(call: Call) -> Reply:
    """The whole user, the ID in the body."""
    row = call.tenant.get("user", call.object().get("id"))
    if row["status"] == "DELETED":
        raise Refused(400, "the user is deactivated", code="USER_DEACTIVATED")
    fields = _checked(call.tenant, call.object(), row["id"])
    for name in USER:
        row.pop(name, None)
    row.update(fields)
    return Reply({"success": True})


@route("POST", "/user-management/v1/users/deactivate", host="userhub", cite="2.4 User, deactivate; client")
def deactivate_users(call: Call) -> Reply:
    """There is no delete. Whoever could not be deactivated is named in an answer with HTTP 200."""
    ids = call.object().get("userIds")
    if not isinstance(ids, list):
        raise Refused(400, "userIds is needed", code="INVALID_REQUEST")
    refused = []
    for one in ids:
        row = call.tenant.tables["user"].get(one)
        if row is None or row["userName"] in call.refused_items:
            refused.append(one)
            continue
        row.update(status="DELETED", deletedDate="2026-01-01T00:00:00Z")
        for agent in call.tenant.find("agent", userID=one):
            agent["isActive"] = False
    return Reply({"notDeletedUserIds": refused})


@route("POST", "/user-management/v1/users/{id}/revive", host="userhub", cite="2.4 User, revive; client")
def revive_user(call: Call) -> Reply:
    """Back from deactivation."""
    row = call.tenant.get("user", call.params["id"])
    if row["status"] != "DELETED":
        raise Refused(400, "the user is not deactivated", code="INVALID_REQUEST")
    row["status"] = "ACTIVE"
    row.pop("deletedDate", None)
    return Reply({"success": True, "uuid": row["id"]})


@route("GET", "/agents", host="acd", cite="2.4 Agent; client")
def agents(call: Call) -> Reply:
    """The ACD side of users."""
    return acd_page(call, [_agent(call.tenant, row) for row in call.tenant.rows("agent")], "agents")


def _agent(tenant: Tenant, row: Row) -> Row:
    computed = {"lastUpdated": "2026-01-01T00:00:00Z", "isBillable": True}
    names = {
        "teamName": tenant.get("team", row["teamId"])["teamName"],
        "profileName": tenant.get("securityProfile", row["profileId"])["securityProfileName"],
    }
    return {**row, **names, **computed}


@route("POST", "/agents", host="acd", cite="2.4 Agent (arrays), 2.3 bulk; client")
def create_agents(call: Call) -> Reply:
    """For a user that exists (5.2: agentSettings -> user); one per user."""

    def make(item: Row) -> Row:
        fields = taken(item, AGENT)
        missing = [name for name in AGENT_NEEDS if not fields.get(name)]
        if missing:
            raise ItemRefused(f"{missing[0]} is needed")
        refuse_dangling(call.tenant, {"userId": item.get("userId")}, {"userId": ("user", "id")})
        if not item.get("userId") or call.tenant.find("agent", userID=item["userId"]):
            raise ItemRefused("the user is missing, or is an agent already")
        refuse_same(call.tenant, "agent", None, userName=fields["userName"])
        refuse_dangling(call.tenant, fields, AGENT_REFERENCES)
        row = call.tenant.add("agent", {"isActive": True, **fields, "userID": item["userId"]})
        return {"agentId": row["agentId"]}

    return bulk(call, call.objects("agents"), make, "agentResults")


@route("PUT", "/agents", host="acd", cite="2.4 Agent (arrays), 2.3 bulk; client")
def update_agents(call: Call) -> Reply:
    """Fields that are given; the rest stays."""

    def change(item: Row) -> Row:
        row = call.tenant.tables["agent"].get(str(item.get("agentId")))
        if row is None:
            raise ItemRefused("no such agent")
        fields = given(item, AGENT)
        refuse_same(call.tenant, "agent", row["agentId"], userName=fields.get("userName") or row["userName"])
        refuse_dangling(call.tenant, fields, AGENT_REFERENCES)
        put(row, fields)
        return {"agentId": row["agentId"]}

    return bulk(call, call.objects("agents"), change, "agentResults")
