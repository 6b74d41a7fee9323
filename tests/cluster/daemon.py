"""Runs one of the cluster's own Python components: `python -m tests.cluster.daemon NAME ARGUMENTS`."""

from __future__ import annotations

import sys

from tests.cluster import forwarder, provisioner

_MAINS = {"forwarder": forwarder.main, "volume-provisioner": provisioner.main}

if __name__ == "__main__":
    sys.exit(_MAINS[sys.argv[1]](sys.argv[2:]))
