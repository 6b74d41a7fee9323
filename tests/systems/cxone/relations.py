"""Relations: pairs of entities, without an ID of their own (2.4 Agent-skill; 5.1, relation)."""

from __future__ import annotations

from collections.abc import Callable

from tests.systems.cxone.api import Call, ItemRefused, Reply, Row, bulk, route
from tests.systems.cxone.paging import acd_page
from tests.systems.cxone.tenant import Tenant


def _linked(tenant: Tenant, table: str, target: object) -> None:
    if str(target) not in tenant.tables[table]:
        raise ItemRefused(f"no {table} {target}")


def _unlink(call: Call, table: str, key: str) -> None:
    if key not in call.tenant.tables[table]:
        raise ItemRefused("not assigned")
    call.tenant.remove(table, key)


def _end(call: Call, table: str) -> int:
    """The entity in the path; 404 when there is none."""
    call.tenant.get(table, call.params["id"])
    return int(call.params["id"])


# --- agents of a skill: proficiency and isActive belong to the pair


@route("GET", "/skills/{id}/agents", host="acd", cite="2.4 Agent-skill; client")
def skill_agents(call: Call) -> Reply:
    """Assignments with names and states beside the IDs."""
    pairs = call.tenant.find("agentSkill", skillId=_end(call, "skill"))
    rows = [
        {
            "agentId": pair["agentId"],
            "skillId": pair["skillId"],
            "agentProficiencyValue": pair["proficiency"],
            "isActive": pair["isActive"],
            "agentName": call.tenant.get("agent", pair["agentId"])["userName"],
            "lastUpdateTime": "2026-01-01T00:00:00Z",
        }
        for pair in pairs
    ]
    return acd_page(call, rows, "agentSkillAssignments")


def _assign(call: Call, *, must_exist: bool) -> Callable[[Row], Row]:
    skill = _end(call, "skill")

    def act(item: Row) -> Row:
        agent = int(item.get("agentId", 0))
        _linked(call.tenant, "agent", agent)
        known = bool(call.tenant.find("agentSkill", agentId=agent, skillId=skill))
        if known != must_exist:
            raise ItemRefused("assigned already" if known else "not assigned")
        fields = {"proficiency": item.get("proficiency", 3), "isActive": item.get("isActive", True)}
        call.tenant.pair("agentSkill", agentId=agent, skillId=skill, **fields)
        return {"agentId": agent}

    return act


def _in_result_set(reply: Reply) -> Reply:
    return Reply({"resultSet": reply.body})


@route("POST", "/skills/{id}/agents", host="acd", cite="2.4 Agent-skill, POST; 2.3 bulk; client")
def assign_agents(call: Call) -> Reply:
    """New assignments."""
    return _in_result_set(bulk(call, call.objects("agents"), _assign(call, must_exist=False), "agentResults"))


@route("PUT", "/skills/{id}/agents", host="acd", cite="2.4 Agent-skill; client")
def change_agents(call: Call) -> Reply:
    """Other proficiencies of assignments that are there."""
    return _in_result_set(bulk(call, call.objects("agents"), _assign(call, must_exist=True), "agentResults"))


@route("DELETE", "/skills/{id}/agents", host="acd", cite="2.4 Agent-skill, DELETE same")
def unassign_agents(call: Call) -> Reply:
    """Away with assignments."""
    skill = _end(call, "skill")

    def act(item: Row) -> Row:
        _unlink(call, "agentSkill", f"{item.get('agentId')}/{skill}")
        return {"agentId": item["agentId"]}

    return _in_result_set(bulk(call, call.objects("agents"), act, "agentResults"))


# --- tags of a skill


@route("GET", "/skills/{id}/tags", host="acd", cite="5.1 skill-tag; client")
def skill_tags(call: Call) -> Reply:
    """Tags of a skill."""
    skill = _end(call, "skill")
    pairs = call.tenant.find("skillTag", skillId=skill)
    found = [{"tagId": p["tagId"], "tagName": call.tenant.get("tag", p["tagId"])["tagName"]} for p in pairs]
    return Reply({"totalRecords": len(found), "resultSet": {"skillId": str(skill), "tags": found}})


@route("POST", "/skills/{id}/tags", host="acd", cite="5.1 skill-tag; client")
def tag_skill(call: Call) -> Reply:
    """More tags."""
    skill = _end(call, "skill")

    def act(item: Row) -> Row:
        _linked(call.tenant, "tag", item.get("tagId"))
        call.tenant.pair("skillTag", skillId=skill, tagId=int(item["tagId"]))
        return {"tagId": item["tagId"]}

    return _in_result_set(bulk(call, call.objects("tags"), act, "tagResults"))


@route("DELETE", "/skills/{id}/tags", host="acd", cite="5.1 skill-tag; client")
def untag_skill(call: Call) -> Reply:
    """Fewer tags."""
    skill = _end(call, "skill")

    def act(item: Row) -> Row:
        _unlink(call, "skillTag", f"{skill}/{item.get('tagId')}")
        return {"tagId": item["tagId"]}

    return bulk(call, call.objects("tags"), act, "tagResults")


# --- unavailable codes of a team


@route("GET", "/teams/{id}/unavailable-codes", host="acd", cite="2.4 Unavailable code, team assignment; client")
def team_codes(call: Call) -> Reply:
    """Codes that a team may use; `outstateId` is the code's `id` (2.4: id = outStateId)."""
    team = _end(call, "team")
    found = [call.tenant.get("unavailableCode", p["codeId"]) for p in call.tenant.find("teamCode", teamId=team)]
    shown = [{"outstateId": c["id"], "outstateName": c["name"], "isActive": c["isActive"]} for c in found]
    return Reply({"teamId": team, "unavailableCodes": shown})


@route("POST", "/teams/{id}/unavailable-codes", host="acd", cite="2.4 Unavailable code, team assignment; client")
def allow_codes(call: Call) -> Reply:
    """More codes."""
    team = _end(call, "team")

    def act(item: Row) -> Row:
        _linked(call.tenant, "unavailableCode", item.get("outstateId"))
        call.tenant.pair("teamCode", teamId=team, codeId=int(item["outstateId"]))
        return {"outstateId": item["outstateId"]}

    return _in_result_set(bulk(call, call.objects("codes"), act, "codeResults"))


@route("DELETE", "/teams/{id}/unavailable-codes", host="acd", cite="2.4 Unavailable code, team assignment; client")
def forbid_codes(call: Call) -> Reply:
    """Fewer codes."""
    team = _end(call, "team")

    def act(item: Row) -> Row:
        _unlink(call, "teamCode", f"{team}/{item.get('outstateId')}")
        return {"outstateId": item["outstateId"]}

    return bulk(call, call.objects("codes"), act, "codeResults")


# --- agents of a group


@route("GET", "/groups/{id}/agents", host="acd", cite="2.4 Group, /groups/{id}/agents; client")
def group_agents(call: Call) -> Reply:
    """Agents of a group."""
    pairs = call.tenant.find("groupAgent", groupId=_end(call, "group"))
    rows = [{k: call.tenant.get("agent", p["agentId"])[k] for k in ("agentId", "userName", "teamId")} for p in pairs]
    return acd_page(call, rows, "agents")


@route("POST", "/groups/{id}/agents", host="acd", cite="2.4 Group, /groups/{id}/agents; client")
def join_group(call: Call) -> Reply:
    """More agents; the answer names those who joined, whoever could not is missing (client)."""
    group, joined = _end(call, "group"), []
    for item in call.objects("agents"):
        if str(item.get("agentId")) in call.tenant.tables["agent"]:
            call.tenant.pair("groupAgent", groupId=group, agentId=int(item["agentId"]))
            joined.append({"agentId": item["agentId"]})
    return Reply({"agents": joined})


@route("DELETE", "/groups/{id}/agents", host="acd", cite="2.4 Group, /groups/{id}/agents; client")
def leave_group(call: Call) -> Reply:
    """Fewer agents."""
    group = _end(call, "group")

    def act(item: Row) -> Row:
        _unlink(call, "groupAgent", f"{group}/{item.get('agentId')}")
        return {"agentId": item["agentId"]}

    return bulk(call, call.objects("agents"), act, "agentResults")


# --- skills of hours of operation


@route("PUT", "/hours-of-operation/{id}/skills", host="acd", cite="2.4 Hours of operation, PUT /{id}/skills; client")
def hours_skills(call: Call) -> Reply:
    """Assign or unassign, several at once."""
    hours, body = _end(call, "hoursOfOperation"), call.object()
    for skill in body.get("skills", []):
        call.tenant.get("skill", skill)
        if body.get("assign", True):
            call.tenant.pair("hoursSkill", hoursId=hours, skillId=int(skill))
        else:
            call.tenant.tables["hoursSkill"].pop(f"{hours}/{skill}", None)
    return Reply(None, 204)
