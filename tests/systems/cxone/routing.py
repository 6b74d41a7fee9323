"""How contacts find their way: hours, points of contact, scripts, groups, address books (2.4)."""

from __future__ import annotations

import copy

from tests.systems.cxone.api import Call, ItemRefused, Refused, Reply, Row, bulk, route
from tests.systems.cxone.paging import acd_page
from tests.systems.cxone.tenant import Tenant, given, put, refuse_dangling, refuse_same, taken

HOURS = ("hoursOfOperationProfileName", "description", "notes", "days", "holidays", "overrideBranch")
POINT = ("contactDescription", "defaultSkillId", "isActive", "scriptName")


def _refuse(tenant: Tenant, table: str, row_id: object, fields: Row, key: str, references: Row | None = None) -> None:
    try:
        refuse_same(tenant, table, row_id, **{key: fields[key]})
        refuse_dangling(tenant, fields, references or {})
    except ItemRefused as refusal:
        raise Refused(400, str(refusal)) from None


# --- hours of operation


@route("GET", "/hours-of-operation", host="acd", cite="2.4 Hours of operation; client")
def all_hours(call: Call) -> Reply:
    """Names only: days and holidays are in the single read (client)."""
    summary = ("hoursOfOperationProfileId", "hoursOfOperationProfileName", "description")
    rows = [{**taken(row, summary), "isDeleted": False} for row in call.tenant.rows("hoursOfOperation")]
    return acd_page(call, rows, "hoursOfOperation")


@route("GET", "/hours-of-operation/{id}", host="acd", cite="2.4 Hours of operation; client")
def hours(call: Call) -> Reply:
    """One profile, with the skills and scripts that use it."""
    row = call.tenant.get("hoursOfOperation", call.params["id"])
    pairs = call.tenant.find("hoursSkill", hoursId=row["hoursOfOperationProfileId"])
    used = [call.tenant.get("skill", pair["skillId"]) for pair in pairs]
    skills = [{"skillId": skill["skillId"], "skillName": skill["skillName"]} for skill in used]
    return Reply({**row, "skills": skills, "scripts": [], "lastUpdateTime": "2026-01-01T00:00:00Z"})


@route("POST", "/hours-of-operation", host="acd", cite="2.4 Hours of operation; client")
def create_hours(call: Call) -> Reply:
    """The name is called profileName here, and the ID profileId, as text (client)."""
    body = call.object()
    fields = taken({**body, "hoursOfOperationProfileName": body.get("profileName")}, HOURS)
    if not 0 < len(fields.get("hoursOfOperationProfileName", "")) <= 30:  # 2.4
        raise Refused(400, "profileName has 1 to 30 characters")
    _refuse(call.tenant, "hoursOfOperation", None, fields, "hoursOfOperationProfileName")
    row = call.tenant.add("hoursOfOperation", fields)
    return Reply({"profileId": str(row["hoursOfOperationProfileId"]), "profileName": body["profileName"]})


@route("PUT", "/hours-of-operation/{id}", host="acd", cite="2.4 Hours of operation; client")
def update_hours(call: Call) -> Reply:
    """Everything but skills: name, days and holidays are needed (client)."""
    row, fields = call.tenant.get("hoursOfOperation", call.params["id"]), given(call.object(), HOURS)
    if not {"hoursOfOperationProfileName", "days", "holidays"} <= fields.keys():
        raise Refused(400, "hoursOfOperationProfileName, days and holidays are needed")
    _refuse(call.tenant, "hoursOfOperation", row["hoursOfOperationProfileId"], fields, "hoursOfOperationProfileName")
    put(row, fields)
    return Reply(None, 204)


@route("DELETE", "/hours-of-operation/{id}", host="acd", cite="2.4 Hours of operation, DELETE")
def delete_hours(call: Call) -> Reply:
    """One of the few things that can be deleted."""
    row = call.tenant.get("hoursOfOperation", call.params["id"])
    for pair in call.tenant.find("hoursSkill", hoursId=row["hoursOfOperationProfileId"]):
        call.tenant.remove("hoursSkill", pair["key"])
    call.tenant.remove("hoursOfOperation", row["hoursOfOperationProfileId"])
    return Reply(None, 204)


# --- points of contact


@route("GET", "/points-of-contact", host="acd", cite="2.4 Point of contact; client")
def points(call: Call) -> Reply:
    """Paged by skip and top, without a total (client)."""
    tenant = call.tenant
    rows = [
        {
            **row,
            "businessUnitId": tenant.business_unit,
            "mediaTypeName": tenant.get("mediaType", row["mediaTypeId"])["mediaTypeName"],
        }
        for row in tenant.rows("pointOfContact")
    ]
    page = acd_page(call, rows, "pointsOfContact").body
    return Reply({"businessUnitId": page["businessUnitId"], "pointsOfContact": page["pointsOfContact"]})


def _point(tenant: Tenant, body: Row) -> Row:
    """Reads and writes call the fields by other names (client)."""
    names = {"pointOfContactName": "contactDescription", "skillId": "defaultSkillId"}
    fields = taken({names.get(name, name): value for name, value in body.items()}, POINT)
    if not {"contactDescription", "defaultSkillId", "scriptName"} <= fields.keys():
        raise Refused(400, "pointOfContactName, skillId and scriptName are needed")
    try:
        references = {"defaultSkillId": ("skill", "skillId"), "scriptName": ("script", "scriptName")}
        refuse_dangling(tenant, fields, references)
    except ItemRefused as refusal:
        raise Refused(400, str(refusal)) from None
    return fields


@route(
    "POST", "/points-of-contact", host="acd", cite="2.4 Point of contact: address tenant-owned, returns no ID; client"
)
def create_point(call: Call) -> Reply:
    """The address must be one of the tenant's own numbers."""
    tenant, body = call.tenant, call.object()
    fields = _point(tenant, body)
    fields |= {"contactAddress": body.get("pointOfContact"), "mediaTypeId": body.get("mediaTypeId")}
    if fields["contactAddress"] not in tenant.phone_numbers:
        raise Refused(400, "the number does not belong to this business unit")
    _refuse(tenant, "pointOfContact", None, fields, "contactAddress", {"mediaTypeId": ("mediaType", "mediaTypeId")})
    tenant.add("pointOfContact", {"isActive": True, **fields})
    return Reply({})


@route("PUT", "/points-of-contact/{id}", host="acd", cite="2.4 Point of contact: address and media type only on create")
def update_point(call: Call) -> Reply:
    """Address and media type are passed over in silence."""
    row = call.tenant.get("pointOfContact", call.params["id"])
    row.update(_point(call.tenant, call.object()))
    return Reply({})


# --- scripts


@route("GET", "/script-folders", host="acd", cite="2.4 Script; client")
def scripts(call: Call) -> Reply:
    """Scripts of a folder, without their content."""
    rows = [{**taken(row, ("scriptName", "status")), "masterID": row["masterId"]} for row in call.tenant.rows("script")]
    return acd_page(call, [{**row, "isFolder": False} for row in rows], "scriptList")


# --- groups


@route("GET", "/groups", host="acd", cite="2.4 Group; client")
def groups(call: Call) -> Reply:
    """Groups."""
    return acd_page(call, list(call.tenant.rows("group")), "groups")


@route("POST", "/groups", host="acd", cite="2.4 Group, POST (array); 2.3 bulk; client")
def create_groups(call: Call) -> Reply:
    """Several at once."""

    def make(item: Row) -> Row:
        fields = taken(item, ("groupName", "isActive", "notes"))
        if not fields.get("groupName"):
            raise ItemRefused("groupName is needed")
        refuse_same(call.tenant, "group", None, groupName=fields["groupName"])
        return {"groupId": call.tenant.add("group", {"isActive": True, "notes": "", **fields})["groupId"]}

    return bulk(call, call.objects("groups"), make, "groupResults")


@route("PUT", "/groups/{id}", host="acd", cite="2.4 Group, PUT /{id}; client")
def update_group(call: Call) -> Reply:
    """Name and notes, in the query; there is no way to put a group out of use (client)."""
    row, fields = call.tenant.get("group", call.params["id"]), taken(call.query, ("groupName", "notes"))
    if "groupName" in fields:
        _refuse(call.tenant, "group", row["groupId"], fields, "groupName")
    row.update(fields)
    return Reply(None, 204)


# --- address books


@route("GET", "/address-books", host="acd", cite="2.4 Address book; client")
def books(call: Call) -> Reply:
    """All at once, without a total (client)."""
    return Reply({"addressBooks": list(call.tenant.rows("addressBook"))})


@route("POST", "/address-books", host="acd", cite="2.4 Address book; client")
def create_book(call: Call) -> Reply:
    """Name and type are in the query; nothing can change them later."""
    fields = taken(call.query, ("addressBookName", "addressBookType"))
    if not fields.get("addressBookName") or fields.get("addressBookType") not in ("Standard", "Dynamic"):
        raise Refused(400, "addressBookName and addressBookType are needed")
    _refuse(call.tenant, "addressBook", None, fields, "addressBookName")
    return Reply({"resultSet": call.tenant.add("addressBook", fields)})


@route("DELETE", "/address-books/{id}", host="acd", cite="2.4 Address book, DELETE")
def delete_book(call: Call) -> Reply:
    """With its entries."""
    row = call.tenant.get("addressBook", call.params["id"])
    for entry in call.tenant.find("addressBookEntry", bookId=row["addressBookId"]):
        call.tenant.remove("addressBookEntry", entry["addressBookEntryId"])
    call.tenant.remove("addressBook", row["addressBookId"])
    return Reply(None, 204)


def _dynamic(call: Call) -> Row:
    row = call.tenant.get("addressBook", call.params["id"])
    if row["addressBookType"] != "Dynamic":
        raise Refused(400, "not a dynamic address book")
    return row


@route("GET", "/address-books/{id}/dynamic-entries", host="acd", cite="2.4 Address book, dynamic-entries; client")
def entries(call: Call) -> Reply:
    """Entries of a dynamic address book."""
    row = _dynamic(call)
    page = acd_page(call, call.tenant.find("addressBookEntry", bookId=row["addressBookId"]), "entries").body
    found = [{k: v for k, v in entry.items() if k != "bookId"} for entry in copy.deepcopy(page.pop("entries"))]
    return Reply({**page, "addressBook": {**row, "addressBookEntries": found}})


@route("PUT", "/address-books/{id}/dynamic-entries", host="acd", cite="2.4: create-or-update by externalId; client")
def put_entries(call: Call) -> Reply:
    """The only true upsert (2.4)."""
    book = _dynamic(call)["addressBookId"]

    def put(item: Row) -> Row:
        if not item.get("externalId"):
            raise ItemRefused("externalId is needed")
        fields = taken(item, ("externalId", "firstName", "lastName", "company", "phone", "mobile", "email"))
        known = call.tenant.find("addressBookEntry", bookId=book, externalId=item["externalId"])
        if known:
            known[0].update(fields)
        row = known[0] if known else call.tenant.add("addressBookEntry", {"bookId": book, **fields})
        return {"created": not known, "addressBookEntryId": row["addressBookEntryId"]}

    return bulk(call, call.objects("addressBookEntries"), put, "entryResults")


@route("DELETE", "/address-books/{id}/dynamic-entries/{external}", host="acd", cite="2.4 Address book, DELETE; client")
def delete_entry(call: Call) -> Reply:
    """One entry, by externalId."""
    found = call.tenant.find(
        "addressBookEntry", bookId=_dynamic(call)["addressBookId"], externalId=call.params["external"]
    )
    if not found:
        raise Refused(404, "no such entry")
    call.tenant.remove("addressBookEntry", found[0]["addressBookEntryId"])
    return Reply(None, 204)
