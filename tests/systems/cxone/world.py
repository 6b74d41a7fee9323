"""A company in a tenant: every type that is copied, every relation, both cycles, and names that are awkward."""

from __future__ import annotations

from typing import Any

from tests.systems.cxone.api import Row
from tests.systems.cxone.server import Simulator
from tests.systems.cxone.tenant import Tenant

WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


def fill(simulator: Simulator, people: int = 12) -> None:
    """Put the company in; the same every time, but for IDs."""
    tenant = simulator.tenant
    with tenant.lock:
        divisions = _divisions(tenant)
        codes, dispositions, campaigns = _sorting(tenant, divisions)
        teams = _teams(tenant, divisions, codes)
        agents = _people(tenant, teams, people)
        skills = _skills(tenant, codes, dispositions, campaigns)
        _assign(tenant, agents, skills)
        _ways_in(tenant, skills)


def _named(tenant: Tenant, table: str, field: str, name: str) -> Row:
    return tenant.find(table, **{field: name})[0]


def _divisions(tenant: Tenant) -> list[Row]:
    """A tree, the child before its parent."""
    top = tenant.new_int()
    common: Row = {"status": "ACTIVE", "isDefault": False, "billingCode": next(tenant.rows("division"))["billingCode"]}
    child = tenant.add("division", {"name": "Köln", "parentDivisionId": top, **common})
    return [child, tenant.add("division", {"divisionId": top, "name": "Europe", "description": "all", **common})]


def _sorting(tenant: Tenant, divisions: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    codes = [
        tenant.add("unavailableCode", {"name": name, "isACW": acw, "agentTimeout": 60, "isActive": True})
        for name, acw in (("Break", False), ("Lunch", False), ("Wrap up", True))
    ]
    contacted = _named(tenant, "classification", "classificationName", "Contacted")["classificationId"]
    dispositions = [
        tenant.add("disposition", {"dispositionName": name, "classificationId": contacted, "isActive": True})
        for name in ("Sold", "Call me back – später")
    ]
    campaigns = [
        tenant.add("campaign", {"name": "Winter", "isActive": True, "divisionId": divisions[0]["divisionId"]}),
        tenant.add("campaign", {"name": "Summer", "isActive": False, "notes": "over"}),
    ]
    tenant.add("tag", {"tagName": "vip & co", "notes": "a=b&c", "isActive": True})
    tenant.add("tag", {"tagName": "old", "notes": "", "isActive": True})
    template = {"templateName": "Thanks", "templateTypeId": 1, "subject": "Danke!", "body": "<b>Grüße</b>"}
    tenant.add("messageTemplate", {**template, "isHTML": True, "isActive": True})
    tenant.add("hiringSource", {"sourceName": "Friends"})
    return codes, dispositions, campaigns


def _teams(tenant: Tenant, divisions: list[Row], codes: list[Row]) -> list[Row]:
    teams = []
    for number, name in enumerate(("Sales", "Support")):
        row = {"teamName": name, "isActive": True, "teamUuid": tenant.new_uuid(), "maxConcurrentChats": 3 + number}
        teams.append(tenant.add("team", {**row, "divisionNo": divisions[number]["divisionId"]}))
        for code in codes[: 2 - number]:
            tenant.pair("teamCode", teamId=teams[-1]["teamId"], codeId=code["id"])
    return teams


def _people(tenant: Tenant, teams: list[Row], people: int) -> list[Row]:
    roles = {row["roleName"]: row for row in tenant.rows("role")}
    profiles = {row["securityProfileName"]: row for row in tenant.rows("securityProfile")}
    home = _named(tenant, "location", "locationName", "Home")["locationId"]
    agents: list[Row] = []
    for number in range(people):
        login = f"agent{number:03d}@acme.example"
        team, role = teams[number % len(teams)], "Manager" if number < 2 else "Agent"
        person = {"firstName": "Zoë" if number % 5 else "O'Neil", "lastName": f"Łuc-{number}", "emailAddress": login}
        place = {"timeZone": "Europe/Berlin", "country": "DE"}
        user: dict[str, Any] = {
            **person,
            "timeZone": "Europe/Berlin",
            "userName": login,
            "role": roles[role]["roleId"],
            "status": "ACTIVE",
        }
        user |= {"teamId": team["teamUuid"], "externalIdentity": f"sso|{number}"}
        if number % 3 == 0:
            user["secondaryRoleIds"] = [roles["Agent"]["roleId"], roles["Administrator"]["roleId"]]
        user = tenant.add("user", user)
        agent: dict[str, Any] = {**person, **place, "userName": login, "userID": user["id"], "isActive": True}
        agent |= {
            "teamId": team["teamId"],
            "teamUuid": team["teamUuid"],
            "locationId": home,
            "custom1": f"desk {number}",
        }
        agent |= {"profileId": profiles[role]["securityProfileId"], "roleId": roles[role]["roleId"]}
        agents.append(tenant.add("agent", agent))
        if number < len(teams):
            team["teamLeadId"] = user["id"]  # 5.2: the cycle of teams and users
    for number, agent in enumerate(agents):
        agent["reportToId"] = agents[(number + 1) % len(agents)]["agentId"]  # 5.2: the cycle of agents
    return agents


def _skills(tenant: Tenant, codes: list[Row], dispositions: list[Row], campaigns: list[Row]) -> list[Row]:
    media = {row["mediaTypeName"]: row["mediaTypeId"] for row in tenant.rows("mediaType")}
    script = tenant.add("script", {"scriptName": "\\Main\\Welcome", "status": "active"})
    skills = []
    for number, (name, kind) in enumerate((("Sales", "Phone Call"), ("Sales", "Email"), ("Outbound", "Phone Call"))):
        row: Row = {"skillName": name, "mediaTypeId": media[kind], "isActive": True, "isOutbound": number == 2}
        row |= {"campaignId": campaigns[number % 2]["id"], "stateIdACW": codes[2]["id"], "initialPriority": number}
        row["dispositions"] = [{"dispositionId": d["dispositionId"], "priority": p} for p, d in enumerate(dispositions)]
        row["outboundTelecomRouteId"] = next(tenant.rows("outboundRoute"))["outboundTelecomRouteId"]
        if number == 0:
            row["scriptId"] = script["masterId"]
        if number == 2:
            row["outboundStrategy"] = "Personal Connection"
        skills.append(tenant.add("skill", row))
    for tag in tenant.rows("tag"):
        tenant.pair("skillTag", skillId=skills[0]["skillId"], tagId=tag["tagId"])
    return skills


def _assign(tenant: Tenant, agents: list[Row], skills: list[Row]) -> None:
    for number, agent in enumerate(agents):
        skill = skills[number % 2]
        fields = {"proficiency": 1 + number % 5, "isActive": number % 4 != 3}
        tenant.pair("agentSkill", agentId=agent["agentId"], skillId=skill["skillId"], **fields)
    group = tenant.add("group", {"groupName": "Night shift", "isActive": True, "notes": "22-06"})
    tenant.add("group", {"groupName": "Nobody", "isActive": True, "notes": ""})
    for agent in agents[:4]:
        tenant.pair("groupAgent", groupId=group["groupId"], agentId=agent["agentId"])


def _ways_in(tenant: Tenant, skills: list[Row]) -> None:
    days = [{"day": day, "openTime": "08:00", "closeTime": "18:00", "isClosedAllDay": False} for day in WEEK]
    hours = tenant.add(
        "hoursOfOperation",
        {
            "hoursOfOperationProfileName": "Office",
            "description": "weekdays",
            "days": days,
            "holidays": [{"holidayName": "New Year", "date": "2027-01-01", "isClosedAllDay": True}],
        },
    )
    tenant.pair("hoursSkill", hoursId=hours["hoursOfOperationProfileId"], skillId=skills[0]["skillId"])
    point = {"contactDescription": "Main line", "defaultSkillId": skills[0]["skillId"], "isActive": True}
    point |= {"contactAddress": tenant.phone_numbers[0], "mediaTypeId": skills[0]["mediaTypeId"]}
    tenant.add("pointOfContact", {**point, "scriptName": "\\Main\\Welcome"})
    book = tenant.add("addressBook", {"addressBookName": "Partners", "addressBookType": "Dynamic"})
    for number in range(3):
        entry = {"externalId": f"p-{number}", "firstName": "Pat", "lastName": f"Partner {number}", "phone": "+49221"}
        tenant.add("addressBookEntry", {"bookId": book["addressBookId"], **entry})
    tenant.add("addressBook", {"addressBookName": "Neighbours", "addressBookType": "Standard"})
