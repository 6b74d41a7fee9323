"""The DNS route against real name servers (BIND, Knot): compare-and-swap, refusals in plain words, never a moment without."""

import asyncio
import base64
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import dns.query
import dns.tsig
import dns.update
import pytest
from bcp_operator.api.common import System
from bcp_operator.api.tenant import BCPTenantSpec, LoginSpec, Route
from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity.observed import Observed
from bcp_operator.continuity.runbook import steps
from bcp_operator.kube.client import SECRET
from bcp_operator.routes.base import Context, Driver, RouteChanged, RouteError
from bcp_operator.routes.drivers import build
from bcp_operator.routes.waiting import wait_verified
from bcp_operator.systems.hosts import HostPolicy

from tests.systems.nameserver import ALGORITHM, KEY_NAME, NameServer, start_bind, start_knot, start_resolver, watching
from tests.systems.nameserver import SECRET as KEY
from tests.unit.fake_kube import FakeKube

ZONE, HOST = "acme.example", "login.acme.example"
PRIMARY, SECONDARY, THIRD = "primary.saas.example", "secondary.saas.example", "third.saas.example"
HOSTS = HostPolicy.parse("*.saas.example,*.acme.example,127.0.0.1")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=[start_bind, start_knot], ids=["bind", "knot"])
def authority(request: pytest.FixtureRequest) -> Iterator[NameServer]:
    with request.param(ZONE, HOST, PRIMARY, "127.0.0.1", free_port()) as asked:
        yield NameServer(ZONE, asked)


def context(**login: Any) -> Context:
    spec = {"url": f"https://{HOST}/", "routes": [{"name": "dns"}]} | login
    return Context(
        "team-a", "acme", LoginSpec.model_validate(spec), f"https://{PRIMARY}/login", f"https://{SECONDARY}/login"
    )


def secret(**texts: str) -> dict[str, Any]:
    texts = {"keyName": KEY_NAME, "algorithm": ALGORITHM, "secret": KEY} | texts
    data = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items() if text}
    return {"metadata": {"namespace": "team-a", "name": "tsig"}, "data": data}


async def driver(
    authority: NameServer, *, key: dict[str, Any] | None = None, where: Context | None = None, **route: Any
) -> Driver:
    kube = FakeKube()
    await kube.create(SECRET, key or secret())
    rfc2136 = {"server": f"127.0.0.1:{authority.asked[1]}", "zone": ZONE, "tsigSecretRef": {"name": "tsig"}} | route
    spec = Route.model_validate({"name": "dns", "rfc2136": rfc2136})
    return build(spec, where or context(), kube, HOSTS)


def update_by_hand(authority: NameServer, *changes: tuple[Any, ...]) -> None:
    update = dns.update.UpdateMessage(ZONE, keyring=dns.tsig.Key(KEY_NAME, KEY, ALGORITHM))
    for kind in ("CNAME", "A"):
        update.delete("login", kind)
    for change in changes:
        update.add("login", *change)
    assert dns.query.tcp(update, authority.asked[0], port=authority.asked[1], timeout=5).rcode() == 0


async def test_out_and_back(authority: NameServer) -> None:
    route = await driver(authority)
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.ours, seen.conflict, seen.error) == ("Primary", "Primary", True, None, None)
    assert seen.path_preserved
    await route.apply(context().target("Secondary"), seen)
    assert authority.target(HOST) == SECONDARY
    assert (await wait_verified(route, context().target("Secondary"), 5)).ok
    assert not (await route.verify(context().target("Primary"))).ok
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Secondary", "Secondary")
    await route.restore(seen)
    assert authority.target(HOST) == PRIMARY


async def test_ttl_is_set_and_kept_right(authority: NameServer) -> None:
    route = await driver(authority, ttlSeconds=7)
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Primary", None)
    await route.apply(context().target("Primary"), seen)
    verified = await route.verify(context().target("Primary"))
    assert verified.detail == f"CNAME {PRIMARY}., TTL 7 s"
    assert (await route.observe()).in_place == "Primary"


async def test_stale_writer_changes_nothing(authority: NameServer) -> None:
    stale, leader = await driver(authority), await driver(authority)
    seen_by_stale = await stale.observe()
    await leader.apply(context().target("Secondary"), await leader.observe())
    update_by_hand(authority, (30, "CNAME", f"{THIRD}."))
    with pytest.raises(RouteChanged, match="NXRRSET"):
        await stale.apply(context().target("Secondary"), seen_by_stale)
    assert authority.target(HOST) == THIRD


async def test_nothing_is_sent_when_it_is_in_place(authority: NameServer) -> None:
    route = await driver(authority, key=secret(keyName="nobody"))
    await route.apply(context().target("Primary"), await route.observe())


async def test_absent_name_is_made_only_while_absent(authority: NameServer) -> None:
    update_by_hand(authority)
    route = await driver(authority)
    seen = await route.observe()
    assert (seen.exists, seen.shows, seen.conflict, seen.error) == (False, "Unknown", None, None)
    await route.restore(seen)
    assert authority.target(HOST) == ""
    await route.apply(context().target("Secondary"), seen)
    assert authority.target(HOST) == SECONDARY
    with pytest.raises(RouteChanged, match="YXDOMAIN"):
        await route.apply(context().target("Primary"), seen)
    assert authority.target(HOST) == SECONDARY


async def test_addresses_are_never_replaced(authority: NameServer) -> None:
    update_by_hand(authority, (30, "A", "192.0.2.1"))
    route = await driver(authority)
    seen = await route.observe()
    assert seen.conflict is not None
    assert "addresses" in seen.conflict
    assert seen.overridable == ()
    with pytest.raises(RouteError, match="addresses"):
        await route.apply(context().target("Secondary"), seen, override=True)


async def test_foreign_target_is_refused_and_can_be_overridden(authority: NameServer) -> None:
    update_by_hand(authority, (30, "CNAME", f"{THIRD}."))
    route = await driver(authority)
    seen = await route.observe()
    assert (seen.shows, seen.ours, seen.overridable) == ("Unknown", False, ("Primary", "Secondary"))
    with pytest.raises(RouteError, match=THIRD):
        await route.apply(context().target("Secondary"), seen)
    await route.restore(seen)
    assert authority.target(HOST) == THIRD
    await route.apply(context().target("Secondary"), seen, override=True)
    assert authority.target(HOST) == SECONDARY


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (secret(keyName="nobody"), "does not know the TSIG key"),
        (secret(secret=base64.b64encode(b"another").decode()), "another TSIG secret"),
        (secret(algorithm="hmac-sha512"), "TSIG"),
        (secret(algorithm="hmac-md5"), "algorithm has to be one of"),
        (secret(secret="not base64!"), "base64"),
        (secret(keyName=""), "missing: keyName"),
        (secret(algorithm="", secret=""), "missing: algorithm, secret"),
    ],
)
async def test_wrong_keys_are_refused_without_showing_them(
    authority: NameServer, key: dict[str, Any], why: str
) -> None:
    route = await driver(authority, key=key)
    with pytest.raises(RouteError, match=why) as refused:
        await route.apply(context().target("Secondary"), await route.observe())
    for value in key["data"].values():
        text = base64.b64decode(value).decode()
        assert text == "nobody" or text.startswith("hmac") or text == KEY_NAME or text not in str(refused.value)
    assert authority.target(HOST) == PRIMARY


async def test_missing_secret_is_named(authority: NameServer) -> None:
    route = await driver(authority, tsigSecretRef={"name": "other"})
    with pytest.raises(RouteError, match="Secret other does not exist"):
        await route.apply(context().target("Secondary"), await route.observe())


async def test_name_that_the_key_may_not_change(authority: NameServer) -> None:
    where = context(url="https://other.acme.example/")
    route = await driver(authority, where=where)
    with pytest.raises(RouteError, match=r"(REFUSED|does not know the TSIG key, or ).*(update-policy|acl)"):
        await route.apply(where.target("Secondary"), await route.observe())


@pytest.mark.parametrize(
    ("route", "login", "why"),
    [
        ({"zone": "other.example"}, {}, "below it"),
        ({}, {"url": "https://acme.example/"}, "below it"),
        ({"zone": "saas.example"}, {"url": "https://login.saas.example/"}, "REFUSED"),
        ({"server": "169.254.169.254:53"}, {}, "link-local"),
    ],
)
async def test_set_up_that_can_not_work_is_told(
    authority: NameServer, route: dict[str, Any], login: dict[str, Any], why: str
) -> None:
    made = await driver(authority, where=context(**login), **route)
    seen = await made.observe()
    assert seen.error is not None
    assert why in seen.error
    with pytest.raises(RouteError, match=why):
        await made.apply(context().target("Secondary"), seen)
    assert not (await made.verify(context().target("Secondary"))).ok


async def test_both_sides_on_one_host_is_refused(authority: NameServer) -> None:
    where = Context("team-a", "acme", context().login, f"https://{PRIMARY}/a", f"https://{PRIMARY}/b")
    seen = await (await driver(authority, where=where)).observe()
    assert seen.error is not None
    assert "same host" in seen.error


async def test_server_that_is_down() -> None:
    nobody = NameServer(ZONE, ("127.0.0.1", free_port()))
    route = await driver(nobody)
    seen = await route.observe()
    assert seen.error is not None
    assert "can't be reached" in seen.error
    assert (await route.verify(context().target("Primary"))).shows == "Unknown"


async def test_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcp_operator.routes.nameserver.TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        route = await driver(NameServer(ZONE, ("127.0.0.1", silent.getsockname()[1])))
        seen = await route.observe()
    assert seen.error is not None
    assert "did not answer" in seen.error


async def test_there_is_always_a_record(authority: NameServer) -> None:
    route = await driver(authority)
    with watching(authority, HOST, every_seconds=0.0005) as watch:
        for side in ("Secondary", "Primary") * 30:
            await route.apply(context().target(side), await route.observe())
            await asyncio.sleep(0.005)
    assert watch.errors == []
    assert set(watch.targets) == {PRIMARY, SECONDARY}
    assert len(watch.targets) > 2


async def test_a_resolver_follows_within_the_ttl(authority: NameServer) -> None:
    """What users' resolvers remember is the old side for the TTL, and never that there is nothing."""
    route = await driver(authority, ttlSeconds=1)
    await route.apply(context().target("Primary"), await route.observe())
    with start_resolver(authority.asked, "127.0.0.1", free_port()) as asked:
        users = NameServer(ZONE, asked)
        with watching(users, HOST, every_seconds=0.005) as watch:
            for side, host in (("Secondary", SECONDARY), ("Primary", PRIMARY)):
                assert users.target(HOST) != host
                await route.apply(context().target(cast(System, side)), await route.observe())
                end = time.monotonic() + 20
                while watch.targets[-1:] != [host]:
                    assert time.monotonic() < end
                    await asyncio.sleep(0.02)
    assert watch.errors == []
    assert watch.targets == [PRIMARY, SECONDARY, PRIMARY]


async def test_the_runbook_by_hand_is_understood(authority: NameServer, tmp_path: Path) -> None:
    """The very command that status.runbook shows, with a kubectl that knows the Secret."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\nprintf %s {ALGORITHM}:{KEY_NAME}:{KEY}\n")
    kubectl.chmod(0o755)
    rfc2136 = {"server": f"127.0.0.1:{authority.asked[1]}", "zone": ZONE, "tsigSecretRef": {"name": "tsig"}}
    route = await driver(authority)
    for aim, host in (("Secondary", SECONDARY), ("Primary", PRIMARY)):
        command = steps(tenant(rfc2136), "Primary" if aim == "Secondary" else "Secondary")[-1].command
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            text=True,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert authority.target(HOST) == host
        assert (await route.observe()).in_place == aim


def tenant(rfc2136: dict[str, Any]) -> Observed:
    def system(url: str) -> dict[str, Any]:
        return {
            "profile": "scim",
            "tenantID": url,
            "endpoint": "https://api.saas.example/scim",
            "credentialsSecretRef": {"name": "s"},
            "loginURL": url,
        }

    spec = {
        "primary": system(f"https://{PRIMARY}/login"),
        "secondary": system(f"https://{SECONDARY}/login"),
        "login": {"url": f"https://{HOST}/", "routes": [{"name": "dns", "rfc2136": rfc2136}]},
    }
    return Observed(
        namespace="team-a",
        name="acme",
        uid="u-1",
        generation=1,
        spec=BCPTenantSpec.model_validate(spec),
        status=BCPTenantStatus(),
    )
