"""Wheels built on the host, by hash, for images whose build has no network."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from tests.cluster.folders import REPOSITORY
from tests.cluster.jobs import Jobs
from tests.cluster.progress import Timings


def ensure(requirements: str, cache: Path, jobs: Jobs, timings: Timings, what: str) -> Path:
    """Return a folder with the wheels of hashed requirements, fetching or building them when the cache lacks them.

    Raises:
        ClusterError: pip failed.
    """
    key = hashlib.sha256(f"{sys.version_info[:2]}\n{requirements}".encode()).hexdigest()[:16]
    folder = cache / "wheels" / key
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = folder / "requirements.txt"
    listed.write_text(requirements)
    with timings.measured(f"wheels-{what}", f"collecting the wheels of {what}", "about 1 min"):
        argv = [*_pip("wheel"), "--no-deps", "--require-hashes", f"--wheel-dir={folder}", f"--requirement={listed}"]
        jobs.run(f"wheels-{what}", argv)
    (folder / "complete").touch()
    return folder


def build_project(target: Path, jobs: Jobs) -> None:
    """Build the project's own wheel into a folder, by the build backend that is locked and installed beside us.

    Raises:
        ClusterError: pip failed.
    """
    argv = [*_pip("wheel"), "--no-deps", "--no-build-isolation", f"--wheel-dir={target}", str(REPOSITORY)]
    jobs.run("wheel-project", argv)


def _pip(command: str) -> list[str]:
    return [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
