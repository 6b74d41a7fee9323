"""The client against a real server: paging, retries, what is repeated and what never is, and what it can't do."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from bcp_operator.systems import pace as pace_module
from bcp_operator.systems import session as session_module
from bcp_operator.systems.catalog import parse
from bcp_operator.systems.client import ReadOnlyClient
from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.pace import Pace, retry_delay_seconds
from bcp_operator.systems.session import Session
from bcp_operator.systems.transport import open_client
from bcp_operator.systems.writer import WritableClient
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.http_server import Fake, Hang, Reset, Seen, serve

BASE: dict[str, Any] = {
    "auth": {"kind": "bearer"},
    "types": {
        "item": {
            "list": {"path": "/{tenantID}/items", "query": {"sort": "id"}, "items": "data"},
            "read": {"path": "/{tenantID}/items/{id}", "entity": "data"},
            "key": {"path": "name"},
            "marker": "notes.bcp",
            "create": {
                "method": "POST",
                "path": "/{tenantID}/items",
                "body": "{data: @}",
                "id": "data.id",
                "entity": "data",
            },
            "update": {"method": "PATCH", "path": "/{tenantID}/items/{id}", "encoding": "merge", "entity": "data"},
            "deactivate": {
                "method": "POST",
                "path": "/{tenantID}/items/{id}/off",
                "body": {"why": "bcp"},
                "doneWhen": "off",
            },
        }
    },
}
SECRETS = {"username": "u", "password": "p", "api_key": "k", "client_id": "c:i", "client_secret": "s s"}
ITEMS = [{"id": f"i{n}", "name": f"n{n}"} for n in range(7)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without the wait."""
    monkeypatch.setattr(session_module, "retry_delay_seconds", lambda attempt, headers, now: 0.001)
    monkeypatch.setattr(session_module, "WRITE_DEADLINE_SECONDS", 0.5)
    monkeypatch.setattr(session_module, "READ_DEADLINE_SECONDS", 0.5)


async def no_gate(_: float) -> None:
    """Lets everything through."""


@asynccontextmanager
async def connected(
    answer: Callable[[Seen], Any], *, gate: Any = no_gate, **profile: Any
) -> AsyncIterator[tuple[WritableClient, Fake]]:
    document = BASE | profile
    async with serve(answer) as fake, open_client() as http:
        yield (
            WritableClient(
                Session(
                    parse(yaml.safe_dump(document), "test"),
                    tenant_id="te/nant",
                    endpoint=fake.url + "/api/",
                    credentials={"token": "x"} | SECRETS,
                    transport=http,
                    pace=Pace(10000, 4),
                    gate=gate,
                )
            ),
            fake,
        )


async def ids(client: ReadOnlyClient) -> list[str]:
    return [item["id"] async for page in client.list("item") for item in page.items]


def query(seen: Seen) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(seen.target).query).items()}


def numbered(start_name: str, first: int, size_name: str, server_max: int = 3) -> Callable[[Seen], Any]:
    def answer(seen: Seen) -> Any:
        asked = query(seen)
        start, size = int(asked[start_name]) - first, min(server_max, int(asked[size_name]))
        return 200, {"data": ITEMS[start : start + size], "total": len(ITEMS)}, {}

    return answer


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("first", [0, 1])
async def test_offset_paging_goes_by_what_was_given(first: int, total: bool) -> None:
    paging = {"kind": "offset", "offsetParam": "skip", "first": first, "sizeParam": "top", "size": 100}
    item = BASE["types"]["item"]
    listing = item["list"] | ({"total": "total"} if total else {})
    async with connected(numbered("skip", first, "top"), paging=paging, types={"item": item | {"list": listing}}) as (
        client,
        fake,
    ):
        assert await ids(client) == [item["id"] for item in ITEMS]
        assert len(fake.seen) == (3 if total else 4)
        assert fake.seen[0].target.startswith("/api/te%2Fnant/items?sort=id&")
        assert fake.seen[0].headers["Authorization"] == "Bearer x"


async def test_page_number_cursor_and_links() -> None:
    def by_page(seen: Seen) -> Any:
        number = int(query(seen)["p"])
        return 200, {"data": ITEMS[(number - 1) * 3 : number * 3]}, {}

    def by_cursor(seen: Seen) -> Any:
        start = int(query(seen).get("c", "0"))
        return 200, {"data": ITEMS[start : start + 3], "next": start + 3 if start + 3 < len(ITEMS) else None}, {}

    def by_link(seen: Seen) -> Any:
        start = int(query(seen).get("token", "0"))
        more = start + 3 < len(ITEMS)
        # as a server behind a TLS proxy: own scheme and port
        link = {"Next-Page": f"https://127.0.0.1:1/elsewhere?token={start + 3}"} if more else {}
        return 200, {"data": ITEMS[start : start + 3]}, link

    everything = [item["id"] for item in ITEMS]
    async with connected(by_page, paging={"kind": "pageNumber", "pageParam": "p", "sizeParam": "n"}) as (client, _):
        assert await ids(client) == everything
    async with connected(by_cursor, paging={"kind": "cursor", "cursorParam": "c", "next": "next"}) as (client, _):
        assert await ids(client) == everything
    async with connected(by_link, paging={"kind": "nextLink", "header": "Next-Page"}) as (client, fake):
        assert await ids(client) == everything
        assert fake.seen[1].target == "/elsewhere?token=3"


async def test_a_link_to_another_host_gets_no_credentials() -> None:
    paging = {"kind": "nextLink", "path": "next"}
    body = {"data": ITEMS, "next": "http://evil.test/api/te%2Fnant/items"}
    async with connected(lambda _: (200, body, {}), paging=paging) as (client, fake):
        with pytest.raises(CallFailed, match="names another host"):
            await ids(client)
        assert len(fake.seen) == 1


async def test_a_listing_that_leads_in_a_circle_ends() -> None:
    paging = {"kind": "nextLink", "path": "next"}
    async with connected(lambda _: (200, {"data": ITEMS[:1], "next": "/again"}, {}), paging=paging) as (client, fake):
        with pytest.raises(CallFailed, match="a page that was read already"):
            await ids(client)
        assert len(fake.seen) == 2


@pytest.mark.parametrize("body", [{"items": []}, {"data": {}}, {"data": None}, b"<html>", b""])
async def test_an_answer_without_the_list_is_no_empty_list(body: Any) -> None:
    async with connected(lambda _: (200, body, {})) as (client, _):
        with pytest.raises(CallFailed, match="BadAnswer"):
            await ids(client)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
async def test_reads_are_tried_again(status: int) -> None:
    async with connected(lambda _: (status, b"secret body", {}) if len(fake.seen) < 4 else (200, {"data": []}, {})) as (
        client,
        fake,
    ):
        assert await ids(client) == []
        assert len(fake.seen) == 4


@pytest.mark.parametrize(
    ("status", "reason"), [(400, "Refused"), (401, "Unauthorized"), (403, "Unauthorized"), (302, "Refused")]
)
async def test_what_trying_again_would_not_help_is_not(status: int, reason: str) -> None:
    async with connected(lambda _: (status, b"secret body", {"Location": "/x"})) as (client, fake):
        with pytest.raises(CallFailed) as caught:
            await ids(client)
        assert str(caught.value) == f"{reason}: HTTP {status}"  # and nothing of the body
        assert len(fake.seen) == 1


async def test_a_create_is_sent_once_unless_it_certainly_was_not_handled() -> None:
    for failure, sent in (((500, b"", {}), 1), ((503, b"", {}), 1), (Hang(), 1), (Reset(), 1)):

        def answer(_: Seen, failure: Any = failure) -> Any:
            if isinstance(failure, Exception):
                raise failure
            return failure

        async with connected(answer) as (client, fake):
            with pytest.raises(CallFailed) as caught:
                await client.create("item", {"name": "a"}, "cid")
            assert caught.value.reason == "OutcomeUnknown"
            assert len(fake.seen) == sent
    async with connected(
        lambda _: (429, b"", {}) if len(fake.seen) < 3 else (201, {"data": {"id": 7, "name": "a"}}, {})
    ) as (client, fake):
        written = await client.create("item", {"name": "a"}, "cid")
        assert (written.id, written.entity) == ("7", {"id": 7, "name": "a"})
        assert [seen.method for seen in fake.seen] == ["POST"] * 3
        assert fake.seen[0].body == {"data": {"name": "a", "notes": {"bcp": "cid"}}}


async def test_updates_are_repeated_and_read_back_when_nothing_is_answered() -> None:
    def answer(seen: Seen) -> Any:
        if seen.method == "PATCH":
            return (500, b"", {}) if len(fake.seen) < 3 else (204, None, {})
        return 200, {"data": {"id": "a b", "name": "stored"}}, {}

    async with connected(answer) as (client, fake):
        written = await client.update(
            "item", "a b", desired={"name": "x"}, changes={"name": "x"}, current={}, correlation_id="c"
        )
        assert written.entity == {"id": "a b", "name": "stored"}
        assert [seen.method for seen in fake.seen] == ["PATCH", "PATCH", "PATCH", "GET"]
        assert fake.seen[0].target.endswith("/items/a%20b")


async def test_a_create_without_an_id_in_its_answer_is_of_unknown_outcome() -> None:
    async with connected(lambda _: (201, {"data": {"name": "a"}}, {})) as (client, _):
        with pytest.raises(CallFailed, match="OutcomeUnknown: the answer to the create holds no ID"):
            await client.create("item", {}, "c")


async def test_deactivation_sends_what_the_profile_says() -> None:
    async with connected(lambda seen: (404, b"", {}) if seen.method == "GET" else (204, None, {})) as (client, fake):
        assert (await client.deactivate("item", "1")).entity is None
        assert (fake.seen[0].method, fake.seen[0].body) == ("POST", {"why": "bcp"})


async def test_the_gate_is_asked_before_every_write_and_its_repetitions() -> None:
    asked: list[float] = []

    async def gate(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) == 3:
            raise PermissionError

    async with connected(lambda _: (500, b"", {}), gate=gate) as (client, fake):
        with pytest.raises(PermissionError):
            await client.update("item", "1", desired={}, changes={"name": "x"}, current={}, correlation_id="c")
        assert len(fake.seen) == 2
        assert asked == [session_module.WRITE_DEADLINE_SECONDS] * 3


async def test_error_rules_of_the_profile_come_first() -> None:
    rules = [
        {"status": [400], "when": "code == 'not_unique'", "means": "Duplicate"},
        {"status": [418], "means": "NotFound"},
    ]
    async with connected(lambda _: (400, {"code": "not_unique"}, {}), errors=rules) as (client, _):
        with pytest.raises(CallFailed) as caught:
            await client.create("item", {}, "c")
        assert caught.value.reason == "Duplicate"
    async with connected(lambda _: (400, b"not json", {}), errors=rules) as (client, _):
        with pytest.raises(CallFailed) as caught:
            await client.create("item", {}, "c")
        assert caught.value.reason == "Refused"
    async with connected(lambda _: (418, b"", {}), errors=rules) as (client, _):
        assert await client.read("item", "1") is None


async def test_an_unreachable_system_is_said() -> None:
    async with connected(lambda _: None) as (client, fake):
        client._session.addresses.endpoint = "http://127.0.0.1:1"
        with pytest.raises(CallFailed, match="Unreachable: can't connect"):
            await client.create("item", {}, "c")
        assert fake.seen == []


def test_the_primarys_client_has_no_way_to_write() -> None:
    public = {name for name, _ in inspect.getmembers(ReadOnlyClient) if not name.startswith("_")}
    assert public == {"attached", "capabilities", "find", "list", "offers", "read", "requests"}
    assert issubclass(WritableClient, ReadOnlyClient)


# --- pace


async def test_the_rate_is_kept() -> None:
    pace, began = Pace(200, 2), time.monotonic()
    for _ in range(22):
        async with pace.slot():
            pass
    assert time.monotonic() - began >= 0.09  # 22 at 200/s, 2 of them at once


async def test_retry_after_holds_everybody() -> None:
    pace = Pace(1000, 4)
    pace.hold(0.1)
    began = time.monotonic()
    async with pace.slot():
        assert time.monotonic() - began >= 0.09


def test_how_long_to_wait() -> None:
    assert retry_delay_seconds(1, {"retry-after": "7"}, 0) == 7
    assert retry_delay_seconds(1, {"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, 50) == 10
    assert retry_delay_seconds(1, {"retry-after": "soon"}, 0) <= 0.2
    assert retry_delay_seconds(1, {"retry-after": "\u00b2"}, 0) <= 0.2  # a digit to isdigit(), not to float()
    assert all(retry_delay_seconds(n, None, 0) <= 10 for n in range(1, 20))
    assert pace_module.MAX_ATTEMPTS == 6


@given(st.text(max_size=40), st.floats(0, 4e9))
@example("0\x1f", 0.0)  # white space to a regular expression, none to float()
def test_no_retry_after_stops_a_run(told: str, now: float) -> None:
    assert 0 <= retry_delay_seconds(1, {"retry-after": told}, now) < math.inf


@pytest.mark.parametrize("name", [".", ".."])
async def test_an_id_that_would_be_another_address_is_refused(name: str) -> None:
    async with connected(lambda _: (200, {"data": {"id": name}}, {})) as (client, fake):
        for call in (
            client.update("item", name, desired={}, changes={"a": 1}, current={}, correlation_id="c"),
            client.deactivate("item", name),
            client.read("item", name),
        ):
            with pytest.raises(CallFailed, match=r"Refused: .*part of an address"):
                await call
        assert fake.seen == []
        await client.read("item", "...")
        assert [seen.target for seen in fake.seen] == ["/api/te%2Fnant/items/..."]


DEEP = b'{"data":' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize("body", [DEEP, b'{"data":' + b"[" * 300 + b"]" * 300 + b"}"])
async def test_an_answer_nested_without_end_is_a_bad_answer(body: bytes) -> None:
    errors = [{"status": [400], "when": "data == 'x'", "means": "Duplicate"}]
    async with connected(lambda _: (200, body, {})) as (client, _):
        with pytest.raises(CallFailed, match=r"BadAnswer: the body .* is nested too deeply"):
            await ids(client)
        with pytest.raises(CallFailed, match="OutcomeUnknown"):
            await client.create("item", {"name": "x"}, "c")
        written = await client.update("item", "i", desired={}, changes={"a": 1}, current={}, correlation_id="c")
        assert written.entity is None
    async with connected(lambda _: (400, body, {}), errors=errors) as (client, _):
        with pytest.raises(CallFailed, match="Refused"):
            await ids(client)


async def test_an_expression_that_does_not_fit_one_entity_fails_that_entity_alone() -> None:
    item = BASE["types"]["item"]
    body = item["create"] | {"body": "{data: join(',', tags)}"}
    async with connected(lambda _: (201, {"data": {"id": "n"}}, {}), types={"item": item | {"create": body}}) as (
        client,
        fake,
    ):
        with pytest.raises(CallFailed, match=r"Refused: .*join"):
            await client.create("item", {"name": "x"}, "c")
        assert fake.seen == []
    answer = item["create"] | {"id": "join(',', data)"}
    async with connected(lambda _: (201, {"data": {"id": "n"}}, {}), types={"item": item | {"create": answer}}) as (
        client,
        fake,
    ):
        with pytest.raises(CallFailed, match=r"OutcomeUnknown: .*join"):
            await client.create("item", {"name": "x"}, "c")
    read = item["read"] | {"entity": "join(',', data)"}
    async with connected(lambda _: (200, {"data": 1}, {}), types={"item": item | {"read": read}}) as (client, fake):
        with pytest.raises(CallFailed, match="BadAnswer"):
            await client.read("item", "n")
