"""ACD skills (2.4 Skill): a create answers no ID, media type and direction are for ever."""

from __future__ import annotations

from tests.systems.cxone.api import Call, ItemRefused, Refused, Reply, Row, bulk, route
from tests.systems.cxone.paging import acd_page
from tests.systems.cxone.tenant import Tenant, given, put, refuse_dangling, refuse_same, taken

CREATE_ONLY = ("mediaTypeId", "isOutbound", "outboundStrategy")  # 2.4: immutable
SKILL = (
    *("skillName", "divisionNo", "campaignId", "notes", "scriptId", "callSuppressionScriptId", "stateIdACW"),
    *("acwPostTimeoutStateId", "maxSecondsACW", "messageTemplateId", "smsTransportCodeId", "outboundTelecomRouteId"),
    *("dispositions", "requireDisposition", "initialPriority", "maxPriority", "serviceLevelGoal", "agentRestTime"),
)
REFERENCES = {
    "divisionNo": ("division", "divisionId"),
    "campaignId": ("campaign", "id"),
    "mediaTypeId": ("mediaType", "mediaTypeId"),
    "scriptId": ("script", "masterId"),
    "callSuppressionScriptId": ("script", "masterId"),
    "stateIdACW": ("unavailableCode", "id"),
    "acwPostTimeoutStateId": ("unavailableCode", "id"),
    "messageTemplateId": ("messageTemplate", "templateId"),
    "smsTransportCodeId": ("phoneCode", "transportCode"),
    "outboundTelecomRouteId": ("outboundRoute", "outboundTelecomRouteId"),
}


@route("GET", "/skills", host="acd", cite="2.4 Skill")
def skills(call: Call) -> Reply:
    """All skills, the inactive too (assumed), with names beside the IDs (5.3: denormalised)."""
    return acd_page(call, [_shown(call.tenant, row) for row in call.tenant.rows("skill")], "skills")


@route("GET", "/skills/{id}", host="acd", cite="2.4 Skill; client")
def skill(call: Call) -> Reply:
    """One skill."""
    return Reply(_shown(call.tenant, call.tenant.get("skill", call.params["id"])))


def _shown(tenant: Tenant, row: Row) -> Row:
    names = {
        "mediaTypeName": tenant.get("mediaType", row["mediaTypeId"])["mediaTypeName"],
        "campaignName": tenant.get("campaign", row["campaignId"])["name"] if row.get("campaignId") else None,
    }
    dispositions = [
        {**one, "dispositionName": tenant.get("disposition", one["dispositionId"])["dispositionName"]}
        for one in row.get("dispositions", [])
    ]
    return {**row, **names, "dispositions": dispositions, "isRunning": False}


def _checked(tenant: Tenant, fields: Row) -> None:
    refuse_dangling(tenant, fields, REFERENCES)
    for one in fields.get("dispositions") or []:
        refuse_dangling(tenant, one, {"dispositionId": ("disposition", "dispositionId")})


@route("POST", "/skills", host="acd", cite="2.4 Skill: create answer has no new ID; 2.3 bulk; client")
def create_skills(call: Call) -> Reply:
    """Several at once; nobody is told their IDs. A new skill is active (client: no isActive in the request)."""

    def make(item: Row) -> Row:
        fields = taken(item, (*SKILL, *CREATE_ONLY))
        if not fields.get("skillName") or not fields.get("mediaTypeId"):
            raise ItemRefused("skillName and mediaTypeId are needed")
        same = {"skillName": fields["skillName"], "mediaTypeId": fields["mediaTypeId"]}  # 2.4: natural key
        refuse_same(call.tenant, "skill", None, **same)
        _checked(call.tenant, fields)
        call.tenant.add("skill", {"isOutbound": False, **fields, "isActive": True})
        return {}

    return bulk(call, call.objects("skills"), make, "skillsResults")


@route("PUT", "/skills/{id}", host="acd", cite="2.4 Skill; client")
def update_skill(call: Call) -> Reply:
    """Fields that are given; what is for ever is passed over in silence."""
    row = call.tenant.get("skill", call.params["id"])
    fields = given(call.object("skill"), (*SKILL, "isActive"))
    try:
        same = {"skillName": fields.get("skillName") or row["skillName"], "mediaTypeId": row["mediaTypeId"]}
        refuse_same(call.tenant, "skill", row["skillId"], **same)
        _checked(call.tenant, fields)
    except ItemRefused as refusal:
        raise Refused(400, str(refusal)) from None
    put(row, fields)
    return Reply({"success": True, "skillId": row["skillId"]})
