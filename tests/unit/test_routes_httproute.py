"""HTTPRoute routes on the in-memory API: acceptance, status codes, a cluster without the Gateway API, verification."""

from pathlib import Path
from typing import Any

import pytest
from bcp_operator.continuity.gateway import redirect_rules, redirect_url
from bcp_operator.kube.client import CONFIGMAP, GATEWAY, GATEWAY_CLASS, HTTPROUTE, Kind, Object
from bcp_operator.kube.errors import Forbidden, Unavailable
from bcp_operator.routes.acceptance import not_accepted
from bcp_operator.routes.base import RouteError, normalised
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fake_kube import FakeKube
from tests.unit.httproute_cases import CASES, LOGIN, Case, driver, sends_to
from tests.unit.routes_world import PRIMARY, SECONDARY, context
from tests.unit.web import Authority, serve


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_case(case: Case) -> None:
    ours = FakeKube()
    await case(ours, ours.as_manager("pipeline"), ours.as_manager("kubectl-edit"), "team-a")


async def test_making_and_switching_are_one_write_each() -> None:
    kube = FakeKube()
    route = driver(kube)
    await route.apply(context().target("Primary"), await route.observe())
    assert [call[0] for call in kube.world.calls] == ["get", "create"]
    seen = await route.observe()
    kube.world.calls.clear()
    await route.apply(context().target("Secondary"), seen)
    assert kube.world.calls == [("apply", "HTTPRoute", "acme-login")]


async def test_a_cluster_without_the_gateway_api_is_named() -> None:
    kube = FakeKube()
    kube.world.absent.add(HTTPROUTE)
    route = driver(kube)
    seen = await route.observe()
    assert (seen.exists, seen.unserved) == (False, True)
    assert seen.error is not None
    assert "does not serve HTTPRoute" in seen.error
    for attempt in (route.apply(context().target("Primary"), seen), route.restore(seen)):
        with pytest.raises(RouteError, match="install the Gateway API"):
            await attempt
    kube.world.absent.clear()
    assert (await route.observe()).error is None


async def test_api_trouble_is_told_not_raised_on_observe() -> None:
    kube = FakeKube()

    def down(verb: str, kind: Kind, name: str) -> None:
        raise Unavailable("Unreachable", "cannot reach the Kubernetes API (ConnectionRefused)")

    kube.world.before = down
    seen = await driver(kube).observe()
    assert seen.error == "cannot read HTTPRoute: cannot reach the Kubernetes API (ConnectionRefused)"
    for attempt in (driver(kube).apply(context().target("Secondary"), seen), driver(kube).restore(seen)):
        with pytest.raises(RouteError):
            await attempt


async def test_missing_rights_are_told() -> None:
    kube = FakeKube()
    route = driver(kube)
    seen = await route.observe()

    def forbidden(verb: str, kind: Kind, name: str) -> None:
        raise Forbidden("Forbidden", "cannot create resource httproutes")

    kube.world.before = forbidden
    with pytest.raises(RouteError, match="cannot create resource httproutes"):
        await route.apply(context().target("Primary"), seen)
    with pytest.raises(
        RouteError, match=r"cannot see whether Gateway team-a/nobody can answer 307.*use statusCode: 302"
    ):
        await driver(kube, statusCode=307).apply(context().target("Primary"), seen)


# -- status codes


async def gateway(kube: FakeKube, *features: Any, namespace: str = "team-a") -> None:
    kube.world.objects[GATEWAY, namespace, "nobody"] = {
        "metadata": {"namespace": namespace, "name": "nobody", "uid": "1", "resourceVersion": "1"},
        "spec": {"gatewayClassName": "some"},
    }
    kube.world.objects[GATEWAY_CLASS, "", "some"] = {
        "metadata": {"name": "some", "uid": "2", "resourceVersion": "1"},
        "status": {"supportedFeatures": list(features)},
    }
    kube.world.owners |= {(GATEWAY, namespace, "nobody"): {}, (GATEWAY_CLASS, "", "some"): {}}


@pytest.mark.parametrize("code", [303, 307])
@pytest.mark.parametrize("plain", [False, True])
async def test_a_class_that_lists_the_feature_may_answer_so(code: int, plain: bool) -> None:
    kube = FakeKube()
    feature = f"HTTPRoute{code}RedirectStatusCode"
    await gateway(kube, feature if plain else {"name": feature}, namespace="infra")
    route = driver(kube, statusCode=code, parentRefs=[{"name": "nobody", "namespace": "infra"}])
    await route.apply(context().target("Primary"), await route.observe())
    assert (await sends_to(kube, "team-a"))["statusCode"] == code
    seen = await route.observe()
    kube.world.calls.clear()
    await route.apply(context().target("Secondary"), seen)
    assert kube.world.calls == [("apply", "HTTPRoute", "acme-login")], "a switch asks nobody again"


@pytest.mark.parametrize("code", [303, 307])
async def test_a_class_that_does_not_list_it_is_told_of(code: int) -> None:
    kube = FakeKube()
    await gateway(kube, {"name": "HTTPRoute308RedirectStatusCode"})
    route = driver(kube, statusCode=code)
    with pytest.raises(RouteError, match=rf"GatewayClass some .* use statusCode: 302, .*HTTPRoute{code}Redirect"):
        await route.apply(context().target("Primary"), await route.observe())
    assert kube.world.writes == []


# -- acceptance


def parent(accepted: str = "True", resolved: str = "True", generation: int = 3, **ref: str) -> Object:
    conditions = [
        {"type": kind, "status": status, "reason": "Because", "message": "so", "observedGeneration": generation}
        for kind, status in (("Accepted", accepted), ("ResolvedRefs", resolved))
    ]
    return {"parentRef": {"name": "edge"} | ref, "controllerName": "example/one", "conditions": conditions}


def taken(*parents: Object, refs: tuple[Object, ...] = ({"name": "edge"},)) -> str | None:
    return not_accepted(
        {
            "metadata": {"namespace": "team-a", "name": "acme-login", "generation": 3},
            "spec": {"parentRefs": [*refs]},
            "status": {"parents": [*parents]},
        }
    )


def test_acceptance_is_of_the_current_generation_and_of_every_parent() -> None:
    assert taken(parent()) is None
    assert taken(parent(group="gateway.networking.k8s.io", kind="Gateway", namespace="team-a")) is None
    assert taken() == "Gateway edge: no controller has answered yet"
    assert taken(parent(namespace="elsewhere")) == "Gateway edge: no controller has answered yet"
    assert taken(parent(generation=2)) == "Gateway edge: Accepted is not known yet for generation 3"
    assert taken(parent(accepted="False")) == "Gateway edge: Accepted is False (Because) so"
    assert taken(parent(resolved="False")) == "Gateway edge: ResolvedRefs is False (Because) so"
    both: tuple[Object, ...] = ({"name": "edge"}, {"name": "edge", "sectionName": "https"})
    assert taken(parent(), refs=both) == "Gateway edge (https): no controller has answered yet"
    assert taken(parent(), parent(sectionName="https"), refs=both) is None
    assert taken(parent(accepted="False"), parent()) is None, "two controllers, one has taken it"


# -- verification


@pytest.mark.parametrize(
    ("answer", "accepted", "primary", "secondary"),
    [
        ((302, PRIMARY), "True", True, False),
        ((302, SECONDARY), "True", False, True),
        ((302, SECONDARY), "False", False, False),
        ((200, SECONDARY), "True", False, False),
        ((404, ""), "True", False, False),
    ],
)
async def test_verify(answer: tuple[int, str], accepted: str, primary: bool, secondary: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    kube = FakeKube()
    await kube.create(CONFIGMAP, {"metadata": {"namespace": "team-a", "name": "ca"}, "data": {"ca.crt": authority.pem}})
    async with serve(authority.context("login.acme.test")) as site:
        site.answers["/"] = (answer[0], {"Location": answer[1]} if answer[1] else {})
        where = context(connectTo=f"127.0.0.1:{site.port}", caRef={"name": "ca"})
        route = driver(kube, where)
        missing = await route.verify(where.target("Primary"))
        assert (missing.ok, "HTTPRoute acme-login does not exist" in missing.detail) == (False, True)
        await route.apply(where.target("Primary"), await route.observe())
        found = kube.world.objects[HTTPROUTE, "team-a", "acme-login"]
        found["status"] = {"parents": [parent(accepted, name="nobody")]}
        verified = [await route.verify(where.target(side)) for side in ("Primary", "Secondary")]
        assert [v.ok for v in verified] == [primary, secondary]
        if accepted == "False":
            assert "Gateway nobody: Accepted is False" in verified[0].detail


# -- the rule and back

HOST = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,2}", fullmatch=True)
PATH = st.from_regex(r"(/[A-Za-z0-9._~:@!&()*+,=-]{0,6}){0,3}", fullmatch=True)
URL = st.builds(
    lambda scheme, host, port, path: f"{scheme}://{host}{port}{path}",
    st.sampled_from(["https", "http"]),
    HOST,
    st.sampled_from(["", ":443", ":80", ":8443"]),
    PATH,
)


@given(URL, URL, st.sampled_from([302, 303, 307]))
def test_what_is_written_reads_back_as_the_same_place(login: str, target: str, code: int) -> None:
    rules = redirect_rules(login, target, code)
    assert normalised(redirect_url({"rules": rules})) == normalised(target)
    redirect = rules[0]["filters"][0]["requestRedirect"]
    assert redirect.get("port") not in ({"https": 443, "http": 80}[redirect["scheme"]],)


def test_what_is_no_redirect_leads_nowhere() -> None:
    assert redirect_url({}) is None
    assert redirect_url({"rules": [{"backendRefs": [{"name": "portal"}]}]}) is None
    assert redirect_url({"rules": redirect_rules(LOGIN, PRIMARY, 302) * 2}) == PRIMARY
