"""Writing to the secondary as its profile says. Every write goes through the session's gate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import encode
from .attached import AttachedWriter
from .body import as_text
from .bulk import TOO_LARGE, Bulker, Item
from .client import ReadOnlyClient, encoded, entity_of
from .content import REMOVED, Changes, Content
from .errors import CallFailed
from .profile import Bulk, Call, CreateCall, EntityType, StateCall, UpdateCall, WriteCall
from .session import Gate, Request, Session, applied, json_of
from .traits import NOTHING, Scalar, Traits, scalar
from .transport import Answer

__all__ = ["Gate", "WritableClient", "Written"]

Same = Callable[[Mapping[str, Any]], bool]  # whether an entity is as it was when it was listed


@dataclass(frozen=True, slots=True)
class Written:
    """What a write answered: the entity's ID (None: a create that doesn't tell), and the entity where it is known."""

    id: str | None
    entity: Mapping[str, Any] | None


class WritableClient(ReadOnlyClient):
    """Reads and writes one system: the secondary. Its session asks the gate directly before each write is sent."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._bulker = Bulker(self.profile, self._send_bulk)

    @property
    def writes(self) -> int:
        """Writes sent so far."""
        return self._session.writes

    async def aclose(self) -> None:
        """End what bulk requests are under way."""
        await self._bulker.aclose()

    async def batch_size(self, type_name: str) -> int:
        """How many creates or updates of a type fit into one request. Raises CallFailed."""
        entity_type = self.profile.types[type_name]
        calls: list[WriteCall] = [call for call in (entity_type.create, entity_type.update) if call is not None]
        return max([await self._size(call.bulk) for call in calls if call.bulk is not None], default=1)

    async def create(self, type_name: str, content: Content, correlation_id: str) -> Written:
        """Create an entity, without its attached fields. Sent at most once unless it certainly wasn't handled.

        Raises CallFailed.
        """
        entity_type = self.profile.types[type_name]
        call = entity_type.create
        if call is None:
            raise CallFailed("Refused", f"the profile has no create call for {type_name}")
        content = _marked(entity_type, _own(entity_type, content), correlation_id)
        body = self._body(call, content)
        if call.bulk is not None and await self._size(call.bulk) > 1:
            path = self._session.path(call.path, {})
            result = await self._bulker.submit(
                call.bulk, await self._size(call.bulk), Item(call.method, path, None, None, body)
            )
            return _bulk_written(call.bulk, result)
        answer = await self._write(call, {}, body, content, repeatable=False)
        if call.id is None:
            return Written(None, None)
        new_id = scalar(applied(call.compiled(call.id), _unsure(answer), "OutcomeUnknown"))
        if new_id is None:
            raise CallFailed("OutcomeUnknown", "the answer to the create holds no ID where the profile says")
        return Written(as_text(new_id), await self._stored(type_name, call, as_text(new_id), NOTHING, answer))

    async def update(
        self,
        type_name: str,
        entity_id: str,
        *,
        desired: Content,
        changes: Changes,
        current: Content,
        correlation_id: str,
        traits: Traits = NOTHING,
        same: Same | None = None,
    ) -> Written:
        """Change an entity and its attached fields; repeating it does no harm, so it is tried again.

        `same` is asked where the version has to be read first: False for an entity that changed since it was listed.
        Raises CallFailed.
        """
        entity_type = self.profile.types[type_name]
        own = {name: value for name, value in changes.items() if name not in entity_type.attached}
        values = {"id": entity_id, **traits.ids}
        written: Written | None = None
        if own:
            version = await self._version(type_name, values, traits, same)
            change = _Change(own, desired, current, correlation_id, version)
            written = await self._update(type_name, values, change)
        fields = {name: value for name, value in changes.items() if name not in own}
        for name, value in fields.items():
            wanted = None if value is REMOVED else value
            part = AttachedWriter(self._send_part, entity_type.attached[name], values)
            await part.write(wanted, current.get(name))
        if fields or written is None:
            return Written(entity_id, await self._read_back(type_name, values))
        return written

    async def deactivate(self, type_name: str, entity_id: str, traits: Traits = NOTHING) -> Written:
        """Put an entity out of use, without deleting it. Raises CallFailed."""
        return await self._change_state(type_name, "deactivate", entity_id, traits)

    async def revive(self, type_name: str, entity_id: str, traits: Traits = NOTHING) -> Written:
        """Put an entity back into use. Raises CallFailed."""
        return await self._change_state(type_name, "revive", entity_id, traits)

    async def delete(self, type_name: str, entity_id: str, traits: Traits = NOTHING) -> None:
        """Delete an entity; one that is gone already is as good. Raises CallFailed."""
        try:
            await self._send_state(type_name, "delete", entity_id, traits)
        except CallFailed as error:
            if error.reason != "NotFound":
                raise

    async def _update(
        self,
        type_name: str,
        values: Mapping[str, Scalar],
        change: "_Change",
    ) -> Written:
        entity_type = self.profile.types[type_name]
        call = await self._update_call(entity_type)
        field = entity_type.version.field if entity_type.version else None
        content: Any = _encoded_change(entity_type, call, change)
        version = change.version
        if field is not None and version is not None:
            content = {**content, field: version}
        body = self._body(call, content)
        entity_id = str(values["id"])
        if call.bulk is not None and await self._size(call.bulk) > 1:
            path = self._session.path(call.path, values)
            result = await self._bulker.submit(
                call.bulk, await self._size(call.bulk), Item(call.method, path, entity_id, version, body)
            )
            return Written(entity_id, _bulk_entity(call.bulk, result))
        header = entity_type.version.header if entity_type.version else None
        headers = {header: str(version)} if header and version is not None else {}
        answer = await self._write(call, values, body, content, repeatable=True, headers=headers)
        return Written(entity_id, await self._stored(type_name, call, entity_id, Traits(values), answer))

    async def _update_call(self, entity_type: EntityType) -> UpdateCall:
        call = entity_type.update
        while call is not None and not await self.offers(call, call.when):
            call = call.otherwise
        if call is None:
            raise CallFailed("Refused", "the profile has no update call for this type")
        return call

    async def _version(
        self, type_name: str, values: Mapping[str, Scalar], traits: Traits, same: Same | None
    ) -> Scalar | None:
        """The version that goes with an update; from the listing, or read just before."""
        version = self.profile.types[type_name].version
        if version is None or not await self.offers(version, version.when):
            return None
        if version.path is not None:
            return traits.version
        found = await self._read(type_name, values)
        if found is None or (same is not None and not same(found[0])):
            raise CallFailed("Stale", "changed in the secondary since it was listed")
        return found[1].get("etag")

    async def _change_state(self, type_name: str, verb: str, entity_id: str, traits: Traits) -> Written:
        await self._send_state(type_name, verb, entity_id, traits)
        return Written(entity_id, await self._read_back(type_name, {"id": entity_id, **traits.ids}))

    async def _send_state(self, type_name: str, verb: str, entity_id: str, traits: Traits) -> None:
        call: StateCall | None = getattr(self.profile.types[type_name], verb)
        if call is None:
            raise CallFailed("Refused", f"the profile has no {verb} call for {type_name}")
        values = {"id": entity_id, **traits.ids}
        body = None if call.body is None else _with_ids(call.body, values)
        await self._send_part(call, values, body, True)

    async def _send_part(self, call: Call, values: Mapping[str, object], body: Any, repeatable: bool) -> None:
        """A write that carries no whole entity: a state, or elements of an attached field."""
        method, own = getattr(call, "method", "POST"), getattr(call, "content_type", None)
        content_type = own or self.profile.content_type
        url = await self._session.url(call.base, call.path, values)
        data = None if body is None else encoded(content_type, body)
        headers = {} if data is None else {"Content-Type": content_type}
        await self._session.send(Request(method, url, headers, data, "write", repeatable))

    def _body(self, call: WriteCall, content: Any) -> Any:
        return None if call.body is None else applied(call.compiled(call.body), content, "Refused")

    async def _write(
        self,
        call: WriteCall,
        values: Mapping[str, object],
        body: Any,
        content: Any,
        *,
        repeatable: bool,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        content_type = call.content_type or self.profile.content_type
        url = await self._session.url(call.base, call.path, values)
        query = encode.query({name: applied(call.compiled(e), content, "Refused") for name, e in call.query.items()})
        data = None if call.body is None else encoded(content_type, body)
        sent = {**(headers or {}), **({} if data is None else {"Content-Type": content_type})}
        return await self._session.send(Request(call.method, url + query, sent, data, "write", repeatable))

    async def _send_bulk(self, bulk: Bulk, body: Any) -> Any:
        url = await self._session.url(bulk.base, bulk.path)
        headers = {"Content-Type": self.profile.content_type}
        data = encoded(self.profile.content_type, body)
        if bulk.max_bytes is not None:
            limit = applied(bulk.compiled(bulk.max_bytes), await self.capabilities(), "BadAnswer")
            if isinstance(limit, int) and 0 < limit < len(data):
                return TOO_LARGE
        return _unsure(await self._session.send(Request(bulk.method, url, headers, data, "write", repeatable=False)))

    async def _size(self, bulk: Bulk | None) -> int:
        if bulk is None or not await self.offers(bulk, bulk.when):
            return 1
        if bulk.max_size is None:
            return bulk.size
        told = applied(bulk.compiled(bulk.max_size), await self.capabilities(), "BadAnswer")
        return min(bulk.size, told) if isinstance(told, int) and told > 0 else bulk.size

    async def _stored(
        self, type_name: str, call: CreateCall | UpdateCall, entity_id: str, traits: Traits, answer: Answer
    ) -> Mapping[str, Any] | None:
        """The entity as the system stored it: from the answer, else read back."""
        entity_type = self.profile.types[type_name]
        if call.entity is not None and answer.body:
            try:
                found = entity_of(call.compiled(call.entity)(answer.json()))
                return dict(await self._with_attached(entity_type, found))
            except (ValueError, CallFailed):
                pass  # e.g. a PATCH answered 200 with another body: read it back
        return await self._read_back(type_name, {"id": entity_id, **traits.ids})

    async def _read_back(self, type_name: str, values: Mapping[str, object]) -> Mapping[str, Any] | None:
        try:
            found = await self._read(type_name, values)
        except CallFailed:
            return None  # it was written; what the secondary made of it is learned from the next listing
        return None if found is None else found[0]


@dataclass(frozen=True, slots=True)
class _Change:
    """An update of an entity's own fields."""

    changes: Changes
    desired: Content
    current: Content
    correlation_id: str
    version: Scalar | None


def _encoded_change(entity_type: EntityType, call: UpdateCall, change: _Change) -> Any:
    match call.encoding:
        case "replace":
            return _marked(entity_type, _own(entity_type, change.desired), change.correlation_id)
        case "merge":
            return encode.merge(change.changes)
        case "jsonPatch":
            return encode.json_patch(change.changes, change.current)
        case "scimPatch":
            return encode.scim_patch(change.changes, change.current)


def _own(entity_type: EntityType, content: Content) -> Content:
    """The content that the entity's own calls carry."""
    return {name: value for name, value in content.items() if name not in entity_type.attached}


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


def _with_ids(body: Any, values: Mapping[str, Scalar]) -> Any:
    """A fixed body with the entity's IDs in their places, in their own JSON type."""
    if isinstance(body, str) and body.startswith("{") and body.endswith("}"):
        return values.get(body[1:-1], body)
    if isinstance(body, dict):
        return {name: _with_ids(value, values) for name, value in body.items()}
    return [_with_ids(value, values) for value in body] if isinstance(body, list) else body


def _bulk_written(bulk: Bulk, result: Any) -> Written:
    if bulk.id is None:
        return Written(None, None)
    new_id = scalar(applied(bulk.compiled(bulk.id), result, "OutcomeUnknown"))
    if new_id is None:
        raise CallFailed("OutcomeUnknown", "a result of the bulk answer holds no ID where the profile says")
    return Written(as_text(new_id), _bulk_entity(bulk, result))


def _bulk_entity(bulk: Bulk, result: Any) -> Mapping[str, Any] | None:
    if bulk.entity is None:
        return None
    found = applied(bulk.compiled(bulk.entity), result, "OutcomeUnknown")
    return found if isinstance(found, dict) else None


def _unsure(answer: Answer) -> Any:
    """The JSON of a create's answer; without it nobody knows what was made."""
    try:
        return json_of(answer)
    except CallFailed as error:
        raise CallFailed("OutcomeUnknown", error.args[0]) from None
