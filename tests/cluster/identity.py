"""Processes named so that a recycled process id can never be mistaken for ours."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessId:
    """One process for the lifetime of one boot.

    Attributes:
        pid: process id.
        start_ticks: its start time in clock ticks since boot (/proc/PID/stat field 22).
        boot_id: the kernel's boot id, because both numbers start again with each boot.
    """

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the identity of a running process, or None when it is gone or a zombie."""
        stat = _stat(pid)
        return None if stat is None or stat[0] in "ZX" else cls(pid, int(stat[19]), boot_id())

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessId.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False when it is gone.

        A pidfd is taken before the identity is checked, so the signal can't hit a successor.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except (ProcessLookupError, OSError):
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from `state` on, or None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return text[text.rindex(")") + 2 :].split()


def session_of(pid: int) -> int | None:
    """Return the session id of a process, or None when it is gone."""
    stat = _stat(pid)
    return None if stat is None else int(stat[3])


def all_pids() -> Iterator[int]:
    """Yield the ids of all processes."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def reap(pid: int) -> None:
    """Collect a dead child, if it is ours, so that no zombie stays."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def wait_gone(processes: Iterable[ProcessId], seconds: float) -> list[ProcessId]:
    """Wait until all the processes are gone; return those that are not at the deadline."""
    deadline = time.monotonic() + seconds
    left = list(processes)
    while True:
        for process in left:
            reap(process.pid)
        left = [process for process in left if process.alive()]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(POLL_SECONDS)


def stop(processes: Iterable[ProcessId], grace_seconds: float) -> list[ProcessId]:
    """Ask processes to end, kill those that don't; return those that survive even that."""
    asked = [process for process in processes if process.send(signal.SIGTERM)]
    left = wait_gone(asked, grace_seconds)
    for process in left:
        process.send(signal.SIGKILL)
    return wait_gone(left, 5.0)


def kill(processes: Iterable[ProcessId]) -> list[ProcessId]:
    """Kill processes at once; return those that survive."""
    return wait_gone([process for process in processes if process.send(signal.SIGKILL)], 5.0)
