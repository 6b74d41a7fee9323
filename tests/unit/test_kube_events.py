"""Events: said once, in the background, and never a reason to fail."""

import asyncio

import pytest
from bcp_operator.kube.client import EVENT, TENANT, Kind
from bcp_operator.kube.errors import Unavailable
from bcp_operator.kube.events import Events

from tests.unit.fake_kube import FakeKube

REGARDING = {
    "apiVersion": TENANT.api_version,
    "kind": TENANT.kind,
    "metadata": {"namespace": "team-a", "name": "acme", "uid": "u-1", "resourceVersion": "7"},
}


async def test_said_once_however_often_it_is_told() -> None:
    kube = FakeKube()
    events = Events(kube, "pod-1")
    for _ in range(3):
        events.emit(REGARDING, "FailoverCompleted", "op-1: users are on the secondary", type_="Warning")
    await events.close()
    # A restarted operator tells it again.
    other = Events(kube, "pod-2")
    other.emit(REGARDING, "FailoverCompleted", "op-1: users are on the secondary", type_="Warning")
    await other.close()
    (event,) = await kube.list(EVENT, "team-a")
    assert event["regarding"]["uid"] == "u-1"
    assert (event["reason"], event["type"], event["reportingInstance"]) == ("FailoverCompleted", "Warning", "pod-1")


async def test_different_messages_are_different_events() -> None:
    kube = FakeKube()
    events = Events(kube, "pod-1")
    events.emit(REGARDING, "SyncFailed", "one")
    events.emit(REGARDING, "SyncFailed", "two")
    await events.close()
    assert len(await kube.list(EVENT, "team-a")) == 2


async def test_trouble_is_logged_and_may_be_said_again(caplog: pytest.LogCaptureFixture) -> None:
    kube = FakeKube()

    def down(verb: str, kind: Kind, name: str) -> None:
        raise Unavailable("Unreachable", "cannot reach the Kubernetes API")

    kube.world.before = down
    events = Events(kube, "pod-1")
    events.emit(REGARDING, "SyncFailed", "one")
    await events.close()
    assert "was not recorded" in caplog.text
    kube.world.before = None
    events.emit(REGARDING, "SyncFailed", "one")
    await events.close()
    assert len(await kube.list(EVENT, "team-a")) == 1


async def test_emitting_does_not_wait_for_the_api() -> None:
    kube = FakeKube()
    events = Events(kube, "pod-1")
    events.emit(REGARDING, "SyncFailed", "one")
    assert kube.world.calls == []
    await asyncio.sleep(0)
    await events.close()
    assert len(kube.world.calls) == 1


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcp_operator.kube.events.REMEMBERED", 10)
    events = Events(FakeKube(), "pod-1")
    for number in range(50):
        events.emit(REGARDING, "SyncFailed", str(number))
    await events.close()
    assert len(events._said) == 10
