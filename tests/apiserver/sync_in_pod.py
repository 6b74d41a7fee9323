"""bcp-sync as in a pod, on the host: `python sync_in_pod.py FOLDER ARGUMENTS...`, FOLDER holding token and ca.crt."""

import sys
from pathlib import Path

from bcp_operator.sync import fence
from bcp_operator.sync.__main__ import main

if __name__ == "__main__":
    fence.SERVICE_ACCOUNT = Path(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
