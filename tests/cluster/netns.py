"""The cluster's network namespace: a bridge, no uplink, so nothing in it can reach the outside."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.identity import ProcessId, all_pids
from tests.cluster.settings import NODE_ADDRESS, NODE_PREFIX_BITS

_CLONE_NEWNET = 0x40000000
_BRIDGE = "lab0"


def exists(file: Path) -> bool:
    """Whether a network namespace is bound to the file."""
    return str(file) in _mount_points()


def ensure(file: Path) -> None:
    """Make the namespace unless it is there, bound to a file, with a bridge that carries the node's address.

    One that an interrupted run left unfinished is made again; nothing can be running in it yet.

    Raises:
        ClusterError: the kernel or missing rights refuse it.
    """
    finished = file.with_suffix(".finished")
    if exists(file) and (finished.exists() or members(file)):
        return
    finished.unlink(missing_ok=True)
    remove(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    _tool(["unshare", f"--net={file}", "true"], None)
    lines = ["link set lo up", f"link add {_BRIDGE} type bridge"]
    lines += [f"addr add {NODE_ADDRESS}/{NODE_PREFIX_BITS} dev {_BRIDGE}", f"link set {_BRIDGE} up"]
    _tool([*enter(file), "ip", "-batch", "-"], "\n".join(lines) + "\n")
    finished.touch()


def remove(file: Path) -> None:
    """Unbind the namespace; it ends with its last process."""
    if exists(file):
        _tool(["umount", str(file)], None)
    file.unlink(missing_ok=True)


def enter(file: Path) -> list[str]:
    """Return the arguments that run a program inside the namespace (not `ip netns exec`: it hides the cgroups)."""
    return ["nsenter", f"--net={file}"]


def members(file: Path) -> list[ProcessId]:
    """Return every process inside the namespace."""
    return [] if not exists(file) else list(_members(os.stat(file)))


def _members(namespace: os.stat_result) -> Iterator[ProcessId]:
    for pid in all_pids():
        try:
            seen = os.stat(f"/proc/{pid}/ns/net")
        except OSError:
            continue  # gone meanwhile
        if (seen.st_dev, seen.st_ino) == (namespace.st_dev, namespace.st_ino) and pid != os.getpid():
            identity = ProcessId.of(pid)
            if identity is not None:
                yield identity


def join(file: Path) -> None:
    """Move the calling thread into the namespace.

    Raises:
        OSError: the kernel refused.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {file}")
    finally:
        os.close(descriptor)


def connect(file: Path, address: str, port: int, timeout_seconds: float) -> socket.socket:
    """Open a TCP connection whose near end is inside the namespace; usable from any thread.

    Raises:
        OSError: nothing listens there, or the time is up.
    """
    outcome: list[socket.socket | OSError] = []

    def dial() -> None:
        # A socket belongs to the namespace of the thread that makes it; this thread ends, the socket stays.
        try:
            join(file)
            outcome.append(socket.create_connection((address, port), timeout=timeout_seconds))
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=dial, name="netns-connect", daemon=True)
    thread.start()
    thread.join()
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


def _mount_points() -> set[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split(" ")[4] for line in lines}


def _tool(argv: list[str], input_text: str | None) -> None:
    done = subprocess.run(argv, input=input_text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(argv)} failed: {done.stderr.strip() or done.stdout.strip()}")
