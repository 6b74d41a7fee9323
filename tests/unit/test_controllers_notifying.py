"""Notices to a real HTTP listener: all of them, in all dresses, also when it was down first; and never a secret."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from bcp_operator.api.common import System
from bcp_operator.api.notify import Notify, NotifyEvent
from bcp_operator.api.tenant_status import BCPTenantStatus, LastRun, SyncStatus
from bcp_operator.continuity import notice, transitions
from bcp_operator.continuity.actions import Note
from bcp_operator.continuity.health import State, Track
from bcp_operator.continuity.observed import Probe
from bcp_operator.controllers import notifying
from bcp_operator.controllers.notifying import Notifier
from bcp_operator.kube.client import SECRET, Object
from bcp_operator.kube.leader import LostLease
from bcp_operator.systems.hosts import HostPolicy

from tests.unit import operator_harness as harness
from tests.unit import simulated_tenant as sim
from tests.unit.fake_kube import FakeKube
from tests.unit.http_server import Fake, Hang, Seen, serve
from tests.unit.operator_harness import NAMESPACE, SilentEvents

CANARY = "canary-7f3a"
LOOPBACK = HostPolicy.parse("127.0.0.1", "127.0.0.1")


class Post:
    """A notifier with its world: one tenant, whose receivers are Secrets of its namespace."""

    def __init__(self, hosts: HostPolicy = LOOPBACK, check: Callable[[], None] = lambda: None) -> None:
        self.kube = FakeKube()
        self.events = SilentEvents()
        self.notifier = Notifier(self.kube, hosts, self.events, check)

    async def secret(self, name: str, url: str) -> None:
        """A receiver's URL."""
        data = {"url": base64.b64encode(f"{url}/{CANARY}\n".encode()).decode()}
        await self.kube.create(SECRET, {"metadata": {"namespace": NAMESPACE, "name": name}, "data": data})

    def tell(
        self, *receivers: Object, event: str = "PrimaryDown", message: str = "the primary is down: HTTP 503"
    ) -> None:
        """Something happens to the tenant."""
        metadata = {"namespace": NAMESPACE, "name": "acme", "uid": "u"}
        self.notifier.tell(
            {"metadata": metadata, "spec": {"notify": list(receivers)}},
            Note(event, message, warning=True),
            BCPTenantStatus(phase="Primary", active_system="Primary"),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Delivering."""
        task = asyncio.create_task(self.notifier.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def to(name: str, **parts: Any) -> Object:
    """One entry of spec.notify."""
    return {"urlSecretRef": {"name": name}, **parts}


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.01)


def fine(_: Seen) -> Any:
    return 204, None, {}


async def test_each_dress_is_received_as_it_should_be() -> None:
    post = Post()
    async with serve(fine) as server, post.running():
        await post.secret("chat", server.url)
        post.tell(*(to("chat", format=form) for form in ("JSON", "CloudEvents", "Slack")), message="<b> & c")
        await until(lambda: len(server.seen) == 3)
    found = {seen.headers["Content-Type"] + (":text" if "text" in seen.body else ""): seen for seen in server.seen}
    plain, cloud = found["application/json"].body, found["application/cloudevents+json"].body
    assert {seen.target for seen in server.seen} == {f"/{CANARY}"}
    assert {seen.method for seen in server.seen} == {"POST"}
    assert (plain["event"], plain["severity"], plain["tenant"]) == ("PrimaryDown", "Warning", "acme")
    assert (plain["namespace"], plain["activeSystem"], plain["message"]) == (NAMESPACE, "Primary", "<b> & c")
    assert cloud["data"] == plain
    assert (cloud["specversion"], cloud["type"]) == ("1.0", "io.bcp-operator.PrimaryDown")
    assert cloud["id"] == plain["id"]
    text = found["application/json:text"].body["text"]
    assert text == f":warning: *PrimaryDown* {NAMESPACE}/acme: &lt;b&gt; &amp; c"


async def test_only_what_was_asked_for_is_sent() -> None:
    post = Post()
    async with serve(fine) as server, post.running():
        await post.secret("chat", server.url)
        some = to("chat", events=["FailoverRequested"])
        post.tell(some)
        post.tell(some, to("chat"), event="RouteApplied")  # an event of Kubernetes alone
        post.tell(some, event="FailoverRequested")
        await until(lambda: server.seen)
        await until(lambda: post.notifier._open == 0)
    assert [seen.body["event"] for seen in server.seen] == ["FailoverRequested"]


async def test_a_receiver_that_is_down_first_is_told_later_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "FIRST_PAUSE_SECONDS", 0.02)
    answers: list[Any] = [(503, None, {}), (429, None, {}), (200, b"thanks", {})]

    def answer(_: Seen) -> Any:
        return answers.pop(0)

    post = Post()
    async with post.running():
        post.tell(to("late"))  # even its Secret is missing
        await asyncio.sleep(0.1)
        async with serve(answer) as server:
            await post.secret("late", server.url)
            await until(lambda: not answers)
            await until(lambda: post.notifier._open == 0)
    assert len(server.seen) == 3
    assert len({seen.body["id"] for seen in server.seen}) == 1, "the same notice, by its id"
    assert post.events.said == []


async def test_one_that_never_answers_is_given_up_loudly_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="bcp_operator")
    monkeypatch.setattr(notifying, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(notifying, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(notifying, "ATTEMPTS", 3)

    def hang(_: Seen) -> Any:
        raise Hang

    post = Post()
    async with serve(hang) as dead, serve(fine) as alive, post.running():
        await post.secret("dead", dead.url)
        await post.secret("alive", alive.url)
        post.tell(to("dead"), to("alive"))
        await until(lambda: alive.seen)
        await until(lambda: post.events.said)
    assert len(dead.seen) == 3
    assert post.events.said == [
        ("NotificationFailed", "PrimaryDown could not be sent to the receiver of Secret dead: it does not answer")
    ]
    assert CANARY not in caplog.text
    assert dead.url not in caplog.text


@pytest.mark.parametrize(
    ("url", "answer", "why"),
    [
        ("http://127.0.0.2:1", None, "not allowed"),
        ("https://user:pass@127.0.0.1", None, "not allowed"),
        ("", (404, None, {}), "HTTP 404"),
        ("", (302, None, {"Location": "http://127.0.0.1:1/elsewhere"}), "HTTP 302"),
    ],
)
async def test_what_would_never_work_is_not_tried_again(url: str, answer: Any, why: str) -> None:
    post = Post()
    async with serve(lambda _: answer) as server, post.running():
        await post.secret("chat", url or server.url)
        post.tell(to("chat"))
        await until(lambda: post.events.said)
    assert why in post.events.said[0][1]
    assert CANARY not in post.events.said[0][1]
    assert len(server.seen) == (1 if answer else 0)


async def test_the_crowd_that_may_wait_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "WAITING", 5)
    post = Post()
    for _ in range(20):
        post.tell(to("chat"))
    assert post.notifier._ready.qsize() == 5


async def test_who_does_not_lead_sends_nothing() -> None:
    def lost() -> None:
        raise LostLease("lost")

    post = Post(check=lost)
    async with serve(fine) as server:
        await post.secret("chat", server.url)
        post.tell(to("chat"))
        with pytest.raises(ExceptionGroup):
            await post.notifier.run()
    assert server.seen == []


async def test_a_switch_does_not_wait_for_a_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way through the operator's own parts; nothing delivers until the switch is done."""
    made = await harness.started(monkeypatch, notify=[to("chat")])
    made.notify_hosts = LOOPBACK
    made.start()
    async with serve(fine) as server:
        data = {"url": base64.b64encode(f"{server.url}/{CANARY}".encode()).decode()}
        await made.kube.create(SECRET, {"metadata": {"namespace": NAMESPACE, "name": "chat"}, "data": data})
        made.tick(3600)
        await made.request(activeSystem="Secondary", reason="INC-4711")
        await made.settle()
        assert made.status["lastOperation"]["result"] == "Completed"
        task = asyncio.create_task(made.notifier.run())
        await until(lambda: len(received(server)) >= 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert received(server)[:2] == ["FailoverRequested", "FailoverCompleted"]
        done = next(seen.body for seen in server.seen if seen.body["event"] == "FailoverCompleted")
        assert done["operation"]["reason"] == "INC-4711"
        assert done["operation"]["rtoSeconds"] >= 0
    assert CANARY not in json.dumps(made.tenant)
    assert not any(CANARY in message for _, message in made.events.said)


def received(server: Fake) -> list[str]:
    """The events of a switch, in order of their happening."""
    found = sorted((seen.body for seen in server.seen), key=lambda body: body["time"])
    return [
        body["event"] for body in found if body["event"].startswith("Failover") and body["event"] != "FailoverNotReady"
    ]


def told(world: sim.World, passes: int = 12, seconds: float = 1.0) -> list[str]:
    """The reasons of what happens in some passes."""
    found = []
    for _ in range(passes):
        found += [note.reason for note in world.step().notes]
        world.tick(seconds)
    return found


def test_every_event_that_can_be_asked_for_happens() -> None:
    """By the one decision itself: a name that nothing produces would be a field without an effect."""
    world = sim.settled(sync={"enabled": True})
    happened: set[str] = set()

    def state(side: System, state: State) -> None:
        health: dict[System, Track] = {**world.seen.health, side: Track(state, "x")}
        world.seen = replace(world.seen, health=health)
        happened.update(told(world))

    words: list[State] = ["Healthy", "Down", "Slow", "Flapping", "Healthy"]
    for word in words:
        state("Primary", word)
        state("Secondary", word)
    fresh = SyncStatus(last_success_time=world.clock.wall)
    world.seen = replace(world.seen, status=world.seen.status.model_copy(update={"sync": fresh}))
    told(world)
    world.tick(2 * 86400)
    happened.update(told(world))

    world.seen = replace(world.seen, probe=Probe("Failed", "x"))
    world.request(**sim.failover("Secondary", world.clock.wall))
    happened.update(told(world))
    world.tick(1)
    world.request(**sim.failover("Secondary", world.clock.wall, override=["TargetHealthy"], reason="INC"))
    happened.update(told(world))
    world.tick(3600)
    world.login_down = True
    happened.update(told(world, 8, 10))
    world.login_down = False
    world.request(**sim.failover("Primary", world.clock.wall))
    happened.update(told(world))
    world.seen = replace(world.seen, probe=Probe("Healthy", "x"))
    world.request(**sim.failover("Primary", world.clock.wall + timedelta(seconds=1), secondaryChanges="Discard"))
    happened.update(told(world))
    assert world.side() == "Primary"
    world.seen = replace(world.seen, routes=tuple(replace(r, shows="Secondary") for r in world.seen.routes))
    happened.update(told(world))

    old = BCPTenantStatus()
    failed = old.model_copy(update={"sync": SyncStatus(last_run=LastRun(name="j", result="Failed"))})
    happened.update(note.reason for note in transitions.notes(old, failed))
    # tests/unit/test_continuity_guard.py and test_continuity_approval.py show that these happen
    assert set(get_args(NotifyEvent)) - happened == {"GuardTripped", "ApprovalNeeded"}


def test_an_empty_list_of_events_means_all_of_ours() -> None:
    everything = Notify.model_validate(to("chat"))
    assert all(notice.wanted(everything, event) for event in get_args(NotifyEvent))
    assert not notice.wanted(everything, "RouteApplied")
