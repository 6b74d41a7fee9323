"""Starts and stops the cluster's components and knows which are alive."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.cluster import identity, netns
from tests.cluster.components import Component
from tests.cluster.errors import ClusterError
from tests.cluster.folders import REPOSITORY, Folders
from tests.cluster.identity import ProcessId
from tests.cluster.jobs import tail
from tests.cluster.ledger import Ledger

PYTHON = (sys.executable, "-m", "tests.cluster.daemon")


class Supervisor:
    """Starts components detached from the caller, and records each in the ledger."""

    def __init__(self, folders: Folders, ledger: Ledger) -> None:
        self._folders = folders
        self._ledger = ledger

    def start(self, component: Component) -> bool:
        """Start a component unless it runs already; return whether it was started."""
        if self._ledger.running(component.name):
            return False
        log = self.log(component.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        prefix = netns.enter(self._folders.netns) if component.inside else []
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*prefix, *component.argv],
                cwd=REPOSITORY,  # the Python components import this package
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **component.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        recorded = ProcessId.of(process.pid)
        process.returncode = 0  # it outlives this process on purpose: no warning about that
        if recorded is None:
            raise ClusterError(f"{component.name} ended at once; its log {log}:\n{tail(log)}")
        with self._ledger.changing():
            self._ledger.processes[component.name] = recorded
        return True

    def log(self, name: str) -> Path:
        """Return the log file of a component."""
        return self._folders.logs / f"{name}.log"

    def dead(self, names: Iterable[str]) -> str | None:
        """Return why waiting is pointless: the first of the components that is not alive, with the end of its log."""
        for name in names:
            if not self._ledger.running(name):
                log = self.log(name)
                return f"{name} ended; the end of {log}:\n{tail(log)}"
        return None

    def stop(self, names: Iterable[str], grace_seconds: float) -> None:
        """Stop components one after the other, in the given order, and forget them.

        Raises:
            ClusterError: one survives SIGKILL.
        """
        for name in names:
            process = self._ledger.processes.get(name)
            if process is None:
                continue
            if left := identity.stop([process], grace_seconds):
                raise ClusterError(f"{name} (process {left[0].pid}) can't be ended")
            with self._ledger.changing():
                del self._ledger.processes[name]
