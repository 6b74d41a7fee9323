"""One leader at a time, also when it is frozen, cut off, or beaten by a faster one."""

import asyncio
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from bcp_operator.kube.client import LEASE, Kind
from bcp_operator.kube.errors import Unavailable
from bcp_operator.kube.lease import KernelTimer, LeaderElector, LostLease

from tests.unit.fake_kube import FakeKube

ROOT = Path(__file__).parents[2]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class NoTimer(KernelTimer):
    def __init__(self) -> None:
        self.armed: float | None = None

    def arm(self, seconds: float) -> None:
        self.armed = seconds

    def disarm(self) -> None:
        self.armed = None


def elector(kube: FakeKube, clock: Clock, name: str = "pod", timer: KernelTimer | None = None) -> LeaderElector:
    return LeaderElector(kube, "bcp-system", "leader", name, timer=timer or NoTimer(), clock=clock)


async def holder(kube: FakeKube) -> str:
    lease = await kube.get(LEASE, "bcp-system", "leader")
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


async def test_takes_a_missing_lease_and_gives_it_back() -> None:
    kube, clock, timer = FakeKube(), Clock(), NoTimer()
    one = elector(kube, clock, timer=timer)
    with pytest.raises(LostLease):
        one.assert_leader()
    await one.acquire()
    one.assert_leader()
    assert timer.armed == pytest.approx(15.0)
    assert await holder(kube) == one.identity
    await one.release()
    assert await holder(kube) == ""
    assert timer.armed is None
    with pytest.raises(LostLease):
        one.assert_leader()
    two = elector(kube, clock)
    assert await two._try_acquire()
    lease = await kube.get(LEASE, "bcp-system", "leader")
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 1


async def test_two_processes_of_one_pod_are_two() -> None:
    kube, clock = FakeKube(), Clock()
    await elector(kube, clock, "pod").acquire()
    assert not await elector(kube, clock, "pod")._try_acquire()


async def test_standby_waits_a_whole_duration_without_a_change() -> None:
    kube, clock = FakeKube(), Clock()
    one, two = elector(kube, clock, "one"), elector(kube, clock, "two")
    await one.acquire()
    assert not await two._try_acquire()
    clock.now += 14
    assert await one._try_renew()
    assert not await two._try_acquire()  # sees the renewal only now
    clock.now += 15
    assert not await two._try_acquire()
    clock.now += 0.1
    assert await two._try_acquire()
    two.assert_leader()


async def test_wall_clocks_do_not_matter() -> None:
    kube, clock = FakeKube(), Clock()
    one, two = elector(kube, clock, "one"), elector(kube, clock, "two")
    await one.acquire()
    lease = await kube.get(LEASE, "bcp-system", "leader")
    assert lease is not None
    lease["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"
    await kube.replace(LEASE, lease)
    assert not await two._try_acquire()
    assert not await two._try_acquire()


async def test_time_counts_from_before_the_renewal_is_sent() -> None:
    kube, clock, timer = FakeKube(), Clock(), NoTimer()
    one = elector(kube, clock, timer=timer)
    await one.acquire()

    def slow(verb: str, kind: Kind, name: str) -> None:
        clock.now += 4

    kube.world.before = slow
    assert await one._try_renew()
    assert timer.armed == pytest.approx(11.0)
    clock.now += 11
    with pytest.raises(LostLease):
        one.assert_leader()


async def test_an_effect_that_would_not_fit_is_refused() -> None:
    kube, clock = FakeKube(), Clock()
    one = elector(kube, clock)
    await one.acquire()
    clock.now += 11
    one.assert_leader(3.9)
    with pytest.raises(LostLease):
        one.assert_leader(4.1)


async def test_somebody_else_took_it() -> None:
    kube, clock = FakeKube(), Clock()
    one = elector(kube, clock)
    await one.acquire()
    lease = await kube.get(LEASE, "bcp-system", "leader")
    assert lease is not None
    lease["spec"]["holderIdentity"] = "other"
    await kube.as_manager("other").replace(LEASE, lease)
    with pytest.raises(LostLease, match="held by other"):
        await one._try_renew()
    with pytest.raises(LostLease):
        one.assert_leader()
    await one.release()
    assert await holder(kube) == "other"


async def test_own_unanswered_renewal_is_no_loss() -> None:
    kube, clock = FakeKube(), Clock()
    one = elector(kube, clock)
    await one.acquire()
    assert one._lease is not None
    lease = await kube.get(LEASE, "bcp-system", "leader")
    assert lease is not None
    lease["metadata"]["annotations"] = {"somebody": "labelled-it"}
    await kube.as_manager("other").replace(LEASE, lease)
    assert not await one._try_renew()
    assert await one._try_renew()
    one.assert_leader()


async def test_deleted_lease_ends_the_leader() -> None:
    kube, clock = FakeKube(), Clock()
    one = elector(kube, clock)
    await one.acquire()
    await kube.delete(LEASE, "bcp-system", "leader")
    with pytest.raises(LostLease, match="nobody"):
        await one._try_renew()


async def test_hold_ends_by_itself_when_the_api_is_gone() -> None:
    kube = FakeKube()
    one = LeaderElector(
        kube,
        "bcp-system",
        "leader",
        "one",
        lease_seconds=2,
        renew_seconds=0.1,
        retry_seconds=0.05,
        timer=NoTimer(),
    )
    await one.acquire()

    def down(verb: str, kind: Kind, name: str) -> None:
        raise Unavailable("Unreachable", "cannot reach the Kubernetes API")

    kube.world.before = down
    async with asyncio.timeout(10):
        with pytest.raises(LostLease):
            await one.hold()


async def test_only_one_of_many_wins() -> None:
    kube, clock = FakeKube(), Clock()
    many = [elector(kube, clock, f"pod-{number}") for number in range(20)]
    won = await asyncio.gather(*(one._try_acquire() for one in many))
    assert sum(won) == 1
    assert [one.is_leader for one in many] == won


FROZEN_LEADER = textwrap.dedent("""
    import asyncio, sys, time
    from bcp_operator.kube.lease import LeaderElector
    from tests.unit.fake_kube import FakeKube

    async def main():
        one = LeaderElector(FakeKube(), "bcp-system", "leader", "one", lease_seconds=1, renew_seconds=0.2)
        await one.acquire()
        holding = asyncio.create_task(one.hold())
        print("leading", flush=True)
        while True:
            one.assert_leader()
            print("effect", flush=True)
            await asyncio.sleep(0.01)

    asyncio.run(main())
""")


def test_a_frozen_leader_is_killed_by_the_kernel_before_it_runs_on() -> None:
    process = subprocess.Popen([sys.executable, "-c", FROZEN_LEADER], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "leading\n"
        process.send_signal(signal.SIGSTOP)
        # The kernel's timer runs on while the process stands still: wait until SIGALRM is pending.
        asyncio.run(_until_pending(process.pid, signal.SIGALRM))
        process.stdout.flush()
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=10) == -signal.SIGALRM
    finally:
        process.kill()
        process.communicate()


async def _until_pending(pid: int, number: signal.Signals) -> None:
    async with asyncio.timeout(10):
        while True:
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                pending = next(int(line.split()[1], 16) for line in status if line.startswith("ShdPnd:"))
            if pending & (1 << (number - 1)):
                return
            await asyncio.sleep(0.02)


def test_a_leader_that_blocks_its_loop_is_killed_too() -> None:
    blocked = FROZEN_LEADER.replace("await asyncio.sleep(0.01)", "time.sleep(5)")
    process = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, timeout=20, check=False, cwd=ROOT
    )
    assert process.returncode == -signal.SIGALRM
    assert process.stdout == "leading\neffect\n"
