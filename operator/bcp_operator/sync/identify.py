"""Finding what a create has made when its answer doesn't tell: no ID in it, or no answer at all."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bcp_operator.systems.client import ReadOnlyClient
from bcp_operator.systems.content import Content
from bcp_operator.systems.errors import CallFailed

from .read import ListingError, Reader, read_listing
from .spool import Spool
from .world import Action, Head

MAX_FINDS = 20  # of one type; above that, and where the system can't filter, one listing of all is cheaper or needed
NOT_CREATED = frozenset({"Duplicate", "Refused", "Unauthorized", "Unreachable", "Throttled", "NotFound"})
Found = tuple[Head, Content]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unidentified:
    """A create whose entity isn't known; `error` says why, None where the system never tells."""

    action: Action
    correlation_id: str
    sent: Content
    error: CallFailed | None


class Identifier:
    """Looks for new entities in the secondary."""

    def __init__(self, client: ReadOnlyClient, spool: Spool, readers: Mapping[str, Reader]) -> None:
        self._client, self._spool, self._readers = client, spool, readers
        self._unfiltered: set[str] = set()  # types whose filter is known to be ignored

    async def find(self, name: str, wanted: Sequence[Unidentified]) -> dict[str, Found]:
        """Primary ID -> the one new entity that carries its marker, else its natural key. Others are left out."""
        found: dict[str, Found] = {}
        if len(wanted) <= MAX_FINDS:
            for one in wanted:
                hit = await self._by_filter(name, one)
                if hit is not None:
                    found[one.action.primary_id or ""] = hit
        rest = [one for one in wanted if (one.action.primary_id or "") not in found]
        if rest:
            found |= await self._by_listing(name, rest)
        claims = Counter(head.id for head, _ in found.values())
        return {primary_id: hit for primary_id, hit in found.items() if claims[hit[0].id] == 1}

    async def _by_filter(self, name: str, wanted: Unidentified) -> Found | None:
        """By the system's own filter, whose every answer is checked: some servers ignore filters and give everything."""
        key = wanted.action.key
        if key is None or name in self._unfiltered:
            return None
        try:
            raw = await self._client.find(name, key)
            listed = [self._readers[name].entity(item) for item in raw or ()]
        except (CallFailed, ListingError, ValueError):
            self._unfiltered.add(name)
            return None
        right = [(head, body) for head, body in listed if key == head.key]
        if len(right) < len(listed):
            self._unfiltered.add(name)
            log.warning("the system ignores the filter; its whole listing is read", extra={"type": name})
        fresh = [(head, body) for head, body in right if self._is_new(name, head)]
        return fresh[0] if len(fresh) == 1 else None

    async def _by_listing(self, name: str, wanted: Sequence[Unidentified]) -> dict[str, Found]:
        fresh = Spool()
        try:
            await read_listing(self._client, self._readers[name], fresh, "secondary", name)
            hits = {one.action.primary_id or "": self._pick(name, fresh, one) for one in wanted}
            return {
                primary_id: (head, fresh.body("secondary", name, head.id))
                for primary_id, head in hits.items()
                if head is not None
            }
        except ListingError as error:
            log.warning("new entities can't be looked for", extra={"type": name, "reason": str(error)})
            return {}
        finally:
            fresh.close()

    def _pick(self, name: str, fresh: Spool, wanted: Unidentified) -> Head | None:
        marked: Sequence[Any] = fresh.with_marker("secondary", name, wanted.correlation_id)
        if not marked and wanted.action.key is not None:
            marked = [head for head in fresh.with_key("secondary", name, wanted.action.key) if self._is_new(name, head)]
        return marked[0] if len(marked) == 1 else None

    def _is_new(self, name: str, head: Head) -> bool:
        return self._spool.head("secondary", name, head.id) is None and not self._spool.claimed(name, head.id)
