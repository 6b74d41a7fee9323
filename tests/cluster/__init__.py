"""A real Kubernetes for demo and tests, in a network namespace of its own: `python -m tests.cluster up`."""
