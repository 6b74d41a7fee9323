"""What contacts are sorted by: campaigns, dispositions, unavailable codes, tags, templates, hiring sources (2.4)."""

from __future__ import annotations

import re

from tests.systems.cxone.api import Call, ItemRefused, Refused, Reply, Row, bulk, route
from tests.systems.cxone.paging import acd_page
from tests.systems.cxone.tenant import Tenant, given, put, refuse_dangling, refuse_same, taken

CODE = ("name", "isACW", "agentTimeout", "notes")
CODE_NAME = re.compile(r"^[A-Za-z0-9 ]{1,25}$")  # 2.4, the rules of an implementer's tool
DISPOSITION = ("dispositionName", "classificationId", "isPreviewDisposition", "notes")
CAMPAIGN = ("name", "divisionId", "notes", "description", "isActive")
TEMPLATE = ("templateName", "templateTypeId", "subject", "body", "isHTML", "fromName", "fromAddress", "replyToAddress")


def _truth(text: str) -> bool:
    return text.casefold() == "true"


def _status(call: Call, table: str) -> Reply:
    """2.4: PATCH status; the wanted one is a query parameter (client)."""
    row = call.tenant.get(table, call.params["id"])
    if "isActive" not in call.query:
        raise Refused(400, "isActive is needed")
    if row.get("name", row.get("dispositionName")) in call.refused_items:
        raise Refused(400, "refused")
    row["isActive"] = _truth(call.query["isActive"])
    return Reply(None, 204)


def _must(tenant: Tenant, table: str, row_id: object, key: str, fields: Row, references: Row | None = None) -> None:
    """A single entity's checks; what is refused is refused with 400."""
    if key not in fields:
        raise Refused(400, f"{key} is needed")
    try:
        refuse_same(tenant, table, row_id, **{key: fields[key]})
        refuse_dangling(tenant, fields, references or {})
    except ItemRefused as refusal:
        raise Refused(400, str(refusal)) from None


@route("GET", "/unavailable-codes", host="acd", cite="2.4 Unavailable code; client")
def codes(call: Call) -> Reply:
    """Codes without their notes, which only the single read shows (client)."""
    shown = [
        {name: value for name, value in row.items() if name != "notes"} for row in call.tenant.rows("unavailableCode")
    ]
    return acd_page(call, shown, "unavailableCodes")


@route("GET", "/unavailable-codes/{id}", host="acd", cite="2.4 Unavailable code; client")
def code(call: Call) -> Reply:
    """One code."""
    return Reply({"unavailableCode": call.tenant.get("unavailableCode", call.params["id"])})


def _code(tenant: Tenant, body: Row, row_id: object) -> Row:
    fields = given(body, CODE) if row_id else taken(body, CODE)
    _must(tenant, "unavailableCode", row_id, "name", fields)
    if not CODE_NAME.match(fields["name"]) or not 30 <= (fields.get("agentTimeout") or 30) <= 720:
        raise Refused(400, "name: at most 25 letters, digits, spaces; agentTimeout: 30 to 720")
    return fields


@route("POST", "/unavailable-codes", host="acd", cite="2.4 Unavailable code; client")
def create_code(call: Call) -> Reply:
    """A new one is active (2.4: isActive must be true on create)."""
    fields = _code(call.tenant, call.object(), None)
    if call.object().get("isActive") is False:
        raise Refused(400, "isActive must be true on create")
    return Reply({"id": call.tenant.add("unavailableCode", {"isACW": False, **fields, "isActive": True})["id"]})


@route("PUT", "/unavailable-codes/{id}", host="acd", cite="2.4 Unavailable code, PUT /{id}; client")
def update_code(call: Call) -> Reply:
    """The fields that are given."""
    row = call.tenant.get("unavailableCode", call.params["id"])
    put(row, _code(call.tenant, call.object(), row["id"]))
    return Reply(None, 204)


@route("PATCH", "/unavailable-codes/{id}/status", host="acd", cite="2.4 Unavailable code, PATCH /{id}/status; client")
def code_status(call: Call) -> Reply:
    """In or out of use."""
    return _status(call, "unavailableCode")


@route("GET", "/dispositions", host="acd", cite="2.4 Disposition")
def dispositions(call: Call) -> Reply:
    """Dispositions with the classification's name beside its ID."""
    tenant = call.tenant
    shown = [
        {
            **row,
            "classificationName": tenant.get("classification", row["classificationId"])["classificationName"],
            "lastUpdated": "2026-01-01T00:00:00Z",
        }
        for row in tenant.rows("disposition")
    ]
    return acd_page(call, shown, "dispositions")


@route("POST", "/dispositions", host="acd", cite="2.4 Disposition, POST (array); 2.3 bulk")
def create_dispositions(call: Call) -> Reply:
    """Several at once; the name of the results is assumed."""

    def make(item: Row) -> Row:
        fields = taken(item, DISPOSITION)
        if not fields.get("dispositionName") or not fields.get("classificationId"):
            raise ItemRefused("dispositionName and classificationId are needed")
        if len(fields["dispositionName"]) > 50:  # 2.4
            raise ItemRefused("dispositionName has at most 50 characters")
        refuse_same(call.tenant, "disposition", None, dispositionName=fields["dispositionName"])
        refuse_dangling(call.tenant, fields, {"classificationId": ("classification", "classificationId")})
        return {"dispositionId": call.tenant.add("disposition", {**fields, "isActive": True})["dispositionId"]}

    return bulk(call, call.objects("dispositions"), make, "dispositionResults")


@route("PUT", "/dispositions/{id}", host="acd", cite="2.4 Disposition, PUT; client")
def update_disposition(call: Call) -> Reply:
    """The fields that are given."""
    row, fields = call.tenant.get("disposition", call.params["id"]), given(call.object(), DISPOSITION)
    references = {"classificationId": ("classification", "classificationId")}
    _must(call.tenant, "disposition", row["dispositionId"], "dispositionName", fields, references)
    put(row, fields)
    return Reply(None, 204)


@route("PATCH", "/dispositions/{id}/status", host="acd", cite="2.4 Disposition, PATCH status")
def disposition_status(call: Call) -> Reply:
    """In or out of use."""
    return _status(call, "disposition")


@route("GET", "/campaigns", host="acd", cite="2.4 Campaign; client")
def campaigns(call: Call) -> Reply:
    """Campaigns without their division, which only the single read shows (client)."""
    rows = call.tenant.rows("campaign")
    return acd_page(call, [{k: v for k, v in row.items() if k != "divisionId"} for row in rows], "campaigns")


@route("GET", "/campaigns/{id}", host="acd", cite="2.4 Campaign; client")
def campaign(call: Call) -> Reply:
    """One campaign."""
    return Reply({**call.tenant.get("campaign", call.params["id"]), "lastUpdateTime": "2026-01-01T00:00:00Z"})


def _campaign(tenant: Tenant, body: Row, row_id: object) -> Row:
    fields = given(body, CAMPAIGN) if row_id else taken(body, CAMPAIGN)
    _must(tenant, "campaign", row_id, "name", fields, {"divisionId": ("division", "divisionId")})
    return fields


@route("POST", "/campaigns", host="acd", cite="2.4 Campaign; client")
def create_campaign(call: Call) -> Reply:
    """One at a time."""
    return Reply(
        {"id": call.tenant.add("campaign", {"isActive": True, **_campaign(call.tenant, call.object(), None)})["id"]}
    )


@route("PUT", "/campaigns/{id}", host="acd", cite="2.4 Campaign, PUT; client")
def update_campaign(call: Call) -> Reply:
    """The fields that are given."""
    row = call.tenant.get("campaign", call.params["id"])
    put(row, _campaign(call.tenant, call.object(), row["id"]))
    return Reply(None, 204)


@route("PATCH", "/campaigns/{id}/status", host="acd", cite="2.4 Campaign, PATCH status; client")
def campaign_status(call: Call) -> Reply:
    """In or out of use."""
    return _status(call, "campaign")


@route("GET", "/tags", host="acd", cite="2.4 Tag; client")
def tags(call: Call) -> Reply:
    """All at once, without a total (client)."""
    return Reply({"tags": list(call.tenant.rows("tag"))})


@route("POST", "/tags", host="acd", cite="2.4 Tag, POST (query args); client")
def create_tag(call: Call) -> Reply:
    """The content is in the query."""
    fields = taken(call.query, ("tagName", "notes"))
    _must(call.tenant, "tag", None, "tagName", fields)
    return Reply({"tagId": call.tenant.add("tag", {"notes": "", **fields, "isActive": True})["tagId"]})


@route("PUT", "/tags/{id}", host="acd", cite="2.4 Tag, PUT; client")
def update_tag(call: Call) -> Reply:
    """The content is in the query."""
    row, fields = call.tenant.get("tag", call.params["id"]), taken(call.query, ("tagName", "notes"))
    if "tagName" in fields:
        _must(call.tenant, "tag", row["tagId"], "tagName", fields)
    if "isActive" in call.query:
        row["isActive"] = _truth(call.query["isActive"])
    row.update(fields)
    return Reply(None, 204)


@route("GET", "/message-templates", host="acd", cite="2.4 Message template; client")
def templates(call: Call) -> Reply:
    """All at once, without a total (client)."""
    return Reply({"messageTemplates": list(call.tenant.rows("messageTemplate"))})


def _template(call: Call) -> Row:
    fields: Row = taken(call.query, TEMPLATE)
    if "isHTML" in fields:
        fields["isHTML"] = _truth(fields["isHTML"])
    if "templateTypeId" in fields:
        fields["templateTypeId"] = int(fields["templateTypeId"])
    return fields


@route("POST", "/message-templates", host="acd", cite="2.4 Message template, POST (query args); client")
def create_template(call: Call) -> Reply:
    """The content is in the query; the type is given only here (client)."""
    fields = _template(call)
    _must(call.tenant, "messageTemplate", None, "templateName", fields)
    if not {"templateTypeId", "subject", "body"} <= fields.keys():
        raise Refused(400, "templateTypeId, subject and body are needed")
    return Reply({"templateId": call.tenant.add("messageTemplate", {**fields, "isActive": True})["templateId"]})


@route("PUT", "/message-templates/{id}", host="acd", cite="2.4 Message template, PUT; client")
def update_template(call: Call) -> Reply:
    """The content is in the query."""
    row, fields = call.tenant.get("messageTemplate", call.params["id"]), _template(call)
    fields.pop("templateTypeId", None)
    if "templateName" in fields:
        _must(call.tenant, "messageTemplate", row["templateId"], "templateName", fields)
    if "isActive" in call.query:
        row["isActive"] = _truth(call.query["isActive"])
    row.update(fields)
    return Reply(None, 204)


@route("GET", "/hiring-sources", host="acd", cite="2.4 Hiring source; client")
def hiring_sources(call: Call) -> Reply:
    """All at once, without a total (client)."""
    return Reply({"sources": list(call.tenant.rows("hiringSource"))})


@route("POST", "/hiring-sources", host="acd", cite="2.4 Hiring source, POST (query args); client")
def create_hiring_source(call: Call) -> Reply:
    """The name is in the query; nothing can change it later."""
    fields = taken(call.query, ("sourceName",))
    _must(call.tenant, "hiringSource", None, "sourceName", fields)
    return Reply({"sourceId": call.tenant.add("hiringSource", fields)["sourceId"]})
