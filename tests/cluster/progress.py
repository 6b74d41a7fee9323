"""Progress lines on stderr, and the memory of how long slow steps took the last time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Say = Callable[[str], None]

_started = time.monotonic()


def say(text: str) -> None:
    """Print one progress line with the seconds since the start."""
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Return seconds as people say them: `8 s`, `5 min 47 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


class Timings:
    """How long each slow step took the last time, kept in the cache folder."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def last(self, step: str) -> float | None:
        """Return the seconds the step took the last time, or None."""
        value = self._read().get(step)
        return value if isinstance(value, int | float) else None

    @contextmanager
    def measured(self, step: str, what: str, first_time: str) -> Iterator[None]:
        """Announce a slow step with its last duration, run it, and remember the new one.

        Args:
            step: key under which the duration is kept.
            what: the step in words, e.g. `building etcd 3.7.3`.
            first_time: what to expect when it never ran here, e.g. `about 1 min`.
        """
        last = self.last(step)
        say(f"{what} ({'last time ' + duration(last) if last is not None else 'the first time takes ' + first_time})")
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({**self._read(), step: round(took, 1)}, indent=1))
        new.replace(self._file)
        say(f"{what}: done in {duration(took)}")

    def _read(self) -> dict[str, float]:
        try:
            content = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}  # a lost or torn file only costs the hint
        return content if isinstance(content, dict) else {}
