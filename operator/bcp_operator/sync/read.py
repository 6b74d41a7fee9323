"""Reading a listing completely and provably into the spool. What can't be proved complete is an error for that type.

Proof: no ID twice, as many entities as the system says there are, the same number on every page, no page twice. A
listing that changes while it is read fails this and is read anew, a few times.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bcp_operator.systems import paths
from bcp_operator.systems.body import as_text
from bcp_operator.systems.client import Page, ReadOnlyClient
from bcp_operator.systems.content import Content, content_hash, ordered, strip
from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.profile import EntityType
from bcp_operator.systems.traits import traits_of

from .choice import EVERYTHING, Choice
from .spool import DuplicateID, Spool
from .world import Head, Side

ATTEMPTS = 3
log = logging.getLogger(__name__)


class ListingError(Exception):
    """A listing could not be read to its end, or not provably."""


@dataclass(frozen=True)
class Reader:
    """Makes heads and contents of what a system gives. `own` is the type in that system's profile.

    Content is comparable across both sides: fields that either profile ignores are gone, sets are ordered as in the
    secondary. `choice` is for the primary: what the policy leaves out of it, and values that are other ones in the
    secondary.
    """

    own: EntityType
    other: EntityType
    secondary: EntityType
    choice: Choice = EVERYTHING

    def entity(self, raw: Any) -> tuple[Head, Content]:
        """Head and content of one entity. Raises ListingError."""
        if not isinstance(raw, dict):
            raise ListingError("the listing holds something that is no entity")
        entity_id = self._scalar(self.own.id, raw)
        if entity_id is None:
            raise ListingError("an entity has no ID where the profile says")
        chosen = self.choice.takes(raw)
        raw = self.choice.mapped(raw)
        content = self.content(raw)
        done_when = self.own.deactivate.done_when if self.own.deactivate else None
        inactive = bool(done_when and self.own.compiled(done_when)(raw))
        marker = paths.first(raw, self.own.marker_path) if self.own.marker_path else None
        head = Head(
            entity_id,
            self.key(raw),
            as_text(marker) if isinstance(marker, str) else None,
            inactive,
            content_hash(content),
            chosen,
            traits_of(self.own, raw),
        )
        return head, content

    def content(self, raw: Mapping[str, Any]) -> Content:
        """What is compared of an entity."""
        ignore = dict.fromkeys((*self.own.ignored_paths, *self.other.ignored_paths))
        empty_is_absent = self.own.empty_is_absent or self.other.empty_is_absent
        content = strip(self._shaped(raw), tuple(ignore), empty_is_absent=empty_is_absent)
        return ordered(content, self.secondary.unordered_paths)

    def _shaped(self, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """The entity in the common model, with those fields that both profiles want."""
        if self.own.content is not None:
            made = self.own.compiled(self.own.content)(raw)
            if not isinstance(made, dict):
                raise ListingError("BadAnswer: the profile's `content` makes no object of an entity")
            raw = made | {name: raw[name] for name in self.own.attached if name in raw}
        for wanted in (self.own.fields, self.other.fields):
            if wanted is not None:
                raw = {name: value for name, value in raw.items() if name in wanted}
        return raw

    def key(self, raw: Mapping[str, Any]) -> str | None:
        """The natural key; a compound one as JSON; None where a part is missing."""
        value = self.own.key.compiled(self.own.key.path)(raw)
        if isinstance(value, list | dict):
            parts = list(value.values()) if isinstance(value, dict) else value
            text = None if None in parts else as_text(json.dumps(value, sort_keys=True, ensure_ascii=False))
        else:
            text = None if value is None or value == "" else as_text(value)
        return text.casefold() if text is not None and self.own.key.ignore_case else text

    def _scalar(self, expression: str, raw: Mapping[str, Any]) -> str | None:
        value = self.own.compiled(expression)(raw)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            return None
        return as_text(value)


async def read_listing(client: ReadOnlyClient, reader: Reader, spool: Spool, side: Side, type_name: str) -> int:
    """Read one listing into the spool; returns its length. Raises ListingError with words for people."""
    for attempt in range(1, ATTEMPTS + 1):
        spool.clear(side, type_name)
        try:
            return await _read_once(client, reader, spool, side, type_name)
        except CallFailed as error:
            raise ListingError(str(error)) from None
        except ValueError as error:  # an expression of the profile does not fit what was given
            raise ListingError(f"BadAnswer: {error}") from None
        except _Changing as error:
            if attempt == ATTEMPTS:
                raise ListingError(f"Incomplete: {error}, {ATTEMPTS} times in a row") from None
            log.warning("listing changed while it was read; reading it again", extra={"side": side, "type": type_name})
            await asyncio.sleep(0.2 * attempt)
    raise AssertionError("unreachable")


class _Changing(Exception):
    """The listing contradicts itself."""


async def _read_once(client: ReadOnlyClient, reader: Reader, spool: Spool, side: Side, type_name: str) -> int:
    read = 0
    last: Page | None = None
    async for page in client.list(type_name):
        if last is not None and page.total != last.total:
            raise _Changing(f"its total went from {last.total} to {page.total}")
        entities = [reader.entity(raw) for raw in page.items]
        try:
            spool.add(side, type_name, entities)
        except DuplicateID:
            raise _Changing("an ID was listed twice") from None
        read += len(entities)
        last = page
    if last is not None and last.total is not None and read != last.total:
        raise _Changing(f"{read} entities were listed, {last.total} announced")
    return read
