"""The ledger: what an instance has made, written before or as it is made, so that any later `down` can undo it."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.folders import Folders
from tests.cluster.identity import ProcessId
from tests.cluster.progress import say


@dataclass
class Ledger:
    """One instance's belongings, as JSON in its state folder.

    Attributes:
        processes: component name -> process; components live until `down`.
        jobs: step name -> leader of a session (a build, an apt-get) that must not outlive an interrupted `up`.
        sysctls: name -> value the host had before the cluster changed it.
        forwards: name -> port on 127.0.0.1 of the host.
        cgroup_controllers: controllers that were switched on in a cgroup v2 root and go off again.
        host_files: files outside the state folder that go away again.
        host_folders: folders outside the state folder that weren't there before the cluster.
        images: image name -> hash of the inputs of the one that is loaded.
        transient: started by a test session, whose last user takes it down.
    """

    file: Path
    processes: dict[str, ProcessId] = field(default_factory=dict)
    jobs: dict[str, ProcessId] = field(default_factory=dict)
    sysctls: dict[str, str] = field(default_factory=dict)
    forwards: dict[str, int] = field(default_factory=dict)
    cgroup_controllers: list[str] = field(default_factory=list)
    host_files: list[str] = field(default_factory=list)
    host_folders: list[str] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    transient: bool = False

    def __post_init__(self) -> None:
        self._guard = threading.Lock()

    @classmethod
    def load(cls, folders: Folders) -> Ledger:
        """Return the ledger on disk, or an empty one."""
        file = folders.state / "ledger.json"
        try:
            content = json.loads(file.read_text())
        except FileNotFoundError:
            return cls(file)
        for name in ("processes", "jobs"):
            content[name] = {key: ProcessId(**value) for key, value in content[name].items()}
        return cls(file, **content)

    def save(self) -> None:
        """Write the ledger so that a crash leaves either the old or the new one."""
        with self._guard:
            content: dict[str, Any] = {
                "processes": {name: asdict(process) for name, process in self.processes.items()},
                "jobs": {name: asdict(process) for name, process in self.jobs.items()},
                "sysctls": self.sysctls,
                "forwards": self.forwards,
                "cgroup_controllers": self.cgroup_controllers,
                "host_files": self.host_files,
                "host_folders": self.host_folders,
                "images": self.images,
                "transient": self.transient,
            }
            new = self.file.with_suffix(".new")
            new.write_text(json.dumps(content, indent=1))
            new.replace(self.file)

    def running(self, name: str) -> bool:
        """Whether a component's recorded process is alive."""
        process = self.processes.get(name)
        return process is not None and process.alive()


@contextmanager
def locked(file: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file; the kernel frees it when the holder dies.

    Args:
        file: the lock file; made when missing.
        wait: wait for another holder to finish.

    Raises:
        BlockingIOError: another process holds it and `wait` is off.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            say(f"waiting for another process that is at work there ({file})")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
