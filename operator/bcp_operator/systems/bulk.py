"""Many writes in one request. Writes that are asked for at about the same time share a bulk request; each gets the
outcome that its own result in the answer names, whatever the status of the whole.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import CallFailed, meaning_of
from .profile import Bulk, Profile
from .session import applied

LINGER_SECONDS = 0.01  # how long a request that isn't full waits for more

Send = Callable[[Bulk, Any], Awaitable[Any]]  # sends a whole body; gives the answer's JSON


@dataclass(frozen=True, slots=True)
class Item:
    """One write, as Bulk.item sees it."""

    method: str
    path: str
    id: str | None
    version: Any
    body: Any


@dataclass
class _Batch:
    items: list[tuple[Item, asyncio.Future[Any]]] = field(default_factory=list)
    timer: asyncio.Task[None] | None = None


class Bulker:
    """Collects the writes of one system into bulk requests."""

    def __init__(self, profile: Profile, send: Send) -> None:
        self._profile, self._send = profile, send
        self._open: dict[int, _Batch] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """End what is under way; there is nothing unless the run was stopped in the middle."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def submit(self, bulk: Bulk, size: int, item: Item) -> Any:
        """One write's result, as the answer holds it. Raises CallFailed for what this result, or the whole, says."""
        batch = self._open.setdefault(id(bulk), _Batch())
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        batch.items.append((item, outcome))
        if len(batch.items) >= size:
            self._close(bulk)
        elif batch.timer is None:
            batch.timer = self._start(self._linger(bulk, batch))
        return await outcome

    async def _linger(self, bulk: Bulk, batch: _Batch) -> None:
        await asyncio.sleep(LINGER_SECONDS)
        if self._open.get(id(bulk)) is batch:
            self._close(bulk)

    def _close(self, bulk: Bulk) -> None:
        batch = self._open.pop(id(bulk))
        self._start(self._settle(bulk, batch))

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _settle(self, bulk: Bulk, batch: _Batch) -> None:
        """Send a batch and give everybody their outcome."""
        try:
            results = await self._results(bulk, [item for item, _ in batch.items])
        except BaseException as error:
            for _, outcome in batch.items:
                if not outcome.done():
                    outcome.set_exception(_again(error))
            if not isinstance(error, Exception):
                raise
            return
        for number, (_, outcome) in enumerate(batch.items):
            if outcome.done():
                continue
            try:
                outcome.set_result(self._judged(bulk, results.get(str(number))))
            except CallFailed as error:
                outcome.set_exception(error)

    async def _results(self, bulk: Bulk, items: list[Item]) -> Mapping[str, Any]:
        parts = [
            applied(
                bulk.compiled(bulk.item),
                {
                    **{"ref": str(number), "method": item.method, "path": item.path, "id": item.id},
                    **{"version": item.version, "body": item.body},
                },
                "Refused",
            )
            for number, item in enumerate(items)
        ]
        answer = await self._send(bulk, applied(bulk.compiled(bulk.body), parts, "Refused"))
        results = applied(bulk.compiled(bulk.results), answer, "OutcomeUnknown")
        if not isinstance(results, list):
            raise CallFailed("OutcomeUnknown", "the bulk answer holds no list of results where the profile says")
        if bulk.ref is None:
            if len(results) != len(items):
                raise CallFailed("OutcomeUnknown", "the bulk answer holds another number of results than were asked")
            return {str(number): result for number, result in enumerate(results)}
        refs = [applied(bulk.compiled(bulk.ref), result, "OutcomeUnknown") for result in results]
        return {str(ref): result for ref, result in zip(refs, results, strict=True)}

    def _judged(self, bulk: Bulk, result: Any) -> Any:
        if result is None:
            raise CallFailed("OutcomeUnknown", "the bulk answer holds no result for this entity")
        status: Any = 200
        if bulk.status is not None:
            told = applied(bulk.compiled(bulk.status), result, "OutcomeUnknown")
            status = int(told) if str(told).isdigit() else None
            if status is None:
                raise CallFailed("OutcomeUnknown", "a result of the bulk answer holds no status where the profile says")
        meaning = meaning_of([*bulk.errors, *self._profile.errors], status, lambda: result)
        if meaning is None:
            return result
        # Nobody says whether an item that failed on the way was handled.
        raise CallFailed("OutcomeUnknown" if meaning == "Transient" else meaning, f"bulk result {status}")


def _again(error: BaseException) -> BaseException:
    """An error of its own for each waiter, so that none carries another's traceback."""
    if isinstance(error, CallFailed):
        return CallFailed(error.reason, error.args[0])
    return error
