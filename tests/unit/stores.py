"""Both kinds of store, for one suite of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from bcp_operator.api.run import RunPostgresql, RunSqlite, RunStore
from bcp_operator.sync.correlations.opening import opened
from bcp_operator.sync.correlations.store import Store

from tests.systems.postgresql import Postgresql, start_postgresql


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A real PostgreSQL server; every test makes its own database in it."""
    with start_postgresql() as server:
        yield server


class Opener(Protocol):
    """Opens the store of a pair."""

    def __call__(self, pair: str, *, read_only: bool = False) -> Store: ...


def on_server(server: Postgresql, database: str, folder: Path) -> RunStore:
    """The store in a database of the test's server."""
    dsn = folder / "dsn"
    dsn.write_text(server.dsn(database) + "\n")
    return RunStore(postgresql=RunPostgresql(dsn_file=str(dsn)))


@pytest.fixture(params=["sqlite", "postgresql"], name="opener")
def opener_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the store of a pair, always the same one, after closing the one before."""
    if request.param == "sqlite":
        config = RunStore(sqlite=RunSqlite(path=str(tmp_path / "new" / "c.db")))
    else:
        server: Postgresql = request.getfixturevalue("postgresql")
        config = on_server(server, server.database(), tmp_path)
    with ExitStack() as stack:

        def make(pair: str, *, read_only: bool = False) -> Store:
            stack.close()  # one writer at a time
            return stack.enter_context(opened(config, pair, read_only=read_only))

        yield make
