"""What an HTTPRoute route does and refuses, as cases for the fake and for the real apiserver alike.

`ours` is the operator's client, `git` a pipeline that applies its manifest, `hand` a person with kubectl. The Gateway
that the routes name does not exist, so that no controller writes a status between two steps.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bcp_operator.api.common import LABEL_MANAGED_BY, LABEL_TENANT
from bcp_operator.api.tenant import Route
from bcp_operator.continuity.gateway import redirect_rules
from bcp_operator.kube.client import HTTPROUTE, Kube, Object
from bcp_operator.routes.base import Context, Driver, RouteChanged, RouteError
from bcp_operator.routes.drivers import build
from bcp_operator.routes.objects import ANNOTATION_SHOWS
from bcp_operator.systems.hosts import HostPolicy

from tests.unit.routes_world import HOSTS, OTHER, PRIMARY, SECONDARY, context

Case = Callable[[Kube, Kube, Kube, str], Awaitable[None]]
LOGIN = "https://login.acme.test/"


def driver(kube: Kube, where: Context | None = None, *, hosts: HostPolicy = HOSTS, **route: Any) -> Driver:
    spec = {"name": "acme-login", "parentRefs": [{"name": "nobody"}]} | route
    return build(Route.model_validate({"name": "gw", "httpRoute": spec}), where or context(), kube, hosts)


def theirs(namespace: str = "team-a", url: str = OTHER, **labels: str) -> Object:
    """Somebody else's HTTPRoute of the name that we want."""
    return {
        "metadata": {"namespace": namespace, "name": "acme-login", "labels": {"owner": "team-a"} | labels},
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "nobody"}],
            "hostnames": ["login.acme.test"],
            "rules": redirect_rules(LOGIN, url, 302),
        },
    }


async def stored(kube: Kube, namespace: str) -> Object:
    found = await kube.get(HTTPROUTE, namespace, "acme-login")
    assert found is not None
    return found


async def sends_to(kube: Kube, namespace: str) -> Object:
    rules = (await stored(kube, namespace))["spec"]["rules"]
    assert len(rules) == 1
    redirect: Object = rules[0]["filters"][0]["requestRedirect"]
    return redirect


async def edit(hand: Kube, namespace: str, **spec: Any) -> None:
    """As `kubectl edit` does it."""
    found = await stored(hand, namespace)
    found["spec"] |= spec
    await hand.replace(HTTPROUTE, found)


async def case_is_made_and_switched(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where, parentRefs=[{"name": "nobody", "namespace": "infra", "sectionName": "https"}])
    seen = await route.observe()
    assert (seen.exists, seen.shows, seen.conflict, seen.error) == (False, "Unknown", None, None)
    await route.apply(where.target("Primary"), seen)
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.ours, seen.path_preserved) == ("Primary", "Primary", True, False)
    found = await stored(ours, namespace)
    assert found["spec"]["hostnames"] == ["login.acme.test"]
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "nobody"}
    assert found["spec"]["parentRefs"] == [parent | {"namespace": "infra", "sectionName": "https"}]
    assert found["metadata"]["labels"][LABEL_TENANT] == "acme"
    assert found["metadata"]["labels"][LABEL_MANAGED_BY] == "bcp-operator"
    assert "ownerReferences" not in found["metadata"]
    await route.apply(where.target("Secondary"), seen)
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Secondary", "Secondary")
    assert await sends_to(ours, namespace) == {
        "scheme": "https",
        "hostname": "secondary.saas.test",
        "path": {"type": "ReplaceFullPath", "replaceFullPath": "/login"},
        "statusCode": 302,
    }


async def case_repeats_without_a_write(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    seen = await route.observe()
    await route.apply(where.target("Primary"), seen)
    assert (await route.observe()).resource_version == seen.resource_version


async def case_path_is_kept_from_root_to_root(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace, secondary="https://secondary.saas.test:8443")
    route = driver(ours, where)
    await route.apply(where.target("Secondary"), await route.observe())
    expected = {"scheme": "https", "hostname": "secondary.saas.test", "port": 8443, "statusCode": 302}
    assert await sends_to(ours, namespace) == expected
    seen = await route.observe()
    assert (seen.in_place, seen.path_preserved) == ("Secondary", True)
    deep = context(namespace, secondary="https://secondary.saas.test:8443", url="https://login.acme.test/portal")
    route = driver(ours, deep)
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.path_preserved) == ("Secondary", None, False)
    await route.apply(deep.target("Secondary"), seen)
    expected["path"] = {"type": "ReplaceFullPath", "replaceFullPath": "/"}
    assert await sends_to(ours, namespace) == expected


async def case_default_port_is_never_written(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace, secondary="https://SECONDARY.saas.test:443/login")
    route = driver(ours, where)
    await route.apply(where.target("Secondary"), await route.observe())
    redirect = await sends_to(ours, namespace)
    assert "port" not in redirect
    assert redirect["hostname"] == "secondary.saas.test"
    assert (await route.observe()).in_place == "Secondary"


async def case_stale_leader_changes_nothing(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    absent = await route.observe()
    await route.apply(where.target("Primary"), absent)
    await route.apply(where.target("Secondary"), await route.observe())
    stale = await route.observe()
    for side in (where.target("Primary"), where.target("Secondary")):
        await route.apply(side, await route.observe())
    for seen in (absent, stale):
        with pytest.raises(RouteChanged):
            await route.apply(where.target("Primary"), seen)
    assert (await sends_to(ours, namespace))["hostname"] == "secondary.saas.test"


async def case_deleted_meanwhile_is_not_brought_back(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    seen = await route.observe()
    await hand.delete(HTTPROUTE, namespace, "acme-login")
    with pytest.raises(RouteChanged):
        await route.apply(where.target("Secondary"), seen)
    assert await ours.get(HTTPROUTE, namespace, "acme-login") is None


async def case_made_again_under_the_same_name_is_another(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    seen = await route.observe()
    await hand.delete(HTTPROUTE, namespace, "acme-login")
    await git.apply(HTTPROUTE, theirs(namespace))
    with pytest.raises(RouteChanged):
        await route.apply(where.target("Secondary"), seen)
    assert (await sends_to(ours, namespace))["hostname"] == "x.test"


async def case_never_takes_over(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(HTTPROUTE, theirs(namespace))
    before = await stored(ours, namespace)
    where = context(namespace)
    route = driver(ours, where)
    seen = await route.observe()
    assert not seen.ours
    assert seen.conflict is not None
    assert "HTTPRoute acme-login is not the operator's: choose another name, or delete it" in seen.conflict
    for override in (False, True):
        with pytest.raises(RouteError, match="not the operator's"):
            await route.apply(where.target("Secondary"), seen, override=override)
    await route.restore(seen)
    assert await stored(ours, namespace) == before


async def case_of_another_tenant(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    labels = {LABEL_TENANT: "globex", LABEL_MANAGED_BY: "bcp-operator"}
    await git.apply(HTTPROUTE, theirs(namespace, **labels))
    seen = await driver(ours, context(namespace)).observe()
    assert seen.conflict is not None
    assert "belongs to BCPTenant globex" in seen.conflict


async def case_by_hand_shows_where_it_leads(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    await edit(hand, namespace, rules=redirect_rules(LOGIN, SECONDARY, 302))
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.conflict) == ("Secondary", None, None)
    await route.apply(where.target("Secondary"), seen)
    assert (await route.observe()).in_place == "Secondary"
    await edit(hand, namespace, rules=redirect_rules(LOGIN, OTHER, 302))
    assert (await route.observe()).shows == "Unknown"
    await route.apply(where.target("Primary"), await route.observe())
    assert (await route.observe()).in_place == "Primary"


async def case_two_rules_that_disagree_show_nothing(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    rules = redirect_rules(LOGIN, PRIMARY, 302)
    await edit(hand, namespace, rules=rules + redirect_rules(LOGIN, SECONDARY, 302))
    assert (await route.observe()).shows == "Unknown"
    await edit(hand, namespace, rules=[{**rules[0], "filters": []}])
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Unknown", None)
    await route.apply(where.target("Primary"), seen)
    assert (await route.observe()).in_place == "Primary"


async def case_drift_is_set_right(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    await edit(hand, namespace, hostnames=["elsewhere.acme.test"])
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Primary", None)
    await route.apply(where.target("Primary"), seen)
    assert (await route.observe()).in_place == "Primary"


async def case_permanent_redirect_by_hand_is_set_right(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    await edit(hand, namespace, rules=redirect_rules(LOGIN, PRIMARY, 301))
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Primary", None)
    await route.apply(where.target("Primary"), seen)
    assert (await sends_to(ours, namespace))["statusCode"] == 302


async def case_edited_login_url_stays_on_its_side(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Secondary"), await route.observe())
    edited = context(namespace, secondary="https://secondary.saas.test/new")
    route = driver(ours, edited)
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Secondary", None)
    await route.apply(edited.target("Secondary"), seen)
    assert (await sends_to(ours, namespace))["path"]["replaceFullPath"] == "/new"


async def case_pipeline_that_owns_a_label_is_no_conflict(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    body = {"metadata": {"namespace": namespace, "name": "acme-login", "labels": {"cost-centre": "7"}}}
    await git.apply(HTTPROUTE, body)
    await route.apply(where.target("Secondary"), await route.observe())
    found = await stored(ours, namespace)
    assert found["metadata"]["labels"]["cost-centre"] == "7"
    assert found["metadata"]["annotations"] == {ANNOTATION_SHOWS: "Secondary"}


async def case_restore_shows_the_primary(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.restore(await route.observe())
    assert await ours.get(HTTPROUTE, namespace, "acme-login") is None
    await route.apply(where.target("Secondary"), await route.observe())
    await route.restore(await route.observe())
    assert (await sends_to(ours, namespace))["hostname"] == "primary.saas.test"


async def case_bad_targets_are_never_written(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    for url in ("https://evil.test/", 'https://secondary.saas.test/";return 200', "http://secondary.saas.test/"):
        where = context(namespace, secondary=url)
        route = driver(ours, where)
        with pytest.raises(RouteError, match="loginURL of the secondary is refused"):
            await route.apply(where.target("Secondary"), await route.observe())
    where = context(namespace, secondary="https://secondary.saas.test/login?tenant=acme")
    route = driver(ours, where)
    with pytest.raises(RouteError, match="has a query, which an HTTPRoute can't set"):
        await route.apply(where.target("Secondary"), await route.observe())
    assert await ours.get(HTTPROUTE, namespace, "acme-login") is None


async def case_other_codes_need_a_gateway_that_can(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    for code in (303, 307):
        route = driver(ours, where, statusCode=code)
        with pytest.raises(RouteError, match=f"Gateway {namespace}/nobody does not exist"):
            await route.apply(where.target("Primary"), await route.observe())
    assert await ours.get(HTTPROUTE, namespace, "acme-login") is None


CASES: list[Case] = [case for name, case in sorted(globals().items()) if name.startswith("case_")]
