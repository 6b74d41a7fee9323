"""What can go wrong at the vendor, switched on by tests. Each switch fires a given number of times and is then off."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.systems.cxone.api import Call, Reply
from tests.systems.cxone.tenant import Tenant


@dataclass
class _Switch:
    method: str
    pattern: re.Pattern[str]
    left: int

    def fires(self, call: Call) -> bool:
        if self.left and call.method == self.method and self.pattern.search(call.path):
            self.left -= 1
            return True
        return False


@dataclass
class _Throttle(_Switch):
    retry_after: str | None


@dataclass
class _Drift(_Switch):
    change: Callable[[Tenant], None]


@dataclass
class Faults:
    """All switches of one simulator."""

    _throttles: list[_Throttle] = field(default_factory=list)
    _drifts: list[_Drift] = field(default_factory=list)
    _lost: list[_Switch] = field(default_factory=list)
    items: dict[str, str] = field(default_factory=dict)  # name or ID of an entity -> why a bulk call refuses it

    def throttle(self, method: str, path: str, *, times: int = 1, retry_after: str | None = "0") -> None:
        """2.3: answer 429 without doing anything; `path` is a regular expression."""
        self._throttles.append(_Throttle(method, re.compile(path), times, retry_after))

    def drift(self, path: str, change: Callable[[Tenant], None], *, method: str = "GET", times: int = 1) -> None:
        """2.3, paging by skip: after a page was served, the tenant changes before the next one is asked for."""
        self._drifts.append(_Drift(method, re.compile(path), times, change))

    def lose_answer(self, method: str, path: str, *, times: int = 1) -> None:
        """The request is handled, and the connection is cut instead of an answer."""
        self._lost.append(_Switch(method, re.compile(path), times))

    def before(self, call: Call) -> tuple[Reply, dict[str, str]] | None:
        """An answer in place of the real one, with its headers."""
        for throttle in self._throttles:
            if throttle.fires(call):
                told = {} if throttle.retry_after is None else {"Retry-After": throttle.retry_after}
                return Reply({"error": "too many requests"}, 429), told
        return None

    def after(self, call: Call) -> bool:
        """Let the tenant change behind a page; True when the answer is to be lost."""
        for drift in self._drifts:
            if drift.fires(call):
                drift.change(call.tenant)
        return any(lost.fires(call) for lost in self._lost)
