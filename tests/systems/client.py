"""Somebody who keeps opening the login URL: knows the URL and nothing else, and imports nothing of the operator.

Every few milliseconds over a new connection with real TLS: ask, follow the redirect by hand, read the page. What was seen is kept
with monotonic times, so that a test or the demo can say how often the page changed and when.
"""

from __future__ import annotations

import http.client
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from tests.systems.web import Net, ask

HEADING = re.compile(rb"<h1>Log in to ([^<]+)</h1>")
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Seen:
    """One look at the login URL; `at` is monotonic seconds, taken when the first answer had arrived."""

    at: float
    status: int
    sent_to: str
    page: str
    error: str


def look(url: str, net: Net) -> Seen:
    """Open the login URL once and read the page it leads to.

    `sent_to` is the redirect's target, or `url` itself when the page came at once. `page` is the system that the page names, or
    "unreachable" when the redirect led to a system that did not show its page: that is the system's fault, not the URL's.
    """
    return _look(url, net, net.context())


def _look(url: str, net: Net, context: ssl.SSLContext) -> Seen:
    try:
        answer = ask(url, net, context=context)
    except (OSError, http.client.HTTPException) as problem:
        return Seen(time.monotonic(), 0, "", "", f"{type(problem).__name__}: {problem}")
    at = time.monotonic()
    if answer.status == 200:
        return Seen(at, 200, url, _heading(answer.body), "")
    if answer.status not in REDIRECTS:
        return Seen(at, answer.status, "", "", f"answered {answer.status}")
    target = answer.headers.get("location", "")
    try:
        followed = ask(target, net, context=context)
        page = _heading(followed.body) if followed.status == 200 else "unreachable"
    except (OSError, http.client.HTTPException):
        page = "unreachable"
    return Seen(at, answer.status, target, page, "")


def _heading(body: bytes) -> str:
    found = HEADING.search(body)
    return found.group(1).decode() if found else "unknown page"


@dataclass
class Client:
    """What was seen so far."""

    url: str
    seen: list[Seen] = field(default_factory=list)

    @property
    def errors(self) -> list[Seen]:
        """Looks at which the login URL itself gave no usable answer."""
        return [s for s in self.seen if s.error]

    @property
    def targets(self) -> list[str]:
        """Where people were sent, each run of equal answers once, in order."""
        answers = [s.sent_to for s in self.seen if not s.error]
        return answers[:1] + [b for a, b in pairwise(answers) if a != b]

    @property
    def pages(self) -> list[str]:
        """What people saw, each run of equal pages once, in order."""
        answers = [s.page for s in self.seen if not s.error]
        return answers[:1] + [b for a, b in pairwise(answers) if a != b]

    @property
    def statuses(self) -> set[int]:
        """HTTP statuses of the login URL."""
        return {s.status for s in self.seen}

    def first(self, page: str, after: float = 0) -> Seen | None:
        """The first look at or after monotonic second `after` that showed that page."""
        return next((s for s in list(self.seen) if s.at >= after and s.page == page), None)

    def wait(self, page: str, after: float, deadline_seconds: float) -> Seen:
        """Wait until the page is shown; raises AssertionError with what was seen instead."""
        end = time.monotonic() + deadline_seconds
        while time.monotonic() < end:
            if (hit := self.first(page, after)) is not None:
                return hit
            time.sleep(0.01)
        raise AssertionError(f"{self.url} did not show {page} within {deadline_seconds} s; last: {self.seen[-3:]}")


@contextmanager
def asking(url: str, net: Net, every_seconds: float = 0.02) -> Iterator[Client]:
    """Keep asking in the background until the block ends; at least one look is made before it starts and one at its end."""
    client, stop = Client(url), threading.Event()
    context = net.context()

    def keep_asking() -> None:
        while not stop.wait(every_seconds):
            client.seen.append(_look(url, net, context))

    client.seen.append(_look(url, net, context))
    thread = threading.Thread(target=keep_asking, daemon=True)
    thread.start()
    try:
        yield client
    finally:
        stop.set()
        thread.join()
        client.seen.append(_look(url, net, context))
