"""kubectl-bcp: `kubectl bcp VERB`.

Exit codes: 0 all is fine, 1 something needs attention, 2 it could not be read or was asked wrongly.
"""

import argparse
import sys
from collections.abc import Sequence

from . import status
from .cluster import ClusterError

__all__ = ["main"]

EXIT_CODES = "exit codes: 0 all is fine, 1 something needs attention, 2 it could not be read or was asked wrongly"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; errors go to standard error as one line."""
    parser = argparse.ArgumentParser(
        prog="kubectl bcp", description="Look at business continuity tenants.", epilog=EXIT_CODES
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    status.add_parser(verbs)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ClusterError as error:
        print(f"kubectl bcp: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
