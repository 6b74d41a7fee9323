"""Before it writes, a run asks a real authoritative name server where the login host leads."""

import socket

import pytest
from bcp_operator.api.run import RunLogin
from bcp_operator.sync.fence import Held
from bcp_operator.sync.login import refuse_when_secondary

from tests.systems.nameserver import start_bind

PAGES = {"primaryLoginURL": "https://na1.saas.test/login", "secondaryLoginURL": "https://eu1.saas.test/login"}


def login(server: str) -> RunLogin:
    return RunLogin.model_validate(
        {"url": "https://login.acme.test/", "dns": [{"server": server, "name": "login.acme.test"}]} | PAGES
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_name_that_leads_to_the_secondary_refuses() -> None:
    server = start_bind("acme.test", "login.acme.test", "eu1.saas.test", "127.0.0.1", free_port())
    with server as (address, port), pytest.raises(Held, match="the name server sends users to the secondary"):
        await refuse_when_secondary(login(f"{address}:{port}"))


async def test_a_name_that_leads_elsewhere_or_a_server_that_is_silent_does_not() -> None:
    with start_bind("acme.test", "login.acme.test", "na1.saas.test", "127.0.0.1", free_port()) as (address, port):
        await refuse_when_secondary(login(f"{address}:{port}"))
    await refuse_when_secondary(login(f"{address}:{port}"))
