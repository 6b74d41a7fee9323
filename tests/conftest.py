"""Fixtures and settings of the whole suite."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.cluster.fixtures", "tests.unit.stores"]

# A busy machine is no bug: hypothesis' own limits on time are assertions on wall time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
