"""Authentication and addresses against a real server: tokens, their renewal, bases that the system names itself."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from bcp_operator.systems.auth import CredentialsError, Token, read_credentials
from bcp_operator.systems.catalog import ProfileError, parse
from bcp_operator.systems.client import ReadOnlyClient
from bcp_operator.systems.errors import CallFailed
from bcp_operator.systems.pace import Pace
from bcp_operator.systems.session import Request, Session
from bcp_operator.systems.transport import open_client

from tests.unit.http_server import Seen, serve
from tests.unit.test_systems_client import BASE, connected, ids, no_gate, quick

__all__ = ["quick"]  # retries without the wait, for every test here

OAUTH: dict[str, Any] = {"kind": "oauth2", "grant": "clientCredentials", "path": "/token", "scope": "read write"}


class Vendor:
    """Gives tokens t0, t1, ... and accepts the newest one only; a token runs out after `good_for` calls."""

    def __init__(self, *, good_for: int = 1000, token_answer: Callable[[str], Any] | None = None) -> None:
        self.tokens: list[Seen] = []
        self.calls: list[Seen] = []
        self.good_for = good_for
        self.token_answer = token_answer or (lambda token: {"access_token": token, "expires_in": 3600})
        self._used = 0

    def __call__(self, seen: Seen) -> Any:
        if urlsplit(seen.target).path.endswith("/token"):
            self._used = 0
            self.tokens.append(seen)
            return 200, self.token_answer(f"t{len(self.tokens) - 1}"), {}
        self._used += 1
        if self._used > self.good_for or seen.headers.get("Authorization") != f"Bearer t{len(self.tokens) - 1}":
            return 401, None, {}
        self.calls.append(seen)
        if seen.method == "POST":
            return 201, {"data": {"id": "n1"}}, {}
        return 200, {"data": [], "total": 0}, {}


def form(seen: Seen) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(seen.body).items()}


async def test_a_client_gets_its_token_by_rfc_6749() -> None:
    vendor = Vendor()
    async with connected(vendor, auth=OAUTH) as (client, _):
        assert await ids(client) == []
        assert await ids(client) == []
    assert len(vendor.tokens) == 1
    assert form(vendor.tokens[0]) == {"grant_type": "client_credentials", "scope": "read write"}
    pair = base64.b64decode(vendor.tokens[0].headers["Authorization"].removeprefix("Basic ")).decode()
    assert pair == "c%3Ai:s%20s"  # RFC 6749 2.3.1: escaped before they are joined


async def test_the_client_may_go_into_the_form_and_a_user_with_it() -> None:
    vendor = Vendor()
    auth = {"kind": "oauth2", "grant": "password", "path": "/token", "clientAuth": "body"}
    async with connected(vendor, auth=auth) as (client, _):
        assert await ids(client) == []
    assert form(vendor.tokens[0]) == {
        **{"grant_type": "password", "username": "u", "password": "p"},
        **{"client_id": "c:i", "client_secret": "s s"},
    }
    assert "Authorization" not in vendor.tokens[0].headers


@pytest.mark.parametrize("encoding", ["json", "form"])
async def test_an_access_key_is_exchanged_by_a_login_call(encoding: str) -> None:
    vendor = Vendor(token_answer=lambda token: {"session": {"id": token}})
    auth = {
        **{"kind": "login", "path": "/{tenantID}/token", "encoding": encoding, "token": "session.id"},
        **{"fields": {"accessKeyId": "username", "accessKeySecret": "password"}, "fixed": {"app": "bcp"}},
    }
    async with connected(vendor, auth=auth) as (client, _):
        assert await ids(client) == []
    body = vendor.tokens[0].body if encoding == "json" else form(vendor.tokens[0])
    assert body == {"accessKeyId": "u", "accessKeySecret": "p", "app": "bcp"}
    assert "te%2Fnant" in vendor.tokens[0].target


async def test_a_key_stands_in_its_own_header() -> None:
    auth = {"kind": "apiKey", "header": "X-Key", "prefix": "Key "}
    async with connected(lambda _: (200, {"data": []}, {}), auth=auth) as (client, fake):
        assert await ids(client) == []
        assert fake.seen[0].headers["X-Key"] == "Key k"
        assert "Authorization" not in fake.seen[0].headers


async def test_a_token_that_ran_out_is_fetched_anew_once_even_for_a_create() -> None:
    vendor = Vendor(good_for=1)
    async with connected(vendor, auth=OAUTH) as (client, _):
        assert (await client.create("item", {"name": "a"}, "c")).id == "n1"
        assert (await client.create("item", {"name": "b"}, "c")).id == "n1"
    assert len(vendor.tokens) > 1
    assert [seen.body["data"]["name"] for seen in vendor.calls if seen.method == "POST"] == ["a", "b"]
    vendor = Vendor(good_for=0)
    async with connected(vendor, auth=OAUTH) as (client, _):
        with pytest.raises(CallFailed, match="Unauthorized: HTTP 401"):
            await ids(client)
    assert len(vendor.tokens) == 2


async def test_a_token_is_renewed_before_its_end() -> None:
    now = [0.0]
    token = Token(parse_auth(OAUTH | {"lifetimeSeconds": 100}), clock=lambda: now[0])
    assert token.headers() is None
    token.take({"access_token": "a", "expires_in": 3600})
    now[0] = 3539
    assert token.headers() == {"Authorization": "Bearer a"}
    now[0] = 3541
    assert token.headers() is None
    token.take({"access_token": "b"})
    now[0] += 89
    assert token.headers() == {"Authorization": "Bearer b"}
    now[0] += 2
    assert token.headers() is None
    for useless in ({}, {"access_token": ""}, {"access_token": 7}, {"access_token": "a\nb"}):
        with pytest.raises(CallFailed, match="no token where the profile says"):
            token.take(useless)


def parse_auth(auth: dict[str, Any]) -> Any:
    return profile_of(auth=auth).auth


def profile_of(**parts: Any) -> Any:
    return parse(yaml.safe_dump(BASE | parts), "test")


@pytest.mark.parametrize(("status", "reason"), [(400, "Unauthorized"), (403, "Unauthorized"), (500, "Transient")])
async def test_a_refused_token_is_said_without_the_answer(status: int, reason: str) -> None:
    async with connected(lambda _: (status, b"invalid_client canary", {}), auth=OAUTH) as (client, _):
        with pytest.raises(CallFailed) as caught:
            await ids(client)
        assert caught.value.reason == reason
        assert "no token was given" in str(caught.value)
        assert "canary" not in str(caught.value)


# --- addresses


def discovered(fake_url: Callable[[], str], **more: str) -> Callable[[Seen], Any]:
    def answer(seen: Seen) -> Any:
        if seen.target.endswith("/where?t=te%2Fnant"):
            return 200, {"api": fake_url() + "/v2/", **more}, {}
        return 200, {"data": []}, {}

    return answer


def ask_later(answer: Callable[[], Callable[[Seen], Any]]) -> Callable[[Seen], Any]:
    """Answers that need the server's own address, which is known only when it runs."""

    def asked(seen: Seen) -> Any:
        return answer()(seen)

    return asked


async def test_the_systems_parts_are_found_by_its_discovery_call() -> None:
    item = BASE["types"]["item"]
    types = {"item": item | {"list": item["list"] | {"base": "api"}}}
    discovery = {"path": "/where?t={tenantID}", "bases": {"api": "api"}}
    async with connected(ask_later(lambda: answer), types=types, discovery=discovery) as (client, fake):
        answer = discovered(lambda: fake.url)
        assert await ids(client) == []
        assert await ids(client) == []
        targets = [urlsplit(seen.target).path for seen in fake.seen]
        assert targets == ["/api/where", "/v2/te%2Fnant/items", "/v2/te%2Fnant/items"]
        assert "Authorization" in fake.seen[1].headers
    async with connected(ask_later(lambda: answer), base="api", discovery=discovery) as (client, fake):
        answer = discovered(lambda: fake.url)
        assert await ids(client) == []  # the profile's own choice for all calls
        assert fake.seen[1].target.startswith("/v2/")


async def test_a_token_may_name_the_address_of_the_api() -> None:
    vendor = Vendor(token_answer=lambda token: {"access_token": token, "instance": f"{fake.url}/pod7"})
    auth = OAUTH | {"bases": {"pod": "instance"}}
    async with connected(vendor, auth=auth, base="pod") as (client, fake):
        assert await ids(client) == []
        assert [urlsplit(seen.target).path for seen in fake.seen] == ["/api/token", "/pod7/te%2Fnant/items"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("http://evil.test/", "host evil.test is not on"),
        ("http://169.254.169.254/", "is not on"),
        (7, "holds no address"),
        ("ftp://127.0.0.1/", "the URL holds characters"),
        ("http://127.0.0.1/a?b=c", "it has a query"),
    ],
)
async def test_credentials_go_to_no_host_that_the_profile_does_not_name(named: Any, said: str) -> None:
    discovery = {"path": "/where", "bases": {"api": "api"}}
    async with connected(lambda _: (200, {"api": named}, {}), base="api", discovery=discovery) as (client, fake):
        with pytest.raises(CallFailed, match=said):
            await ids(client)
        assert len(fake.seen) == 1


async def test_fixed_bases_and_hosts_of_the_profile() -> None:
    async with serve(lambda _: (200, {"data": []}, {})) as fake, open_client() as http:
        profile = profile_of(bases={"auth": "https://{tenantID}.vendor.example/oauth/"}, hosts=["*.vendor.example"])
        session = Session(
            profile,
            tenant_id="acme",
            endpoint=fake.url,
            credentials={"token": "x"},
            transport=http,
            pace=Pace(100, 1),
        )
        assert await session.url("auth", "/token") == "https://acme.vendor.example/oauth/token"
        session.addresses.learn({"pod": "url"}, {"url": "https://eu3.vendor.example/api"})
        assert await session.url("pod", "/x/{id}", {"id": "a b"}) == "https://eu3.vendor.example/api/x/a%20b"


async def test_a_session_without_a_gate_can_send_no_write() -> None:
    async with serve(lambda _: (200, {"data": []}, {})) as fake, open_client() as http:
        session = Session(
            profile_of(),
            tenant_id="t",
            endpoint=fake.url,
            credentials={"token": "x"},
            transport=http,
            pace=Pace(100, 1),
        )
        with pytest.raises(AssertionError, match="the primary"):
            await session.send(Request("POST", fake.url + "/x", {}, b"{}", "write"))
        assert fake.seen == []
        assert [page.items async for page in ReadOnlyClient(session).list("item")] == [[]]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"base": "api"}, "line 3: base: no base is called 'api'; known are none"),
        ({"bases": {"a": "http://x.test"}}, "bases.a: 'http://x.test' must be an https URL"),
        ({"hosts": ["*"]}, "hosts.0: '*' must name at least a domain"),
        ({"hosts": ["*.com"]}, "hosts.0: '*.com' must name at least a domain"),
        ({"auth": OAUTH | {"base": "x"}}, "auth.base: no base is called 'x'"),
        ({"auth": {"kind": "login", "path": "/l", "fields": {}}}, "auth.fields"),
        ({"auth": {"kind": "oauth3"}}, "auth.kind: 'oauth3' is no kind; choose one of 'none', 'bearer'"),
        ({"auth": {}}, "auth.kind: is missing; add it"),
    ],
)
def test_mistakes_in_authentication_and_addresses_are_named(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        profile_of(**parts)
    assert said in str(caught.value)


def test_a_missing_credential_is_named_with_all_that_are_needed(tmp_path: Path) -> None:
    (tmp_path / "client_id").write_text("c")
    with pytest.raises(CredentialsError, match=r"'client_secret' is missing .* client_id, client_secret, username"):
        read_credentials(parse_auth(OAUTH | {"grant": "password"}), tmp_path)


async def test_a_gate_is_not_asked_for_a_token() -> None:
    asked: list[float] = []

    async def gate(seconds: float) -> None:
        asked.append(seconds)
        await no_gate(seconds)

    vendor = Vendor()
    async with connected(vendor, auth=OAUTH, gate=gate) as (client, _):
        await client.create("item", {"name": "a"}, "c")
    assert len(asked) == 1
