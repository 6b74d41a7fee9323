"""Talking to one system as its profile says. ReadOnlyClient lists and reads; only WritableClient can write.

The primary is only ever given a ReadOnlyClient: it has no way to send any call but a ListCall or a ReadCall.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from . import encode
from .content import Changes, Content
from .errors import CallFailed, classify
from .expressions import Expression
from .pace import MAX_ATTEMPTS, RETRY_BUDGET_SECONDS, Pace, retry_delay_seconds
from .paging import PageRequest, PageSeen, PagingError, first_page, next_page
from .profile import EntityType, ListCall, Profile, WriteCall
from .transport import Answer, Transport, TransportError

READ_DEADLINE_SECONDS = 30.0
WRITE_DEADLINE_SECONDS = 5.0  # bounded by the writer lease, see sync/fence.py
MAX_PAGES = 1_000_000

Gate = Callable[[float], Awaitable[None]]  # returns when a write of that many seconds may be sent; raises to stop it


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, as the system gave it."""

    items: list[Any]
    total: int | None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write answered: the entity's ID, and the entity as stored where that is known."""

    id: str
    entity: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None
    deadline_seconds: float
    repeatable: bool
    gate: Gate | None = None


class ReadOnlyClient:
    """Lists and reads entities of one system."""

    def __init__(
        self,
        profile: Profile,
        *,
        tenant_id: str,
        endpoint: str,
        credentials: Mapping[str, str],
        transport: Transport,
        pace: Pace,
    ) -> None:
        self.profile = profile
        self._tenant_id = tenant_id
        self._endpoint = endpoint.rstrip("/")
        parts = urlsplit(endpoint)
        self._origin, self._host = f"{parts.scheme}://{parts.netloc}", parts.hostname or ""
        self._headers = {**profile.headers, **credentials}
        self._transport = transport
        self._pace = pace
        self.requests = 0

    async def list(self, type_name: str) -> AsyncIterator[Page]:
        """Every page of a type's listing, in order. Raises CallFailed; says nothing about completeness (sync/read.py)."""
        call = self.profile.types[type_name].listing
        paging = call.paging or self.profile.paging
        request: PageRequest | None = first_page(paging)
        so_far, asked = 0, set[str]()
        body = None if call.body is None else json.dumps(call.body).encode()
        for number in range(MAX_PAGES):
            if request is None:
                return
            target = self._listing_target(call.path, call.query, request)
            if target in asked:
                raise CallFailed("BadAnswer", "the listing leads back to a page that was read already")
            asked.add(target)
            answer = await self._send(
                _Call(call.method, target, self._content_type(None, body), body, READ_DEADLINE_SECONDS, True)
            )
            document = _json(answer)
            total = _total(call, document)
            items = _items(call.compiled(call.items)(document), total)
            so_far += len(items)
            yield Page(items, total)
            seen = PageSeen(number, len(items), so_far, total, document, answer.headers)
            try:
                request = next_page(paging, seen, self._host)
            except (PagingError, ValueError) as error:
                raise CallFailed("BadAnswer", str(error)) from None
        raise CallFailed("BadAnswer", f"the listing has more than {MAX_PAGES} pages")

    async def read(self, type_name: str, entity_id: str) -> Mapping[str, Any] | None:
        """One entity; None when there is none, or when the profile has no read call. Raises CallFailed."""
        call = self.profile.types[type_name].read
        if call is None:
            return None
        target = self._target(call.path, entity_id)
        try:
            answer = await self._send(_Call("GET", target, {}, None, READ_DEADLINE_SECONDS, True))
        except CallFailed as error:
            if error.reason == "NotFound":
                return None
            raise
        return _entity(_applied(call.compiled(call.entity), _json(answer), "BadAnswer"))

    def _target(self, template: str, entity_id: str = "") -> str:
        return self._endpoint + template.format(id=_segment(entity_id), tenantID=_segment(self._tenant_id))

    def _listing_target(self, template: str, fixed: Mapping[str, str], request: PageRequest) -> str:
        if request.target is not None:
            return self._origin + request.target
        query = urlencode({**fixed, **request.query})
        return self._target(template) + (f"?{query}" if query else "")

    def _content_type(self, own: str | None, body: bytes | None) -> dict[str, str]:
        return {} if body is None else {"Content-Type": own or self.profile.content_type}

    async def _send(self, call: _Call) -> Answer:
        """Send, and send again what may be sent again, within the budget. Raises CallFailed."""
        started = time.monotonic()
        for attempt in range(1, MAX_ATTEMPTS + 1):
            answer, failure, again = await self._attempt(call)
            if failure is None and answer is not None:
                return answer
            delay = retry_delay_seconds(attempt, answer.headers if answer else None, time.time())
            spent = time.monotonic() - started
            if not again or attempt == MAX_ATTEMPTS or spent + delay > RETRY_BUDGET_SECONDS:
                raise failure or CallFailed("Transient", "no answer")
            if answer is not None and answer.status in (429, 503):
                self._pace.hold(delay)
            await asyncio.sleep(delay)
        raise AssertionError("unreachable")

    async def _attempt(self, call: _Call) -> tuple[Answer | None, CallFailed | None, bool]:
        """One try: (answer, what failed, whether trying again is safe and of use)."""
        async with self._pace.slot():
            if call.gate is not None:
                await call.gate(call.deadline_seconds)
            self.requests += 1
            try:
                answer = await self._transport.request(
                    call.method,
                    call.target,
                    headers={**self._headers, **call.headers},
                    body=call.body,
                    deadline_seconds=call.deadline_seconds,
                )
            except TransportError as error:
                if not error.maybe_handled:
                    return None, CallFailed("Unreachable", str(error), answered=False), True
                return None, CallFailed("OutcomeUnknown", str(error), answered=False), call.repeatable
        meaning = classify(self.profile, answer.status, answer.body)
        if meaning is None:
            return answer, None, False
        failure = CallFailed(meaning, f"HTTP {answer.status}")
        if meaning == "Transient" and not call.repeatable:
            failure = CallFailed("OutcomeUnknown", f"HTTP {answer.status}")
        return answer, failure, meaning == "Throttled" or (meaning == "Transient" and call.repeatable)


class WritableClient(ReadOnlyClient):
    """Reads and writes one system: the secondary. `gate` is asked directly before each write is sent."""

    def __init__(
        self,
        profile: Profile,
        *,
        tenant_id: str,
        endpoint: str,
        credentials: Mapping[str, str],
        transport: Transport,
        pace: Pace,
        gate: Gate,
    ) -> None:
        super().__init__(
            profile, tenant_id=tenant_id, endpoint=endpoint, credentials=credentials, transport=transport, pace=pace
        )
        self._gate = gate
        self.writes = 0

    async def create(self, type_name: str, content: Content, correlation_id: str) -> Written:
        """Create an entity. Sent at most once unless it certainly wasn't handled. Raises CallFailed."""
        entity_type = self.profile.types[type_name]
        call = entity_type.create
        answer = await self._write(call, "", _marked(entity_type, content, correlation_id), repeatable=False)
        new_id = _applied(call.compiled(call.id), _json(answer), "OutcomeUnknown")
        if not isinstance(new_id, str | int) or isinstance(new_id, bool) or new_id == "":
            raise CallFailed("OutcomeUnknown", "the answer to the create holds no ID where the profile says")
        return Written(str(new_id), await self._stored(type_name, call, str(new_id), answer))

    async def update(
        self,
        type_name: str,
        entity_id: str,
        *,
        desired: Content,
        changes: Changes,
        current: Content,
        correlation_id: str,
    ) -> Written:
        """Change an entity; repeating it does no harm, so it is tried again. Raises CallFailed."""
        entity_type = self.profile.types[type_name]
        call = entity_type.update
        if call.encoding == "replace":
            body = _marked(entity_type, desired, correlation_id)
        elif call.encoding == "merge":
            body = encode.merge(changes)
        else:
            body = encode.scim_patch(changes, current)
        answer = await self._write(call, entity_id, body, repeatable=True)
        return Written(entity_id, await self._stored(type_name, call, entity_id, answer))

    async def deactivate(self, type_name: str, entity_id: str) -> Written:
        """Put an entity out of use, without deleting it. Raises CallFailed."""
        call = self.profile.types[type_name].deactivate
        if call is None:
            raise CallFailed("Refused", f"the profile has no deactivate call for {type_name}")
        body = None if call.body is None else json.dumps(call.body).encode()
        headers = self._content_type(call.content_type, body)
        await self._send_write(call.method, self._target(call.path, entity_id), headers, body, repeatable=True)
        return Written(entity_id, await self.read(type_name, entity_id))

    async def _write(self, call: WriteCall, entity_id: str, content: Any, *, repeatable: bool) -> Answer:
        body = json.dumps(_applied(call.compiled(call.body), content, "Refused")).encode()
        headers = self._content_type(call.content_type, body)
        target = self._target(call.path, entity_id)
        return await self._send_write(call.method, target, headers, body, repeatable=repeatable)

    async def _send_write(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, repeatable: bool
    ) -> Answer:
        self.writes += 1
        return await self._send(_Call(method, target, headers, body, WRITE_DEADLINE_SECONDS, repeatable, self._gate))

    async def _stored(
        self, type_name: str, call: WriteCall, entity_id: str, answer: Answer
    ) -> Mapping[str, Any] | None:
        """The entity as the system stored it: from the answer, else read back."""
        if call.entity is not None and answer.body:
            try:
                return _entity(call.compiled(call.entity)(answer.json()))
            except (ValueError, CallFailed):
                pass  # e.g. a PATCH answered 200 with another body: read it back
        try:
            return await self.read(type_name, entity_id)
        except CallFailed:
            return None  # it was written; what the secondary made of it is learned from the next listing


def _marked(entity_type: EntityType, content: Content, correlation_id: str) -> Content:
    path = entity_type.marker_path
    if path is None:
        return content
    result: Content = dict(content)
    place: Any = result
    for step in path[:-1]:
        inner = place.get(step.name)
        place[step.name] = dict(inner) if isinstance(inner, dict) else {}
        place = place[step.name]
    place[path[-1].name] = correlation_id
    return result


def _segment(text: str) -> str:
    if text in (".", ".."):  # to be escaped in no way that every server reads as a name
        raise CallFailed("Refused", f"{text!r} can't be part of an address")
    return quote(text, safe="")


def _json(answer: Answer) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise CallFailed("BadAnswer", str(error)) from None


def _applied(expression: Expression, value: Any, reason: str) -> Any:
    """What the profile's expression makes of a value; that it doesn't fit this one says nothing of the others."""
    try:
        return expression(value)
    except ValueError as error:
        raise CallFailed(reason, str(error)) from None


def _entity(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CallFailed("BadAnswer", "the answer holds no entity where the profile says")
    return value


def _items(value: Any, total: int | None) -> list[Any]:
    if value is None and total is not None:
        return []  # SCIM leaves the list out when it is empty; the total tells
    if not isinstance(value, list):
        raise CallFailed("BadAnswer", "the answer holds no list where the profile says")
    return value


def _total(call: ListCall, document: Any) -> int | None:
    if call.total is None:
        return None
    value = call.compiled(call.total)(document)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CallFailed("BadAnswer", "the answer holds no number of entities where the profile says")
    return value
