"""What is sent to the secondary, part by part of the profile language, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from bcp_operator.systems.catalog import ProfileError, parse
from bcp_operator.systems.content import REMOVED
from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.traits import Traits
from bcp_operator.systems.writer import WritableClient

from tests.unit.http_server import Seen
from tests.unit.test_systems_client import BASE, connected, quick

__all__ = ["quick"]

ITEM = BASE["types"]["item"]


def types(**parts: Any) -> dict[str, Any]:
    return {"item": ITEM | parts}


async def update(client: WritableClient, changes: dict[str, Any], **more: Any) -> Any:
    desired = {name: value for name, value in changes.items() if value is not REMOVED}
    given: dict[str, Any] = {"desired": desired, "changes": changes, "current": {}, "correlation_id": "c"}
    return await client.update("item", "7", **given | more)


def fine(seen: Seen) -> Any:
    return (201, {"data": {"id": "n"}}, {}) if seen.method == "POST" else (204, None, {})


async def test_changes_as_json_patch() -> None:
    changed = {
        "method": "PATCH",
        "path": "/x/{id}",
        "encoding": "jsonPatch",
        "contentType": "application/json-patch+json",
    }
    async with connected(fine, types=types(update=changed)) as (client, fake):
        await update(client, {"a/b~c": 1, "new": {"x": 1}, "old": REMOVED}, current={"a/b~c": 0, "old": 1})
        assert fake.seen[0].body == [
            {"op": "replace", "path": "/a~1b~0c", "value": 1},
            {"op": "add", "path": "/new", "value": {"x": 1}},
            {"op": "remove", "path": "/old"},
        ]
        assert fake.seen[0].headers["Content-Type"] == "application/json-patch+json"


async def test_forms_queries_and_no_body_at_all() -> None:
    as_form = ITEM["create"] | {"contentType": "application/x-www-form-urlencoded", "body": "@"}
    async with connected(fine, types=types(create=as_form, marker=None)) as (client, fake):
        await client.create("item", {"name": "a&b", "on": True, "none": None}, "c")
        assert parse_qs(fake.seen[0].body) == {"name": ["a&b"], "on": ["true"]}
    as_query = ITEM["create"] | {"query": {"tagName": "name", "on": "on", "none": "missing"}, "body": None}
    async with connected(fine, types=types(create=as_query, marker=None)) as (client, fake):
        await client.create("item", {"name": "a b", "on": False}, "c")
        assert parse_qs(urlsplit(fake.seen[0].target).query) == {"tagName": ["a b"], "on": ["false"]}
        assert fake.seen[0].body is None
        assert "Content-Type" not in fake.seen[0].headers or fake.seen[0].headers["Content-Length"] == "0"


async def test_calls_name_any_id_of_an_entity_in_path_and_body() -> None:
    calls: dict[str, Any] = {
        "ids": {"number": "nr"},
        "deactivate": {
            **{"method": "POST", "path": "/off/{number}", "doneWhen": "off"},
            "body": {"ids": ["{number}"], "uuid": "{id}", "why": "{reason}"},
        },
        "revive": {"method": "DELETE", "path": "/off/{id}"},
    }
    async with connected(fine, types=types(**calls)) as (client, fake):
        await client.deactivate("item", "u-1", Traits({"number": 17}))
        assert (fake.seen[0].target, fake.seen[0].body) == (
            "/api/off/17",
            {"ids": [17], "uuid": "u-1", "why": "{reason}"},
        )
        await client.revive("item", "u-1", Traits({"number": 17}))
        assert [(seen.method, seen.target) for seen in fake.seen if seen.method == "DELETE"] == [
            ("DELETE", "/api/off/u-1")
        ]
        with pytest.raises(CallFailed, match="the entity's number is not known"):
            await client.deactivate("item", "u-1")


# --- versions


@pytest.mark.parametrize(
    ("version", "header", "body"),
    [
        ({"path": "rev", "header": "If-Match"}, "5", {"name": "x"}),
        ({"path": "rev", "field": "ifMatchVersion"}, None, {"name": "x", "ifMatchVersion": 5}),
    ],
)
async def test_the_version_that_was_listed_goes_with_an_update(version: Any, header: Any, body: Any) -> None:
    async with connected(fine, types=types(version=version)) as (client, fake):
        await update(client, {"name": "x"}, traits=Traits(version=5))
        assert (fake.seen[0].headers.get("If-Match"), fake.seen[0].body) == (header, body)


async def test_an_etag_is_read_just_before_the_update_and_what_changed_meanwhile_is_left_alone() -> None:
    def answer(seen: Seen) -> Any:
        return (200, {"data": {"name": "listed"}}, {"ETag": '"e1"'}) if seen.method == "GET" else (204, None, {})

    async with connected(answer, types=types(version={"header": "If-Match"})) as (client, fake):
        await update(client, {"name": "x"}, same=lambda raw: raw == {"name": "listed"})
        assert [seen.method for seen in fake.seen] == ["GET", "PATCH", "GET"]
        assert fake.seen[1].headers["If-Match"] == '"e1"'
        with pytest.raises(CallFailed, match="Stale"):
            await update(client, {"name": "x"}, same=lambda _: False)
        assert [seen.method for seen in fake.seen].count("PATCH") == 1


async def test_a_refused_version_is_stale() -> None:
    async with connected(lambda _: (412, None, {})) as (client, fake):
        with pytest.raises(CallFailed, match="Stale: HTTP 412"):
            await update(client, {"name": "x"})
        assert len(fake.seen) == 1


# --- capabilities


async def test_what_the_system_offers_decides_and_is_asked_once() -> None:
    parts: dict[str, Any] = {
        "version": {"path": "rev", "header": "If-Match", "when": "etag"},
        "update": {
            **{"method": "PATCH", "path": "/p/{id}", "encoding": "merge", "when": "patch"},
            "otherwise": {"method": "PUT", "path": "/u/{id}"},
        },
    }
    for offered, method, header in (
        ({"patch": True}, "PATCH", None),
        ({"etag": True}, "PUT", "5"),
        (None, "PUT", None),
    ):

        def answer(seen: Seen, offered: Any = offered) -> Any:
            if seen.target.endswith("/can"):
                return (404, None, {}) if offered is None else (200, {"support": offered}, {})
            return 204, None, {}

        capabilities = {"path": "/can", "entity": "support"}
        async with connected(answer, types=types(**parts), capabilities=capabilities) as (client, fake):
            for _ in range(2):
                await update(client, {"name": "x"}, traits=Traits(version=5))
            writes = [seen for seen in fake.seen if seen.method != "GET"]
            assert [(seen.method, seen.headers.get("If-Match")) for seen in writes] == [(method, header)] * 2
            assert sum(seen.target.endswith("/can") for seen in fake.seen) == 1


# --- success that is none


async def test_a_failure_inside_status_200_is_a_failure() -> None:
    rules = [{"status": [200], "when": "errorCount > `0` && code == 'EXISTS'", "means": "Duplicate"}]
    rules += [{"status": [200], "when": "errorCount > `0`", "means": "Refused"}]
    for body, said in (({"errorCount": 1, "code": "EXISTS"}, "Duplicate"), ({"errorCount": 1}, "Refused")):

        def answer(_: Seen, body: Any = body) -> Any:
            return 200, body, {}

        async with connected(answer, errors=rules) as (client, _):
            with pytest.raises(CallFailed, match=f"{said}: HTTP 200"):
                await client.create("item", {"name": "x"}, "c")


# --- bulk

BULK: dict[str, Any] = {
    **{"path": "/bulk", "size": 3, "item": "{do: method, at: path, ref: ref, data: body}", "body": "{ops: @}"},
    **{"results": "done", "ref": "ref", "status": "status", "id": "new", "entity": "made"},
    "errors": [{"status": [400], "when": "why == 'taken'", "means": "Duplicate"}],
}


def bulk_types(**more: Any) -> dict[str, Any]:
    bulk = {name: value for name, value in (BULK | more).items() if value is not None}
    return types(create=ITEM["create"] | {"bulk": bulk}, update=ITEM["update"] | {"bulk": bulk}, marker=None)


def server_of(outcome: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Seen], Any]:
    """Answers a bulk request with each item's outcome, the last first."""

    def answer(seen: Seen) -> Any:
        return 200, {"done": [outcome(item) | {"ref": item["ref"]} for item in reversed(seen.body["ops"])]}, {}

    return answer


async def outcomes(*writes: Any) -> list[Any]:
    return [
        str(one) if isinstance(one, CallFailed) else one
        for one in await asyncio.gather(*writes, return_exceptions=True)
    ]


async def test_creates_share_a_request_and_each_gets_its_own_outcome() -> None:
    def outcome(item: dict[str, Any]) -> dict[str, Any]:
        name = item["data"]["data"]["name"]
        bad: dict[str, dict[str, Any]] = {
            "taken": {"status": 400, "why": "taken"},
            "bad": {"status": "422"},
            "busy": {"status": "503"},
        }
        return bad.get(name, {"status": "201", "new": f"id-{name}", "made": {"name": name}})

    async with connected(server_of(outcome), types=bulk_types()) as (client, fake):
        assert await client.batch_size("item") == 3
        names = ["a", "taken", "bad", "busy", "e"]
        got = await outcomes(*(client.create("item", {"name": name}, "c") for name in names))
        assert [len(seen.body["ops"]) for seen in fake.seen] == [3, 2]
        assert (fake.seen[0].body["ops"][0]["do"], fake.seen[0].body["ops"][0]["at"]) == ("POST", "/te%2Fnant/items")
        assert (got[0].id, got[0].entity) == ("id-a", {"name": "a"})
        assert got[1:4] == [
            *("Duplicate: bulk result 400", "Refused: bulk result 422", "OutcomeUnknown: bulk result 503"),
        ]
        assert got[4].id == "id-e"
        assert client.writes == 2


async def test_updates_share_a_request_and_are_told_apart_by_their_ids() -> None:
    async with connected(server_of(lambda item: {"status": 200, "made": {"at": item["at"]}}), types=bulk_types()) as (
        client,
        fake,
    ):
        parts: dict[str, Any] = {"desired": {}, "changes": {"name": "x"}, "current": {}, "correlation_id": "c"}
        got = await outcomes(*(client.update("item", one, **parts) for one in ("u1", "u2")))
        assert [one.entity["at"] for one in got] == ["/te%2Fnant/items/u1", "/te%2Fnant/items/u2"]
        assert sorted(item["ref"] for item in fake.seen[0].body["ops"]) == ["u1", "u2"]


@pytest.mark.parametrize(
    ("answer", "more", "said"),
    [
        ((500, b"", {}), {}, "OutcomeUnknown: HTTP 500"),
        ((429, b"", {}), {}, "Throttled: HTTP 429"),
        ((200, {"done": []}, {}), {}, "OutcomeUnknown: the bulk answer holds no result for this entity"),
        ((200, {"done": {}}, {}), {}, "OutcomeUnknown: the bulk answer holds no list"),
        ((200, {"done": [{}]}, {}), {"ref": None}, "OutcomeUnknown: the bulk answer holds another number"),
        ((200, {"done": [{}, {}]}, {}), {"ref": None}, "OutcomeUnknown: a result of the bulk answer holds no status"),
        ((200, b"<html>", {}), {}, "OutcomeUnknown: the body"),
    ],
)
async def test_what_a_bulk_answer_does_not_tell_is_of_unknown_outcome(answer: Any, more: Any, said: str) -> None:
    async with connected(lambda _: answer, types=bulk_types(**more)) as (client, fake):
        got = await outcomes(*(client.create("item", {"name": name}, "c") for name in "ab"))
        assert [one[: len(said)] for one in got] == [said, said]
        assert len(fake.seen) == (6 if "429" in said else 1)


async def test_results_in_order_without_a_status_are_judged_by_their_content() -> None:
    rules = [{"status": [200], "when": "!success", "means": "Refused"}]
    bulk = bulk_types(ref=None, status=None, errors=rules, results="@", item="body", body="@")
    body = [{"success": True, "new": 4}, {"success": False}]
    async with connected(lambda _: (200, body, {}), types=bulk) as (client, fake):
        got = await outcomes(*(client.create("item", {"name": name}, "c") for name in "ab"))
        assert got[0].id == "4"
        assert got[1] == "Refused: bulk result 200"
        assert [item["data"]["name"] for item in fake.seen[0].body] == ["a", "b"]


async def test_bulk_is_used_as_far_as_the_system_offers_it() -> None:
    def answer(offered: Any) -> Callable[[Seen], Any]:
        def answered(seen: Seen) -> Any:
            if seen.target.endswith("/can"):
                return 200, offered, {}
            if seen.target.endswith("/bulk"):
                return server_of(lambda _: {"status": 201, "new": "b"})(seen)
            return 201, {"data": {"id": "single"}}, {}

        return answered

    limits = {"when": "bulk", "maxSize": "most", "maxBytes": "bytes", "size": 10}
    for offered, sizes in (
        ({"bulk": True, "most": 2}, [2, 2]),
        ({"bulk": True, "most": 10, "bytes": 150}, [1, 1, 1, 1]),
        ({"bulk": False}, []),
    ):
        async with connected(answer(offered), types=bulk_types(**limits), capabilities={"path": "/can"}) as (
            client,
            fake,
        ):
            names = ["x" * 40] * 4
            got = await outcomes(*(client.create("item", {"name": name}, "c") for name in names))
            assert [len(seen.body["ops"]) for seen in fake.seen if seen.target.endswith("/bulk")] == sizes
            assert {one.id for one in got} == ({"b"} if sizes else {"single"})
    async with connected(
        answer({"bulk": True, "bytes": 20}), types=bulk_types(**limits), capabilities={"path": "/can"}
    ) as (
        client,
        fake,
    ):
        assert await outcomes(client.create("item", {"name": "a" * 50}, "c")) == [
            "Refused: larger than the system takes in a bulk request"
        ]


async def test_a_write_that_is_given_up_ends_its_bulk_request() -> None:
    async with connected(fine, types=bulk_types()) as (client, fake):
        waiting = asyncio.create_task(client.create("item", {"name": "a"}, "c"))
        await asyncio.sleep(0)
        waiting.cancel()
        await client.aclose()
        await asyncio.sleep(0.05)
        assert fake.seen == []


# --- attached fields


class Skills:
    """An agent's skills behind calls of their own."""

    def __init__(self) -> None:
        self.skills: dict[int, dict[str, Any]] = {1: {"id": 1, "level": 3}, 2: {"id": 2, "level": 1}}
        self.calls: list[tuple[str, str, Any]] = []
        self.settings: Any = {"pause": 5}

    def __call__(self, seen: Seen) -> Any:
        path = urlsplit(seen.target).path.removeprefix("/api")
        if seen.method == "GET":
            if path.endswith("/settings"):
                return 200, {"settings": self.settings}, {}
            if path.endswith("/skills"):
                return 200, {"skills": list(self.skills.values())}, {}
            return (
                200,
                {"data": {"id": "7", "nr": 70, "name": "a"} if "/7" in path else [{"id": "7", "nr": 70, "name": "a"}]},
                {},
            )
        self.calls.append((seen.method, path, seen.body))
        if path.endswith("/settings"):
            self.settings = seen.body
        return 204, None, {}


SKILLS: dict[str, Any] = {
    "list": {"path": "/agents/{nr}/skills", "items": "skills"},
    "key": "id",
    "add": {"method": "POST", "path": "/agents/{nr}/skills", "body": "{skills: @}"},
    "remove": {"method": "DELETE", "path": "/agents/{nr}/skills/{key}", "body": None},
}
SETTINGS: dict[str, Any] = {
    "read": {"path": "/agents/{nr}/settings", "entity": "settings"},
    "replace": {"method": "PUT", "path": "/agents/{nr}/settings", "body": "@"},
}


def attached(**fields: Any) -> dict[str, Any]:
    return types(ids={"nr": "nr"}, attached=fields)


async def test_attached_fields_are_read_with_the_entity() -> None:
    async with connected(Skills(), types=attached(skills=SKILLS, settings=SETTINGS)) as (client, fake):
        pages = [page.items async for page in client.list("item")]
        assert pages[0][0]["skills"] == [{"id": 1, "level": 3}, {"id": 2, "level": 1}]
        assert pages[0][0]["settings"] == {"pause": 5}
        assert await client.read("item", "7") == pages[0][0]
        assert all(seen.method == "GET" for seen in fake.seen)


async def test_a_relation_is_written_as_the_difference_of_two_sets() -> None:
    before = [{"id": 1, "level": 3}, {"id": 2, "level": 1}]
    after = [{"id": 2, "level": 9}, {"id": 3, "level": 2}]
    both = ("/agents/70/skills/1", "/agents/70/skills/2")
    vendor = Skills()
    async with connected(vendor, types=attached(skills=SKILLS)) as (client, _):
        await update(client, {"skills": after}, current={"skills": before}, traits=Traits({"nr": 70}))
        assert vendor.calls == [
            *[("DELETE", path, None) for path in both],
            ("POST", "/agents/70/skills", {"skills": after}),
        ]
    vendor = Skills()
    change = {"method": "PUT", "path": "/agents/{nr}/skills", "body": "@"}
    async with connected(vendor, types=attached(skills=SKILLS | {"change": change})) as (client, _):
        await update(client, {"skills": after, "name": "b"}, current={"skills": before}, traits=Traits({"nr": 70}))
        assert [call[:2] for call in vendor.calls] == [
            *[("PATCH", "/te%2Fnant/items/7"), ("DELETE", both[0]), ("PUT", "/agents/70/skills")],
            ("POST", "/agents/70/skills"),
        ]
        assert vendor.calls[0][2] == {"name": "b"}  # the entity's own call carries no attached field
        assert vendor.calls[2][2] == [{"id": 2, "level": 9}]
    vendor = Skills()
    async with connected(vendor, types=attached(skills=SKILLS)) as (client, _):
        await update(client, {"skills": REMOVED}, current={"skills": before}, traits=Traits({"nr": 70}))
        assert [call[1] for call in vendor.calls] == list(both)


async def test_a_part_is_written_as_a_whole_and_read_back() -> None:
    vendor = Skills()
    async with connected(vendor, types=attached(settings=SETTINGS)) as (client, _):
        written = await update(client, {"settings": {"pause": 9}}, current={}, traits=Traits({"nr": 70}))
        assert vendor.calls == [("PUT", "/agents/70/settings", {"pause": 9})]
        assert written.entity["settings"] == {"pause": 9}


async def test_a_create_carries_no_attached_field() -> None:
    async with connected(fine, types=attached(skills=SKILLS)) as (client, fake):
        await client.create("item", {"name": "a", "skills": [{"id": 1}]}, "c")
        assert "skills" not in fake.seen[0].body["data"]


# --- what contradicts itself


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"version": {"path": "rev"}}, "version: give header or field, and not both"),
        ({"version": {"header": "If-Match"}, "read": None}, "version: without `path` the version is read just before"),
        (
            {"version": {"path": "rev", "field": "v"}, "update": ITEM["update"] | {"encoding": "jsonPatch"}},
            "version.field: a jsonPatch body has no fields; give `header`",
        ),
        ({"content": "@"}, "update.encoding: with `content` only replace can be written"),
        ({"update": ITEM["update"] | {"when": "x"}}, "update: when and otherwise belong together"),
        ({"find": {"path": "/f", "when": "x"}}, "find.when: the profile has no `capabilities` to ask"),
        ({"create": ITEM["create"] | {"path": "/x/{id}"}}, "create.path: {id} means nothing here; {tenantID} do"),
        ({"read": {"path": "/x/{number}"}}, "read.path: {number} means nothing here; {id}, {tenantID} do"),
        ({"revive": {"method": "POST", "path": "/r"}, "deactivate": None}, "revive: it needs deactivate"),
        ({"attached": {"a": {"key": "id"}}}, "attached.a: give list (elements) or read (one value), and not both"),
        ({"attached": {"a": SKILLS | {"remove": None}}}, "attached.a: give replace, or add and remove, and not both"),
        (
            {"attached": {"a": {"read": {"path": "/r"}, "add": SKILLS["add"], "remove": SKILLS["remove"]}}},
            "attached.a: a field that is read as a whole is written as a whole: give replace",
        ),
        ({"references": [{"path": "x", "to": ["item"], "id": "nr"}]}, "type 'item' has no 'nr' under `ids`"),
        ({"references": [{"path": "x", "to": ["item"], "required": True}]}, "it leads back to its own type"),
        ({"update": ITEM["update"] | {"method": "DELETE"}}, "update.method"),
    ],
)
def test_mistakes_in_calls_are_named(parts: dict[str, Any], said: str) -> None:
    item = {name: value for name, value in (ITEM | parts).items() if value is not None}
    with pytest.raises(ProfileError) as caught:
        parse(yaml.safe_dump(BASE | {"types": {"item": item}}), "p.yaml")
    assert said in str(caught.value)
    assert "types.item" in str(caught.value)


def test_a_rule_for_a_success_needs_a_condition() -> None:
    with pytest.raises(ProfileError, match=r"line \d+: errors.0: a rule for a status below 400 needs `when`"):
        parse(yaml.safe_dump(BASE | {"errors": [{"status": [200], "means": "Refused"}]}), "p.yaml")
