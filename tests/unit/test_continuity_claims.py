"""Who may have a system or a login host: one tenant, and never one who came later."""

from __future__ import annotations

from dataclasses import replace

from bcp_operator.continuity import claims
from bcp_operator.continuity.claims import Claim
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = ("a", "b", "c", "d", "e")


@st.composite
def crowds(draw: st.DrawFn) -> list[Claim]:
    """Tenants with few things to fight for; some hold what they name already."""
    crowd = []
    for number in range(draw(st.integers(1, 6))):
        names = draw(st.sets(st.sampled_from(KEYS), min_size=1, max_size=3))
        held = draw(st.sets(st.sampled_from(sorted(names)))) if draw(st.booleans()) else set()
        created = f"2026-11-24T10:00:{draw(st.integers(0, 3)):02}Z"
        live = bool(held) and draw(st.booleans())
        crowd.append(Claim(f"ns/{number}", created, f"uid-{number}", dict.fromkeys(names, "it"), frozenset(held), live))
    return crowd


def blocked(claim: Claim, crowd: list[Claim]) -> bool:
    """It may do nothing."""
    return bool(claims.taken(claim, [other for other in crowd if other is not claim]))


many = settings(max_examples=300, deadline=None)


@many
@given(crowds())
def test_nothing_is_used_by_two(crowd: list[Claim]) -> None:
    working = [claim for claim in crowd if not blocked(claim, crowd)]
    used = [key for claim in working for key in claim.names]
    assert len(used) == len(set(used))


@many
@given(crowds(), st.randoms())
def test_the_order_of_the_watches_decides_nothing(crowd: list[Claim], random: object) -> None:
    shuffled = list(crowd)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert claims.owners(shuffled) == claims.owners(crowd)


@many
@given(crowds(), crowds())
def test_nobody_who_comes_later_blocks_one_that_works(crowd: list[Claim], later: list[Claim]) -> None:
    working = [claim for claim in crowd if not blocked(claim, crowd)]
    settled = [replace(claim, held=frozenset(claim.names)) for claim in working]
    rest = [claim for claim in crowd if claim not in working]
    # Also when the newcomers are older (edited afterwards, or of a namespace that is watched only now).
    newcomers = [
        replace(claim, tenant=f"later/{n}", uid=f"later-{n}", held=frozenset(), live=False, created="2020")
        for n, claim in enumerate(later)
    ]
    everybody = [*settled, *rest, *newcomers]
    assert not any(blocked(claim, everybody) for claim in settled)


@many
@given(crowds())
def test_of_two_that_hold_the_same_the_one_with_users_on_its_secondary_goes_on(crowd: list[Claim]) -> None:
    holders = [replace(claim, held=frozenset(claim.names)) for claim in crowd]
    live = [claim for claim in holders if claim.live]
    for claim in live:
        rivals = [other for other in live if other is not claim and other.names.keys() & claim.names.keys()]
        if not rivals:
            assert not blocked(claim, holders)


@many
@given(crowds())
def test_somebody_works_wherever_nothing_is_held(crowd: list[Claim]) -> None:
    new = [replace(claim, held=frozenset(), live=False) for claim in crowd]
    oldest = min(new, key=lambda claim: claim.age)
    assert not blocked(oldest, new)


def tenant(name: str, primary: str, secondary: str, login: str = "", **more: object) -> dict[str, object]:
    """A tenant object with two systems given as profile/host/tenantID."""

    def system(text: str) -> dict[str, str]:
        profile, host, tenant_id = text.split("/")
        return {"profile": profile, "endpoint": f"https://{host}/v2", "tenantID": tenant_id}

    metadata = {"namespace": f"of-{name}", "name": name, "uid": name, "creationTimestamp": more.pop("created", "2026")}
    spec = {"primary": system(primary), "secondary": system(secondary)}
    return {"metadata": metadata, "spec": spec | {"login": {"url": f"https://{login or name}.example/"}}, **more}


def test_a_to_b_and_b_to_a_and_the_same_pair_twice() -> None:
    first = claims.read(tenant("one", "scim/a.example/t", "scim/b.example/t"))
    turned = claims.read(tenant("two", "scim/b.example/t", "scim/a.example/t", created="2027"))
    again = claims.read(tenant("three", "scim/a.example/t", "scim/b.example/t", created="2027"))
    for other in (turned, again):
        assert claims.taken(first, [other]) == ""
        text = claims.taken(other, [first])
        assert "system t on a.example (scim) belongs to BCPTenant of-one/one" in text
        assert "system t on b.example (scim) belongs to BCPTenant of-one/one" in text


def test_ports_paths_and_capitals_make_no_other_system() -> None:
    plain = claims.read(tenant("one", "scim/a.example/t", "scim/b.example/t"))
    dressed = claims.read(tenant("two", "scim/A.Example.:443/t", "scim/c.example/t", created="2027"))
    assert "system t on a.example" in claims.taken(dressed, [plain])
    other = claims.read(tenant("three", "scim/a.example/u", "kinto/b.example/t", created="2027"))
    assert claims.taken(other, [plain]) == ""


def test_a_login_host_belongs_to_one() -> None:
    first = claims.read(tenant("one", "scim/a.example/1", "scim/b.example/1", "login"))
    second = claims.read(tenant("two", "scim/a.example/2", "scim/b.example/2", "login", created="2027"))
    assert claims.taken(second, [first]) == "login host login.example belongs to BCPTenant of-one/one"


def test_what_fits_no_schema_claims_nothing() -> None:
    broken = {"metadata": {"namespace": "n", "name": "x"}, "spec": {"primary": {"endpoint": "https://[oops"}}}
    assert claims.read(broken).names == {}
