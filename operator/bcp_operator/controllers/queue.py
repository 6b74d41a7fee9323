"""A work queue of keys: one key once, one worker per key, the newest state wins, failures back off.

An event only says that something changed; the worker reads the world anew, so a burst of events is one piece of work.
"""

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bcp_operator.kube.errors import KubeError
from bcp_operator.kube.leader import LostLease

log = logging.getLogger(__name__)

WORKERS = 32
BACKOFF_FIRST_SECONDS = 0.2
BACKOFF_LONGEST_SECONDS = 10.0
CROWD = 100
"""So many objects looked at in one go are worth a line in the log when the last one is done."""


class Key(NamedTuple):
    """What to reconcile. `kind` is tenant or policy."""

    kind: str
    namespace: str
    name: str


Work = Callable[[Key], Awaitable[float | None]]
"""Reconcile one key; the answer is the seconds after which to look again without any event."""


class Queue:
    """See the module. Made and used within one event loop."""

    def __init__(self, work: Work, *, workers: int = WORKERS, rng: random.Random | None = None) -> None:
        self._work = work
        self._workers = workers
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._ready: asyncio.PriorityQueue[tuple[int, int, Key]] = asyncio.PriorityQueue()
        self._order = itertools.count()
        self._waiting: dict[Key, int] = {}
        self._running: set[Key] = set()
        self._again: dict[Key, bool] = {}
        self._alarms: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self.done = 0
        """Pieces of work finished, for tests and health."""
        self._crowd: set[Key] = set()
        self._crowd_began = (0, 0.0)

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Work on the key soon; an urgent one before all others. While it is worked on: once more afterwards."""
        if key in self._running:
            self._again[key] = self._again.get(key, False) or urgent
            return
        known = self._waiting.get(key)
        if known is not None and (known == 0 or not urgent):
            return
        rank = 0 if urgent else 1
        self._waiting[key] = rank
        self._ready.put_nowait((rank, next(self._order), key))

    def wake(self, key: Key, seconds: float) -> None:
        """Work on the key after some time; an earlier alarm of the same key stays."""
        loop = asyncio.get_running_loop()
        alarm = self._alarms.get(key)
        due = loop.time() + max(0.0, seconds)
        if alarm is not None and not alarm.cancelled() and alarm.when() <= due:
            return
        self._cancel(key)
        self._alarms[key] = loop.call_at(due, self._ring, key)

    def forget(self, key: Key) -> None:
        """The object is gone: no alarm, no memory of failures."""
        self._cancel(key)
        self._failures.pop(key, None)

    @property
    def idle(self) -> bool:
        """Nothing is waiting to be worked on or being worked on; alarms may be set."""
        return not self._waiting and not self._running

    @property
    def pressing(self) -> bool:
        """Something urgent is waiting for a worker."""
        return 0 in self._waiting.values()

    async def run(self) -> None:
        """Work until cancelled; raises LostLease when this process no longer leads."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            rank, _, key = await self._ready.get()
            if self._waiting.get(key) != rank or key in self._running:
                continue  # put in again with a higher rank: that entry counts
            del self._waiting[key]
            self._cancel(key)
            self._running.add(key)
            try:
                await self._attempt(key)
            finally:
                self._running.discard(key)
                self.done += 1
            if key in self._again:
                self.add(key, urgent=self._again.pop(key))
            self._count(key)

    async def _attempt(self, key: Key) -> None:
        try:
            pause = await self._work(key)
        except LostLease:
            raise
        except KubeError as error:
            log.warning("cannot go on with this now: %s", error, extra=_where(key) | {"reason": error.reason})
            self.wake(key, self._backoff(key))
        except Exception:
            log.exception("this should not have happened; trying again", extra=_where(key))
            self.wake(key, self._backoff(key))
        else:
            self._failures.pop(key, None)
            if pause is not None:
                self.wake(key, pause)

    def _count(self, key: Key) -> None:
        """Tell how long a crowd took: all of them at a start, a thousand switches at once."""
        at = asyncio.get_running_loop().time()
        if not self._crowd:
            self._crowd_began = (self.done - 1, at)
        self._crowd.add(key)
        if self.idle:
            began, since = self._crowd_began
            if len(self._crowd) >= CROWD:
                text = "at rest: %d objects looked at, %d times, in %.1f s"
                log.info(text, len(self._crowd), self.done - began, at - since)
            self._crowd.clear()

    def _backoff(self, key: Key) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause: float = min(BACKOFF_LONGEST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, 16))
        return pause * self._rng.uniform(0.5, 1.0)

    def _ring(self, key: Key) -> None:
        self._alarms.pop(key, None)
        self.add(key)

    def _cancel(self, key: Key) -> None:
        alarm = self._alarms.pop(key, None)
        if alarm is not None:
            alarm.cancel()


def _where(key: Key) -> dict[str, object]:
    return {key.kind if key.kind == "tenant" else "policy": key.name, "namespace": key.namespace}
