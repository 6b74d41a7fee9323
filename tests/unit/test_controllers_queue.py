"""The queue: one key once, one worker per key, urgent first, failures back off, a lost Lease ends it all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from bcp_operator.controllers.queue import CROWD, Key, Queue
from bcp_operator.kube.errors import Unavailable
from bcp_operator.kube.leader import LostLease

A, B, C = (Key("tenant", "ns", name) for name in "abc")


@asynccontextmanager
async def running(work: Callable[[Key], Awaitable[float | None]], workers: int = 4) -> AsyncIterator[Queue]:
    """A queue at work."""
    queue = Queue(work, workers=workers)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(check: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(5):
        while not check():
            await asyncio.sleep(0.001)


async def test_many_events_of_a_key_are_one_piece_of_work() -> None:
    done: list[Key] = []

    async def work(key: Key) -> None:
        done.append(key)

    async with running(work) as queue:
        for _ in range(100):
            queue.add(A)
        await until(lambda: queue.idle)
    assert done == [A]


async def test_a_key_has_one_worker_and_is_looked_at_once_more_after_events_meanwhile() -> None:
    inside = 0
    most = 0
    count = 0
    gate = asyncio.Event()

    async def work(key: Key) -> None:
        nonlocal inside, most, count
        inside += 1
        most = max(most, inside)
        count += 1
        await gate.wait()
        inside -= 1

    async with running(work) as queue:
        queue.add(A)
        await until(lambda: inside == 1)
        for _ in range(10):
            queue.add(A)
        gate.set()
        await until(lambda: queue.idle)
    assert (most, count) == (1, 2)


async def test_urgent_keys_go_first_also_when_they_were_waiting_already() -> None:
    done: list[Key] = []

    async def work(key: Key) -> None:
        done.append(key)

    queue = Queue(work, workers=1)
    for key in (A, B, C):
        queue.add(key)
    queue.add(C, urgent=True)
    task = asyncio.create_task(queue.run())
    await until(lambda: queue.idle)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done == [C, A, B]


async def test_failures_back_off_and_a_success_forgets_them(caplog: pytest.LogCaptureFixture) -> None:
    attempts = 0

    async def work(key: Key) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise Unavailable("Timeout", "no answer")

    async with running(work) as queue:
        queue.add(A)
        await until(lambda: attempts == 3 and queue.idle)
        assert queue._failures == {}
    assert "Timeout: no answer" in caplog.text


async def test_a_bug_in_one_key_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    done: list[Key] = []

    async def work(key: Key) -> None:
        if key == A:
            raise ZeroDivisionError
        done.append(key)

    async with running(work, workers=1) as queue:
        queue.add(A)
        queue.add(B)
        await until(lambda: done == [B])
    assert "should not have happened" in caplog.text


async def test_a_lost_lease_ends_the_queue() -> None:
    async def work(key: Key) -> None:
        raise LostLease("gone")

    queue = Queue(work)
    queue.add(A)
    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(queue.run(), 5)
    assert isinstance(caught.value.exceptions[0], LostLease)


async def test_alarms_ring_once_at_the_earliest_time_and_are_forgotten_with_the_key() -> None:
    done: list[Key] = []

    async def work(key: Key) -> None:
        done.append(key)

    async with running(work) as queue:
        queue.wake(A, 60)
        queue.wake(A, 0.01)
        queue.wake(A, 30)
        queue.wake(B, 0.02)
        queue.forget(B)
        await until(lambda: done == [A])
        await asyncio.sleep(0.05)
    assert done == [A]


async def test_what_a_worker_answers_is_when_it_looks_again() -> None:
    count = 0

    async def work(key: Key) -> float | None:
        nonlocal count
        count += 1
        return 0.005 if count < 4 else None

    async with running(work) as queue:
        queue.add(A)
        await until(lambda: count == 4)


async def test_a_crowd_is_told_of_when_it_is_done_and_who_is_urgent_in_it_is_seen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = asyncio.Event()

    async def work(key: Key) -> None:
        await gate.wait()

    caplog.set_level(logging.INFO)
    async with running(work, workers=1) as queue:
        for number in range(CROWD):
            queue.add(Key("tenant", "ns", str(number)))
        await asyncio.sleep(0)
        assert not queue.pressing
        queue.add(A, urgent=True)
        assert queue.pressing
        gate.set()
        await until(lambda: queue.idle)
        assert not queue.pressing
        queue.add(B)
        await until(lambda: queue.idle)
    assert [r.getMessage()[:40] for r in caplog.records] == [
        f"at rest: {CROWD + 1} objects looked at, {CROWD + 1} times"[:40]
    ]
