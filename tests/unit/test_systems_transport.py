"""The one transport: deadlines, certificates, where it connects, and what it never does."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from bcp_operator.systems.transport import TransportError, open_client, split_host_port, ssl_context

from tests.unit import web
from tests.unit.http_server import Hang, Reset, Seen, serve


async def test_cookies_are_not_kept_and_redirects_not_followed() -> None:
    answer = (302, None, {"Location": "/next", "Set-Cookie": "a=b; Path=/"})
    async with serve(lambda _: answer) as fake, open_client(fake.url) as http:
        for _ in range(2):
            found = await http.request("GET", "/x")
            assert (found.status, found.headers["LOCATION"]) == (302, "/next")
        assert [seen.target for seen in fake.seen] == ["/x", "/x"]
        assert all("Cookie" not in seen.headers for seen in fake.seen)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_settings_from_the_environment_do_not_count(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    async with serve(lambda _: (200, {}, {})) as fake, open_client(fake.url) as http:
        assert (await http.request("GET", "/")).status == 200


async def test_one_deadline_for_the_whole_exchange() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while True:  # a byte now and then keeps every single read from timing out
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with open_client() as http:
        with pytest.raises(TransportError, match=r"no answer within 0\.3 s") as caught:
            await http.request("GET", f"http://127.0.0.1:{port}/", deadline_seconds=0.3)
        assert caught.value.maybe_handled
    server.close()


@pytest.mark.parametrize("failure", [Hang(), Reset()])
async def test_what_may_have_been_handled_is_said(failure: Exception) -> None:
    def answer(_: Seen) -> Any:
        raise failure

    async with serve(answer) as fake, open_client(fake.url, timeout_seconds=0.3) as http:
        with pytest.raises(TransportError) as caught:
            await http.request("POST", "/", body=b"{}")
        assert caught.value.maybe_handled


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nothing", "ftp://x.test/"])
async def test_what_certainly_was_not_handled_is_said(url: str) -> None:
    async with open_client() as http:
        with pytest.raises(TransportError) as caught:
            await http.request("POST", url)
        assert not caught.value.maybe_handled


async def test_a_body_without_end_is_cut() -> None:
    async with serve(lambda _: (200, b"x" * 5000, {})) as fake, open_client(fake.url) as http:
        with pytest.raises(TransportError, match="larger than 4000 bytes"):
            await http.request("GET", "/", max_bytes=4000)


async def test_a_private_authority_replaces_the_public_ones_and_connect_to_keeps_the_name(tmp_path: Path) -> None:
    authority, stranger = web.Authority(tmp_path), web.Authority(tmp_path)
    async with web.serve(authority.context("api.test")) as site:
        to = f"127.0.0.1:{site.port}"
        async with open_client("https://api.test", ca_pem=authority.pem, connect_to=to) as http:
            assert (await http.request("GET", "/a")).body == b"ok"
        assert site.requests == [("api.test", "/a")]
        for pem, name in ((None, "api.test"), (stranger.pem, "api.test"), (authority.pem, "other.test")):
            async with open_client(f"https://{name}", ca_pem=pem, connect_to=to) as http:
                with pytest.raises(TransportError, match="can't connect"):
                    await http.request("GET", "/a")
    with pytest.raises(ValueError, match="no readable PEM certificate"):
        open_client(ca_pem="nothing")
    assert ssl_context(authority.pem) is ssl_context(authority.pem)


def test_addresses() -> None:
    assert split_host_port("h.test") == ("h.test", None)
    assert split_host_port("h.test:53") == ("h.test", 53)
    assert split_host_port("[::1]:53") == ("::1", 53)
    for bad in ("h.test/x", "u@h.test", "", "h:port"):
        with pytest.raises(ValueError, match=r"."):
            split_host_port(bad)


async def test_a_request_searches_for_no_module() -> None:
    searched: list[str] = []

    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            searched.append(name)

    async with serve(lambda _: (200, {}, {})) as fake, open_client() as http:
        await http.request("GET", fake.url)  # what is imported once is imported now
        sys.meta_path.insert(0, Finder())
        try:
            for _ in range(3):
                await http.request("POST", fake.url, body=b"{}")
        finally:
            del sys.meta_path[0]
    assert searched == []


async def test_many_at_once_share_connections() -> None:
    async with serve(lambda _: (200, {}, {})) as fake, open_client(fake.url, max_connections=2) as http:
        answers = await asyncio.gather(*(http.request("GET", "/") for _ in range(20)))
        assert [answer.status for answer in answers] == [200] * 20
