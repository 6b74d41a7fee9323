"""The commands for people, where they are easily written wrong."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest
from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity import runbook

from tests.unit import simulated_tenant as sim


def test_an_ingress_is_annotated_in_its_own_dialect() -> None:
    world = sim.settled()
    for dialect, words in (
        ("nginx", "nginx.ingress.kubernetes.io/temporal-redirect=https://secondary.example/login"),
        ("haproxy", "haproxy.org/request-redirect=https://secondary.example"),
    ):
        seen = replace(world.seen, routes=tuple(replace(route, dialect=dialect) for route in world.seen.routes))
        assert runbook.steps(seen, "Primary")[-1].command.splitlines()[0].endswith(f" --overwrite {words}")


def test_no_command_is_ever_cut() -> None:
    """Eight routes and the longest login pages: more steps, each of whole commands."""
    world = sim.fresh(
        secondary=sim.spec().secondary.model_dump(by_alias=True)
        | {"loginURL": f"https://secondary.example/{'x' * 1900}"},
        login={
            "url": "https://login.acme.example/",
            "routes": [{"name": f"r{number}", "ingress": {"name": f"i{number}"}} for number in range(8)],
        },
    )
    steps = runbook.steps(world.seen, "Primary")
    BCPTenantStatus(runbook=steps)
    sending = [step for step in steps if step.title.startswith("Send users to the secondary")]
    assert [step.title[-8:] for step in sending] == [f"({number} of 4)" for number in range(1, 5)]
    lines = [line for step in sending for line in step.command.splitlines()]
    assert [shlex.split(line)[5] for line in lines] == [f"i{number}" for number in range(8)]
    assert all(line.endswith("x" * 1900) for line in lines)


def test_a_command_that_fits_nowhere_says_so() -> None:
    assert runbook._joined(["a" * 5000, "b"]) == [f"{runbook.TOO_LONG}\nb"]


@pytest.mark.parametrize(
    ("server", "line"),
    [
        ("10.0.0.53", "server 10.0.0.53 53"),
        ("ns.acme.example:5353", "server ns.acme.example 5353"),
        ("[2001:db8::53]", "server 2001:db8::53 53"),
        ("[2001:db8::53]:5353", "server 2001:db8::53 5353"),
    ],
)
def test_nsupdate_is_told_the_server_as_it_reads_it(server: str, line: str) -> None:
    dns = {"server": server, "zone": "acme.example", "tsigSecretRef": {"name": "tsig"}}
    login = {"url": "https://login.acme.example/", "routes": [{"name": "dns", "rfc2136": dns}]}
    step = runbook.steps(sim.fresh(login=login).seen, "Primary")[-1]
    assert f"{line}\\n" in step.command


def test_setting_the_field_gives_no_consent_that_was_left_behind() -> None:
    """A last sync from a dead primary is the last thing that a disaster needs."""
    world = sim.settled()
    for side, more in (("Primary", {}), ("Secondary", {"secondaryChanges": "Discard"})):
        command = runbook.steps(world.seen, side)[0].command  # type: ignore[arg-type]
        body = shlex.split(command.replace('"$(date -u +%FT%TZ)"', "2026-11-24T10:00:00Z"))[-1]
        block = json.loads(body)["spec"]["failover"]
        assert {key: block[key] for key in ("mode", "override")} == {"mode": None, "override": None}
        assert {key: value for key, value in block.items() if key == "secondaryChanges"} == more
