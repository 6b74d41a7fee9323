"""Asking from outside: what counts as an answer, what as a failure, and what only as not knowing."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from bcp_operator.api.tenant import SystemSpec
from bcp_operator.observe.probes import ask_login, probe_system
from bcp_operator.systems.hosts import HostPolicy

from tests.unit.web import Authority, serve

HOSTS = HostPolicy.parse("*.acme.test,*.saas.test,127.0.0.1", "*.acme.test,*.saas.test")


def system(**fields: Any) -> SystemSpec:
    return SystemSpec.model_validate(
        {
            "profile": "scim",
            "tenantID": "t",
            "endpoint": "https://api.saas.test/scim",
            "credentialsSecretRef": {"name": "s"},
            "loginURL": "https://login.saas.test/page",
        }
        | fields
    )


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("more", ["?token=secret", "#token=secret", "?a#token=secret"])
async def test_redirect_is_reported_not_followed(authority: Authority, more: str) -> None:
    async with serve(authority.context("login.acme.test")) as site:
        site.redirect("/", f"https://secondary.saas.test/login{more}")
        answer = await ask_login(
            "https://login.acme.test/", hosts=HOSTS, connect_to=f"127.0.0.1:{site.port}", ca_pem=authority.pem
        )
        assert (answer.status, answer.location) == (302, f"https://secondary.saas.test/login{more}")
        assert answer.detail == "HTTP 302 to https://secondary.saas.test/login"
        assert site.requests == [("login.acme.test", "/")]


async def test_environment_proxies_do_not_matter(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serve(authority.context("login.acme.test")) as site:
        answer = await ask_login(
            "https://login.acme.test/", hosts=HOSTS, connect_to=f"127.0.0.1:{site.port}", ca_pem=authority.pem
        )
    assert answer.status == 200


async def test_every_ask_is_a_new_connection(authority: Authority) -> None:
    async with serve(authority.context("login.acme.test")) as site:
        for _ in range(3):
            await ask_login(
                "https://login.acme.test/", hosts=HOSTS, connect_to=f"127.0.0.1:{site.port}", ca_pem=authority.pem
            )
    assert len(site.requests) == 3


@pytest.mark.parametrize(
    ("url", "connect_to", "error"),
    [
        ("https://evil.test/", None, "Refused"),
        ("https://login.acme.test/", "169.254.169.254:80", "Refused"),
        ("https://login.acme.test/", "localhost:1", None),  # 127.0.0.1 is named in the policy, nothing listens
        ("https://login.acme.test/", "no-such-host.invalid", "Unresolved"),
        ("https://login.acme.test/", "::::", "Refused"),
    ],
)
async def test_no_answer(url: str, connect_to: str | None, error: str | None) -> None:
    answer = await ask_login(url, hosts=HOSTS, connect_to=connect_to)
    assert answer.status is None
    if error == "Unresolved":  # a sandbox without a resolver says "try again"
        assert answer.error in ("Unresolved", "ResolverDown")
    else:
        assert answer.error == (error or "Unreachable")


async def test_loopback_is_refused_unless_named() -> None:
    answer = await ask_login("https://login.acme.test/", hosts=HostPolicy.parse("*"), connect_to="127.0.0.1:1")
    assert answer.error == "Refused"


async def test_certificates(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    async with serve(authority.context("login.acme.test")) as site:
        where = f"127.0.0.1:{site.port}"
        untrusted = await ask_login("https://login.acme.test/", hosts=HOSTS, connect_to=where, ca_pem=other.pem)
        wrong = await ask_login("https://other.acme.test/", hosts=HOSTS, connect_to=where, ca_pem=authority.pem)
        broken = await ask_login("https://login.acme.test/", hosts=HOSTS, connect_to=where, ca_pem="no certificate")
    async with serve(authority.context("login.acme.test", expired=True)) as site:
        where = f"127.0.0.1:{site.port}"
        expired = await ask_login("https://login.acme.test/", hosts=HOSTS, connect_to=where, ca_pem=authority.pem)
    assert [a.error for a in (untrusted, wrong, broken, expired)] == [
        "Untrusted",
        "BadCertificate",
        "Untrusted",
        "BadCertificate",
    ]


async def test_silence_ends_in_time(authority: Authority) -> None:
    async with serve(authority.context("login.acme.test")) as site:
        site.silent = True
        async with asyncio.timeout(5):
            answer = await ask_login(
                "https://login.acme.test/",
                hosts=HOSTS,
                connect_to=f"127.0.0.1:{site.port}",
                ca_pem=authority.pem,
                timeout_seconds=0.2,
            )
    assert (answer.status, answer.error) == (None, "Unreachable")


@pytest.mark.parametrize(("status", "result"), [(200, "Healthy"), (302, "Healthy"), (404, "Healthy"), (503, "Failed")])
async def test_login_page_as_health_check(status: int, result: str) -> None:
    async with serve() as site:
        site.answers["/page"] = (status, {})
        health = await probe_system(
            system(loginURL="http://login.saas.test/page"), hosts=HOSTS, connect_to=f"127.0.0.1:{site.port}"
        )
    assert health.result == result


@pytest.mark.parametrize(
    ("status", "result"), [(204, "Healthy"), (200, "Failed"), (500, "Failed"), (401, "Unknown"), (403, "Unknown")]
)
async def test_health_path(status: int, result: str) -> None:
    async with serve() as site:
        site.answers["/scim/health"] = (status, {})
        health = await probe_system(
            system(
                endpoint="http://api.saas.test/scim/",
                insecure=True,
                health={"path": "/health", "expectStatus": 204},
            ),
            hosts=HOSTS,
            connect_to=f"127.0.0.1:{site.port}",
        )
        assert site.requests == [("api.saas.test", "/scim/health")]
    assert health.result == result


async def test_nobody_there_is_a_failed_probe() -> None:
    health = await probe_system(system(), hosts=HOSTS, connect_to=f"127.0.0.1:{closed_port()}")
    assert health.result == "Failed"


async def test_our_own_set_up_is_never_a_failed_probe(authority: Authority) -> None:
    not_listed = await probe_system(system(), hosts=HostPolicy.parse("other.test"))
    assert (not_listed.result, "allow-list" in not_listed.detail) == ("Unknown", True)
    async with serve(authority.context("login.saas.test")) as site:
        untrusted = await probe_system(system(), hosts=HOSTS, connect_to=f"127.0.0.1:{site.port}")
    assert (untrusted.result, "caRef" in untrusted.detail) == ("Unknown", True)
