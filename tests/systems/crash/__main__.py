"""`make crash-sweep`: every point, or those given by --points (part of their text).

Prints points tried, lost, duplicated and dangling; exits with 1 on any, or when a point was not reached.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.systems.crash.stage import staged
from tests.systems.crash.sweep import Outcome, explore, sweep

LEAST_POINTS = 200


def main() -> int:
    """Sweep; returns the exit code."""
    parser = argparse.ArgumentParser(description="Kill bcp-sync at three points of every request.")
    parser.add_argument("--points", default="", help="only points whose text holds this")
    parser.add_argument("--out", type=Path, help="every outcome as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bcp-crash-") as folder, staged(Path(folder)) as stage:
        expected = explore(stage)
        points = [point for point in expected.points if options.points in str(point)]
        outcomes = []
        for outcome in sweep(stage, expected, points, once_more=True):
            outcomes.append(outcome)
            if not outcome.fine:
                print(f"{outcome.point}: {_words(outcome)}", flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps([_plain(outcome) for outcome in outcomes], indent=1))
    return _total(outcomes, whole=not options.points)


def _total(outcomes: Sequence[Outcome], *, whole: bool) -> int:
    lost, duplicated, dangling = (
        sum(getattr(outcome.count, name) for outcome in outcomes) for name in ("lost", "duplicated", "dangling")
    )
    other = sum(not outcome.fine and not any(asdict(outcome.count).values()) for outcome in outcomes)
    seconds = statistics.median([outcome.seconds for outcome in outcomes] or [0])
    print(
        f"{len(outcomes)} points tried: {lost} lost, {duplicated} duplicated, {dangling} dangling;"
        f" {other} not reached, not at rest or said otherwise ({seconds:.2f} s each)"
    )
    enough = len(outcomes) >= (LEAST_POINTS if whole else 1)
    if not enough:
        print(f"at least {LEAST_POINTS} points are wanted")
    return 0 if enough and all(outcome.fine for outcome in outcomes) else 1


def _words(outcome: Outcome) -> str:
    reached = "" if outcome.reached else "not reached; "
    found = outcome.count
    said = f"{found.lost} lost, {found.duplicated} duplicated, {found.dangling} dangling"
    return f"{reached}{said}; {outcome.restless} writes in the run after; {outcome.problem}"


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "point": str(outcome.point),
        "reached": outcome.reached,
        **asdict(outcome.count),
        "restless": outcome.restless,
        "problem": outcome.problem,
        "seconds": round(outcome.seconds, 3),
    }


if __name__ == "__main__":
    sys.exit(main())
