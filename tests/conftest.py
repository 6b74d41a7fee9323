"""Fixtures of the whole suite."""

from collections.abc import Iterator

import pytest

from tests.systems.postgresql import Postgresql, start_postgresql

pytest_plugins = ["tests.cluster.fixtures"]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A real PostgreSQL server; every test makes its own database in it."""
    with start_postgresql() as server:
        yield server
