"""Starts bcp-sync by fork, so that a run costs no imports, and can end it where no outsider can.

One JSON object per line on standard input, {"arguments": [...], "output": PATH}; on standard output {"group": PID} when the
run has begun and {"code": exit code or negative signal} when it has ended. Runs are killed from within as hooks.py says.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NoReturn

from bcp_operator.sync.__main__ import main
from bcp_operator.systems.transport import ssl_context

from tests.systems.crash.hooks import Hooks


def die() -> NoReturn:
    """SIGKILL for the whole run."""
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("unreachable")


def _run(command: dict[str, Any]) -> NoReturn:
    os.setpgid(0, 0)
    for descriptor, name in ((1, command["output"]), (2, command["output"] + ".log")):
        with open(name, "wb", buffering=0) as output:
            os.dup2(output.fileno(), descriptor)
    code = 70
    try:
        code = main(command["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _say(**what: int) -> None:
    print(json.dumps(what), flush=True)


def serve() -> None:
    """One run after the other, until standard input ends."""
    # What a run imports only when it needs it, imported once.
    import bcp_operator.sync.login
    import bcp_operator.sync.run
    import bcp_operator.sync.show  # noqa: F401

    Hooks(die).lay()
    ssl_context()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(json.loads(line))
        _say(group=child)
        _, status = os.waitpid(child, 0)
        _say(code=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    serve()
