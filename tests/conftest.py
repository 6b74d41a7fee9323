"""Fixtures of the whole suite."""

pytest_plugins = ["tests.cluster.fixtures", "tests.unit.stores"]
