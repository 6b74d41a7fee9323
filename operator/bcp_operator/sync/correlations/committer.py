"""Saving rows without making every write wait for the disk: transactions are shared, in the order of the calls."""

import asyncio
from collections.abc import Sequence

from .store import Row, Store

MAX_BACKLOG = 500


class Committer:
    """Rows that come in while a transaction is under way share the next one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[Row] = []
        self._flusher: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    async def save(self, rows: Sequence[Row]) -> None:
        """Return when these rows, and all before them, are durable. Raises StoreError."""
        self._add(rows)
        await self.drain()

    async def later(self, row: Row) -> None:
        """Have the row saved soon. A row that is lost by a crash before that is found again by marker or key.

        Raises StoreError when an earlier one failed.
        """
        self._add([row])
        if len(self._waiting) > MAX_BACKLOG:
            await self.drain()

    async def drain(self) -> None:
        """Return when everything is durable. Raises StoreError."""
        while self._flusher is not None and not self._flusher.done():
            await asyncio.shield(self._flusher)
        if self._error is not None:
            raise self._error

    def _add(self, rows: Sequence[Row]) -> None:
        if self._error is not None:
            raise self._error
        self._waiting.extend(rows)
        if self._waiting and (self._flusher is None or self._flusher.done()):
            self._flusher = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        while self._waiting and self._error is None:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._store.save, batch)
            except Exception as error:  # raised to whoever calls next
                self._error = error
