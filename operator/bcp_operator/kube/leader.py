"""Which replica leads: a Lease, judged on this process's own monotonic clock, with the kernel as the last guard.

The standby never compares wall clocks: a holder is gone when its Lease has not changed for a whole lease duration
while we watched. The leader counts from the moment *before* a renewal is sent, so it stops before anybody may follow.
A leader that is frozen (stopped process, stalled node) can't count: its interval timer in the kernel is re-armed at
each renewal, and SIGALRM at its default action ends the process before it runs another instruction.
"""

import asyncio
import logging
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from .client import LEASE, Kube, Object
from .errors import AlreadyExists, Conflict, KubeError, NotFound, Unavailable

__all__ = ["KernelTimer", "LeaderElector", "LostLease", "micro_time"]

log = logging.getLogger(__name__)

LAST_WORDS_SECONDS = 0.5
"""How long before the kernel's timer a leader that could not renew says so and ends by itself."""
STANDBY_LOOK_SECONDS = 1.0
"""How often a standby reads the Lease."""


class LostLease(Exception):
    """This process no longer leads and must end without another outside effect."""


class KernelTimer:
    """The process's ITIMER_REAL: ends the process by SIGALRM unless it is armed again in time."""

    def arm(self, seconds: float) -> None:
        """End the process in so many seconds."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))

    def disarm(self) -> None:
        """Let the process live."""
        signal.setitimer(signal.ITIMER_REAL, 0)


@dataclass(frozen=True)
class _Sight:
    """A Lease of somebody else, since when (monotonic seconds) it has looked like that, and how long it may."""

    resource_version: str
    since: float
    duration_seconds: float


class LeaderElector:
    """Takes the Lease, keeps it, and answers whether it is still held.

    Durations are in seconds. `identity` should be the pod's name; a random part is added, so that a restarted
    container is never mistaken for the process it replaces.
    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        name: str,
        identity: str,
        *,
        lease_seconds: int = 15,
        renew_seconds: float = 5.0,
        retry_seconds: float = 2.0,
        timer: KernelTimer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name
        self.identity = f"{identity}_{secrets.token_hex(4)}"
        self._lease_seconds, self._renew_seconds, self._retry_seconds = lease_seconds, renew_seconds, retry_seconds
        self._timer = timer or KernelTimer()
        self._clock = clock
        self._lease: Object | None = None
        self._held_until = 0.0
        self._sight: _Sight | None = None
        self.last_turn: float | None = None
        """When the loop last got an answer about the Lease (seconds on the clock): a standby's sign of life."""

    @property
    def is_leader(self) -> bool:
        """True while the Lease is certainly ours."""
        return self._lease is not None and self._clock() < self._held_until

    @property
    def resource_version(self) -> str | None:
        """resourceVersion of our last renewal, for comparing with what a watch brings back."""
        return None if self._lease is None else str(self._lease["metadata"]["resourceVersion"])

    def assert_leader(self, needed_seconds: float = 0.0) -> None:
        """Call right before each outside effect; raises LostLease when the Lease may end before `needed_seconds` do."""
        if self._lease is None or self._clock() + needed_seconds >= self._held_until:
            raise LostLease(f"Lease {self._namespace}/{self._name} is no longer held by {self.identity}")

    async def acquire(self) -> None:
        """Wait until this process leads. API trouble is logged and waited out."""
        while True:
            if await self._try_acquire():
                break
            await asyncio.sleep(self._until_next_look())
        log.info("leading: Lease %s/%s held by %s", self._namespace, self._name, self.identity)

    async def hold(self) -> None:
        """Renew for as long as it works; raises LostLease when somebody else holds the Lease or it ran out."""
        while True:
            await asyncio.sleep(self._renew_seconds)
            while not await self._try_renew():
                self.assert_leader(LAST_WORDS_SECONDS)
                await asyncio.sleep(min(self._retry_seconds, self._remaining()))
                self.assert_leader(LAST_WORDS_SECONDS)

    async def release(self) -> None:
        """Give the Lease back at a clean stop, so that the standby need not wait. Never raises."""
        lease, self._lease, self._held_until = self._lease, None, 0.0
        try:
            if lease is not None:
                async with asyncio.timeout(self._renew_seconds):
                    await self._kube.replace(LEASE, _with_spec(lease, holderIdentity="", renewTime=micro_time()))
        except (KubeError, TimeoutError) as error:
            log.warning("could not give the Lease back, the standby waits for it to run out: %s", error)
        finally:
            self._timer.disarm()

    async def _try_acquire(self) -> bool:
        try:
            async with asyncio.timeout(self._renew_seconds):
                lease = await self._kube.get(LEASE, self._namespace, self._name)
                self.last_turn = self._clock()
                if lease is None:
                    await self._take(None)
                elif self._is_free(lease):
                    await self._take(lease)
                else:
                    return False
                return True
        except (AlreadyExists, Conflict, NotFound):
            return False  # somebody was faster
        except (KubeError, TimeoutError) as error:
            log.warning("cannot take the Lease yet: %s", error or "no answer in time")
            return False

    def _until_next_look(self) -> float:
        """Seconds: one look's distance, or less when the holder's time runs out before that."""
        if self._sight is None:
            return STANDBY_LOOK_SECONDS
        left = self._sight.since + self._sight.duration_seconds - self._clock()
        return min(STANDBY_LOOK_SECONDS, max(left, 0.0) + 0.01)

    def _remaining(self) -> float:
        """Seconds until the process should say its last words."""
        return max(self._held_until - self._clock() - LAST_WORDS_SECONDS, 0.0)

    def _is_free(self, lease: Object) -> bool:
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity") or spec["holderIdentity"] == self.identity:
            return True
        version = lease["metadata"]["resourceVersion"]
        if self._sight is None or self._sight.resource_version != version:
            duration_seconds = max(spec.get("leaseDurationSeconds") or 0, self._lease_seconds)
            self._sight = _Sight(version, self._clock(), duration_seconds)
            return False
        return self._clock() - self._sight.since > self._sight.duration_seconds

    async def _take(self, lease: Object | None) -> None:
        before = self._clock()
        now = micro_time()
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._lease_seconds,
            "acquireTime": now,
            "renewTime": now,
        }
        if lease is None:
            metadata = {"namespace": self._namespace, "name": self._name}
            taken = await self._kube.create(LEASE, {"metadata": metadata, "spec": spec | {"leaseTransitions": 0}})
        else:
            transitions = (lease.get("spec") or {}).get("leaseTransitions") or 0
            taken = await self._kube.replace(LEASE, _with_spec(lease, leaseTransitions=transitions + 1, **spec))
        self._held(taken, before)

    async def _try_renew(self) -> bool:
        """Renew once. False: try again. Raises LostLease when the Lease is somebody else's."""
        if self._lease is None:
            raise LostLease("the Lease was never taken")
        before = self._clock()
        try:
            async with asyncio.timeout(min(self._renew_seconds, self._remaining())):
                renewed = await self._kube.replace(LEASE, _with_spec(self._lease, renewTime=micro_time()))
        except (Conflict, NotFound):
            return await self._still_ours()
        except (Unavailable, TimeoutError) as error:
            log.warning("cannot renew the Lease: %s", error or "no answer in time")
            return False
        except KubeError as error:
            log.error("the Lease can't be renewed: %s", error)
            return False
        self._held(renewed, before)
        return True

    async def _still_ours(self) -> bool:
        """After a conflict: our own earlier renewal that went unanswered, or the end. Always False, or LostLease."""
        try:
            async with asyncio.timeout(min(self._renew_seconds, self._remaining())):
                lease = await self._kube.get(LEASE, self._namespace, self._name)
        except (KubeError, TimeoutError):
            return False
        holder = ((lease or {}).get("spec") or {}).get("holderIdentity")
        if lease is None or holder != self.identity:
            self._lease, self._held_until = None, 0.0
            raise LostLease(f"Lease {self._namespace}/{self._name} is held by {holder or 'nobody'}")
        self._lease = lease
        return False

    def _held(self, lease: Object, before: float) -> None:
        self._lease, self._held_until = lease, before + self._lease_seconds
        self.last_turn = self._clock()
        self._timer.arm(self._held_until - self._clock())


def micro_time(moment: datetime | None = None) -> str:
    """A metav1.MicroTime in UTC; now when no moment is given."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _with_spec(lease: Object, **fields: object) -> Object:
    return lease | {"spec": (lease.get("spec") or {}) | fields}
