"""Both systems of every tenant, asked from time to time: one loop for all, a few questions at once, none asked twice.

Nothing here is in the way of a switch: what is known is a look into a dictionary, and a change of the verdict only puts
the tenant into the queue.
"""

import asyncio
import heapq
import itertools
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bcp_operator.api.common import System
from bcp_operator.api.tenant import BCPTenantSpec, SystemSpec
from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity import health
from bcp_operator.continuity.health import Limits, Sample, Track
from bcp_operator.kube.client import Kube
from bcp_operator.systems.hosts import HostPolicy

from .probing import Prober, Question, question
from .queue import Key

log = logging.getLogger(__name__)

AT_ONCE = 8

Who = tuple[Key, System]


@dataclass
class _Watched:
    """One tenant's view of a system: the same answers, judged by its own limits."""

    asked: Question
    limits: Limits
    track: Track


@dataclass
class _Target:
    """One URL, and everybody who wants to know."""

    asked: Question
    namespace: str
    system: SystemSpec
    watchers: dict[Who, _Watched] = field(default_factory=dict)
    last: Sample | None = None
    appointment: int = 0
    """Number of the one entry in the agenda that counts."""

    @property
    def pause(self) -> float:
        """Seconds until the next question: the most impatient watcher's."""
        return min(w.limits.soon if w.track.unsettled else w.limits.interval for w in self.watchers.values())

    @property
    def timeout(self) -> float:
        """How long an answer may take for the most patient watcher."""
        return max(w.limits.timeout for w in self.watchers.values())


class Monitor:
    """Keeps a verdict on each system that a tenant has asked about. `changed` is called with whom it concerns."""

    def __init__(
        self,
        kube: Kube,
        hosts: HostPolicy,
        changed: Callable[[Key], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._prober = Prober(kube, hosts, at_once=AT_ONCE)
        self._changed = changed
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._targets: dict[Question, _Target] = {}
        self._watched: dict[Who, _Watched] = {}
        self._due: list[tuple[float, int, Question]] = []
        self._order = itertools.count()
        self._news = asyncio.Event()
        self._running = 0

    def view(self, key: Key, spec: BCPTenantSpec, status: BCPTenantStatus) -> dict[System, Track]:
        """What is known of a tenant's systems; from now on they are asked."""
        return {
            "Primary": self._view((key, "Primary"), spec.primary, status),
            "Secondary": self._view((key, "Secondary"), spec.secondary, status),
        }

    def forget(self, key: Key) -> None:
        """Nobody wants to know for this tenant any more."""
        self._leave((key, "Primary"))
        self._leave((key, "Secondary"))

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                while self._running < AT_ONCE and (target := self._next()) is not None:
                    self._running += 1
                    group.create_task(self._ask(target))
                await self._wait()

    def _view(self, who: Who, system: SystemSpec, status: BCPTenantStatus) -> Track:
        asked, limits = question(who[0].namespace, system), health.limits(system)
        known = self._watched.get(who)
        if known is not None and known.asked == asked:
            known.limits = limits
            return known.track
        moved = known is not None  # another URL: what was known says nothing of it
        self._leave(who)
        before = next((c for c in status.conditions if c.type == f"{who[1]}Healthy"), None)
        track = Track() if moved or before is None else health.restored(before.reason, before.message)
        target = self._targets.get(asked)
        new = target is None
        if target is None:
            target = self._targets[asked] = _Target(asked, who[0].namespace, system)
        if target.last is not None and track == Track():
            track = health.advance(track, target.last, limits)  # what the others were told a moment ago
        elif new or track == Track():
            # At once for what is not known; a restart spreads the rest over an interval.
            self._schedule(target, 0.0 if track == Track() else limits.interval * self._rng.random())
        target.watchers[who] = self._watched[who] = _Watched(asked, limits, track)
        return track

    def _leave(self, who: Who) -> None:
        known = self._watched.pop(who, None)
        target = self._targets.get(known.asked) if known is not None else None
        if target is not None:
            target.watchers.pop(who, None)
            if not target.watchers:
                del self._targets[target.asked]

    def _schedule(self, target: _Target, pause: float) -> None:
        target.appointment = next(self._order)
        heapq.heappush(self._due, (self._clock() + pause, target.appointment, target.asked))
        self._news.set()

    def _next(self) -> _Target | None:
        """The next target whose time has come."""
        while self._due and self._due[0][0] <= self._clock():
            _, appointment, asked = heapq.heappop(self._due)
            target = self._targets.get(asked)
            if target is not None and target.appointment == appointment:
                return target
        return None

    async def _wait(self) -> None:
        """Until the next question is due, or something has changed."""
        full = self._running >= AT_ONCE or not self._due
        pause = None if full else max(0.0, self._due[0][0] - self._clock())
        try:
            async with asyncio.timeout(pause):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _ask(self, target: _Target) -> None:
        try:
            sample = await self._prober.sample(target.namespace, target.system, target.timeout)
        except Exception:
            log.exception("a health probe broke; it is made again at its next time")
            sample = Sample("Unknown", "the probe broke")
        finally:
            self._running -= 1
        self._take(target, sample)

    def _take(self, target: _Target, sample: Sample) -> None:
        target.last = sample
        for (key, _), watched in list(target.watchers.items()):
            before = watched.track
            watched.track = health.advance(before, sample, watched.limits)
            if watched.track.state != before.state:
                self._changed(key)
        if target.watchers and self._targets.get(target.asked) is target:
            self._schedule(target, target.pause)
        self._news.set()
