"""The built-in `cxone` profile when tenants change: one test per quirk, as in test_cxone_sync.py."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.systems.cxone.pair import LOOSE, PEOPLE, SKILLS, Document, Pair, reasons, take_out
from tests.systems.cxone.tenant import Tenant

# --- 2.4, 5.3: deactivation only, and back again


def test_who_leaves_is_deactivated_and_who_comes_back_revived(pair: Pair) -> None:
    pair.sync(entities=PEOPLE)
    leaver, goner = pair.primary.dump()["user"][2:4]
    before = {user["userName"]: user["id"] for user in pair.secondary.dump()["user"]}
    pair.primary.change("user", leaver["id"], status="DELETED")
    for agent in pair.primary.tenant.find("agent", userID=goner["id"]):
        pair.primary.tenant.remove("agent", agent["agentId"])
    pair.primary.tenant.remove("user", goner["id"])
    report = pair.sync(entities=["user"], guard=LOOSE)
    assert report.counts.deactivated == 2
    states = {user["userName"]: user["status"] for user in pair.secondary.dump()["user"]}
    assert (states[leaver["userName"]], states[goner["userName"]]) == ("DELETED", "DELETED")
    pair.primary.change("user", leaver["id"], status="ACTIVE")
    assert pair.sync(entities=["user"], guard=LOOSE).result == "Succeeded"
    after = {user["userName"]: (user["id"], user["status"]) for user in pair.secondary.dump()["user"]}
    assert after[leaver["userName"]] == (before[leaver["userName"]], "ACTIVE")
    assert after[goner["userName"]] == (before[goner["userName"]], "DELETED")
    assert not any(request.method == "DELETE" for request in pair.secondary.requests())


def test_without_a_revive_call_who_comes_back_stays_away(pair: Pair) -> None:
    lacking = pair.without(take_out("user", "revive"))
    lacking.sync(entities=PEOPLE)
    leaver = pair.primary.dump()["user"][2]
    pair.secondary.change("user", pair.id_of("user", userName=leaver["userName"]), status="DELETED")
    lacking.sync(entities=["user"], guard=LOOSE)
    assert pair.secondary.tenant.find("user", userName=leaver["userName"])[0]["status"] == "DELETED"
    pair.sync(entities=["user"], guard=LOOSE)
    assert pair.secondary.tenant.find("user", userName=leaver["userName"])[0]["status"] == "ACTIVE"


def _left_before(pair: Pair) -> dict[str, Any]:
    leaver = pair.primary.dump()["user"][3]
    pair.primary.change("user", leaver["id"], status="DELETED")
    for agent in pair.primary.tenant.find("agent", userID=leaver["id"]):
        agent["isActive"] = False
    return leaver


def test_who_left_before_the_first_copy_gets_no_invitation(pair: Pair) -> None:
    leaver = _left_before(pair)
    assert pair.sync(entities=PEOPLE).result == "Succeeded"
    assert pair.secondary.tenant.find("user", userName=leaver["userName"]) == []
    assert len(pair.secondary.dump()["agent"]) == 3
    pair.primary.change("user", leaver["id"], status="ACTIVE")
    for agent in pair.primary.tenant.find("agent", userID=leaver["id"]):
        agent["isActive"] = True
    assert pair.sync(entities=PEOPLE, guard=LOOSE).counts.created == 2


def test_without_that_leavers_would_be_invited(pair: Pair) -> None:
    leaver = _left_before(pair)
    pair.without(take_out("user", "create", "outOfUse")).sync(entities=PEOPLE)
    assert len(pair.secondary.tenant.find("user", userName=leaver["userName"])) == 1


def test_what_is_out_of_use_in_the_primary_is_made_and_put_out_of_use(pair: Pair) -> None:
    """2.4: a create can only make what is in use (unavailable codes, skills)."""
    code = pair.primary.dump()["unavailableCode"][0]
    pair.primary.change("unavailableCode", code["id"], isActive=False)
    skill = pair.primary.dump()["skill"][1]
    pair.primary.change("skill", skill["skillId"], isActive=False)
    assert pair.sync(entities=SKILLS).result == "Succeeded"
    assert pair.secondary.tenant.find("unavailableCode", name=code["name"])[0]["isActive"] is False
    active = [row["isActive"] for row in pair.secondary.dump()["skill"] if row["skillName"] == skill["skillName"]]
    assert sorted(active) == [False, True]
    before = pair.written()
    pair.sync(entities=SKILLS)
    assert pair.written() == before


# --- 2.3: pages drift


def _agents_drift(pair: Pair) -> None:
    """The primary's first agent leaves after the first page: everybody moves up, and one is on no page."""

    def leave(tenant: Tenant) -> None:
        first = next(tenant.rows("agent"))
        for pairing in [*tenant.find("agentSkill", agentId=first["agentId"])]:
            tenant.remove("agentSkill", pairing["key"])
        for other in tenant.find("agent", reportToId=first["agentId"]):
            other.pop("reportToId")
        tenant.remove("agent", first["agentId"])

    pair.primary.tenant.max_top = 3
    pair.primary.faults.drift("/services/v33.0/agents$", leave)


@pytest.mark.parametrize("pair", [5], indirect=True)
def test_a_listing_that_drifts_while_it_is_read_is_read_again(pair: Pair) -> None:
    _agents_drift(pair)
    assert pair.sync(entities=PEOPLE).result == "Succeeded"
    assert len(pair.secondary.dump()["agent"]) == 4
    assert not any("agent " in text for text in pair.compare().all)


@pytest.mark.parametrize("pair", [5], indirect=True)
def test_without_totals_a_drifting_listing_hides_an_agent(pair: Pair) -> None:
    _agents_drift(pair)
    pair.without(take_out("agentSettings", "list", "total")).sync(entities=PEOPLE)
    assert len(pair.secondary.dump()["agent"]) == 4  # who has left was copied, who was on no page was not
    assert any(text.startswith("lost: agent ") for text in pair.compare().all)


# --- 2.3: skip and top, in the query and in the body


@pytest.mark.parametrize("pair", [5], indirect=True)
def test_a_search_whose_pages_are_not_named_in_its_body_is_never_taken_for_complete(pair: Pair) -> None:
    def in_query(profile: Document) -> None:
        profile["types"]["user"]["list"]["paging"]["place"] = "query"

    pair.primary.tenant.max_top = 3
    report = pair.without(in_query).sync(entities=["user"])
    assert "Incomplete" in report.message
    assert pair.secondary.dump()["user"] == []


# --- 2.4: fields that never change


def test_a_change_of_what_never_changes_is_reported_once_and_not_sent(pair: Pair) -> None:
    pair.sync(entities=SKILLS)
    skill = pair.primary.dump()["skill"][0]
    pair.primary.change("skill", skill["skillId"], isOutbound=True, notes="and this")
    report = pair.sync(entities=SKILLS, guard=LOOSE)
    (reason,) = reasons(report, "skill").values()
    assert "RequiresRecreate: isOutbound" in reason
    assert any(row.get("notes") == "and this" for row in pair.secondary.dump()["skill"])
    before = pair.written()
    pair.sync(entities=SKILLS, guard=LOOSE)
    assert pair.written() == before
    lacking = pair.without(take_out("skill", "immutable"))
    assert lacking.sync(entities=SKILLS, guard=LOOSE).result == "Succeeded"  # so it says, and the skill is as it was
    assert not any(row["isOutbound"] for row in pair.secondary.dump()["skill"] if row["skillName"] == "Sales")


# --- 5.3: a rename keeps the pair


def test_renames_keep_the_pair(pair: Pair) -> None:
    types = [*SKILLS, *PEOPLE]
    pair.sync(entities=types)
    skill, team, user = (pair.primary.dump()[table][0] for table in ("skill", "team", "user"))
    twin = pair.id_of("user", userName=user["userName"])
    teams = {row["teamId"] for row in pair.secondary.dump()["team"]}
    pair.primary.change("skill", skill["skillId"], skillName="Verkauf")
    pair.primary.change("team", team["teamId"], teamName="Renamed")
    pair.primary.change("user", user["id"], userName="new.name@acme.example")
    for agent in pair.primary.tenant.find("agent", userID=user["id"]):
        agent["userName"] = "new.name@acme.example"
    report = pair.sync(entities=types, guard=LOOSE)
    assert (report.counts.created, report.counts.deactivated) == (0, 0)
    assert pair.id_of("user", userName="new.name@acme.example") == twin
    assert {row["teamId"] for row in pair.secondary.dump()["team"]} == teams
    assert pair.sync().result == "Succeeded"
    assert pair.compare().all == []


# --- client: listings that hold part of an entity


def test_what_a_listing_leaves_out_is_copied(pair: Pair) -> None:
    types = ["hoursOfOperation", "campaign", "division", "skill"]
    pair.sync(entities=types)
    (hours,) = pair.secondary.dump()["hoursOfOperation"]
    assert len(hours["days"]) == 5
    day = {**pair.primary.dump()["hoursOfOperation"][0]["days"][0], "openTime": "07:30"}
    (ours,) = pair.primary.dump()["hoursOfOperation"]
    pair.primary.change("hoursOfOperation", ours["hoursOfOperationProfileId"], days=[day])
    pair.sync(entities=types, guard=LOOSE)
    assert pair.secondary.dump()["hoursOfOperation"][0]["days"] == [day]


def test_an_entity_that_goes_between_listing_and_read_is_no_error(pair: Pair) -> None:
    goner = pair.primary.dump()["campaign"][1]["id"]

    def leave(tenant: Tenant) -> None:
        for skill in tenant.find("skill", campaignId=goner):
            skill.pop("campaignId")
        tenant.remove("campaign", goner)

    pair.primary.faults.drift("/campaigns$", leave)
    assert pair.sync(entities=["campaign", "division"]).result == "Succeeded"
    assert [row["name"] for row in pair.secondary.dump()["campaign"]] == ["Winter"]


def test_without_details_hours_have_no_days(pair: Pair) -> None:
    pair.without(lambda profile: profile["types"]["hoursOfOperation"].update(detailed=False)).sync()
    assert "days" not in pair.secondary.dump()["hoursOfOperation"][0]


# --- 5.3: numbers belong to a tenant


def test_a_number_that_nobody_mapped_is_not_written(pair: Pair) -> None:
    report = pair.sync(mappings=[])
    assert report.result == "Partial"
    assert reasons(report, "pointOfContact").keys() == {pair.primary.tenant.phone_numbers[0]}
    assert pair.secondary.dump()["pointOfContact"] == []
    assert pair.sync().result == "Succeeded"
    (point,) = pair.secondary.dump()["pointOfContact"]
    assert point["contactAddress"] == pair.secondary.tenant.phone_numbers[0]
    before = pair.written()
    assert pair.sync().result == "Succeeded"
    assert pair.written() == before


# --- 5.1: what can only be looked up


def test_a_role_that_the_secondary_lacks_holds_back_who_needs_it(pair: Pair) -> None:
    role = pair.primary.tenant.add("role", {"roleName": "Night owl", "status": "ACTIVE"})
    one, two = pair.primary.dump()["user"][:2]
    pair.primary.change("user", one["id"], role=role["roleId"])
    pair.primary.change("user", two["id"], secondaryRoleIds=[role["roleId"]])
    report = pair.sync(entities=PEOPLE)
    assert "UnresolvedReference: role" in reasons(report, "user")[one["userName"]]
    assert {issue.key for issue in report.unresolved} >= {two["userName"]}
    names = {user["userName"] for user in pair.secondary.dump()["user"]}
    assert one["userName"] not in names
    assert two["userName"] in names
    assert [row["roleName"] for row in pair.secondary.dump()["role"]] == ["Administrator", "Manager", "Agent"]


# --- the same credentials: nothing but login names and federated identities can be copied


def test_readiness_names_everybody_who_could_not_log_in(pair: Pair) -> None:
    pair.sync(entities=PEOPLE)
    names = [user["userName"] for user in pair.primary.dump()["user"]]
    twins = [pair.id_of("user", userName=name) for name in names]
    pair.secondary.tenant.remove("user", twins[0])
    pair.secondary.change("user", twins[1], status="DELETED")
    pair.secondary.change("user", twins[2], userName="somebody.else@acme.example")
    pair.secondary.change("user", twins[3], externalIdentity="another")
    file = pair.folder / "run.yaml"
    file.write_text(pair.config(entities=["user"]).model_dump_json(by_alias=True))
    command = [sys.executable, "-m", "bcp_operator.sync", "readiness", "--config", str(file), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = {one["key"]: one["reason"] for one in json.loads(done.stdout)["usersWithoutLogin"]}
    assert [found[name] for name in names] == ["Absent", "Inactive", "OtherLoginName", "OtherIdentity"]


# --- 5.2: order and cycles


def test_leads_and_managers_come_in_a_second_pass(pair: Pair) -> None:
    pair.sync(entities=PEOPLE)
    secondary = pair.secondary.dump()
    agents = {row["agentId"]: row["userName"] for row in secondary["agent"]}
    assert [agents[row["reportToId"]] for row in sorted(secondary["agent"], key=lambda row: row["userName"])] == [
        f"agent{(number + 1) % 4:03d}@acme.example" for number in range(4)
    ]
    assert all("teamLeadId" in row for row in secondary["team"] if row["teamName"] != "Default Team")


def test_relations_follow_what_changes_in_the_primary(pair: Pair) -> None:
    pair.sync()
    state = pair.primary.dump()
    gone, changed = state["agentSkill"][0], state["agentSkill"][1]
    pair.primary.tenant.remove("agentSkill", gone["key"])
    pair.primary.change("agentSkill", changed["key"], proficiency=9)
    added = {"agentId": gone["agentId"], "skillId": changed["skillId"], "proficiency": 2, "isActive": True}
    pair.primary.tenant.pair("agentSkill", **added)
    pair.primary.tenant.remove("teamCode", state["teamCode"][0]["key"])
    pair.primary.tenant.remove("groupAgent", state["groupAgent"][0]["key"])
    pair.primary.tenant.remove("skillTag", state["skillTag"][0]["key"])
    pair.primary.tenant.remove("hoursSkill", state["hoursSkill"][0]["key"])
    entries = state["addressBookEntry"]
    pair.primary.tenant.remove("addressBookEntry", entries[0]["addressBookEntryId"])
    pair.primary.change("addressBookEntry", entries[1]["addressBookEntryId"], phone="+49 30")
    assert pair.sync(guard=LOOSE).result == "Succeeded"
    assert pair.compare().all == []
