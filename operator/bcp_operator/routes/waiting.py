"""Asking again until users get the target: often at first, when an answer is due any moment, then ever more slowly."""

import asyncio
import time
from collections.abc import Callable

from .base import Driver, Target, Verification

__all__ = ["wait_verified"]

FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0
GROWTH = 1.3


async def wait_verified(
    driver: Driver, target: Target, timeout_seconds: float, *, clock: Callable[[], float] = time.monotonic
) -> Verification:
    """Verify until it is ok or `timeout_seconds` are over; the last verification is returned either way."""
    end, pause = clock() + timeout_seconds, FIRST_PAUSE_SECONDS
    while True:
        verification = await driver.verify(target)
        if verification.ok or clock() + pause >= end:
            return verification
        await asyncio.sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE_SECONDS)
