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
        forwards: name -> port on 127.0.0.1 of the host.
        host_files: files outside the state folder that go away again.
        images: image name -> hash of the inputs of the one that is loaded.
        transient: started by a test session, whose last user takes it down.
    """

    file: Path
    processes: dict[str, ProcessId] = field(default_factory=dict)
    jobs: dict[str, ProcessId] = field(default_factory=dict)
    forwards: dict[str, int] = field(default_factory=dict)
    host_files: list[str] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    transient: bool = False

    def __post_init__(self) -> None:
        self._guard = threading.RLock()

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
        known = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        return cls(file, **known)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the ledger for a block that changes it, and write it at the end.

        A crash leaves either the old or the new one on disk.
        """
        with self._guard:
            yield
            content: dict[str, Any] = {
                "processes": {name: asdict(process) for name, process in self.processes.items()},
                "jobs": {name: asdict(process) for name, process in self.jobs.items()},
                "forwards": self.forwards,
                "host_files": self.host_files,
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
