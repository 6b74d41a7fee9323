"""Ingress routes on the in-memory API, and how they are verified from outside."""

from pathlib import Path

import pytest
from bcp_operator.kube.client import CONFIGMAP, INGRESS, Kind
from bcp_operator.kube.errors import Forbidden, Unavailable
from bcp_operator.routes.base import RouteError, normalised
from bcp_operator.routes.waiting import wait_verified

from tests.unit.adopted_cases import Case
from tests.unit.fake_kube import FakeKube
from tests.unit.ingress_cases import CASES
from tests.unit.routes_world import OTHER, PRIMARY, SECONDARY, context, driver, theirs
from tests.unit.web import Authority, serve


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_case(case: Case) -> None:
    ours = FakeKube()
    await case(ours, ours.as_manager("pipeline"), ours.as_manager("kubectl-annotate"), "team-a")


async def test_creating_leaves_no_moment_with_a_foreign_redirect() -> None:
    """The object appears without a class and without a redirect, so no controller serves it half made."""
    kube = FakeKube()
    bodies = []

    def look(verb: str, kind: Kind, name: str) -> None:
        bodies.append((verb, kube.world.objects.get((INGRESS, "team-a", "acme-login"))))

    kube.world.before = look
    route = driver(kube)
    await route.apply(context().target("Primary"), await route.observe())
    verbs = [verb for verb, _ in bodies]
    assert verbs == ["get", "create", "apply"]
    half = bodies[2][1]
    assert half is not None
    assert "annotations" not in half["metadata"]
    assert "ingressClassName" not in half["spec"]


async def test_a_switch_is_one_write() -> None:
    kube = FakeKube()
    route = driver(kube)
    await route.apply(context().target("Primary"), await route.observe())
    seen = await route.observe()
    kube.world.calls.clear()
    await route.apply(context().target("Secondary"), seen)
    assert kube.world.calls == [("apply", "Ingress", "acme-login")]


async def test_api_trouble_is_told_not_raised_on_observe() -> None:
    kube = FakeKube()

    def down(verb: str, kind: Kind, name: str) -> None:
        raise Unavailable("Unreachable", "cannot reach the Kubernetes API (ConnectionRefused)")

    kube.world.before = down
    seen = await driver(kube).observe()
    assert seen.error == "cannot read Ingress: cannot reach the Kubernetes API (ConnectionRefused)"
    with pytest.raises(RouteError):
        await driver(kube).apply(context().target("Secondary"), seen)
    with pytest.raises(RouteError):
        await driver(kube).restore(seen)


async def test_missing_rights_are_told() -> None:
    kube = FakeKube()
    route = driver(kube)
    seen = await route.observe()

    def forbidden(verb: str, kind: Kind, name: str) -> None:
        raise Forbidden("Forbidden", "cannot create resource ingresses")

    kube.world.before = forbidden
    with pytest.raises(RouteError, match="cannot create resource ingresses"):
        await route.apply(context().target("Primary"), seen)


# -- verification


@pytest.mark.parametrize(
    ("mode", "answer", "primary", "secondary"),
    [
        ("Managed", (302, PRIMARY), True, False),
        ("Managed", (302, SECONDARY), False, True),
        ("Managed", (307, "https://SECONDARY.saas.test:443/login"), False, True),
        ("Managed", (302, OTHER), False, False),
        ("Managed", (200, SECONDARY), False, False),
        ("Managed", (404, ""), False, False),
        ("Adopted", (200, ""), True, False),
        ("Adopted", (302, "/login"), True, False),
        ("Adopted", (503, ""), True, False),
        ("Adopted", (302, SECONDARY), False, True),
    ],
)
async def test_verify(mode: str, answer: tuple[int, str], primary: bool, secondary: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    kube = FakeKube()
    await kube.create(CONFIGMAP, {"metadata": {"namespace": "team-a", "name": "ca"}, "data": {"ca.crt": authority.pem}})
    async with serve(authority.context("login.acme.test")) as site:
        site.answers["/"] = (answer[0], {"Location": answer[1]} if answer[1] else {})
        where = context(connectTo=f"127.0.0.1:{site.port}", caRef={"name": "ca"})
        route = driver(kube, where, mode=mode)
        verified = [await route.verify(where.target(side)) for side in ("Primary", "Secondary")]
        assert [v.ok for v in verified] == [primary, secondary]
        assert site.requests[0] == ("login.acme.test", "/")
    # The bundle is read once, not at every ask.
    assert len([call for call in kube.world.calls if call[:2] == ("get", "ConfigMap")]) == 1


@pytest.mark.parametrize("mode", ["Managed", "Adopted"])
async def test_no_answer_is_never_ok(mode: str) -> None:
    where = context(connectTo="127.0.0.1:1")
    for side in ("Primary", "Secondary"):
        verification = await driver(FakeKube(), where, mode=mode).verify(where.target(side))
        assert (verification.ok, verification.shows) == (False, "Unknown")


async def test_missing_bundle_is_named() -> None:
    where = context(connectTo="127.0.0.1:1", caRef={"name": "ca"})
    verification = await driver(FakeKube(), where).verify(where.target("Primary"))
    assert "ConfigMap ca has no key ca.crt" in verification.detail


async def test_waiting_ends_with_the_first_right_answer(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    kube = FakeKube()
    await kube.create(CONFIGMAP, {"metadata": {"namespace": "team-a", "name": "ca"}, "data": {"ca.crt": authority.pem}})
    async with serve(authority.context("login.acme.test")) as site:
        site.redirect("/", PRIMARY)
        where = context(connectTo=f"127.0.0.1:{site.port}", caRef={"name": "ca"})
        route = driver(kube, where)
        site.after(3, lambda: site.redirect("/", SECONDARY))
        verification = await wait_verified(route, where.target("Secondary"), 10)
        assert verification.ok
        assert len(site.requests) == 4
        late = await wait_verified(route, where.target("Primary"), 0.2)
        assert (late.ok, late.shows) == (False, "Secondary")


def test_spellings_of_one_place_are_equal() -> None:
    assert normalised("https://A.test") == normalised("HTTPS://a.test.:443/")
    assert normalised("https://a.test/x") != normalised("https://a.test/y")
    assert normalised("https://a.test/?a") != normalised("https://a.test/")
    assert normalised("/login") is None
    assert normalised(None) is None
    assert normalised("https://a.test:port/") is None


def test_adopted_manifest_is_a_whole_one() -> None:
    assert theirs()["spec"]["rules"]
