"""The allow-list: names by pattern, dangerous addresses only by name of the address."""

import pytest
from bcp_operator.api.common import HttpURL
from bcp_operator.systems.hosts import HostPolicy, HostRefused, host_of
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

POLICY = HostPolicy.parse("*.saas.test, login.acme.test,10.0.0.7", "plain.saas.test")


@pytest.mark.parametrize(
    "url",
    [
        "https://primary.saas.test/login",
        "https://PRIMARY.SAAS.TEST./login",
        "https://login.acme.test",
        "https://login.acme.test:8443/a/b?c=d#/spa",
        "http://plain.saas.test/",
        "https://10.0.0.7/",
    ],
)
def test_allowed(url: str) -> None:
    POLICY.check_url(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://evil.test/", "not on the operator's allow-list"),
        ("https://saas.test/", "not on the operator's allow-list"),
        ("https://primary.saas.test.evil.test/", "not on the operator's allow-list"),
        ("https://10.0.0.8/", "not on the operator's allow-list"),
        ("http://primary.saas.test/", "insecureHosts"),
        ("https://user@primary.saas.test/", "characters"),
        ("https://primary.saas.test/\nX", "characters"),
        ("https://primary.saas.test/;return", "characters"),
        ("https://primary.saas.test/$host", "characters"),
        ('https://primary.saas.test/"', "characters"),
        ("https://primary.saas.test/{a}", "characters"),
        ("https://primary.saas.test\\@evil.test/", "characters"),
        ("ftp://primary.saas.test/", "characters"),
        ("javascript://primary.saas.test/", "characters"),
        ("https:///login", "characters"),
        ("https://primary.saas.test:99999/", "not a usable URL"),
        ("https://primary.saas.test:port/", "not a usable URL"),
        ("https://[::1/", "not a usable URL"),
        ("", "characters"),
    ],
)
def test_refused(url: str, why: str) -> None:
    with pytest.raises(HostRefused, match=why):
        POLICY.check_url(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fe80::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "fd00:ec2::254",
        "100.100.100.200",
    ],
)
def test_dangerous_addresses_are_refused_even_when_any_name_is_allowed(address: str) -> None:
    anything = HostPolicy.parse("*")
    with pytest.raises(HostRefused):
        anything.check_address(address)
    with pytest.raises(HostRefused):
        anything.check_url(f"https://[{address}]/" if ":" in address else f"https://{address}/")


def test_an_address_may_be_named() -> None:
    HostPolicy.parse("*.test,127.0.0.1").check_address("127.0.0.1")
    HostPolicy.parse("127.*").check_address("127.0.0.2")
    with pytest.raises(HostRefused):
        HostPolicy.parse("*,**").check_address("127.0.0.1")


def test_ordinary_addresses_pass() -> None:
    for address in ("10.0.0.1", "192.168.1.1", "203.0.113.9", "2001:db8::1"):
        HostPolicy().check_address(address)


def test_nothing_is_allowed_without_a_list() -> None:
    with pytest.raises(HostRefused):
        HostPolicy().check_url("https://primary.saas.test/")


@given(st.text(max_size=60))
def test_any_text_is_judged_not_crashed_on(text: str) -> None:
    for url in (text, f"https://{text}", f"https://primary.saas.test/{text}"):
        try:
            POLICY.check_url(url)
        except HostRefused:
            continue
        assert host_of(url).endswith((".saas.test", "login.acme.test", "10.0.0.7"))
        assert not set(url) & set("\"'`{}$;\\ \n\t")


HTTP_URL = TypeAdapter(HttpURL)
URL_CHARS = "abcZ019.-_~:/?&=%+,@!()*[]#;$\"'{} \\"


@given(st.text(alphabet=URL_CHARS, max_size=40).map("https://a".__add__))
def test_what_the_crd_lets_through_is_not_refused_for_its_characters(url: str) -> None:
    try:
        HTTP_URL.validate_python(url)
    except ValidationError:
        return
    try:
        HostPolicy.parse("*").check_url(url)
        why = "address"
    except HostRefused as error:
        why = str(error)
    assert "address" in why
