"""What an Adopted Ingress route does and refuses, as cases for the fake and for the real apiserver alike.

`ours` is the operator's client, `git` a pipeline that applies its manifest, `hand` a person with kubectl.
"""

from collections.abc import Awaitable, Callable

import pytest
from bcp_operator.kube.client import INGRESS, Kube
from bcp_operator.routes.base import RouteChanged, RouteError

from tests.unit.routes_world import (
    CODE,
    KEY,
    OTHER,
    PERMANENT,
    SECONDARY,
    annotate,
    annotations_of,
    context,
    driver,
    theirs,
)

Case = Callable[[Kube, Kube, Kube, str], Awaitable[None]]


async def case_adopted_serves_the_login_host(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    where = context(namespace)
    for host in ("login.acme.test", "*.acme.test", ""):
        manifest = theirs(namespace, host=host)
        if not host:
            del manifest["spec"]["rules"][0]["host"]
        await git.apply(INGRESS, manifest, force=True)
        seen = await driver(ours, where, mode="Adopted").observe()
        assert (host, seen.shows, seen.conflict) == (host, "Primary", None)


async def case_adopted_of_another_host_is_left_alone(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    """Our key would send the users of other hosts away, and not those of the login URL."""
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    for host in ("other.acme.test", "*.test", "*.login.acme.test"):
        await git.apply(INGRESS, theirs(namespace, host=host), force=True)
        seen = await route.observe()
        assert (seen.shows, seen.in_place) == ("Unknown", None)
        assert (
            seen.conflict
            == "Ingress acme-login has no rule for login.acme.test: name the Ingress that serves the login URL"
        )
        for override in (False, True):
            with pytest.raises(RouteError, match="no rule for"):
                await route.apply(where.target("Secondary"), seen, override=override)
    assert await annotations_of(ours, namespace) == {"owner": "team-a"}


async def case_adopted_that_lost_the_host_can_be_left(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    await route.apply(where.target("Secondary"), await route.observe())
    await git.apply(INGRESS, theirs(namespace, host="other.acme.test"), force=True)
    seen = await route.observe()
    assert (seen.shows, seen.conflict) == ("Secondary", None)
    await route.apply(where.target("Primary"), seen)
    assert await annotations_of(ours, namespace) == {"owner": "team-a"}


async def case_adopted_drift_on_the_same_side_is_told(ours: Kube, git: Kube, hand: Kube, namespace: str) -> None:
    await git.apply(INGRESS, theirs(namespace))
    where = context(namespace)
    route = driver(ours, where, mode="Adopted")
    await route.apply(where.target("Secondary"), await route.observe())
    assert (await route.observe()).drift is None
    edited = context(namespace, secondary="https://secondary.saas.test/new")
    seen = await driver(ours, edited, mode="Adopted").observe()
    assert seen.drift is not None
    assert f"--overwrite {KEY}=https://secondary.saas.test/new" in seen.drift
    await annotate(hand, namespace, key="https://secondary.saas.test/new")
    seen = await driver(ours, edited, mode="Adopted").observe()
    assert (seen.shows, seen.conflict) == ("Secondary", None)


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
