"""Steps that run a host program to its end: builds, package installs. Recorded, so an interrupted `up` leaves none."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.cluster.errors import ClusterError
from tests.cluster.identity import ProcessId, all_pids, session_of, stop, wait_gone
from tests.cluster.ledger import Ledger

T = TypeVar("T")

_OUTPUT_TAIL_LINES = 25


class Jobs:
    """Runs host programs, each in a session of its own whose leader is in the ledger."""

    def __init__(self, ledger: Ledger, logs: Path) -> None:
        self._ledger = ledger
        self._logs = logs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._stopping = False

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input_text: str | None = None,
    ) -> None:
        """Run a program to its end, its output in `<name>.log`.

        Args:
            name: what it is, for the ledger, the log file and the error.
            argv: program and arguments.
            cwd: folder to run in.
            env: variables on top of the caller's.
            input_text: standard input.

        Raises:
            ClusterError: it failed; the message carries the end of its output.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            with self._guard:
                if self._stopping:
                    raise ClusterError(f"{name}: interrupted")
                process = subprocess.Popen(
                    list(argv),
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL if input_text is None else subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._running.add(process)
            self._record(name, process.pid)
            process.communicate(None if input_text is None else input_text.encode())
        with self._guard:
            self._running.discard(process)
        with self._ledger.changing():
            self._ledger.jobs.pop(name, None)
        if process.returncode != 0:
            raise ClusterError(
                f"{name} failed ({' '.join(argv[:6])}): exit code {process.returncode}; the end of {log}:\n{tail(log)}"
            )

    def cancel(self) -> None:
        """Kill every running job; later ones are refused."""
        with self._guard:
            self._stopping = True
            for process in self._running:
                kill_session(process.pid)

    @contextmanager
    def alongside(self, action: Callable[[], T]) -> Iterator[Future[T]]:
        """Run an action in a thread beside a block; when the block fails, the jobs of both are killed."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(action)
            try:
                yield future
            except BaseException:
                self.cancel()  # else the pool would wait for the other thread's job
                raise

    def _record(self, name: str, pid: int) -> None:
        identity = ProcessId.of(pid)
        if identity is not None:
            with self._ledger.changing():
                self._ledger.jobs[name] = identity


def tail(log: Path, lines: int = _OUTPUT_TAIL_LINES) -> str:
    """Return the last lines of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def kill_session(leader: int) -> None:
    """Kill every process of a session that this process started."""
    members = [ProcessId.of(pid) for pid in all_pids() if session_of(pid) == leader]
    for member in members:
        if member is not None:
            member.send(signal.SIGKILL)


def stop_leftover(leader: ProcessId) -> None:
    """Stop what an interrupted `up` left of a job.

    When the leader's id now belongs to another process, the session is over and nothing is touched.
    """
    current = ProcessId.of(leader.pid)
    if current is not None and current != leader:
        return
    members = [ProcessId.of(pid) for pid in all_pids() if session_of(pid) == leader.pid]
    left = stop([member for member in members if member is not None], 2.0)
    wait_gone(left, 1.0)
