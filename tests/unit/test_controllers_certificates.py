"""Certificates looked at before a switch and from time to time."""

import asyncio
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


async def test_the_loop_looks_once_an_hour_and_tells_of_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    found = Certificate(None, "expired")

    async def look(name: str, where: str, **_: Any) -> Certificate:
        asked.append(where)
        return found

    monkeypatch.setattr(certificates, "look_at", look)
    monkeypatch.setattr(certificates, "ROUND_SECONDS", 0.001)
    clock, changed = [0.0], list[Key]()
    ours = await made(Authority(tmp_path), changed)
    ours._clock = lambda: clock[0]
    assert ours.view(KEY, spec(INGRESS)) == {}, "nothing is known yet, and nobody waits for it"
    loop = asyncio.create_task(ours.run())

    async def rounds() -> None:
        for _ in range(50):
            await asyncio.sleep(0.002)

    try:
        await rounds()
        assert (len(asked), changed) == (2, [KEY])
        assert [view.problem for view in ours.view(KEY, spec(INGRESS))["Secondary"]] == ["expired"]
        await rounds()
        assert len(asked) == 2, "an hour has not passed"
        clock[0] = 3601.0
        await rounds()
        assert (len(asked), changed) == (4, [KEY]), "nothing new: nobody is bothered"
        found = Certificate(None, "other")
        ours.view(KEY, spec(INGRESS, DNS))
        await rounds()
        assert (len(asked), changed) == (8, [KEY, KEY]), "another spec is looked at anew"
        other = Key("tenant", "team-a", "other")
        ours.view(other, spec(INGRESS), new=False)
        await rounds()
        assert len(asked) == 8, "a restart asks nobody at once"
        clock[0] += certificates.SPREAD_SECONDS
        await rounds()
        assert (len(asked), changed[2:]) == (10, [other])
        ours.forget(other)
        ours.forget(KEY)
        clock[0] = 9999.0
        await rounds()
        assert len(asked) == 10
        assert not loop.done()
    finally:
        loop.cancel()
