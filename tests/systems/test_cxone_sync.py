"""The built-in `cxone` profile between two simulated tenants: one test per quirk of the vendor's API.

Where the profile handles a quirk, a test also runs with a profile that lacks this, and shows what goes wrong then. Here: the
whole copy, IDs, answers, tokens, hosts, pace. What changes over time: test_cxone_changes.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bcp_operator.sync import identify
from bcp_operator.sync.config import prepare
from bcp_operator.sync.run import run
from bcp_operator.systems import session
from bcp_operator.systems.addresses import AddressError, Addresses
from bcp_operator.systems.catalog import load

from tests.systems.cxone.pair import BUILT_IN, LOOSE, PEOPLE, SKILLS, Document, Pair, reasons, start_pair, take_out


@pytest.mark.parametrize("pair", [12], indirect=True)
def test_a_tenant_is_copied_and_then_left_alone(pair: Pair) -> None:
    pair.primary.tenant.max_top = 2  # many pages, of every kind
    report = pair.sync()
    assert (report.result, report.message) == ("Succeeded", "")
    assert report.unresolved == []
    assert pair.compare().all == []
    before = pair.written()
    again = pair.sync()
    assert again.result == "Succeeded"
    assert again.counts.unchanged == report.counts.created + report.counts.adopted + report.counts.unchanged
    assert pair.written() == before
    assert pair.written(pair.primary) == []
    assert not any(request.method == "DELETE" for request in pair.secondary.requests())


def test_the_first_copy_into_a_tenant_with_its_defaults_waits_for_an_approval(tmp_path: Path) -> None:
    with start_pair(tmp_path, people=2) as fresh:
        report = fresh.sync(entities=PEOPLE)
        assert (report.result, report.counts.created) == ("Partial", 0)
        assert fresh.secondary.dump()["user"] == []
        assert fresh.sync(entities=PEOPLE, approve=report.withheld_hash).result == "Succeeded"
        assert len(fresh.secondary.dump()["user"]) == 2


def test_the_page_names_every_type_of_the_profile_and_that_it_was_never_run_for_real() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cxone.md").read_text()
    assert [name for name in load("cxone").types if f"`{name}`" not in page] == []
    assert "has not been run against a live tenant" in page


def test_the_check_reads_everything_and_changes_nothing(pair: Pair) -> None:
    system = pair.config().primary
    command = [sys.executable, "-m", "bcp_operator.sync", "profile", "check", str(BUILT_IN), "--insecure"]
    command += ["--against", system.endpoint, "--tenant", system.tenant_id, "--credentials", system.credentials_dir]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "skill: 3 read" in done.stdout
    assert pair.written(pair.primary) == []


def test_nothing_with_a_password_is_ever_sent(pair: Pair) -> None:
    pair.primary.change("user", pair.primary.dump()["user"][0]["id"], password="never")
    assert pair.sync(entities=PEOPLE).result == "Succeeded"  # the simulator refuses users with a password
    assert not any("password" in user for user in pair.secondary.dump()["user"])


# --- 2.4: a create's answer holds no ID; 5.3: write PENDING, then look for it


def test_what_is_made_without_an_id_in_the_answer_is_found(pair: Pair) -> None:
    report = pair.sync(entities=SKILLS)
    assert report.per_type["skill"].created == 3
    assert report.errors == []


def test_if_nobody_looked_for_them_new_skills_would_be_unknown(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> dict[str, Any]:
        return {}

    with monkeypatch.context() as patched:
        patched.setattr(identify.Identifier, "find", nothing)
        report = pair.sync(entities=SKILLS)
        assert len(reasons(report, "skill")) == 3
    assert pair.sync(entities=SKILLS).per_type["skill"].adopted == 3  # begun, and found by the next run
    assert not any("skill" in text for text in pair.compare().duplicated)


def test_a_create_whose_answer_is_lost_is_found_and_not_made_twice(pair: Pair) -> None:
    pair.secondary.faults.lose_answer("POST", "/skills$")
    pair.secondary.faults.lose_answer("POST", "/v1/users$")
    pair.sync()
    pair.sync()
    assert pair.compare().all == []


# --- 2.3: one entity fails within HTTP 200


def test_one_refused_entity_within_http_200_is_seen(pair: Pair) -> None:
    pair.secondary.faults.items["Outbound"] = "not today"
    report = pair.sync(entities=SKILLS)
    assert report.result == "Partial"
    assert report.per_type["skill"].created == 2
    assert [(issue.type, "Refused" in issue.reason) for issue in report.errors] == [("skill", True)]
    assert "not today" not in report.model_dump_json()
    pair.secondary.faults.items.clear()
    assert pair.sync(entities=SKILLS).per_type["skill"].created == 1


def test_a_profile_that_reads_no_results_believes_that_all_went_well(pair: Pair) -> None:
    pair.secondary.faults.items["Night shift"] = "not today"
    lacking = pair.without(take_out("group", "create", "bulk", "errors"))
    report = lacking.sync(entities=["group"])
    assert "Refused" not in reasons(report, "group").get("Night shift", "")
    told = pair.sync(entities=["group"])
    assert "Refused" in reasons(told, "group")["Night shift"]


def test_a_refused_deactivation_within_http_200_is_seen(pair: Pair) -> None:
    pair.sync(entities=PEOPLE)
    leaver = pair.primary.dump()["user"][3]
    pair.primary.change("user", leaver["id"], status="DELETED")
    pair.secondary.faults.items[leaver["userName"]] = "not today"
    report = pair.sync(entities=["user"])
    assert (report.counts.deactivated, report.counts.failed) == (0, 1)
    lacking = pair.without(take_out("user", "deactivate", "errors"))
    assert lacking.sync(entities=["user"]).counts.deactivated == 1  # which it was not:
    assert pair.secondary.tenant.find("user", userName=leaver["userName"])[0]["status"] == "PENDING"


def test_a_refused_relation_within_http_200_is_seen(pair: Pair) -> None:
    types = [*SKILLS, *PEOPLE]
    pair.sync(entities=types)
    agent, skill = pair.primary.dump()["agent"][1], pair.primary.dump()["skill"][0]
    ends = {"agentId": agent["agentId"], "skillId": skill["skillId"]}
    pair.primary.tenant.pair("agentSkill", **ends, proficiency=5, isActive=True)
    twin = pair.secondary.tenant.find("agent", userName=agent["userName"])[0]
    pair.secondary.faults.items[str(twin["agentId"])] = "not today"
    report = pair.sync(entities=["skill"], guard=LOOSE)
    assert "Refused" in reasons(report, "skill")['["Phone Call", "Sales"]']
    lacking = pair.without(take_out("skill", "attached", "agents", "add", "errors"))
    assert lacking.sync(entities=["skill"], guard=LOOSE).result == "Succeeded"  # which it was not:
    assert [text for text in pair.compare().lost if text.startswith("agentSkill")] != []


def test_a_refused_relation_is_tried_again(pair: Pair) -> None:
    pair.sync(entities=PEOPLE)
    twin = pair.secondary.dump()["agent"][0]
    pair.secondary.faults.items[str(twin["agentId"])] = "not today"
    assert pair.sync(entities=SKILLS).result == "Partial"
    pair.secondary.faults.items.clear()
    assert pair.sync(entities=SKILLS, guard=LOOSE).result == "Succeeded"
    assert [text for text in pair.compare().all if "agentSkill" in text] == []


# --- 2.2: tokens last an hour


def test_a_token_that_ends_in_the_middle_of_a_run_is_renewed(pair: Pair) -> None:
    pair.secondary.faults.drift("/skills$", lambda tenant: tenant.clock.advance(3601))
    pair.secondary.faults.drift("/v1/users$", lambda tenant: tenant.clock.advance(3601), method="POST")
    assert pair.sync().result == "Succeeded"
    assert pair.compare().all == []
    assert any(request.status == 401 for request in pair.secondary.requests())
    assert pair.secondary.tenant.identity.given >= 3


def test_a_profile_with_a_fixed_token_stops_when_it_ends(pair: Pair) -> None:
    lacking = pair.without(lambda profile: profile.update(auth={"kind": "bearer"}))
    report = lacking.sync()
    assert report.result == "Failed"
    assert "Unauthorized" in report.message


def test_a_wrong_access_key_is_said_and_not_shown(pair: Pair) -> None:
    config = pair.config()
    (pair.folder / "secondary" / "access_key_secret").write_text("canary-key")
    report = run(prepare(config, pair.folder))
    assert report.result == "Failed"
    assert "no token was given" in report.message
    assert "canary" not in report.model_dump_json()


# --- 2.2: discovery names the hosts


def test_a_discovered_address_on_a_strange_host_gets_no_credentials(pair: Pair) -> None:
    before = pair.written()
    pair.secondary.tenant.hosts["userhub"] = "https://elsewhere.example"
    report = pair.sync()
    assert report.result == "Failed"
    assert "elsewhere.example" in report.message
    assert pair.written() == before


def test_the_vendors_own_domains_are_allowed() -> None:
    addresses = Addresses(load("cxone"), tenant_id="t", endpoint="https://cxone.niceincontact.com")
    found = {"api_endpoint": "https://api-na1.niceincontact.com", "ui_endpoint": "https://na1.nice-incontact.com"}
    addresses.learn({"acd": "api_endpoint", "userhub": "ui_endpoint"}, found)
    assert addresses.url("acd") == "https://api-na1.niceincontact.com"
    for strange in ("https://niceincontact.com.evil.example", "http://api-na1.niceincontact.com"):
        with pytest.raises(AddressError):
            addresses.learn({"acd": "api_endpoint"}, {"api_endpoint": strange})


# --- 2.3: 429


def test_throttled_requests_are_sent_again_when_the_vendor_says(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def at_once(attempt: int, headers: Any, now: float) -> float:
        asked.append(headers.get("retry-after") if headers else None)
        return 0.001

    monkeypatch.setattr(session, "retry_delay_seconds", at_once)
    pair.secondary.faults.throttle("POST", "/skills$", times=2, retry_after="7")
    pair.primary.faults.throttle("GET", "/campaigns$", times=2, retry_after=None)
    assert pair.sync(entities=SKILLS).result == "Succeeded"
    assert asked == [None, None, "7", "7"]
    assert pair.compare().duplicated == []


# --- 2.4, 5.3: two ID spaces of one team, and of one person


def test_numbers_and_uuids_of_one_entity_are_both_rewritten(pair: Pair) -> None:
    pair.sync(entities=PEOPLE)
    found = pair.compare()
    assert [text for text in found.all if text.split()[1] in ("user", "team", "agent")] == []


def test_without_the_second_id_a_reference_by_uuid_leads_nowhere(pair: Pair) -> None:
    def one_space(profile: Document) -> None:
        profile["types"]["user"]["references"][2].pop("id")

    report = pair.without(one_space).sync(entities=PEOPLE)
    assert {issue.reason for issue in report.unresolved} == {"UnresolvedReference: teamId"}
