"""Finds what is gone from the API server and still in the cache.

Kopf lists a kind anew when its watch was lost for too long (410 Gone), and says nothing of what was deleted meanwhile.
So names are compared: soon after such a list, and from time to time in case that list was empty. Only metadata is
read, one kind of one namespace after the other; nothing is written.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from bcp_operator.api.common import LABEL_TENANT
from bcp_operator.kube.client import Kind, Kube, Object
from bcp_operator.kube.errors import KubeError

from .cache import Cache, version_of

log = logging.getLogger(__name__)

PERIOD_SECONDS = 300.0
SETTLE_SECONDS = 2.0
"""From the first object that a new list brings to the audit; a list of thousands takes about as long."""

Place = tuple[Kind, str]


class Audit:
    """Compares the cache with the API server. `take` is told of each loss as the watch would have told it."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        take: Callable[[Kind, str, Object], None],
        namespaces: Sequence[str],
        *,
        labelled: Iterable[Kind] = (),
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._take = take
        self._namespaces = namespaces
        self._labelled = frozenset(labelled)
        self._suspects: set[Place] = set()
        self._noticed = asyncio.Event()

    def suspect(self, kind: Kind, namespace: str) -> None:
        """A watch of this kind has begun anew: something may have gone unseen."""
        self._suspects.add((kind, namespace))
        self._noticed.set()

    async def run(self, kinds: Iterable[Kind]) -> None:
        """Audit until cancelled; an API server that doesn't answer is asked again in the next round."""
        everything = {(kind, namespace) for kind in kinds for namespace in self._namespaces}
        while True:
            try:
                async with asyncio.timeout(PERIOD_SECONDS):
                    await self._noticed.wait()
                await asyncio.sleep(SETTLE_SECONDS)
            except TimeoutError:
                self._suspects |= everything
            self._noticed.clear()
            suspects, self._suspects = self._suspects, set()
            for kind, namespace in sorted(suspects, key=str):
                try:
                    await self.once(kind, namespace)
                except KubeError as error:
                    log.warning("cannot audit %s in %s now: %s", kind.plural, namespace, error)

    async def once(self, kind: Kind, namespace: str) -> int:
        """Audit one kind in one namespace; the answer is how many objects had gone unseen. Raises KubeError."""
        known = {obj["metadata"]["uid"] for obj in self._cache.all(kind, namespace)}
        if not known:
            return 0
        there = await self._kube.inventory(kind, namespace, LABEL_TENANT if kind in self._labelled else "")
        lost = [
            obj
            for obj in self._cache.all(kind, namespace)
            if obj["metadata"]["uid"] in known - there.uids and version_of(obj) <= there.version
        ]
        for obj in lost:
            log.warning("%s %s/%s had gone unseen", kind.kind, namespace, obj["metadata"]["name"])
            self._take(kind, "DELETED", obj)
        return len(lost)
