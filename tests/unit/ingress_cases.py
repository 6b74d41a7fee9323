"""What an Ingress route does and refuses, as cases for the fake and for the real apiserver alike.

`ours` is the operator's client, `git` a pipeline that applies its manifest, `hand` a person with kubectl.
"""

import pytest
from bcp_operator.api.common import LABEL_MANAGED_BY, LABEL_TENANT
from bcp_operator.kube.client import INGRESS, Kube
from bcp_operator.routes.base import RouteChanged, RouteError

from tests.unit.adopted_cases import CASES as ADOPTED
from tests.unit.adopted_cases import Case
from tests.unit.routes_world import (
    HAPROXY,
    KEY,
    OTHER,
    PRIMARY,
    SECONDARY,
    annotate,
    annotations_of,
    context,
    driver,
    theirs,
)

# -- Managed


async def case_managed_is_made_and_switched(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where, tlsSecretName="login-tls")
    seen = await route.observe()
    assert (seen.exists, seen.shows, seen.conflict, seen.error) == (False, "Unknown", None, None)
    await route.apply(where.target("Primary"), seen)
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.ours) == ("Primary", "Primary", True)
    found = await ours.get(INGRESS, namespace, "acme-login")
    assert found is not None
    assert found["spec"]["ingressClassName"] == "nobody"
    assert found["spec"]["tls"] == [{"hosts": ["login.acme.test"], "secretName": "login-tls"}]
    assert found["spec"]["rules"][0]["host"] == "login.acme.test"
    assert (found["metadata"]["labels"][LABEL_TENANT], found["metadata"]["labels"][LABEL_MANAGED_BY]) == (
        "acme",
        "bcp-operator",
    )
    assert "ownerReferences" not in found["metadata"]
    await route.apply(where.target("Secondary"), seen)
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Secondary", "Secondary")
    assert (await annotations_of(ours, namespace))[KEY] == SECONDARY


async def case_managed_repeats_without_a_write(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    seen = await route.observe()
    await route.apply(where.target("Primary"), seen)
    assert (await route.observe()).resource_version == seen.resource_version


async def case_managed_stale_leader_changes_nothing(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
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
    assert (await annotations_of(ours, namespace))[KEY] == SECONDARY


async def case_managed_deleted_meanwhile_is_not_brought_back(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    seen = await route.observe()
    await hand.delete(INGRESS, namespace, "acme-login")
    with pytest.raises(RouteChanged):
        await route.apply(where.target("Secondary"), seen)
    assert await ours.get(INGRESS, namespace, "acme-login") is None


async def case_managed_never_takes_over(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where)
    seen = await route.observe()
    assert not seen.ours
    assert seen.conflict is not None
    assert "is not the operator's" in seen.conflict
    assert seen.overridable == ()
    for override in (False, True):
        with pytest.raises(RouteError, match="Adopted"):
            await route.apply(where.target("Secondary"), seen, override=override)
    await route.restore(seen)
    assert await annotations_of(ours, namespace) == {"owner": "team-a"}


async def case_managed_of_another_tenant(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    manifest = theirs(namespace)
    manifest["metadata"]["labels"] = {LABEL_TENANT: "globex", LABEL_MANAGED_BY: "bcp-operator"}
    await git.apply(INGRESS, manifest)
    seen = await driver(ours, context(namespace)).observe()
    assert seen.conflict is not None
    assert "belongs to BCPTenant globex" in seen.conflict


async def case_managed_by_hand_shows_where_it_leads(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    await annotate(hand, namespace, key=SECONDARY)
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.conflict) == ("Secondary", None, None)
    await route.apply(where.target("Secondary"), seen)
    assert (await route.observe()).in_place == "Secondary"
    await route.apply(where.target("Primary"), await route.observe())
    assert (await annotations_of(ours, namespace))[KEY] == PRIMARY
    await annotate(hand, namespace, key=OTHER)
    assert (await route.observe()).shows == "Unknown"


async def case_managed_drift_is_set_right(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    found = await hand.get(INGRESS, namespace, "acme-login")
    assert found is not None
    found["spec"]["rules"][0]["host"] = "elsewhere.acme.test"
    await hand.replace(INGRESS, found)
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Primary", None)
    await route.apply(where.target("Primary"), seen)
    assert (await route.observe()).in_place == "Primary"


async def case_managed_edited_login_url_stays_on_its_side(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.apply(where.target("Secondary"), await route.observe())
    edited = context(namespace, secondary="https://secondary.saas.test/new")
    route = driver(ours, edited)
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Secondary", None)
    await route.apply(edited.target("Secondary"), seen)
    assert (await annotations_of(ours, namespace))[KEY] == "https://secondary.saas.test/new"


async def case_managed_without_tls_secret_drops_it(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where, tlsSecretName="login-tls")
    await route.apply(where.target("Primary"), await route.observe())
    route = driver(ours, where)
    await route.apply(where.target("Primary"), await route.observe())
    found = await ours.get(INGRESS, namespace, "acme-login")
    assert found is not None
    assert found["spec"]["tls"] == [{"hosts": ["login.acme.test"]}]
    assert (await route.observe()).in_place == "Primary"


async def case_managed_restore_shows_the_primary(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where)
    await route.restore(await route.observe())
    assert await ours.get(INGRESS, namespace, "acme-login") is None
    await route.apply(where.target("Secondary"), await route.observe())
    await route.restore(await route.observe())
    assert (await annotations_of(ours, namespace))[KEY] == PRIMARY


async def case_bad_targets_are_never_written(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    for url in ("https://evil.test/", 'https://secondary.saas.test/";return 200', "http://secondary.saas.test/"):
        where = context(namespace, secondary=url)
        route = driver(ours, where)
        with pytest.raises(RouteError, match="loginURL of the secondary is refused"):
            await route.apply(where.target("Secondary"), await route.observe())
    assert await ours.get(INGRESS, namespace, "acme-login") is None


# -- Managed, with what its tenant asks for


async def case_managed_carries_labels_and_annotations(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    more = {"labels": {"team": "a"}, "annotations": {"cert-manager.io/issuer": "x", "example.com/team": "a"}}
    route = driver(ours, where, labels=more["labels"], annotations=more["annotations"])
    await route.apply(where.target("Secondary"), await route.observe())
    found = await ours.get(INGRESS, namespace, "acme-login")
    assert found is not None
    assert more["annotations"].items() <= found["metadata"]["annotations"].items()
    assert found["metadata"]["labels"].items() >= {"team": "a", LABEL_TENANT: "acme"}.items()
    assert (await route.observe()).in_place == "Secondary"
    await annotate(hand, namespace, **{"cert-manager.io/issuer": "other"})
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Secondary", None)
    await route.apply(where.target("Secondary"), seen)
    assert (await annotations_of(ours, namespace))["cert-manager.io/issuer"] == "x"


async def case_managed_drops_what_is_no_longer_asked_for(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    before = driver(ours, where, labels={"team": "a"}, annotations={"cert-manager.io/issuer": "x"})
    await before.apply(where.target("Primary"), await before.observe())
    await annotate(hand, namespace, **{"example.com/note": "theirs"})
    after = driver(ours, where)
    seen = await after.observe()
    assert (seen.shows, seen.in_place) == ("Primary", None)
    await after.apply(where.target("Primary"), seen)
    found = await ours.get(INGRESS, namespace, "acme-login")
    assert found is not None
    assert "team" not in found["metadata"]["labels"]
    assert "cert-manager.io/issuer" not in found["metadata"]["annotations"]
    assert found["metadata"]["annotations"]["example.com/note"] == "theirs"
    assert (await after.observe()).in_place == "Primary"


async def case_managed_annotation_off_the_list_is_never_written(
    ours: Kube, git: Kube, hand: Kube, namespace: str
) -> None:
    where = context(namespace)
    route = driver(ours, where, annotations={"nginx.ingress.kubernetes.io/configuration-snippet": "return 200;"})
    seen = await route.observe()
    assert seen.conflict is not None
    for override in (False, True):
        with pytest.raises(RouteError, match="ingressAnnotations"):
            await route.apply(where.target("Primary"), seen, override=override)
    assert await ours.get(INGRESS, namespace, "acme-login") is None


# -- HAProxy's dialect

ROOTS = {"primary": "https://primary.saas.test/", "secondary": "https://secondary.saas.test/"}


async def case_haproxy_managed(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace, **ROOTS)
    route = driver(ours, where, className="nobody-haproxy")
    for side in ("Primary", "Secondary"):
        await route.apply(where.target(side), await route.observe())
        seen = await route.observe()
        assert (seen.shows, seen.in_place, seen.path_preserved, seen.dialect) == (side, side, True, "haproxy")
        found = await annotations_of(ours, namespace)
        assert found[HAPROXY] == f"https://{side.lower()}.saas.test"
        assert KEY not in found


async def case_haproxy_adopted(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace, class_name="nobody-haproxy", **{KEY: OTHER}))
    where = context(namespace, **ROOTS)
    route = driver(ours, where, mode="Adopted")
    seen = await route.observe()
    assert (seen.shows, seen.conflict, seen.path_preserved) == ("Primary", None, True)
    await route.apply(where.target("Secondary"), seen)
    assert (await annotations_of(ours, namespace))[HAPROXY] == "https://secondary.saas.test"
    assert (await route.observe()).in_place == "Secondary"
    await route.apply(where.target("Primary"), await route.observe())
    assert await annotations_of(ours, namespace) == {"owner": "team-a", KEY: OTHER}
    await git.apply(INGRESS, theirs(namespace, class_name="nobody-haproxy", **{f"{HAPROXY}-code": "308"}))
    conflict = (await route.observe()).conflict
    assert conflict is not None
    assert "use 302, 303, 307" in conflict


async def case_haproxy_needs_equal_paths(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    """The controller puts the path of the request behind the host: another page can't be reached."""
    await git.apply(
        INGRESS,
        theirs(namespace, class_name="nobody-haproxy") | {"metadata": {"namespace": namespace, "name": "adopted"}},
    )
    where = context(namespace)
    for route in (
        driver(ours, where, className="nobody-haproxy"),
        driver(ours, where, mode="Adopted", name="adopted"),
    ):
        seen = await route.observe()
        for override in (False, True):
            with pytest.raises(RouteError, match="the same path and query"):
                await route.apply(where.target("Secondary"), seen, override=override)


CASES: list[Case] = [*ADOPTED, *(case for name, case in sorted(globals().items()) if name.startswith("case_"))]
