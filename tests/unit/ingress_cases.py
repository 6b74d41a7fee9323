"""What an Ingress route does and refuses, as cases for the fake and for the real apiserver alike.

`ours` is the operator's client, `git` a pipeline that applies its manifest, `hand` a person with kubectl.
"""

from collections.abc import Awaitable, Callable

import pytest
from bcp_operator.api.common import LABEL_MANAGED_BY, LABEL_TENANT
from bcp_operator.kube.client import INGRESS, Kube
from bcp_operator.routes.base import RouteChanged, RouteError

from tests.unit.routes_world import (
    CODE,
    KEY,
    OTHER,
    PERMANENT,
    PRIMARY,
    SECONDARY,
    annotations_of,
    context,
    driver,
    theirs,
)

Case = Callable[[Kube, Kube, Kube, str], Awaitable[None]]


async def annotate(hand: Kube, namespace: str, **annotations: str | None) -> None:
    """As `kubectl annotate` does it."""
    found = await hand.get(INGRESS, namespace, "acme-login")
    assert found is not None
    keys = {"key": KEY, "code": CODE, "permanent": PERMANENT}
    await hand.patch_metadata(
        INGRESS,
        namespace,
        "acme-login",
        resource_version=found["metadata"]["resourceVersion"],
        annotations={keys.get(name, name): value for name, value in annotations.items()},
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


# -- Adopted


async def case_adopted_adds_and_withdraws_one_key(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    before = await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.ours, seen.conflict) == ("Primary", "Primary", False, None)
    await route.apply(where.target("Secondary"), seen)
    assert await annotations_of(ours, namespace) == {"owner": "team-a", KEY: SECONDARY}
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.ours) == ("Secondary", "Secondary", True)
    await route.apply(where.target("Primary"), seen)
    after = await ours.get(INGRESS, namespace, "acme-login")
    assert after is not None
    assert (after["spec"], after["metadata"]["annotations"]) == (before["spec"], before["metadata"]["annotations"])
    assert not after["metadata"].get("labels")


async def case_adopted_survives_git(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    await route.apply(where.target("Secondary"), await route.observe())
    await git.apply(INGRESS, theirs(namespace, other="new"), force=True)
    seen = await route.observe()
    assert (seen.shows, seen.in_place) == ("Secondary", "Secondary")


async def case_adopted_foreign_value_names_its_owner(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace, **{KEY: OTHER}))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    seen = await route.observe()
    assert (seen.shows, seen.ours) == ("Unknown", False)
    assert seen.conflict is not None
    assert "is set by pipeline" in seen.conflict
    assert seen.overridable == ("Secondary",)
    with pytest.raises(RouteError, match="pipeline"):
        await route.apply(where.target("Secondary"), seen)
    await route.restore(seen)
    assert (await annotations_of(ours, namespace))[KEY] == OTHER
    await route.apply(where.target("Secondary"), seen, override=True)
    assert (await annotations_of(ours, namespace))[KEY] == SECONDARY


async def case_adopted_key_in_git_is_foreign_even_with_our_value(
    ours: Kube, git: Kube, hand: Kube, namespace: str
) -> None:
    await git.apply(INGRESS, theirs(namespace, **{KEY: SECONDARY}))
    seen = await driver(ours, context(namespace), mode="Adopted").observe()
    assert seen.conflict is not None
    assert "pipeline" in seen.conflict


async def case_adopted_foreign_value_that_came_between(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    seen = await route.observe()
    await git.apply(INGRESS, theirs(namespace, **{KEY: OTHER}))
    with pytest.raises(RouteChanged):
        await route.apply(where.target("Secondary"), seen)
    assert (await annotations_of(ours, namespace))[KEY] == OTHER


async def case_adopted_rivals(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace, **{PERMANENT: OTHER}))
    route = driver(ours, context(namespace), mode="Adopted")
    seen = await route.observe()
    assert seen.conflict is not None
    assert "permanent-redirect redirects too (set by pipeline)" in seen.conflict
    await git.apply(INGRESS, theirs(namespace, **{CODE: "301"}))
    seen = await route.observe()
    assert seen.conflict is not None
    assert "use 302, 303, 307" in seen.conflict
    await git.apply(INGRESS, theirs(namespace, **{CODE: "307"}))
    assert (await route.observe()).conflict is None


async def case_adopted_way_back_is_never_refused(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    """While failed over somebody added a redirect of their own: ours goes all the same, theirs stays."""
    await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    await route.apply(where.target("Secondary"), await route.observe())
    await git.apply(INGRESS, theirs(namespace, **{PERMANENT: OTHER}))
    seen = await route.observe()
    assert (seen.shows, seen.conflict) == ("Secondary", None)
    await route.apply(where.target("Primary"), seen)
    assert await annotations_of(ours, namespace) == {"owner": "team-a", PERMANENT: OTHER}
    seen = await route.observe()
    assert seen.conflict is not None
    with pytest.raises(RouteError, match="pipeline"):
        await route.apply(where.target("Secondary"), seen)


async def case_adopted_runbook_by_hand(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    """Somebody ran the runbook while the operator was down: it takes over, and can take the key back off."""
    await git.apply(INGRESS, theirs(namespace))
    await annotate(hand, namespace, key=SECONDARY)
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.conflict) == ("Secondary", None, None)
    await route.apply(where.target("Secondary"), seen)
    seen = await route.observe()
    assert (seen.in_place, seen.ours) == ("Secondary", True)
    await route.apply(where.target("Primary"), seen)
    assert await annotations_of(ours, namespace) == {"owner": "team-a"}


async def case_adopted_runbook_back_by_hand(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    await route.apply(where.target("Secondary"), await route.observe())
    await annotate(hand, namespace, key=None)
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.conflict) == ("Primary", "Primary", None)


async def case_adopted_edited_login_url(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    await route.apply(where.target("Secondary"), await route.observe())
    edited = context(namespace, secondary="https://secondary.saas.test/new")
    route = driver(ours, edited, mode="Adopted")
    seen = await route.observe()
    assert (seen.shows, seen.in_place, seen.conflict) == ("Secondary", None, None)
    await route.apply(edited.target("Secondary"), seen)
    assert (await route.observe()).in_place == "Secondary"


async def case_adopted_absent(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    seen = await route.observe()
    assert seen.error is not None
    assert "does not exist" in seen.error
    with pytest.raises(RouteError, match="Managed"):
        await route.apply(where.target("Secondary"), seen)
    await route.restore(seen)
    assert await ours.get(INGRESS, namespace, "acme-login") is None


async def case_adopted_restore_withdraws(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    await route.apply(where.target("Secondary"), await route.observe())
    await route.restore(await route.observe())
    assert await annotations_of(ours, namespace) == {"owner": "team-a"}
    seen = await route.observe()
    await route.restore(seen)
    assert (await route.observe()).resource_version == seen.resource_version


CASES: list[Case] = [case for name, case in sorted(globals().items()) if name.startswith("case_")]
