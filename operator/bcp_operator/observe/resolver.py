"""Resolving names without waiting for a resolver that is down.

The system's resolver blocks a thread for seconds when its servers do not answer. The threads here are few, serve
nothing else, and are daemons: neither other work nor the end of the process waits for them.
"""

import asyncio
import contextlib
import queue
import socket
import threading

__all__ = ["resolve"]

THREADS = 32

_Job = tuple[str, asyncio.AbstractEventLoop, "asyncio.Future[list[str]]"]


async def resolve(host: str) -> list[str]:
    """All addresses of a host, in the resolver's order. Raises OSError (socket.gaierror) or UnicodeError."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()
    _WORKERS.put((host, loop, answer))
    return await answer


class _Workers:
    """Threads that are started as they are needed."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._started = 0

    def put(self, job: _Job) -> None:
        """Only called from event loops, one at a time."""
        if not self._idle.acquire(blocking=False) and self._started < THREADS:
            self._started += 1
            threading.Thread(target=self._work, name=f"resolve-{self._started}", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            host, loop, answer = self._jobs.get()
            if not answer.cancelled():
                result = _ask(host)
                with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(_settle, answer, result)
            self._idle.release()


def _ask(host: str) -> list[str] | Exception:
    try:
        return [str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        return error


def _settle(answer: "asyncio.Future[list[str]]", result: list[str] | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


_WORKERS = _Workers()
