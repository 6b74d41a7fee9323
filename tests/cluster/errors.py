"""What can go wrong with the test cluster, in words for the person who started it."""


class ClusterError(Exception):
    """The cluster can't do what was asked; the message says why and what helps."""
