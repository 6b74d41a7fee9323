"""Probes under load: shared, few at a time, and our own slowness is nobody's fault."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bcp_operator.api.tenant import SystemSpec
from bcp_operator.controllers import probing
from bcp_operator.controllers.probing import Prober
from bcp_operator.observe.probes import Health
from bcp_operator.systems.hosts import HostPolicy

from tests.unit.fake_kube import FakeKube
from tests.unit.simulated_tenant import spec


class Probes:
    """What probe_system would do."""

    def __init__(self, *answers: tuple[str, float]) -> None:
        self.answers = list(answers)
        self.seconds = 0.0
        self.inside = self.most = self.count = 0

    async def __call__(self, *_: Any, **__: Any) -> Health:
        self.count += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.001)
        result, took = self.answers.pop(0) if self.answers else ("Healthy", 0.0)
        self.seconds += took
        self.inside -= 1
        return Health(result, "asked")  # type: ignore[arg-type]


def prober(monkeypatch: pytest.MonkeyPatch, probes: Probes) -> Prober:
    """A prober with that network."""
    monkeypatch.setattr(probing, "probe_system", probes)
    return Prober(FakeKube(), HostPolicy(), lambda: probes.seconds)


def system(number: int = 0) -> SystemSpec:
    """One of many systems."""
    return spec().secondary.model_copy(update={"login_url": f"https://page{number}.example"})


async def test_a_failure_in_time_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = Probes(("Failed", 1.0))
    assert (await prober(monkeypatch, probes).ask("ns", system())).result == "Failed"


async def test_a_time_out_that_comes_late_is_asked_again_and_never_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    again = Probes(("Failed", 3.0), ("Healthy", 0.1))
    assert (await prober(monkeypatch, again).ask("ns", system())).result == "Healthy"
    busy = Probes(*[("Failed", 3.0)] * 5)
    assert (await prober(monkeypatch, busy).ask("ns", system())).result == "Unknown"


async def test_tenants_of_one_system_share_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = Probes()
    shared = prober(monkeypatch, probes)
    await asyncio.gather(*(shared.ask("ns", system()) for _ in range(50)))
    assert probes.count == 1


async def test_many_systems_are_asked_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = Probes()
    many = prober(monkeypatch, probes)
    await asyncio.gather(*(many.ask("ns", system(number)) for number in range(50)))
    assert (probes.count, probes.most) == (50, probing.AT_ONCE)


async def test_a_missing_ca_bundle_is_not_known_rather_than_down(monkeypatch: pytest.MonkeyPatch) -> None:
    private = SystemSpec.model_validate(system().model_dump(by_alias=True) | {"caRef": {"name": "none"}})
    assert (await prober(monkeypatch, Probes()).ask("ns", private)).result == "Unknown"
