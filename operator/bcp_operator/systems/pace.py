"""How fast one system may be called, and how often a failed call is tried again."""

import asyncio
import email.utils
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

MAX_ATTEMPTS = 6
RETRY_BUDGET_SECONDS = 60.0
_SECONDS = re.compile(r"^\s*([0-9]{1,9})\s*$")  # RFC 9110 10.2.3; isdigit() takes more for digits than float() does


class Pace:
    """Requests per second and in flight, for one system. A Retry-After holds everybody back, not only the one told."""

    def __init__(self, requests_per_second: float, concurrency: int) -> None:
        self._interval = 1.0 / requests_per_second
        self._burst_seconds = min(1.0, concurrency * self._interval)
        self._slots = asyncio.Semaphore(concurrency)
        self._next = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a place in flight and for one's turn by rate."""
        async with self._slots:
            now = time.monotonic()
            self._next = max(self._next, now - self._burst_seconds) + self._interval
            delay = self._next - self._interval - now
            if delay > 0:
                await asyncio.sleep(delay)
            yield

    def hold(self, seconds: float) -> None:
        """Let nobody start before that many seconds have passed."""
        self._next = max(self._next, time.monotonic() + seconds)


def retry_delay_seconds(attempt: int, headers: Mapping[str, str] | None, now_epoch_seconds: float) -> float:
    """How long to wait after failed attempt number `attempt` (from 1): Retry-After if given, else doubling with jitter."""
    told = headers.get("retry-after") if headers else None
    if told is not None:
        seconds = _retry_after_seconds(told, now_epoch_seconds)
        if seconds is not None:
            return seconds
    doubling: float = 0.2 * 2 ** (attempt - 1)
    return min(10.0, doubling) * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, no secret)


def _retry_after_seconds(text: str, now_epoch_seconds: float) -> float | None:
    if seconds := _SECONDS.match(text):
        return float(seconds[1])
    try:
        at: float = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, at - now_epoch_seconds)
