"""How Kopf is embedded."""

import asyncio
import getpass
from collections.abc import Iterable
from typing import Any

import kopf
import pytest
from bcp_operator.controllers import main
from bcp_operator.controllers.config import Config, parse
from bcp_operator.kube.client import DNSENDPOINT, HTTPROUTE, Kind
from bcp_operator.kube.errors import KubeError, Unavailable

from tests.unit.fake_kube import FakeKube


class NoWatches:
    """Nothing to watch."""

    def registry(self, optional: Iterable[Kind]) -> kopf.OperatorRegistry:
        self.optional = set(optional)
        return kopf.OperatorRegistry()


def config(**more: str) -> Config:
    environment = {
        "WATCH_NAMESPACES": "team-a",
        "POD_NAMESPACE": "bcp-system",
        "POD_NAME": "bcp-operator-0",
        "BCP_SYNC_IMAGE": "localhost/bcp-operator:dev",
        "ALLOWED_HOSTS": "*",
    }
    return parse([], environment | more)


async def watch(settings: Config, kube: FakeKube) -> set[Kind]:
    """Start; which optional kinds are watched."""
    watches, watched = NoWatches(), asyncio.get_running_loop().create_future()
    await main._watch(settings, kube, watches, watched)  # type: ignore[arg-type]
    assert watched.result() == watches.optional
    return watches.optional


async def test_kopf_is_told_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it looks for the name of user 65532, whom no image knows, and ends."""
    given: dict[str, Any] = {}

    async def operator(**kwargs: Any) -> None:
        given.update(kwargs)

    monkeypatch.setattr(kopf, "operator", operator)
    monkeypatch.setattr(getpass, "getuser", lambda: pytest.fail("nobody knows that user"))
    await watch(config(), FakeKube())
    assert given["identity"] == "bcp-operator-0"
    assert given["standalone"] is True


async def test_only_kinds_that_are_served_and_allowed_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    async def operator(**_: Any) -> None:
        """End at once."""

    monkeypatch.setattr(kopf, "operator", operator)
    without = FakeKube()
    without.world.absent.add(HTTPROUTE)
    assert await watch(config(), FakeKube()) == {HTTPROUTE, DNSENDPOINT}
    assert await watch(config(), without) == {DNSENDPOINT}
    assert await watch(config(GATEWAY_API="false"), FakeKube()) == {DNSENDPOINT}
    assert await watch(config(EXTERNAL_DNS="false"), without) == set()


async def test_a_new_kind_ends_the_process_and_an_outage_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    class Changing(FakeKube):
        async def discover(self, kinds: Iterable[Kind]) -> frozenset[Kind]:
            nonlocal looks
            looks += 1
            if looks == 2:
                raise Unavailable("Timeout", "the Kubernetes API did not answer")
            return frozenset(kinds) if looks == 4 else frozenset()

    monkeypatch.setattr(main, "DISCOVERY_SECONDS", 0)
    watched = asyncio.get_running_loop().create_future()
    watched.set_result(frozenset())
    with pytest.raises(KubeError, match="serves dnsendpoints, httproutes now: starting anew"):
        await asyncio.wait_for(main._discover(config(), Changing(), watched), 10)
    assert looks == 4


async def test_a_kind_that_is_watched_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = asyncio.Semaphore(0)

    class Steady(FakeKube):
        async def discover(self, kinds: Iterable[Kind]) -> frozenset[Kind]:
            looks.release()
            return frozenset(kinds)

    monkeypatch.setattr(main, "DISCOVERY_SECONDS", 0)
    watched = asyncio.get_running_loop().create_future()
    watched.set_result(frozenset({HTTPROUTE, DNSENDPOINT}))
    task = asyncio.create_task(main._discover(config(), Steady(), watched))
    for _ in range(3):
        await looks.acquire()
    assert not task.done()
    task.cancel()
