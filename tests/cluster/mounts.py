"""Mounts under the state folder: pod volumes, container roots. All of them go with the cluster."""

from __future__ import annotations

import ctypes
import os
import re
import time
from pathlib import Path

from tests.cluster.errors import ClusterError

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_OCTAL = re.compile(r"\\([0-7]{3})")


def parse(mountinfo: str) -> list[str]:
    """Return the mount points of a /proc/PID/mountinfo text, in mount order."""
    points = [line.split(" ")[4] for line in mountinfo.splitlines() if line]
    return [_OCTAL.sub(lambda match: chr(int(match.group(1), 8)), point) for point in points]


def under(folder: Path, mountinfo: str | None = None) -> list[str]:
    """Return the mount points in or below a folder, in mount order."""
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    return [point for point in parse(text) if point == str(folder) or point.startswith(f"{folder}/")]


def unmount_under(folder: Path, seconds: float) -> None:
    """Unmount everything in or below a folder, last mounted first.

    Args:
        folder: the folder.
        seconds: how long to retry busy mounts before they are detached lazily.

    Raises:
        ClusterError: something is still mounted afterwards.
    """
    deadline = time.monotonic() + seconds
    while points := under(folder):
        late = time.monotonic() >= deadline
        failed = [point for point in reversed(points) if not _unmount(point, lazy=late)]
        if failed and late:
            raise ClusterError(f"still mounted: {', '.join(failed)}")
        if failed:
            time.sleep(0.05)


def _unmount(point: str, *, lazy: bool) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if lazy else 0)
    return bool(libc.umount2(os.fsencode(point), flags) == 0)
