"""A real Kubernetes for demo and tests, in a network namespace of its own: `python -m tests.cluster up`."""

from tests.cluster.access import Cluster
from tests.cluster.errors import ClusterError

__all__ = ["Cluster", "ClusterError"]
