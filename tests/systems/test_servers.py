"""The test systems are what the tests take them for."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.systems import world
from tests.systems.client import asking, look
from tests.systems.reader import Directory, compare
from tests.systems.servers import start_kinto, start_scim
from tests.systems.web import Net


def ask(url: str, authorization: str | None, method: str = "GET", body: Any = None) -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        raw = answer.read()
        return json.loads(raw) if raw else None


def test_scim_restores_its_dump_and_logs_what_it_is_asked() -> None:
    dump = world.scim_dump(users=120, groups=4)
    with start_scim(token="t", dump=dump, name="SECONDARY") as server:
        page = ask(f"{server.base}/v2/Users?count=100&startIndex=101", "Bearer t")
        assert page["totalResults"] == 120
        assert len(page["Resources"]) == 20
        groups = ask(f"{server.base}/v2/Groups", "Bearer t")["Resources"]
        everybody = next(g for g in groups if g["externalId"] == "team-001")
        assert {m["value"] for m in everybody["members"]} == {
            r["id"] for r in dump if r["meta"]["resourceType"] == "User"
        }
        asked = [(r.method, r.target, r.status) for r in server.requests()]
        assert ("GET", "/v2/Users?count=100&startIndex=101", 200) in asked


def test_scim_refuses_a_wrong_token_and_a_second_user_of_one_name() -> None:
    with start_scim(token="t", dump=world.scim_dump(users=1, groups=0)) as server:
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(f"{server.base}/v2/Users", "Bearer wrong")
        assert refused.value.code == 401
        twin = {k: v for k, v in world.user(0).items() if k not in ("id", "meta")}
        with pytest.raises(urllib.error.HTTPError) as clash:
            ask(f"{server.base}/v2/Users", "Bearer t", "POST", twin)
        assert clash.value.code == 409


def test_login_page_names_the_system() -> None:
    with start_scim(name="SECONDARY") as server, urllib.request.urlopen(server.login_url, timeout=10) as answer:
        assert "<h1>Log in to SECONDARY</h1>" in answer.read().decode()


def test_kinto_restores_its_dump() -> None:
    with start_kinto(dump=world.kinto_dump(records=3), password="p") as server:
        records = ask(f"{server.base}/v1/buckets/acme/collections/agents/records", "Basic YmNwOnA=")["data"]
        assert len(records) == 3
        assert {"id", "login", "name", "enabled", "last_modified"} == set(records[0])


def test_the_company_is_the_same_every_time() -> None:
    assert world.scim_dump() == world.scim_dump()
    assert len(world.scim_dump()) == 330


def test_the_reader_sees_every_kind_of_difference() -> None:
    dump = world.scim_dump(users=40, groups=5)
    ids = {r["id"]: f"other-{r['id']}" for r in dump}
    text = json.dumps(dump)
    for here, there in ids.items():
        text = text.replace(here, there)
    copy = json.loads(text)
    with start_scim(token="a", dump=dump) as one, start_scim(token="b", dump=copy) as two:
        primary, secondary = Directory(f"{one.base}/v2", "a"), Directory(f"{two.base}/v2", "b")
        assert compare(primary, secondary).differences == []
        victim = secondary.find("Users", "userName", "agent0001@acme.example")
        assert victim is not None
        secondary.change("Users", victim["id"], title="Impostor")
        assert [d for d in compare(primary, secondary).differences if "title is" in d and "Impostor" in d]
        secondary.delete("Users", victim["id"])
        found = compare(primary, secondary).differences
        assert "user agent0001@acme.example is missing in the secondary" in found
        assert any("members missing" in d or "do not exist" in d for d in found)


def test_the_client_follows_by_hand_and_counts_changes() -> None:
    with start_scim(name="PRIMARY") as one:
        with asking(one.login_url, Net()) as client:
            client.wait("PRIMARY", 0, 5)
        assert client.pages == ["PRIMARY"]
        assert client.statuses == {200}
        assert client.errors == []
        one.kill()
        assert look(one.login_url, Net()).error.startswith("ConnectionRefused")
