"""Which kind of store a run has."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bcp_operator.api.run import RunStore

from .sqlite import open_sqlite
from .store import Store


@contextmanager
def opened(config: RunStore, pair: str, *, read_only: bool = False) -> Iterator[Store]:
    """The store of a pair, closed at the end. Read only, a store that no run has made yet is an empty one.

    Raises StoreError.
    """
    store = _open(config, pair, read_only)
    try:
        yield store
    finally:
        store.close()


def _open(config: RunStore, pair: str, read_only: bool) -> Store:
    if config.postgresql is not None:
        from .postgresql import open_postgresql  # noqa: PLC0415 (a run with SQLite needs no driver)

        remote = open_postgresql(config.postgresql, pair, read_only=read_only)
        if not remote.is_empty:
            return remote
        remote.close()
    elif config.sqlite is not None:
        path = Path(config.sqlite.path)
        if path.exists() or not read_only:
            return open_sqlite(path, pair, read_only=read_only)
    return open_sqlite(Path(":memory:"), pair)
