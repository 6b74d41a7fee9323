"""Add up the JUnit files of all stages: `python -m tests.results FOLDER` prints one closing line.

Exits with 1 when a test failed or none ran; skipped ones are counted as failures, since no test here may skip.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree


def totals(folder: Path) -> tuple[int, int]:
    """Return how many tests passed and how many did not, over all *.xml files of a folder."""
    passed = failed = 0
    for path in sorted(folder.glob("*.xml")):
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):
            bad = sum(int(suite.get(kind, "0")) for kind in ("failures", "errors", "skipped"))
            failed += bad
            passed += int(suite.get("tests", "0")) - bad
    return passed, failed


def main() -> int:
    """Print `N passed, N failed` for the folder given as the only argument."""
    passed, failed = totals(Path(sys.argv[1]))
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
