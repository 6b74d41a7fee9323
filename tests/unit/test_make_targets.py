"""make, the lock files and the closing line of a test run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.results import totals
from tests.unit.charts import ROOT

SUITE = (
    '<testsuites><testsuite name="pytest" tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"/>'
    "</testsuites>"
)


def pins(name: str) -> dict[str, set[str]]:
    """Return each `package==version` of a lock file with its hashes."""
    found: dict[str, set[str]] = {}
    current = ""
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+==[^ ;]+)", line):
            current = match.group(1)
            found[current] = set()
        elif "--hash=" in line:
            found[current].add(line.strip(" \\"))
    return found


def test_make_alone_prints_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), flags=re.M)) - {"clean-results"}
    assert {line.split()[0] for line in shown.splitlines()} == targets
    assert {"venv", "lint", "test", "demo", "up", "down", "image", "generate", "lock"} <= targets


def test_ci_does_nothing_by_hand() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == ["set -euo pipefail", 'cd "$(dirname "${BASH_SOURCE[0]}")/.."', "make test"]


def test_every_pin_has_hashes_and_the_image_agrees_with_the_environment() -> None:
    everything, image = pins("lock.txt"), pins("image.txt")
    assert all(everything.values())
    assert {pin: hashes for pin, hashes in image.items() if everything.get(pin) != hashes} == {}


@pytest.mark.parametrize(
    ("suites", "line", "code"),
    [
        ([(3, 0, 0, 0), (4, 0, 0, 0)], "7 passed, 0 failed", 0),
        ([(3, 1, 1, 0)], "1 passed, 2 failed", 1),
        ([(3, 0, 0, 1)], "2 passed, 1 failed", 1),
        ([], "0 passed, 0 failed", 1),
    ],
)
def test_the_closing_line(tmp_path: Path, suites: list[tuple[int, int, int, int]], line: str, code: int) -> None:
    for number, (tests, failures, errors, skipped) in enumerate(suites):
        text = SUITE.format(tests=tests, failures=failures, errors=errors, skipped=skipped)
        (tmp_path / f"{number}.xml").write_text(text)
    command = [sys.executable, "-m", "tests.results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"{line}\n", code)
    passed, failed = totals(tmp_path)
    assert line == f"{passed} passed, {failed} failed"
