"""A tenant whose correlations are in PostgreSQL needs no volume, and is at peace without one."""

from __future__ import annotations

import pytest
from bcp_operator.api import names
from bcp_operator.kube.client import CRONJOB, PVC

from tests.unit import operator_harness as harness
from tests.unit.operator_harness import NAME


async def test_no_claim_is_made_for_postgresql_and_none_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    store = {"postgresql": {"dsnSecretRef": {"name": "fleet"}}}
    made = await harness.started(monkeypatch, sync={"enabled": True, "store": store})
    assert made.get(PVC, names.correlations_claim(NAME)) is None
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is not None
    before = list(made.kube.world.writes)
    made.start()  # a new process looks at everything anew
    await made.settle()
    assert made.kube.world.writes == before


async def test_one_is_made_for_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch, sync={"enabled": True})
    assert made.get(PVC, names.correlations_claim(NAME)) is not None
