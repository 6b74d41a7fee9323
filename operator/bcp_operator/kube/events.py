"""Events for people who run `kubectl describe`: said once, never in anybody's way.

Two events of one object with the same reason and message are one: its name is made from the three, so that neither
a repeated call nor a restarted operator makes a second one while the first is kept (an hour by default). What may
happen twice within that time has to differ in its message, for instance by the id of the operation.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from typing import Literal

from .client import EVENT, Kube, Object
from .errors import AlreadyExists, KubeError
from .leader import micro_time

__all__ = ["EventType", "Events"]

log = logging.getLogger(__name__)

EventType = Literal["Normal", "Warning"]

REMEMBERED = 4096
NOTE_MAX_CHARS = 1024
CONTROLLER = "bcp-operator.io/bcp-operator"


class Events:
    """Publishes events in the background; use one per process and `await close()` at the end."""

    def __init__(self, kube: Kube, instance: str) -> None:
        self._kube, self._instance = kube, instance[:128]
        self._said: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def emit(
        self, regarding: Object, reason: str, message: str, *, type_: EventType = "Normal", action: str = ""
    ) -> None:
        """Say that something happened to an object. Returns at once and never raises.

        `reason` is one UpperCamelCase word for machines; `action` (default: the reason) is what was done.
        """
        note = message[:NOTE_MAX_CHARS]
        digest = _digest(regarding, reason, note)
        if digest in self._said:
            self._said.move_to_end(digest)
            return
        self._said[digest] = None
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        event = self._event(regarding, digest)
        event |= {"reason": reason, "note": note, "type": type_, "action": action or reason}
        task = asyncio.get_running_loop().create_task(self._publish(event, digest))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait until everything that was said has been sent or given up."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _publish(self, event: Object, digest: str) -> None:
        try:
            await self._kube.create(EVENT, event)
        except AlreadyExists:
            pass  # said before, by this process or its predecessor
        except KubeError as error:
            self._said.pop(digest, None)
            log.warning("event %s was not recorded: %s", event["reason"], error)

    def _event(self, regarding: Object, digest: str) -> Object:
        metadata = regarding["metadata"]
        return {
            "metadata": {"namespace": metadata["namespace"], "name": f"{metadata['name'][:200]}.{digest}"},
            "eventTime": micro_time(),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
        }


def _digest(regarding: Object, reason: str, note: str) -> str:
    said = "\n".join((regarding["metadata"]["uid"], reason, note))
    return hashlib.sha256(said.encode()).hexdigest()[:16]
