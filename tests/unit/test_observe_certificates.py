"""The certificate that users would meet, seen by a real handshake."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bcp_operator.observe.certificates import look_at
from bcp_operator.systems.hosts import HostPolicy

from tests.unit.web import Authority, serve

HOSTS = HostPolicy.parse("*.saas.test,127.0.0.1")
NAME = "secondary.saas.test"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_a_valid_one_says_until_when(authority: Authority) -> None:
    async with serve(authority.context(NAME)) as site:
        seen = await look_at(NAME, f"127.0.0.1:{site.port}", hosts=HOSTS, ca_pem=authority.pem)
    assert (seen.problem, seen.unknown) == ("", False)
    assert seen.expires is not None
    assert abs(seen.expires - datetime.now(UTC) - timedelta(days=1)) < timedelta(hours=1)
    assert site.requests == [], "a handshake, and no request"


@pytest.mark.parametrize(
    ("names", "expired", "why"), [((NAME,), True, "expired"), (("other.saas.test",), False, "match")]
)
async def test_a_bad_one_says_why(authority: Authority, names: tuple[str, ...], expired: bool, why: str) -> None:
    async with serve(authority.context(*names, expired=expired)) as site:
        seen = await look_at(NAME, f"127.0.0.1:{site.port}", hosts=HOSTS, ca_pem=authority.pem)
    assert (seen.expires, seen.unknown) == (None, False)
    assert why in seen.problem


async def test_another_name_at_the_same_server(authority: Authority) -> None:
    """As DNS would lead there: the login host's name at the system's address."""
    async with serve(authority.context(NAME, "login.acme.test")) as site:
        seen = await look_at("login.acme.test", f"127.0.0.1:{site.port}", hosts=HOSTS, ca_pem=authority.pem)
        assert seen.expires is not None
        seen = await look_at("elsewhere.acme.test", f"127.0.0.1:{site.port}", hosts=HOSTS, ca_pem=authority.pem)
        assert "match" in seen.problem


async def test_not_knowing_is_no_problem(authority: Authority, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        seen = await look_at(NAME, f"127.0.0.1:{closed.getsockname()[1]}", hosts=HOSTS, ca_pem=authority.pem)
    assert (seen.expires, seen.unknown, seen.problem) == (None, True, "no TLS connection (ConnectionRefusedError)")
    async with serve(authority.context(NAME)) as site:
        for where, pem, why in (
            (f"127.0.0.1:{site.port}", Authority(tmp_path).pem, "issuer is not known"),
            (f"127.0.0.1:{site.port}", "no bundle", "no readable PEM"),
            (f"169.254.169.254:{site.port}", authority.pem, "link-local"),
            ("no-such-host.invalid", authority.pem, "cannot be resolved"),
        ):
            seen = await look_at(NAME, where, hosts=HOSTS, ca_pem=pem)
            assert (seen.expires, seen.unknown) == (None, True)
            assert why in seen.problem


async def test_a_server_that_says_nothing_is_not_waited_for(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        seen = await look_at(NAME, where, hosts=HOSTS, ca_pem=authority.pem, timeout_seconds=0.1)
    assert (seen.unknown, seen.problem) == (True, "no answer within 0.1 s")
