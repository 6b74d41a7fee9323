"""One replica for the leader tests: takes the Lease and counts up in a ConfigMap for as long as it leads.

`python -m tests.apiserver.leader_process KUBECONFIG NAMESPACE NAME LEASE_SECONDS`; prints what it does, a line each.
Every count is an outside effect without compare-and-swap, so only the Lease keeps two replicas apart.
"""

import asyncio
import sys

from bcp_operator.kube.client import CONFIGMAP, Kube
from bcp_operator.kube.leader import LeaderElector, LostLease


async def main(kubeconfig: str, namespace: str, name: str, lease_seconds: int) -> int:
    async with Kube.connect(kubeconfig=kubeconfig, field_manager=name) as kube:
        elector = LeaderElector(
            kube,
            namespace,
            "leader",
            name,
            lease_seconds=lease_seconds,
            renew_seconds=lease_seconds / 3,
            retry_seconds=0.2,
        )
        print("waiting", flush=True)
        await elector.acquire()
        print("leading", flush=True)
        holding = asyncio.create_task(elector.hold())
        try:
            number = 0
            while not holding.done():
                elector.assert_leader()
                number += 1
                body = {"metadata": {"namespace": namespace, "name": f"count-{name}"}, "data": {"count": str(number)}}
                await kube.apply(CONFIGMAP, body, force=True)
                await asyncio.sleep(0.02)  # the pace of its writes; nothing is waited for
            await holding
        except LostLease as error:
            print(f"lost: {error}", flush=True)
            return 1
        finally:
            holding.cancel()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
