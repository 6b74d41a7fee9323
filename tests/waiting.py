"""The one way in which a test waits: for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, deadline_seconds: float = 30, every_seconds: float = 0.05) -> T:
    """Call `look` until it gives something true and return that; raises AssertionError after the deadline."""
    end = time.monotonic() + deadline_seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_seconds:g} s: {what}")
        time.sleep(every_seconds)
    return found
