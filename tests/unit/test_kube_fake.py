"""The in-memory fake gives the answers that tests/apiserver/test_kube_client.py gets from the real apiserver."""

import pytest

from tests.unit.fake_kube import FakeKube
from tests.unit.kube_contract import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_fake_keeps_the_contract(case: Case) -> None:
    ours = FakeKube()
    await case(ours, ours.as_manager("somebody-else"), "bcp-test")
