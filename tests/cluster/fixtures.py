"""The session's cluster for pytest: only a control plane, unless a selected test needs the whole."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from tests.cluster.access import Cluster
from tests.cluster.folders import Folders, resolve
from tests.cluster.ledger import Ledger

_whole = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Make SIGTERM end the session as Ctrl-C does: through the fixtures' clean-up."""
    config.addinivalue_line("markers", "lab: about the cluster this package makes; not run on an existing one")
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the own cluster can show, and remember whether any selected test needs a node."""
    if os.environ.get("BCP_CLUSTER") == "existing":
        own = [item for item in items if item.get_closest_marker("lab")]
        config.hook.pytest_deselected(items=own)
        items[:] = [item for item in items if item not in own]
    config.stash[_whole] = any(item.get_closest_marker("e2e") for item in items)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running cluster.

    One that was up already is used and left running. One that a test session started is taken down by the last
    session that uses it, on interrupt too.
    """
    whole = request.config.stash.get(_whole, False)
    folders = resolve()
    with _Use(folders) as last_out:
        made = Cluster()
        try:
            made.up(node=whole, images=whole, transient=True)
            yield made
        finally:
            made.close()
            if last_out() and Ledger.load(folders).transient:
                made.down()


class _Use:
    """Hold the instance's users lock, shared, for a block; the value tells whether nobody else holds it."""

    def __init__(self, folders: Folders) -> None:
        folders.users_lock.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(folders.users_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> _Use:
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        return self

    def __call__(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)
