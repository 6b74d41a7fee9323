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


def create(layout: Layout, instance: str) -> list[str]:
    """Make the instance's cgroup; return the v2 controllers that had to be switched on at the root."""
    switched_on: list[str] = []
    if layout.version == 2:
        control = layout.hierarchies[0] / "cgroup.subtree_control"
        switched_on = sorted(set(_NEEDED) - set(control.read_text().split()))
        if switched_on:
            control.write_text(" ".join(f"+{name}" for name in switched_on))
    for hierarchy in layout.hierarchies:
        (hierarchy / folder_name(instance)).mkdir(exist_ok=True)
    return switched_on


def members(layout: Layout, instance: str) -> list[ProcessId]:
    """Return every process in the instance's cgroup: the pods' processes."""
    pids = {pid for folder in _folders(layout, instance) for pid in _processes(folder)}
    found = (ProcessId.of(pid) for pid in pids)
    return [identity for identity in found if identity is not None]


def remove(layout: Layout, instance: str, switched_on: list[str], seconds: float) -> None:
    """Remove the instance's cgroup and switch off the controllers that `create` switched on.

    Raises:
        ClusterError: something in it is still busy at the deadline.
    """
    deadline = time.monotonic() + seconds
    while left := [folder for folder in _folders(layout, instance) if not _removed(folder)]:
        if time.monotonic() >= deadline:
            raise ClusterError(f"these cgroups are still busy: {', '.join(map(str, left[:5]))}")
        time.sleep(0.05)
    if layout.version == 2 and switched_on:
        control = layout.hierarchies[0] / "cgroup.subtree_control"
        control.write_text(" ".join(f"-{name}" for name in switched_on))


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
