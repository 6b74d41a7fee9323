"""Where a run can be ended and no outsider could: when it has read an answer, before its store commits anything more.

Laid around the transport and the stores, not in them. The answer that is to be the last one carries the header DIE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

from bcp_operator.sync.correlations.sqlite import SqliteStore
from bcp_operator.systems.transport import Answer, Transport

DIE = "X-Test-Die"
STORES: tuple[type, ...] = (SqliteStore,)


class Hooks:
    """`die` must not return. Use as a context, or lay() them for good."""

    def __init__(self, die: Callable[[], object]) -> None:
        self._die = die
        self.armed = False
        self._patches = [mock.patch.object(Transport, "request", self._asked(Transport.request))]
        for store in STORES:
            for name in ("save", "forget"):
                self._patches.append(mock.patch.object(store, name, self._commits(getattr(store, name))))

    def lay(self) -> None:
        """Put them in place."""
        for patch in self._patches:
            patch.start()

    def __enter__(self) -> Hooks:
        self.lay()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self._patches:
            patch.stop()

    def _asked(self, original: Any) -> Any:
        async def request(transport: Transport, method: str, url: str, **more: Any) -> Answer:
            answer: Answer = await original(transport, method, url, **more)
            if DIE in answer.headers:
                self.armed = True
                if method == "GET" or answer.status >= 400:
                    self._die()  # nothing would be committed because of it
            return answer

        return request

    def _commits(self, original: Any) -> Any:
        def commit(store: Any, *arguments: Any) -> Any:
            if self.armed:
                self._die()
            return original(store, *arguments)

        return commit
