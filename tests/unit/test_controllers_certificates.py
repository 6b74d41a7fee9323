"""Certificates looked at before a switch and from time to time."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bcp_operator.api.tenant import BCPTenantSpec
from bcp_operator.controllers import certificates
from bcp_operator.controllers.certificates import Certificates
from bcp_operator.controllers.queue import Key
from bcp_operator.kube.client import CONFIGMAP
from bcp_operator.observe.certificates import Certificate
from bcp_operator.systems.hosts import HostPolicy

from tests.unit import simulated_tenant as sim
from tests.unit.fake_kube import FakeKube
from tests.unit.web import Authority, serve

KEY = Key("tenant", "team-a", "acme")
INGRESS = {"name": "web", "ingress": {"name": "acme-login"}}
DNS = {"name": "dns", "rfc2136": {"server": "10.0.0.53", "zone": "acme.test", "tsigSecretRef": {"name": "tsig"}}}
HOSTS = HostPolicy.parse("*.saas.test,*.acme.test,127.0.0.1,localhost")


def spec(*routes: dict[str, Any], port: int = 443, host: str = "localhost") -> BCPTenantSpec:
    plain = sim.spec()
    ca = {"name": "ca"}
    return BCPTenantSpec.model_validate(
        plain.model_dump(by_alias=True, exclude_none=True)
        | {
            "primary": _system(f"https://{host}:{port}/one", ca),
            "secondary": _system(f"https://{host}:{port}/two", ca),
            "login": {"url": "https://login.acme.test/", "caRef": ca, "routes": list(routes)},
        }
    )


def _system(url: str, ca: dict[str, str]) -> dict[str, Any]:
    return {
        "profile": "scim",
        "tenantID": url,
        "endpoint": "https://api.saas.test",
        "credentialsSecretRef": {"name": "s"},
        "loginURL": url,
        "caRef": ca,
    }


async def made(authority: Authority, changed: list[Key]) -> Certificates:
    kube = FakeKube()
    await kube.create(CONFIGMAP, {"metadata": {"namespace": "team-a", "name": "ca"}, "data": {"ca.crt": authority.pem}})
    return Certificates(kube, HOSTS, changed.append)


async def test_redirects_need_the_page_and_dns_the_login_host(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = await made(authority, [])
    async with serve(authority.context("localhost")) as site:
        views = await ours.look(KEY, spec(INGRESS, DNS, port=site.port), "Secondary")
        assert set(views) == {"Secondary"}
        page, name = views["Secondary"]
        assert (page.look.name, page.problem) == ("localhost", "")
        assert page.expires is not None
        assert page.look.what == "the certificate for localhost"
        assert (name.look.name, name.expires, name.unknown) == ("login.acme.test", None, False)
        assert name.look.what == f"the certificate for login.acme.test at https://localhost:{site.port}/two"
        assert "match" in name.problem
        assert len((await ours.look(KEY, spec(DNS, port=site.port), "Primary"))["Primary"]) == 1


async def test_a_missing_authority_is_not_known(tmp_path: Path) -> None:
    ours = Certificates(FakeKube(), HOSTS, lambda _: None)
    (view,) = (await ours.look(KEY, spec(INGRESS), "Secondary"))["Secondary"]
    assert (view.unknown, view.problem) == (True, "ConfigMap ca has no key ca.crt with a CA bundle")


class World:
    """Certificates whose handshakes are counted, on a clock of the test's, with the loop running."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.changed: list[Key] = []
        self.found = Certificate(None, "expired")
        self.clock = 0.0
        monkeypatch.setattr(certificates, "look_at", self._look)
        monkeypatch.setattr(certificates, "ROUND_SECONDS", 0.001)

    async def _look(self, name: str, where: str, **_: Any) -> Certificate:
        self.asked.append(name)
        return self.found

    async def start(self, folder: Path) -> Certificates:
        ours = await made(Authority(folder), self.changed)
        ours._clock = lambda: self.clock
        return ours

    async def rounds(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0.002)


async def test_the_loop_looks_once_an_hour_and_tells_of_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(monkeypatch)
    ours = await world.start(tmp_path)
    assert ours.view(KEY, spec(INGRESS)) == {}, "nothing is known yet, and nobody waits for it"
    loop = asyncio.create_task(ours.run())
    try:
        await world.rounds()
        assert (world.asked, world.changed) == (["localhost"], [KEY]), "both sides share it"
        assert [view.problem for view in ours.view(KEY, spec(INGRESS))["Secondary"]] == ["expired"]
        world.clock = 3000.0
        await world.rounds()
        assert len(world.asked) == 1, "an hour has not passed"
        world.clock = 3601.0
        await world.rounds()
        assert (len(world.asked), world.changed) == (2, [KEY]), "nothing new: nobody is bothered"
        world.clock, world.found = 3700.0, Certificate(None, "other")
        ours.view(KEY, spec(INGRESS, DNS))
        await world.rounds()
        assert sorted(world.asked[2:]) == ["localhost", "login.acme.test"], "another spec is looked at anew"
        assert world.changed == [KEY, KEY]
        other = Key("tenant", "team-a", "other")
        ours.view(other, spec(INGRESS), new=False)
        await world.rounds()
        assert len(world.asked) == 4, "a restart asks nobody at once"
        world.clock += certificates.SPREAD_SECONDS
        await world.rounds()
        assert (len(world.asked), world.changed[2:]) == (5, [other])
        ours.forget(other)
        ours.forget(KEY)
        world.clock = 99999.0
        await world.rounds()
        assert len(world.asked) == 5
        assert not loop.done()
    finally:
        loop.cancel()


async def test_a_switch_takes_a_good_look_of_the_last_hour_and_repeats_a_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(monkeypatch)
    ours = await world.start(tmp_path)
    world.found = Certificate(datetime.now(UTC) + timedelta(days=1))
    ours.view(KEY, spec(INGRESS))
    loop = asyncio.create_task(ours.run())
    try:
        await world.rounds()
        world.clock = 60.0
        assert (await ours.look(KEY, spec(INGRESS), "Secondary"))["Secondary"][0].expires == world.found.expires
        assert len(world.asked) == 1
        world.clock, world.found = 4000.0, Certificate(None, "expired")
        await world.rounds()
        world.clock, world.found = 4100.0, Certificate(datetime.now(UTC) + timedelta(days=9))
        assert (await ours.look(KEY, spec(INGRESS), "Secondary"))["Secondary"][0].expires == world.found.expires
        assert len(world.asked) == 3
    finally:
        loop.cancel()


async def test_tenants_of_one_vendor_share_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    ours = await world.start(tmp_path)
    keys = [Key("tenant", "team-a", f"t{number}") for number in range(20)]
    await asyncio.gather(*(ours.look(key, spec(INGRESS), "Secondary") for key in keys))
    assert world.asked == ["localhost"]
    world.clock = 60.0
    await ours.look(KEY, spec(INGRESS), "Secondary")
    assert len(world.asked) == 2
