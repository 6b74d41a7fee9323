"""The one way in which a test waits: for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    look: Callable[[], T | None],
    what: str | Callable[[], str] = "the condition holds",
    deadline_seconds: float = 30,
    every_seconds: float = 0.05,
) -> T:
    """Call `look` until it gives something true and return that.

    Raises AssertionError after the deadline, with what it gave last. Where `what` is a function, it is asked only then: so
    that it can tell how things stand at the end.
    """
    end = time.monotonic() + deadline_seconds
    while not (found := look()):
        if time.monotonic() > end:
            text = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {deadline_seconds:g} s: {text} (last: {found!r})")
        time.sleep(every_seconds)
    return found
