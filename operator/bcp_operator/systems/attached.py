"""Writing one attached field: what is too much is removed, what differs changed, what is missing added."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .content import canonical
from .language.base import placeholders
from .profile import Attached, Call, ElementCall
from .session import applied

Send = Callable[[Call, Mapping[str, object], Any, bool], Awaitable[None]]  # call, placeholders, body, repeatable


@dataclass(frozen=True, slots=True)
class AttachedWriter:
    """One attached field of one entity; `values` are what its calls' paths may name."""

    send: Send
    field: Attached
    values: Mapping[str, object]

    async def write(self, wanted: Any, current: Any) -> None:
        """Bring the field from `current` to `wanted`. Raises CallFailed."""
        field = self.field
        if field.replace is not None:
            await self._send(field.replace, self.values, wanted, True)
            return
        new, old = self._by_key(wanted), self._by_key(current)
        changed = {key for key in new.keys() & old.keys() if canonical(new[key]) != canonical(old[key])}
        gone, added = old.keys() - new.keys(), new.keys() - old.keys()
        if field.change is None:
            gone, added, changed = gone | changed, added | changed, set()
        if field.remove is not None:
            await self._elements(field.remove, [old[key] for key in sorted(gone)], True)
        if field.change is not None:
            await self._elements(field.change, [new[key] for key in sorted(changed)], True)
        if field.add is not None:
            await self._elements(field.add, [new[key] for key in sorted(added)], False)

    async def _elements(self, call: ElementCall, elements: list[Any], repeatable: bool) -> None:
        if not elements:
            return
        if "key" not in placeholders(call.path):
            await self._send(call, self.values, elements, repeatable)
            return
        for element in elements:
            key = applied(self.field.compiled(self.field.key), element, "Refused")
            await self._send(call, {**self.values, "key": key}, element, repeatable)

    async def _send(self, call: ElementCall, values: Mapping[str, object], content: Any, repeatable: bool) -> None:
        body = None if call.body is None else applied(call.compiled(call.body), content, "Refused")
        await self.send(call, values, body, repeatable)

    def _by_key(self, elements: Iterable[Any] | None) -> dict[str, Any]:
        key = self.field.compiled(self.field.key)
        return {canonical(applied(key, element, "Refused")): element for element in elements or []}
