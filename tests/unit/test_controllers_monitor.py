"""One loop asks for thousands: each URL once, few at a time, and a change puts exactly those concerned into the queue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from bcp_operator.api.conditions import Condition
from bcp_operator.api.tenant import BCPTenantSpec, SystemSpec
from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.controllers import monitor, probing
from bcp_operator.controllers.monitor import Monitor
from bcp_operator.controllers.queue import Key
from bcp_operator.observe.probes import Health
from bcp_operator.systems.hosts import HostPolicy

from tests.unit import operator_harness as harness
from tests.unit.fake_kube import FakeKube
from tests.unit.http_server import Seen, serve
from tests.unit.simulated_tenant import START, spec


class Bench:
    """A monitor whose network and clock are the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, at_once: int | None = None) -> None:
        self.time = 0.0
        self.down: set[str] = set()
        self.asked: list[str] = []
        self.changed: list[Key] = []
        self.inside = self.most = 0
        monkeypatch.setattr(probing, "probe_system", self._probe)
        self.monitor = Monitor(
            FakeKube(), HostPolicy(), self.changed.append, clock=lambda: self.time, rng=random.Random(1)
        )

    async def _probe(self, system: SystemSpec, **_: object) -> Health:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.asked.append(system.endpoint)
        await asyncio.sleep(0)
        self.inside -= 1
        return Health("Failed" if system.endpoint in self.down else "Healthy", "asked")

    def tenant(self, name: str, **parts: object) -> dict[str, str]:
        """Look at a tenant as a reconciliation does; its systems' states."""
        status = parts.pop("status", BCPTenantStatus())
        found = self.monitor.view(Key("tenant", "ns", name), tenant_spec(**parts), status)  # type: ignore[arg-type]
        return {side: track.state for side, track in found.items()}

    async def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Time passes, second by second, with the loop running."""
        end = self.time + seconds
        while self.time < end:
            self.time += step
            self.monitor._news.set()
            for _ in range(40):
                await asyncio.sleep(0)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.monitor.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def tenant_spec(**health: object) -> BCPTenantSpec:
    """A spec with health checks; `host` makes its systems other ones."""
    host = health.pop("host", "example")

    def system(side: str) -> dict[str, object]:
        return harness.system(side) | {
            "endpoint": f"https://api.{side}.{host}",
            "health": {"path": "/health", "interval": "10s", **health},
        }

    return spec(primary=system("primary"), secondary=system("secondary"))


def known_healthy() -> BCPTenantStatus:
    """The status that an earlier process left."""
    known = [
        Condition(type=f"{side}Healthy", status="True", reason="Healthy", message="m", last_transition_time=START)
        for side in ("Primary", "Secondary")
    ]
    return BCPTenantStatus(conditions=known)


async def test_a_system_goes_down_and_comes_back_within_two_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    async with running(bench):
        assert bench.tenant("a") == {"Primary": "Unknown", "Secondary": "Unknown"}
        await bench.pass_time(1)
        assert bench.tenant("a") == {"Primary": "Healthy", "Secondary": "Healthy"}
        assert bench.changed == [Key("tenant", "ns", "a")] * 2
        bench.down.add("https://api.primary.example")
        await bench.pass_time(20)
        assert bench.tenant("a") == {"Primary": "Down", "Secondary": "Healthy"}
        assert len(bench.changed) == 3
        bench.down.clear()
        await bench.pass_time(20)
        assert bench.tenant("a")["Primary"] == "Healthy"
        assert len(bench.changed) == 4, "as many calls as changes, however often it was asked"


async def test_the_same_urls_are_asked_once_and_all_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    async with running(bench):
        for number in range(100):
            bench.tenant(f"t{number}", failureThreshold=1 + number % 3)
        await bench.pass_time(1)
        assert sorted(bench.asked) == ["https://api.primary.example", "https://api.secondary.example"]
        assert {key.name for key in bench.changed} == {f"t{number}" for number in range(100)}
        bench.asked.clear()
        bench.changed.clear()
        bench.down.add("https://api.primary.example")
        await bench.pass_time(11)
        assert {bench.tenant(f"t{n}", failureThreshold=1 + n % 3)["Primary"] for n in range(0, 99, 3)} == {"Down"}
        assert len(bench.asked) <= 4


async def test_many_systems_are_asked_few_at_a_time_and_without_a_task_each(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    async with running(bench):
        before = len(asyncio.all_tasks())
        for number in range(1000):
            bench.tenant(f"t{number}", host=f"h{number}")
        assert len(asyncio.all_tasks()) == before
        await bench.pass_time(20, step=0.1)
    assert len(set(bench.asked)) == 2000
    assert bench.most <= monitor.AT_ONCE


async def test_a_tenant_that_goes_or_moves_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    async with running(bench):
        bench.tenant("a")
        bench.tenant("b")
        await bench.pass_time(1)
        assert bench.tenant("a", host="elsewhere") == {"Primary": "Unknown", "Secondary": "Unknown"}
        bench.monitor.forget(Key("tenant", "ns", "b"))
        bench.asked.clear()
        await bench.pass_time(30)
        assert set(bench.asked) == {"https://api.primary.elsewhere", "https://api.secondary.elsewhere"}
        assert len(bench.asked) in (6, 8)
        bench.monitor.forget(Key("tenant", "ns", "a"))
        await bench.pass_time(30)
    assert not bench.monitor._targets
    assert not bench.monitor._watched
    assert not bench.monitor._due


async def test_one_that_leaves_and_comes_back_is_not_asked_twice_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    async with running(bench):
        for _ in range(5):
            bench.tenant("a")
            bench.monitor.forget(Key("tenant", "ns", "a"))
        bench.tenant("a")
        await bench.pass_time(1)
        bench.asked.clear()
        await bench.pass_time(50)
    assert len(bench.asked) in (10, 12)


async def test_one_that_joins_others_after_a_restart_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    async with running(bench):
        assert bench.tenant("old", status=known_healthy())["Primary"] == "Healthy"
        bench.tenant("new")  # the same URLs, whose next question may be far away
        await bench.pass_time(1)
        assert bench.tenant("new") == {"Primary": "Healthy", "Secondary": "Healthy"}
        asked = len(bench.asked)
        assert bench.tenant("newer") == {"Primary": "Healthy", "Secondary": "Healthy"}, "told without another question"
        await bench.pass_time(1)
        assert len(bench.asked) == asked


async def test_a_restart_takes_what_status_says_and_hurries_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    status = known_healthy()
    async with running(bench):
        for number in range(50):
            states = bench.tenant(f"t{number}", host=f"h{number}", status=status)
            assert states == {"Primary": "Healthy", "Secondary": "Healthy"}
        await bench.pass_time(1)
        assert len(bench.asked) < 25
        await bench.pass_time(10)
        assert len(set(bench.asked)) == 100
    assert bench.changed == []


async def test_a_real_server_that_dies_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = HostPolicy.parse("127.0.0.1", "127.0.0.1")
    answers: list[Callable[[Seen], object]] = [lambda _: (200, None, {})]
    changed = asyncio.Event()

    def answer(seen: Seen) -> object:
        return answers[0](seen)

    async with serve(answer) as server:
        made = Monitor(FakeKube(), hosts, lambda _: changed.set())
        system = harness.system("primary") | {
            "endpoint": server.url,
            "insecure": True,
            "health": {"path": "/health", "interval": "1s", "timeout": "1s", "slowAfter": "1s", "failureThreshold": 1},
        }
        whole = spec(primary=system, secondary=system | {"tenantID": "other"})
        key = Key("tenant", "ns", "a")

        async def until(state: str) -> None:
            async with asyncio.timeout(20):
                while made.view(key, whole, BCPTenantStatus())["Primary"].state != state:
                    changed.clear()
                    await changed.wait()

        task = asyncio.create_task(made.run())
        await until("Healthy")
        answers[0] = lambda _: (503, None, {})
        await until("Down")
        answers[0] = lambda _: (200, None, {})
        await until("Healthy")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert {seen.target for seen in server.seen} == {"/health"}


async def test_health_reaches_status_once_per_change(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch)
    assert made.condition("PrimaryHealthy")["status"] == "Unknown"

    async def dead(*_: object, **__: object) -> Health:
        return Health("Failed", "HTTP 503")

    monkeypatch.setattr(probing, "probe_system", dead)
    task = asyncio.create_task(made.monitor.run())
    for _ in range(8):
        made.tick(60)
        made.monitor._news.set()
        for _ in range(40):
            await asyncio.sleep(0)
    await made.settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for kind in ("PrimaryHealthy", "SecondaryHealthy"):
        assert (made.condition(kind)["status"], made.condition(kind)["reason"]) == ("False", "Down")
    writes = len(made.kube.world.writes)
    made.start()  # a new process, before it has asked anybody
    await made.settle()
    assert len(made.kube.world.writes) == writes
