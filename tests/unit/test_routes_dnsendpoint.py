"""DNSEndpoint routes on the in-memory API; the name servers are asked for real in tests/systems/test_dnsendpoint.py."""

import pytest
from bcp_operator.continuity.externaldns import record, record_target
from bcp_operator.kube.client import DNSENDPOINT
from bcp_operator.routes.base import RouteError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dnsendpoint_cases import CASES, Case, driver
from tests.unit.fake_kube import FakeKube
from tests.unit.routes_world import context

HOST = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,2}", fullmatch=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_case(case: Case) -> None:
    ours = FakeKube()
    await case(ours, ours.as_manager("pipeline"), ours.as_manager("kubectl-edit"), "team-a")


async def test_a_cluster_without_external_dns_is_named() -> None:
    kube = FakeKube()
    kube.world.absent.add(DNSENDPOINT)
    seen = await driver(kube).observe()
    assert (seen.exists, seen.unserved) == (False, True)
    with pytest.raises(RouteError, match="install external-dns"):
        await driver(kube).apply(context().target("Primary"), seen)


async def test_both_pages_on_one_host_are_never_written() -> None:
    kube = FakeKube()
    where = context(secondary="https://primary.saas.test/other")
    with pytest.raises(RouteError, match="same host"):
        await driver(kube, where).apply(where.target("Secondary"), await driver(kube, where).observe())
    assert kube.world.writes == []


@given(HOST, HOST, st.integers(1, 86400))
def test_what_is_written_reads_back_as_the_same_host(login: str, target: str, ttl: int) -> None:
    assert record_target(record(f"https://{login}/", f"https://{target}/login", ttl)) == target


def test_what_is_no_single_cname_leads_nowhere() -> None:
    one = record("https://l.test/", "https://a.test/", 30)["endpoints"][0]
    assert record_target({}) is None
    for endpoints in (
        [],
        [one, one],
        [one | {"recordType": "A"}],
        [one | {"targets": []}],
        [one | {"targets": ["a", "b"]}],
    ):
        assert record_target({"endpoints": endpoints}) is None
