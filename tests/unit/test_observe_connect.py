"""Names are resolved once, judged, and the judged address is what is connected to."""

import asyncio
import socket
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest
from bcp_operator.observe.connect import Unresolved, checked_address
from bcp_operator.systems.hosts import HostPolicy, HostRefused

ANY = HostPolicy.parse("*")


def resolver(monkeypatch: pytest.MonkeyPatch, *addresses: str, error: OSError | None = None) -> list[str]:
    asked: list[str] = []

    def getaddrinfo(host: str, port: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        if error is not None:
            raise error
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


async def test_address_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolver(monkeypatch, "192.0.2.7")
    assert await checked_address(ANY, "login.acme.test", 443) == ("192.0.2.7", 443)
    assert await checked_address(ANY, "login.acme.test:8443", 443) == ("192.0.2.7", 8443)
    assert asked == ["login.acme.test"] * 2


async def test_addresses_need_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolver(monkeypatch, error=socket.gaierror(socket.EAI_AGAIN, "down"))
    assert await checked_address(ANY, "192.0.2.7:53", 443) == ("192.0.2.7", 53)
    assert await checked_address(ANY, "[2001:db8::1]:53", 443) == ("2001:db8::1", 53)
    assert asked == []


async def test_names_that_lead_inside_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver(monkeypatch, "169.254.169.254")
    with pytest.raises(HostRefused, match=r"169\.254\.169\.254"):
        await checked_address(ANY, "innocent.saas.test", 443)
    resolver(monkeypatch, "127.0.0.1", "fe80::1%eth0", "192.0.2.7")
    assert await checked_address(ANY, "innocent.saas.test", 443) == ("192.0.2.7", 443)


async def test_ways_of_writing_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver(monkeypatch, "127.0.0.1")
    for where in ("127.1", "0x7f.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
        with pytest.raises(HostRefused):
            await checked_address(ANY, where, 443)


@pytest.mark.parametrize(
    ("error", "temporary"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such host"), False),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (OSError("odd"), False),
    ],
)
async def test_no_address(monkeypatch: pytest.MonkeyPatch, error: OSError, temporary: bool) -> None:
    resolver(monkeypatch, error=error)
    with pytest.raises(Unresolved, match=r"gone\.saas\.test") as told:
        await checked_address(ANY, "gone.saas.test", 443)
    assert told.value.temporary is temporary


@pytest.mark.parametrize("where", ["", ":443", "host:port", "user@host", "host/path", "[::1"])
async def test_what_is_no_address_is_refused(where: str) -> None:
    with pytest.raises(HostRefused):
        await checked_address(ANY, where, 443)


async def test_a_resolver_that_hangs_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hanging(host: str, port: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        release.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    waiting = [asyncio.create_task(checked_address(ANY, f"h{n}.test", 443)) for n in range(40)]
    try:
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: "free") == "free"
            assert await checked_address(ANY, "192.0.2.7", 443) == ("192.0.2.7", 443)
    finally:
        release.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unresolved}


async def test_many_names_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver(monkeypatch, "192.0.2.7")
    found = await asyncio.gather(*(checked_address(ANY, f"h{n}.test", 443) for n in range(500)))
    assert set(found) == {("192.0.2.7", 443)}


def test_the_end_of_the_process_does_not_wait_for_a_resolver() -> None:
    script = textwrap.dedent("""
        import asyncio, socket, time
        from bcp_operator.observe.resolver import resolve

        socket.getaddrinfo = lambda *args, **kwargs: time.sleep(3600)

        async def main():
            try:
                async with asyncio.timeout(0.1):
                    await resolve("slow.test")
            except TimeoutError:
                print("gave up")

        asyncio.run(main())
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (0, "gave up\n")
