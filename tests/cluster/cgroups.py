"""The cluster's own cgroup in every hierarchy of the host, version 1 or 2."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.identity import ProcessId

_NEEDED = ("cpu", "cpuset", "memory", "pids")


@dataclass(frozen=True)
class Layout:
    """How the host mounts its cgroups.

    Attributes:
        version: 1 when controllers are mounted one by one (an empty v2 tree beside them changes nothing), else 2.
        hierarchies: every mounted hierarchy.
        controllers: mount options of the v1 hierarchies that carry controllers.
    """

    version: int
    hierarchies: tuple[Path, ...]
    controllers: frozenset[str]


def detect(mountinfo: str | None = None) -> Layout:
    """Return the host's layout.

    Args:
        mountinfo: text of /proc/self/mountinfo; None reads it.

    Raises:
        ClusterError: no usable cgroups are mounted.
    """
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    v1: list[Path] = []
    v2: list[Path] = []
    controllers: set[str] = set()
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        point = Path(left.split(" ")[4])
        if kind == "cgroup":
            v1.append(point)
            controllers.update(options.split(","))
        elif kind == "cgroup2":
            v2.append(point)
    if {"cpu", "memory"} <= controllers:
        return Layout(1, (*v1, *v2), frozenset(controllers))
    if v2:
        return Layout(2, tuple(v2[:1]), frozenset())
    raise ClusterError("no cgroups are mounted (neither version 1 with cpu and memory, nor version 2): no node can run")


def folder_name(instance: str) -> str:
    """Return the name of an instance's cgroup."""
    return f"bcp-operator-{instance}"


def missing_controllers(layout: Layout) -> list[str]:
    """Return the controllers that a version 2 root doesn't hand down yet."""
    if layout.version == 1:
        return []
    control = layout.hierarchies[0] / "cgroup.subtree_control"
    return sorted(set(_NEEDED) - set(control.read_text().split()))


def create(layout: Layout, instance: str) -> None:
    """Make the instance's cgroup, in version 2 with the controllers that kubelet needs handed down to it."""
    if missing := missing_controllers(layout):
        control = layout.hierarchies[0] / "cgroup.subtree_control"
        control.write_text(" ".join(f"+{name}" for name in missing))
    for hierarchy in layout.hierarchies:
        (hierarchy / folder_name(instance)).mkdir(exist_ok=True)


def switch_off(layout: Layout, controllers: list[str]) -> None:
    """Take back controllers that a version 2 root didn't hand down before."""
    if layout.version == 2 and controllers:
        control = layout.hierarchies[0] / "cgroup.subtree_control"
        control.write_text(" ".join(f"-{name}" for name in controllers))


def members(layout: Layout, instance: str) -> list[ProcessId]:
    """Return every process in the instance's cgroup: the pods' processes."""
    pids = {pid for folder in _folders(layout, instance) for pid in _processes(folder)}
    found = (ProcessId.of(pid) for pid in pids)
    return [identity for identity in found if identity is not None]


def remove(layout: Layout, instance: str, seconds: float) -> None:
    """Remove the instance's cgroup.

    Raises:
        ClusterError: something in it is still busy at the deadline.
    """
    deadline = time.monotonic() + seconds
    while left := [folder for folder in _folders(layout, instance) if not _removed(folder)]:
        if time.monotonic() >= deadline:
            raise ClusterError(f"these cgroups are still busy: {', '.join(map(str, left[:5]))}")
        time.sleep(0.05)


def _folders(layout: Layout, instance: str) -> Iterator[Path]:
    """Yield the instance's cgroup folders, deepest first."""
    for hierarchy in layout.hierarchies:
        for folder, _, _ in os.walk(hierarchy / folder_name(instance), topdown=False):
            yield Path(folder)


def _processes(folder: Path) -> list[int]:
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        return []  # the container went meanwhile


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
