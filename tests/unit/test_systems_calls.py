"""What a profile can say of single calls: pages asked for in a body, parts that a listing leaves out, answers with a
meaning of their own, IDs that an update's body carries too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml
from bcp_operator.systems.catalog import ProfileError, parse
from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.pace import Pace
from bcp_operator.systems.session import Session
from bcp_operator.systems.transport import open_client
from bcp_operator.systems.writer import WritableClient

from tests.unit.http_server import Fake, Seen, serve

ITEMS = [{"id": n, "name": f"n{n}"} for n in range(5)]


def profile(**item: Any) -> str:
    listing = {"path": "/items", "items": "data", "total": "total"}
    base = {"list": listing, "key": {"path": "name"}, "create": {"method": "POST", "path": "/items"}}
    base["update"] = {"method": "PUT", "path": "/items"}
    return yaml.safe_dump({"auth": {"kind": "none"}, "types": {"item": base | item}})


async def _open(_: float) -> None:
    """Lets every write through."""


@asynccontextmanager
async def connected(answer: Callable[[Seen], Any], **item: Any) -> AsyncIterator[tuple[WritableClient, Fake]]:
    async with serve(answer) as fake, open_client() as http:
        session = Session(
            parse(profile(**item), "test"),
            tenant_id="t",
            endpoint=fake.url,
            credentials={},
            transport=http,
            pace=Pace(10_000, 4),
            gate=_open,
        )
        yield WritableClient(session), fake


def search(**paging: Any) -> dict[str, Any]:
    return {
        "method": "POST",
        "path": "/search",
        "body": {"filter": {"kind": "x"}},
        "items": "data",
        "total": "total",
        "paging": {"place": "body", "size": 2, **paging},
    }


OFFSET = search(kind="offset", offsetParam="skip", sizeParam="top")
NUMBER = search(kind="pageNumber", pageParam="page.pageNo", sizeParam="page.pageSize")


@pytest.mark.parametrize(
    ("listing", "first"),
    [
        (OFFSET, lambda body: body["skip"]),
        (NUMBER, lambda body: (body["page"]["pageNo"] - 1) * body["page"]["pageSize"]),
    ],
)
async def test_a_search_is_paged_by_numbers_in_its_body(listing: Any, first: Callable[[Any], int]) -> None:
    def answer(seen: Seen) -> Any:
        assert seen.body["filter"] == {"kind": "x"}
        return 200, {"data": ITEMS[first(seen.body) :][:2], "total": len(ITEMS)}, {}

    async with connected(answer, list=listing) as (client, fake):
        found = [item async for page in client.list("item") for item in page.items]
        assert found == ITEMS
        assert [seen.target for seen in fake.seen] == ["/search"] * 3


async def test_a_search_without_a_body_of_its_own_is_paged_too() -> None:
    listing = {name: value for name, value in OFFSET.items() if name != "body"}
    async with connected(lambda seen: (200, {"data": [], "total": 0}, {}), list=listing) as (client, fake):
        assert [page.items async for page in client.list("item")] == [[]]
        assert fake.seen[0].body == {"skip": 0, "top": 2}


def test_a_get_has_no_body_to_page_in() -> None:
    listing = {**OFFSET, "method": "GET"}
    with pytest.raises(ProfileError, match="the method has to be POST"):
        parse(profile(list=listing), "test")


async def test_what_the_listing_leaves_out_is_read() -> None:
    def answer(seen: Seen) -> Any:
        if seen.target == "/items":
            return 200, {"data": ITEMS, "total": len(ITEMS)}, {}
        return 200, {"id": int(seen.target.rpartition("/")[2]), "notes": seen.target}, {}

    async with connected(answer, detailed=True, read={"path": "/items/{id}"}) as (client, _):
        found = [item async for page in client.list("item") for item in page.items]
        assert found == [{**item, "notes": f"/items/{item['id']}"} for item in ITEMS]


async def test_an_entity_that_vanishes_between_listing_and_read_breaks_the_listing() -> None:
    def answer(seen: Seen) -> Any:
        return (200, {"data": ITEMS, "total": len(ITEMS)}, {}) if seen.target == "/items" else (404, None, {})

    async with connected(answer, detailed=True, read={"path": "/items/{id}"}) as (client, _):
        with pytest.raises(CallFailed, match="Changing"):
            _ = [page async for page in client.list("item")]


def test_details_need_a_read_call() -> None:
    with pytest.raises(ProfileError, match="detailed: it needs read"):
        parse(profile(detailed=True), "test")


@pytest.mark.parametrize("own", [True, False])
async def test_a_call_judges_its_own_answers(own: bool) -> None:
    rules = [{"status": [200], "when": "left[0] != null", "means": "Refused"}]
    call = {"method": "POST", "path": "/off", "body": {"ids": ["{id}"]}, "doneWhen": "off"} | (
        {"errors": rules} if own else {}
    )

    def answer(seen: Seen) -> Any:
        assert seen.body == {"ids": ["7"]}
        return 200, {"left": ["7"]}, {}

    async with connected(answer, deactivate=call) as (client, _):
        if own:
            with pytest.raises(CallFailed, match="Refused"):
                await client.deactivate("item", "7")
        else:
            await client.deactivate("item", "7")


async def test_an_update_carries_the_id_in_its_body() -> None:
    update = {"method": "PUT", "path": "/items", "idField": "itemId", "body": "merge(@, {itemId: to_number(itemId)})"}
    async with connected(lambda seen: (200, {}, {}), update=update) as (client, fake):
        changes = {"name": "new"}
        await client.update("item", "7", desired=changes, changes=changes, current={}, correlation_id="c")
        assert fake.seen[0].body == {"name": "new", "itemId": 7}
