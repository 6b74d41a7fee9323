"""`python -m tests.cluster up | down | status | env | images`."""

from __future__ import annotations

import argparse
import json
import os
import sys

from tests.cluster import lifecycle, report
from tests.cluster.errors import ClusterError
from tests.cluster.folders import resolve


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring the cluster up; harmless when it is up")
    up.add_argument("--control-plane", action="store_true", help="only etcd, apiserver and controller manager")
    up.add_argument("--no-images", action="store_true", help="don't build and load the project's images")
    commands.add_parser("images", aliases=["image"], help="build the images anew where needed and load them")
    commands.add_parser("down", help="take it down and leave nothing behind")
    status = commands.add_parser("status", help="say what runs; exit code 3 when it is down")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    commands.add_parser("env", help='print shell exports: eval "$(python -m tests.cluster env)"')
    return parser


def _run(options: argparse.Namespace) -> int:
    folders = resolve()
    if options.command == "up":
        node = not options.control_plane
        lifecycle.up(folders, node=node, images=node and not options.no_images)
    elif options.command == "down":
        lifecycle.down(folders)
    elif options.command in {"image", "images"}:
        lifecycle.load_images(folders)
    elif options.command == "status":
        state = report.status(folders)
        print(json.dumps(state.as_dict(), indent=2) if options.output == "json" else report.as_text(state))
        return 0 if state.running else 3
    else:
        print(report.exports(report.environment(folders), report.tool_folder(folders)))
    return 0


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has what it wanted
        return 0
    except (ClusterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
