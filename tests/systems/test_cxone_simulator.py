"""The CXone simulator is what the tests take it for: every quirk that the reference notes list, seen from outside."""

from __future__ import annotations

import base64
import http.client
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.systems.cxone import Simulator, start_cxone, world
from tests.systems.cxone.api import ROUTES
from tests.systems.cxone.dr import DisasterRecovery
from tests.systems.cxone.reader import compare
from tests.systems.web import Answer, ask

ACD = "/acd/inContactAPI/services/v33.0"
USERHUB = "/userhub"


@pytest.fixture
def vendor() -> Iterator[Simulator]:
    with start_cxone() as simulator:
        yield simulator


class Caller:
    """Somebody with a token."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        body = {"accessKeyId": "access-key-id", "accessKeySecret": "access-key-secret=="}
        answer = ask(f"{simulator.base}{USERHUB}/authentication/v1/token/access-key", method="POST", body=body)
        assert answer.status == 200
        self.token: dict[str, Any] = answer.json()

    def __call__(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.token['access_token']}"}
        return ask(self.simulator.base + path, method=method, headers=headers, body=body)


@pytest.fixture
def call(vendor: Simulator) -> Caller:
    return Caller(vendor)


def phone(vendor: Simulator) -> int:
    number: int = next(row["mediaTypeId"] for row in vendor.dump()["mediaType"] if row["mediaTypeName"] == "Phone Call")
    return number


def test_every_operation_cites_its_section() -> None:
    assert len(ROUTES) > 70
    for route in ROUTES:
        assert re.match(r"^(1\.\d|2\.[1-4]|5\.[1-3])\b", route.cite), f"{route.method} {route.template}: {route.cite!r}"


def test_discovery_names_hosts_and_a_path_on_the_wrong_one_is_not_found(vendor: Simulator, call: Caller) -> None:
    found = ask(f"{vendor.base}/.well-known/cxone-configuration?tenantId=tenant").json()
    assert found["api_endpoint"].endswith("/acd")
    assert ask(f"{vendor.base}/.well-known/cxone-configuration?tenantId=other").status == 404
    assert call("GET", f"{ACD}/skills").status == 200
    assert call("GET", "/userhub/inContactAPI/services/v33.0/skills").status == 404


def test_both_ways_to_a_token(vendor: Simulator, call: Caller) -> None:
    client = base64.b64encode(b"client-id:client-secret").decode()
    form = b"grant_type=password&username=access-key-id&password=access-key-secret%3D%3D"
    connection = http.client.HTTPConnection("127.0.0.1", vendor.port, timeout=5)
    headers = {"Authorization": f"Basic {client}", "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/auth/token", body=form, headers=headers)
    assert connection.getresponse().status == 200
    connection.close()
    refreshed = ask(
        f"{vendor.base}{USERHUB}/public/user/refresh", method="POST", body={"token": call.token["refresh_token"]}
    )
    assert refreshed.status == 200
    wrong = {"accessKeyId": "access-key-id", "accessKeySecret": "no"}
    refused = ask(f"{vendor.base}{USERHUB}/authentication/v1/token/access-key", method="POST", body=wrong)
    assert refused.status == 401


def test_a_token_lasts_an_hour(vendor: Simulator, call: Caller) -> None:
    vendor.clock.advance(3599)
    assert call("GET", f"{ACD}/skills").status == 200
    vendor.clock.advance(2)
    assert call("GET", f"{ACD}/skills").status == 401


def test_a_skill_is_made_without_saying_its_id_and_refused_within_http_200(vendor: Simulator, call: Caller) -> None:
    wanted = [
        {"skillName": "Sales", "mediaTypeId": phone(vendor), "isOutbound": True},
        {"skillName": "Lost", "mediaTypeId": phone(vendor), "campaignId": 404},
    ]
    answer = call("POST", f"{ACD}/skills", {"skills": wanted})
    assert answer.status == 200
    assert answer.json()["errorCount"] == 1
    assert [result["success"] for result in answer.json()["skillsResults"]] == [True, False]
    assert "skillId" not in answer.json()["skillsResults"][0]
    assert call("POST", f"{ACD}/skills", {"skills": wanted[:1]}).json()["errorCount"] == 1  # the name is taken
    (made,) = call("GET", f"{ACD}/skills").json()["skills"]
    changed = {"isOutbound": False, "mediaTypeId": 0, "notes": "new", "isActive": False}
    assert call("PUT", f"{ACD}/skills/{made['skillId']}", {"skill": changed}).status == 200
    after = call("GET", f"{ACD}/skills/{made['skillId']}").json()
    assert (after["isOutbound"], after["mediaTypeId"]) == (True, phone(vendor))
    assert (after["notes"], after["isActive"]) == ("new", False)


def test_one_person_has_two_ids_and_can_only_be_deactivated(vendor: Simulator, call: Caller) -> None:
    world.fill(vendor, people=3)
    users = call("POST", f"{USERHUB}/user-management/v2/users/search", {"skip": 0, "top": 2}).json()
    assert (users["totalRecords"], len(users["users"])) == (3, 2)
    agents = call("GET", f"{ACD}/agents").json()["agents"]
    one = users["users"][0]
    twin = next(agent for agent in agents if agent["userID"] == one["id"])
    assert isinstance(twin["agentId"], int)
    assert len(one["id"]) == 36
    vendor.faults.items[one["userName"]] = "not now"
    away = f"{USERHUB}/user-management/v1/users/deactivate"
    answer = call("POST", away, {"userIds": [one["id"]]})
    assert (answer.status, answer.json()["notDeletedUserIds"]) == (200, [one["id"]])
    vendor.faults.items.clear()
    assert call("POST", away, {"userIds": [one["id"]]}).json()["notDeletedUserIds"] == []
    assert call("DELETE", f"{USERHUB}/user-management/v3/users/{one['id']}").status == 405
    gone = call("GET", f"{USERHUB}/user-management/v3/users/{one['id']}").json()["user"]
    assert gone["status"] == "DELETED"
    assert call("POST", f"{USERHUB}/user-management/v1/users/{one['id']}/revive").status == 200


def test_a_user_gets_no_password_and_keeps_a_name_to_himself(vendor: Simulator, call: Caller) -> None:
    role = vendor.dump()["role"][0]["roleId"]
    user = {"firstName": "A", "lastName": "B", "emailAddress": "a@b.example", "userName": "a@b.example", "role": role}
    path = f"{USERHUB}/user-management/v1/users"
    assert call("POST", path, {**user, "password": "x"}).status == 400
    assert call("POST", path, user).json()["success"]
    assert vendor.dump()["user"][0]["status"] == "PENDING"
    twice = call("POST", path, user)
    assert (twice.status, twice.json()["code"]) == (400, "USER_ALREADY_EXISTS")


def test_pages_drift_when_the_tenant_changes_between_them(vendor: Simulator, call: Caller) -> None:
    world.fill(vendor, people=5)
    first = vendor.dump()["agent"][0]["agentId"]
    vendor.faults.drift("/agents$", lambda tenant: tenant.remove("agent", first))
    one = call("GET", f"{ACD}/agents?skip=0&top=2").json()
    two = call("GET", f"{ACD}/agents?skip=2&top=2").json()
    assert (one["totalRecords"], two["totalRecords"]) == (5, 4)
    assert "next" in one["_links"]
    seen = {agent["agentId"] for agent in one["agents"] + two["agents"]}
    assert len({agent["agentId"] for agent in vendor.dump()["agent"]} - seen) == 1  # nobody was shown this one


def test_throttling_does_nothing_and_a_lost_answer_did_something(vendor: Simulator, call: Caller) -> None:
    vendor.faults.throttle("POST", "/campaigns$", retry_after="1")
    refused = call("POST", f"{ACD}/campaigns", {"name": "Winter"})
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert vendor.dump()["campaign"] == []
    vendor.faults.lose_answer("POST", "/campaigns$")
    with pytest.raises((OSError, http.client.HTTPException)):
        call("POST", f"{ACD}/campaigns", {"name": "Winter"})
    assert [row["name"] for row in vendor.dump()["campaign"]] == ["Winter"]
    assert [request.status for request in vendor.requests() if request.method == "POST"][-2:] == [429, 0]


def test_a_number_of_another_tenant_is_no_point_of_contact(vendor: Simulator, call: Caller) -> None:
    world.fill(vendor, people=2)
    state = vendor.dump()
    point = {"pointOfContactName": "Second", "skillId": state["skill"][0]["skillId"], "mediaTypeId": phone(vendor)}
    point |= {"scriptName": state["script"][0]["scriptName"], "pointOfContact": "+4922199"}
    assert call("POST", f"{ACD}/points-of-contact", point).status == 400
    own = {**point, "pointOfContact": vendor.tenant.phone_numbers[1]}
    answer = call("POST", f"{ACD}/points-of-contact", own)
    assert (answer.status, answer.json()) == (200, {})  # no ID


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"drEnabled": True, "passkey": "secret", "ifMatchVersion": 1}, 204),
        ({"drEnabled": True, "passkey": "wrong", "ifMatchVersion": 1}, 403),
        ({"drEnabled": True, "passkey": "secret", "ifMatchVersion": 7}, 409),
        ({"drEnabled": True, "passkey": "secret"}, 400),
        ({"drEnabled": True, "syncStart": True, "passkey": "secret", "ifMatchVersion": 1}, 400),
        ({"syncStart": True, "ifMatchVersion": 1}, 204),
    ],
)
def test_the_vendors_own_switch(change: dict[str, Any], status: int) -> None:
    recovery = DisasterRecovery("live", "standby", "secret")
    with start_cxone(2, "standby", recovery) as secondary:
        call, path = Caller(secondary), f"{USERHUB}/dr-manager/v1/tenant/standby/config"
        assert call("GET", path).json()["version"] == 1
        assert call("PATCH", path, change).status == status
        shown = call("GET", path).json()
        assert shown["drEnabled"] is (status == 204 and "drEnabled" in change)
        assert shown["version"] == (2 if status == 204 else 1)
        assert "secret" not in str(shown)


def test_the_reader_sees_every_kind_of_difference() -> None:
    with start_cxone(1) as one, start_cxone(2) as two:
        world.fill(one)
        world.fill(two)
        assert compare(one.dump(), two.dump()).all == []
        ids = {row["agentId"] for row in one.dump()["agent"]} & {row["agentId"] for row in two.dump()["agent"]}
        assert ids == set()
        state = two.dump()
        skill, agent = state["skill"][0], state["agent"][0]
        two.change("skill", skill["skillId"], initialPriority=99)
        two.tenant.add("tag", {**state["tag"][0], "tagId": 5})
        two.tenant.remove("campaign", state["campaign"][1]["id"])
        two.tenant.remove("agentSkill", state["agentSkill"][0]["key"])
        two.tenant.add("group", {"groupName": "Only here"})
        two.change("agent", agent["agentId"], reportToId=17)
        found = compare(one.dump(), two.dump())
        assert found.lost == [
            f"agentSkill {agent['userName']}/Phone Call/Sales",
            "campaign Summer",
        ]
        assert found.more == ["group Only here"]
        assert found.duplicated == ["tag vip & co"]
        assert "agent.reportToId 17 leads nowhere" in found.dangling
        assert any("initialPriority is 99, not 0" in text for text in found.different)
