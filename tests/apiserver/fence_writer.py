"""A writer for test_fence.py: `python fence_writer.py SERVER CA TOKEN NAMESPACE LEASE OUT`.

Takes the lease with the real Fence, then notes a "write" (its monotonic time) in OUT every few milliseconds, each let
through by the gate as a write of five seconds, until OUT.stop exists. Exit code 0: ended and gave the lease back;
4: held or lost, the reason is on standard output.
"""

import asyncio
import sys
import time
from pathlib import Path

from bcp_operator.sync.fence import ApiServer, Fence, Held


def main() -> int:
    """Write until told to stop."""
    server, ca_file, token_file, namespace, lease, out = sys.argv[1:]
    fence = Fence(ApiServer(server, ca_file, Path(token_file)), namespace, lease)
    try:
        fence.acquire()
        asyncio.run(write(fence, Path(out)))
    except Held as held:
        print(held, flush=True)
        return 4
    finally:
        fence.close()
    return 0


async def write(fence: Fence, out: Path) -> None:
    """Note a write whenever the gate lets one through."""
    stop = out.with_suffix(".stop")
    with out.open("a", buffering=1) as log:
        while not stop.exists():
            await fence.gate(5.0)
            log.write(f"{time.monotonic()}\n")
            await asyncio.sleep(0.01)  # the pace of its writes; nothing is waited for


if __name__ == "__main__":
    sys.exit(main())
