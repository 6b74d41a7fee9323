"""Starts bcp-sync by fork, so that a run costs no imports, and can end it where no outsider can.

One JSON object per line on standard input, {"arguments": [...], "output": PATH}; on standard output {"group": PID} when the
run has begun and {"code": exit code or negative signal} when it has ended. An answer that carries the header DIE is the last
thing a run learns: it is killed, with all its processes, when it has read it, and before its store commits anything more.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NoReturn

from bcp_operator.sync.__main__ import main
from bcp_operator.sync.correlations.sqlite import SqliteStore
from bcp_operator.systems.transport import Answer, Transport, ssl_context

DIE = "X-Test-Die"


def die() -> NoReturn:
    """SIGKILL for the whole run."""
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("unreachable")


def lay_hooks() -> None:
    """Around the transport and the stores, not in them."""
    armed = False
    request = Transport.request

    async def asked(self: Transport, method: str, url: str, **more: Any) -> Answer:
        nonlocal armed
        answer = await request(self, method, url, **more)
        if DIE in answer.headers:
            if method == "GET" or answer.status >= 400:
                die()  # nothing would be committed because of it
            armed = True
        return answer

    Transport.request = asked  # type: ignore[method-assign]
    for store in (SqliteStore,):
        for name in ("save", "forget"):
            _guard(store, name, lambda: armed)


def _guard(store: Any, name: str, armed: Any) -> None:
    original = getattr(store, name)

    def commits(self: Any, *arguments: Any) -> Any:
        if armed():
            die()
        return original(self, *arguments)

    setattr(store, name, commits)


def _run(command: dict[str, Any]) -> NoReturn:
    os.setpgid(0, 0)
    with open(command["output"], "wb", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
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

    lay_hooks()
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
