"""Starting: what is refused, in words that say what to set."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
from bcp_operator.controllers.config import ConfigError, parse
from bcp_operator.controllers.logs import JsonFormatter, TextFormatter

GOOD = {
    "WATCH_NAMESPACES": "a, b,a",
    "POD_NAMESPACE": "bcp-system",
    "POD_NAME": "bcp-operator-0",
    "BCP_SYNC_IMAGE": "registry.test/bcp:1",
    "ALLOWED_HOSTS": "*.saas.test",
}


def test_the_environment_is_enough_and_flags_win() -> None:
    config = parse(["--log-format", "json", "--watch-namespaces", "c"], GOOD)
    assert config.watch_namespaces == ("c",)
    assert (config.namespace, config.identity, config.log_format) == ("bcp-system", "bcp-operator-0", "json")
    assert config.hosts.allowed == ("*.saas.test",)
    assert parse([], GOOD).watch_namespaces == ("a", "b")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"WATCH_NAMESPACES": ""}, "WATCH_NAMESPACES"),
        ({"WATCH_NAMESPACES": "team-*"}, "patterns are not supported"),
        ({"WATCH_NAMESPACES": "a,bcp-system"}, "leader Lease"),
        ({"POD_NAMESPACE": ""}, "POD_NAMESPACE"),
        ({"BCP_SYNC_IMAGE": ""}, "BCP_SYNC_IMAGE"),
        ({"BCP_SYNC_IMAGE_PULL_POLICY": "Sometimes"}, "IfNotPresent"),
        ({"REQUESTER_STAMPED": "perhaps"}, "--requester-stamped is 'perhaps': use true or false"),
        ({"FOUR_EYES": "true"}, "--four-eyes needs --requester-stamped"),
        ({"INGRESS_CLASSES": "edge=caddy"}, "--ingress-classes: 'edge=caddy': write class=dialect"),
        ({"EXTERNAL_DNS": "perhaps"}, "--external-dns is 'perhaps': use true or false"),
        ({"GATEWAY_API": "perhaps"}, "--gateway-api is 'perhaps': use true or false"),
    ],
)
def test_a_bad_setting_is_refused_by_name(change: dict[str, str], word: str) -> None:
    with pytest.raises(ConfigError, match=word.replace("*", r"\*")):
        parse([], GOOD | change)


def test_the_command_says_it_in_one_line_and_exits_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bcp_operator"], env={"PATH": "/usr/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("bcp-operator: no namespace to watch")


def test_an_unreachable_cluster_configuration_is_no_traceback(tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bcp_operator", "--health-port", "0"],
        env=GOOD | {"PATH": "/usr/bin", "KUBECONFIG": f"{tmp_path}/none"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "KUBECONFIG" in done.stderr


def record(**extra: object) -> logging.LogRecord:
    """A log record."""
    made = logging.LogRecord("bcp", logging.INFO, "file", 1, "moved %s", ("users",), None)
    made.__dict__.update(extra)
    return made


def test_logs_are_a_line_for_people_or_an_object_for_machines() -> None:
    text = TextFormatter().format(record(tenant="acme", audit=True))
    assert text.endswith("info    moved users tenant=acme audit=True")
    entry = json.loads(JsonFormatter().format(record(tenant="acme", audit=True)))
    assert (entry["message"], entry["tenant"], entry["audit"]) == ("moved users", "acme", True)
    assert entry["time"].endswith("Z")
