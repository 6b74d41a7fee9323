"""How an Ingress is told to redirect, and which class speaks what."""

import pytest
from bcp_operator.api.login import REDIRECT_ANNOTATIONS
from bcp_operator.continuity.dialects import DIALECTS, HAPROXY, NGINX, IngressSetup


def test_a_class_is_given_its_dialect_by_the_table() -> None:
    setup = IngressSetup.parse(" edge=haproxy , old = nginx,", "")
    assert [setup.dialect(name) for name in ("edge", "old", "haproxy", "nginx", "traefik", None)] == [
        "haproxy",
        "nginx",
        "haproxy",
        "nginx",
        "nginx",
        "nginx",
    ]
    assert IngressSetup.parse("haproxy=nginx", "").dialect("haproxy") == "nginx"


@pytest.mark.parametrize("text", ["edge", "=nginx", "edge=", "edge=caddy"])
def test_a_wrong_table_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write class=dialect, with one of the dialects haproxy, nginx"):
        IngressSetup.parse(text, "")


def test_only_listed_annotations_may_be_asked_for() -> None:
    setup = IngressSetup.parse("", "cert-manager.io/*, example.com/team")
    assert setup.refused(None) is None
    assert setup.refused({"cert-manager.io/issuer": "x", "example.com/team": "a"}) is None
    assert "annotation example.com/other is not" in str(setup.refused({"example.com/other": "a"}))
    assert IngressSetup().refused({"example.com/team": "a"})


def test_every_key_that_redirects_is_kept_from_tenants() -> None:
    """The CRD names them, so that a dialect can't be added without them."""
    for dialect in DIALECTS.values():
        assert {dialect.redirect_key, dialect.code_key, *dialect.rivals} <= set(REDIRECT_ANNOTATIONS)
        assert dialect.codes.isdisjoint({"301", "308"})


@pytest.mark.parametrize(
    ("login", "primary", "secondary", "works"),
    [
        ("https://l.test/", "https://a.test/", "https://b.test", True),
        ("https://l.test/in?x=1", "https://a.test/in?x=1", "https://b.test/in?x=1", True),
        ("https://l.test/", "https://a.test/", "https://b.test/login", False),
        ("https://l.test/", "https://a.test/", "https://b.test/?x=1", False),
        ("https://l.test/in", "https://a.test/", "https://b.test/", False),
    ],
)
def test_what_keeps_the_path_needs_equal_paths(login: str, primary: str, secondary: str, works: bool) -> None:
    assert (HAPROXY.problem(login, (primary, secondary)) is None) == works
    assert NGINX.problem(login, (primary, secondary)) is None


def test_values() -> None:
    assert NGINX.value("https://a.test:8443/in?x=1") == "https://a.test:8443/in?x=1"
    assert HAPROXY.value("https://a.test:8443/in?x=1") == "https://a.test:8443"
    assert "same host" in str(HAPROXY.problem("https://l.test/", ("https://a.test/", "https://a.test")))
