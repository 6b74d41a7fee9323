"""Health: an open port proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import pytest
from bcp_operator.controllers import health
from bcp_operator.kube.errors import KubeError


@dataclass
class Elector:
    """A replica's view of the Lease."""

    is_leader: bool = False
    last_turn: float | None = None
    identity: str = "me_1"


class Clock:
    """Monotonic seconds, set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def made(elector: Elector) -> tuple[health.Health, Clock]:
    """Health with its clock."""
    clock = Clock()
    return health.Health(elector, clock), clock  # type: ignore[arg-type]


def test_a_standby_is_ready_while_its_lease_loop_gets_answers() -> None:
    elector = Elector()
    vitals, clock = made(elector)
    assert "standby" in vitals.not_ready()
    elector.last_turn = clock.seconds
    assert vitals.not_ready() == ""
    clock.seconds += 21
    assert "standby" in vitals.not_ready()


def test_a_leader_is_ready_when_its_renewals_come_back_through_a_watch() -> None:
    elector = Elector(is_leader=True, last_turn=100.0)
    vitals, clock = made(elector)
    assert "watch" in vitals.not_ready()
    vitals.renewal_seen = clock.seconds
    assert vitals.not_ready() == ""
    clock.seconds += 21
    elector.last_turn = clock.seconds
    assert "watch" in vitals.not_ready()


def test_a_stuck_loop_or_a_silent_api_asks_for_a_restart() -> None:
    elector = Elector(last_turn=100.0)
    vitals, clock = made(elector)
    assert vitals.not_alive() == ""
    clock.seconds += 61
    assert "event loop" in vitals.not_alive()
    vitals._beat = clock.seconds
    assert "Lease" in vitals.not_alive()


async def test_the_canary_counts_only_our_own_renewals(monkeypatch: pytest.MonkeyPatch) -> None:
    vitals, _ = made(Elector(is_leader=True))
    turns = iter(["other_2", "me_1"])

    async def watch(*_: object, **__: object) -> object:
        holder = next(turns, None)
        if holder is None:
            raise StopAsyncIteration
        yield {"spec": {"holderIdentity": holder}}
        if holder == "me_1":
            raise KeyboardInterrupt

    monkeypatch.setattr(health, "watch_object", watch)
    monkeypatch.setattr(health, "CANARY_RETRY_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        await vitals.canary(None, "own", "lease")  # type: ignore[arg-type]
    assert vitals.renewal_seen == 100.0


async def test_the_canary_survives_a_broken_watch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    vitals, _ = made(Elector())
    calls = 0

    async def watch(*_: object, **__: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KubeError("WatchBroken", "cut")
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(health, "watch_object", watch)
    monkeypatch.setattr(health, "CANARY_RETRY_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        await vitals.canary(None, "own", "lease")  # type: ignore[arg-type]
    assert "WatchBroken" in caplog.text


async def test_the_server_answers_503_with_the_reason() -> None:
    elector = Elector()
    vitals, clock = made(elector)
    runner = await health.serve(vitals, 0)
    try:
        # Port 0 is another port on IPv4 than on IPv6, and which comes first is chance.
        port = next(port for host, port, *_ in runner.addresses if host == "0.0.0.0")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/livez")).status_code == 200
            answer = await client.get("/readyz")
            assert (answer.status_code, "standby" in answer.text) == (503, True)
            elector.last_turn = clock.seconds
            assert (await client.get("/readyz")).text == "ok\n"
    finally:
        await runner.cleanup()
