"""How the demo speaks: every line with its time, commands as one would type them, a table at the end."""

from __future__ import annotations

import textwrap
import time

BEGIN = time.monotonic()


def say(text: str) -> None:
    """One line of the story, with the seconds since it began."""
    print(f"[{time.monotonic() - BEGIN:6.1f} s] {text}", flush=True)


def chapter(text: str) -> None:
    """A heading."""
    print(f"\n== {text}", flush=True)


def show(text: str) -> None:
    """Something to read: a command, a manifest, an output."""
    print(textwrap.indent(text.rstrip(), "           | "), flush=True)


def table(rows: list[tuple[str, str]]) -> None:
    """What happened, in two columns."""
    width = max(len(left) for left, _ in rows)
    print()
    for left, right in rows:
        print(f"  {left.ljust(width)}  {right}")
    print(flush=True)
