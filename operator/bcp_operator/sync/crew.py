"""Working through a phase: some actions at a time, each prepared well before its turn."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from itertools import islice

from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.writer import WritableClient

from .world import Action

AHEAD = 64  # actions
MAX_WORKERS = 512


async def worker_count(client: WritableClient, types: Collection[str], concurrency: int) -> int:
    """As many as may be in flight; where requests carry many entities, enough to fill them."""
    try:
        sizes = [await client.batch_size(name) for name in sorted(types)]
    except CallFailed:
        sizes = []  # the writes will say what is wrong, each for itself
    return min(MAX_WORKERS, concurrency * max(sizes, default=1))


async def work_through(
    actions: Iterator[Action],
    *,
    workers: int,
    prepare: Callable[[Sequence[Action]], Awaitable[None]],
    do: Callable[[Action], Awaitable[None]],
) -> None:
    """Do every action, `workers` at a time; `prepare` is called with many before any of them is begun.

    Raises the first error of either, with nothing left under way.
    """
    size = max(AHEAD, workers)
    ahead: asyncio.Queue[Action | None] = asyncio.Queue(2 * size)

    async def feed() -> None:
        while batch := list(islice(actions, size)):
            await prepare(batch)
            for action in batch:
                await ahead.put(action)
        for _ in range(workers):
            await ahead.put(None)

    async def work() -> None:
        while action := await ahead.get():
            await do(action)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            for _ in range(workers):
                group.create_task(work())
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
