"""Every manifest in manifests/examples is accepted as it is, and names nothing that the examples don't hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.access import Cluster

pytestmark = pytest.mark.cluster

EXAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))
# What a certificate issuer makes; an example of a private key would help nobody.
MADE_ELSEWHERE = {("Secret", "acme-login-tls"), ("Secret", "globex-login-tls")}
KIND_OF = {
    "credentialsSecretRef": "Secret",
    "tsigSecretRef": "Secret",
    "caRef": "ConfigMap",
    "policyRef": "SyncPolicy",
}


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of one file."""
    return list(yaml.safe_load_all(path.read_text()))


def references(value: Any) -> Iterator[tuple[str, str]]:
    """(kind, name) of every object that a tenant needs."""
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key in KIND_OF:
            yield KIND_OF[key], child["name"]
        elif key == "tlsSecretName":
            yield "Secret", child
        elif key == "ingress" and child.get("mode") == "Adopted":
            yield "Ingress", child["name"]
        else:
            yield from references(child)


def test_there_are_examples_of_every_kind_and_driver() -> None:
    text = "".join(path.read_text() for path in FILES)
    for word in (
        "kind: BCPTenant",
        "kind: SyncPolicy",
        "rfc2136:",
        "httpRoute:",
        "dnsEndpoint:",
        "mode: Adopted",
        "mode: Custom",
        "cron:",
        "exclude:",
    ):
        assert word in text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_example_applies(resources: Cluster, namespace: str, path: Path) -> None:
    done = resources.kubectl("-n", namespace, "apply", "--dry-run=server", "--validate=strict", "-f", str(path))
    assert len(done.stdout.splitlines()) == len(documents(path))
    assert done.stderr == ""


def test_the_examples_apply_together_and_are_gone_again(resources: Cluster, namespace: str) -> None:
    resources.kubectl("-n", namespace, "apply", "--server-side", "-f", str(EXAMPLES))
    try:
        table = resources.kubectl("-n", namespace, "get", "bcp").stdout
        assert all(
            name in table for name in ("bcptenant.bcp-operator.io/acme", "syncpolicy.bcp-operator.io/users-only")
        )
        header = resources.kubectl("-n", namespace, "get", "bcpt").stdout.splitlines()[0].split()
        assert header == ["NAME", "READY", "ACTIVE", "PHASE", "LAST", "SYNC", "FENCED", "VERIFIED", "AGE"]
        header = resources.kubectl("-n", namespace, "get", "syncp").stdout.splitlines()[0].split()
        assert header == ["NAME", "READY", "MODE", "SCHEDULE", "SUSPENDED", "TENANTS", "AGE"]
    finally:
        resources.kubectl("-n", namespace, "delete", "-f", str(EXAMPLES))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_example_names_nothing_that_is_not_there(path: Path) -> None:
    everything = {(d["kind"], d["metadata"]["name"]) for file in FILES for d in documents(file)} | MADE_ELSEWHERE
    for document in documents(path):
        assert "namespace" not in document["metadata"]
        if document["kind"] == "BCPTenant":
            assert set(references(document["spec"])) <= everything
