"""`make demo`: the whole story on a real cluster of this machine, in about two minutes once everything is cached."""

from __future__ import annotations

import argparse
import sys

from tests.demo import teller
from tests.demo.story import tell


def main() -> int:
    """Tell the story; exit status 1 when it did not go as it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--keep", action="store_true", help="leave the cluster running at the end (the default)")
    after.add_argument("--down", action="store_true", help="shut the cluster down at the end")
    args = parser.parse_args()
    try:
        tell(down=args.down)
    except KeyboardInterrupt:
        teller.say("Interrupted. The cluster is still there: `make down` removes it.")
        return 130
    except (AssertionError, RuntimeError, OSError) as problem:
        teller.say(f"The demo stopped: {problem}")
        teller.say("The cluster is still there to look around (see above); `make down` removes it.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
