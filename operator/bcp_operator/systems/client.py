"""Reading one system as its profile says. The primary is only ever given a ReadOnlyClient, made without a gate: its
session can send no call but those declared as list, find, read, discovery or token (systems/session.py).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from .auth import FORM
from .encode import query
from .errors import CallFailed
from .paging import PageRequest, PageSeen, PagingError, first_page, next_page
from .profile import Attached, EntityType, FindCall, ListCall, ReadCall
from .session import Request, Session, applied, json_of
from .traits import traits_of
from .transport import Answer

MAX_PAGES = 1_000_000


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, as the system gave it."""

    items: list[Any]
    total: int | None


class ReadOnlyClient:
    """Lists and reads entities of one system."""

    def __init__(self, session: Session) -> None:
        self.profile = session.profile
        self._session = session
        self._capabilities: Any = None
        self._asking = asyncio.Lock()

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._session.requests

    async def list(self, type_name: str) -> AsyncIterator[Page]:
        """Every page of a type's listing, in order, attached fields with it.

        Raises CallFailed; says nothing about completeness (sync/read.py).
        """
        entity_type = self.profile.types[type_name]
        async for page in self._pages(entity_type.listing, {}):
            if entity_type.attached:
                together = (self._with_attached(entity_type, item) for item in page.items)
                page = Page(list(await asyncio.gather(*together)), page.total)  # noqa: PLW2901
            yield page

    async def read(self, type_name: str, entity_id: str) -> Mapping[str, Any] | None:
        """One entity; None when there is none, or when the profile has no read call. Raises CallFailed."""
        found = await self._read(type_name, {"id": entity_id})
        return None if found is None else found[0]

    async def find(self, type_name: str, key: str) -> Sequence[Mapping[str, Any]] | None:
        """Entities that the system's own filter gives for a natural key, unchecked; None when it can't filter.

        Raises CallFailed.
        """
        call = self.profile.types[type_name].find
        if call is None or not await self.offers(call, call.when):
            return None
        found = [item async for page in self._pages(call, {}, key) for item in page.items]
        return [await self._with_attached(self.profile.types[type_name], item) for item in found]

    async def offers(self, part: Any, when: str | None) -> bool:
        """Whether the system's capabilities allow a part of the profile. Raises CallFailed."""
        return when is None or bool(applied(part.compiled(when), await self.capabilities(), "BadAnswer"))

    async def capabilities(self) -> Any:
        """What the system says it supports; asked once. Raises CallFailed."""
        call = self.profile.capabilities
        if call is None:
            return {}
        async with self._asking:
            if self._capabilities is None:
                self._capabilities = await self._ask_capabilities(call)
        return self._capabilities

    async def _ask_capabilities(self, call: ReadCall) -> Any:
        try:
            answer = await self._get(call, {})
        except CallFailed as error:
            if error.reason == "NotFound":
                return {}  # a system that doesn't tell supports nothing of it
            raise
        return applied(call.compiled(call.entity), json_of(answer), "BadAnswer") or {}

    async def _pages(self, call: ListCall, values: Mapping[str, object], key: str = "") -> AsyncIterator[Page]:
        paging = call.paging or self.profile.paging
        request: PageRequest | None = first_page(paging)
        so_far, asked = 0, set[str]()
        body = None if call.body is None else json.dumps(_with_key(call.body, call, key)).encode()
        url = await self._session.url(call.base, call.path, values)
        host = urlsplit(url).hostname or ""
        for number in range(MAX_PAGES):
            if request is None:
                return
            target = _page_url(url, _with_key(call.query, call, key), request)
            if target in asked:
                raise CallFailed("BadAnswer", "the listing leads back to a page that was read already")
            asked.add(target)
            answer = await self._session.send(Request(call.method, target, self._content_type(None, body), body))
            document = json_of(answer)
            total = _total(call, document)
            items = _items(applied(call.compiled(call.items), document, "BadAnswer"), total)
            so_far += len(items)
            yield Page(items, total)
            seen = PageSeen(number, len(items), so_far, total, document, answer.headers)
            try:
                request = next_page(paging, seen, host)
            except (PagingError, ValueError) as error:
                raise CallFailed("BadAnswer", str(error)) from None
        raise CallFailed("BadAnswer", f"the listing has more than {MAX_PAGES} pages")

    async def _read(
        self, type_name: str, values: Mapping[str, object]
    ) -> tuple[Mapping[str, Any], Mapping[str, str]] | None:
        """One entity and the headers it came with."""
        entity_type = self.profile.types[type_name]
        call = entity_type.read
        if call is None:
            return None
        try:
            answer = await self._get(call, values)
        except CallFailed as error:
            if error.reason == "NotFound":
                return None
            raise
        found = entity_of(applied(call.compiled(call.entity), json_of(answer), "BadAnswer"))
        return await self._with_attached(entity_type, found), answer.headers

    async def _get(self, call: ReadCall, values: Mapping[str, object]) -> Answer:
        return await self._session.send(Request("GET", await self._session.url(call.base, call.path, values), {}))

    async def _with_attached(self, entity_type: EntityType, raw: Any) -> Any:
        """The entity with its attached fields read."""
        if not entity_type.attached or not isinstance(raw, dict):
            return raw
        values = _identity(entity_type, raw)
        found = {name: await self.attached(field, values) for name, field in entity_type.attached.items()}
        return {**raw, **found}

    async def attached(self, field: Attached, values: Mapping[str, object]) -> Any:
        """The value of one attached field of one entity. Raises CallFailed."""
        if field.listing is not None:
            return [item async for page in self._pages(field.listing, values) for item in page.items]
        assert field.read is not None
        answer = await self._get(field.read, values)
        return applied(field.read.compiled(field.read.entity), json_of(answer), "BadAnswer")

    def _content_type(self, own: str | None, body: bytes | None) -> dict[str, str]:
        return {} if body is None else {"Content-Type": own or self.profile.content_type}


def entity_of(value: Any) -> Mapping[str, Any]:
    """The value, which has to be an entity. Raises CallFailed."""
    if not isinstance(value, dict):
        raise CallFailed("BadAnswer", "the answer holds no entity where the profile says")
    return value


def _identity(entity_type: EntityType, raw: Mapping[str, Any]) -> dict[str, object]:
    """What the calls of attached fields may name."""
    try:
        return {"id": entity_type.compiled(entity_type.id)(raw), **traits_of(entity_type, raw).ids}
    except ValueError as error:
        raise CallFailed("BadAnswer", str(error)) from None


def _page_url(url: str, fixed: Mapping[str, str], request: PageRequest) -> str:
    if request.target is not None:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}{request.target}"
    query = urlencode({**fixed, **request.query})
    return url + (f"?{query}" if query else "")


def _with_key(part: Any, call: ListCall, key: str) -> Any:
    """Texts of a find call with the natural key in its places."""
    if not isinstance(call, FindCall):
        return part
    if isinstance(part, str):
        return part.replace("{quotedKey}", json.dumps(key, ensure_ascii=False)).replace("{key}", key)
    if isinstance(part, dict):
        return {name: _with_key(value, call, key) for name, value in part.items()}
    return [_with_key(value, call, key) for value in part] if isinstance(part, list) else part


def _items(value: Any, total: int | None) -> list[Any]:
    if value is None and total is not None:
        return []  # SCIM leaves the list out when it is empty; the total tells
    if not isinstance(value, list):
        raise CallFailed("BadAnswer", "the answer holds no list where the profile says")
    return value


def _total(call: ListCall, document: Any) -> int | None:
    if call.total is None:
        return None
    value = applied(call.compiled(call.total), document, "BadAnswer")
    if not isinstance(value, int) or isinstance(value, bool):
        raise CallFailed("BadAnswer", "the answer holds no number of entities where the profile says")
    return value


def encoded(content_type: str, body: Any) -> bytes:
    """A body in the words of its content type: a form, or JSON."""
    if content_type != FORM:
        return json.dumps(body).encode()
    if not isinstance(body, dict):
        raise CallFailed("Refused", "a form's body has to be an object")
    return query(body).removeprefix("?").encode()
