"""Two processes: the parent waits and reports, the child does the whole run and holds the writer lease.

Why two: the kernel's timer that ends a frozen writer (sync/fence.py) works by SIGALRM's default action, which process 1
of a container never gets; and when the writer is ended like that, somebody has to say so. The parent has no
connection to anything. When it is told to end, the writer dies first.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bcp_operator.api.run import TERMINATION_MESSAGE_LIMIT_BYTES, ExitCode, Report, RunReport

TERMINATION_LOG = Path("/dev/termination-log")
_PR_SET_PDEATHSIG = 1
_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def supervise(work: Callable[[], tuple[ExitCode, RunReport | None]]) -> tuple[int, RunReport | None]:
    """Do `work` in a child process; returns its exit code and report. A child that is killed gets a report, too."""
    start, began = datetime.now(UTC), time.monotonic()
    reading, writing = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_child(work, writing, parent)
    os.close(writing)

    def stop(number: int, _: FrameType | None) -> None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        report = _killed(start, began, "the run was told to end; the next one goes on where it stopped")
        write_termination_message(report)
        os._exit(128 + number)

    for number in _SIGNALS:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    text = _read_all(reading)
    _, status = os.waitpid(child, 0)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    if os.WIFSIGNALED(status):
        return ExitCode.FAILED, _killed(start, began, _why_killed(os.WTERMSIG(status)))
    report = RunReport.model_validate_json(text) if text else None
    return os.WEXITSTATUS(status), report


def write_termination_message(report: Report, path: Path = TERMINATION_LOG) -> None:
    """Where the kubelet looks for it; nothing happens outside a pod."""
    if path.exists():
        with suppress(OSError):
            path.write_text(report.render(TERMINATION_MESSAGE_LIMIT_BYTES), encoding="utf-8")


def _be_child(work: Callable[[], tuple[ExitCode, RunReport | None]], writing: int, parent: int) -> NoReturn:
    code = int(ExitCode.FAILED)
    try:
        for number in (signal.SIGALRM, *_SIGNALS):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM, *_SIGNALS})
        _die_with(parent)
        outcome, report = work()
        if report is not None:
            _write_all(writing, report.model_dump_json(by_alias=True).encode())
        code = int(outcome)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    """Have the kernel end this process with its parent, however that ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(int(ExitCode.FAILED))


def _killed(start: datetime, began: float, message: str) -> RunReport:
    return RunReport(
        result="Failed", start_time=start, seconds=round(time.monotonic() - began, 3), message=message, truncated=True
    )


def _why_killed(number: int) -> str:
    if number == signal.SIGALRM:
        return "the writer lease ran out and the kernel ended the writer; the next run goes on where it stopped"
    if number == signal.SIGKILL:
        return "the writer was killed, perhaps for want of memory; the next run goes on where it stopped"
    return f"the writer was ended by signal {number}; the next run goes on where it stopped"


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def _write_all(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
