"""Many writes in one request. Writes that are asked for at about the same time share a bulk request; each gets the
outcome that its own result in the answer names, whatever the status of the whole.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import CallFailed, meaning_of
from .profile import Bulk, Profile
from .session import applied

TOO_LARGE = object()  # instead of an answer: the body was not sent
LINGER_SECONDS = 0.01  # how long a request that isn't full waits for more

# Sends a whole body; gives the answer's JSON, or TOO_LARGE.
Send = Callable[[Bulk, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Item:
    """One write, as Bulk.item sees it."""

    method: str
    path: str
    id: str | None
    version: Any
    body: Any


_Waiting = tuple[str, Item, asyncio.Future[Any]]  # ref, write, outcome


@dataclass
class _Batch:
    items: list[_Waiting] = field(default_factory=list)
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
        batch.items.append((item.id or str(len(batch.items)), item, outcome))
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
        self._start(self._settle(bulk, batch.items))

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _settle(self, bulk: Bulk, waiting: Sequence[_Waiting]) -> None:
        """Send a batch and give everybody their outcome; in halves where the whole is too large."""
        try:
            answer = await self._send(bulk, self._body(bulk, waiting))
            if answer is not TOO_LARGE:
                self._give(bulk, waiting, self._results(bulk, waiting, answer))
            elif len(waiting) == 1:
                raise CallFailed("Refused", "larger than the system takes in a bulk request")
        except BaseException as error:
            for _, _, outcome in waiting:
                if not outcome.done():
                    outcome.set_exception(_again(error))
            if not isinstance(error, Exception):
                raise
            return
        if answer is TOO_LARGE:
            half = len(waiting) // 2
            await self._settle(bulk, waiting[:half])
            await self._settle(bulk, waiting[half:])

    def _body(self, bulk: Bulk, waiting: Sequence[_Waiting]) -> Any:
        parts = []
        for ref, item, _ in waiting:
            fields = {"ref": ref, "method": item.method, "path": item.path, "id": item.id}
            whole = {**fields, "version": item.version, "body": item.body}
            parts.append(applied(bulk.compiled(bulk.item), whole, "Refused"))
        return applied(bulk.compiled(bulk.body), parts, "Refused")

    def _results(self, bulk: Bulk, waiting: Sequence[_Waiting], answer: Any) -> Mapping[str, Any]:
        """Ref -> result."""
        results = applied(bulk.compiled(bulk.results), answer, "OutcomeUnknown")
        if not isinstance(results, list):
            raise CallFailed("OutcomeUnknown", "the bulk answer holds no list of results where the profile says")
        if bulk.ref is not None:
            refs = [applied(bulk.compiled(bulk.ref), result, "OutcomeUnknown") for result in results]
            return {str(ref): result for ref, result in zip(refs, results, strict=True)}
        if len(results) != len(waiting):
            raise CallFailed("OutcomeUnknown", "the bulk answer holds another number of results than were asked for")
        return {ref: result for (ref, _, _), result in zip(waiting, results, strict=True)}

    def _give(self, bulk: Bulk, waiting: Sequence[_Waiting], results: Mapping[str, Any]) -> None:
        for ref, _, outcome in waiting:
            if outcome.done():
                continue
            try:
                outcome.set_result(self._judged(bulk, results.get(ref)))
            except CallFailed as error:
                outcome.set_exception(error)

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
