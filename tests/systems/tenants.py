"""Tenants and policies of the demo and the e2e tests, as a platform engineer writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.systems.deploy import Object, RentedSystem

TEAM = "team-a"
API_VERSION = "bcp-operator.io/v1alpha1"


def policy(name: str, **spec: Any) -> Object:
    """A SyncPolicy; quick enough for a test, since the test systems are ours to load."""
    limits = {"requestsPerSecond": 500, "concurrency": 8, "timeout": "10m"}
    metadata = {"name": name, "namespace": TEAM}
    return {"apiVersion": API_VERSION, "kind": "SyncPolicy", "metadata": metadata, "spec": {"limits": limits, **spec}}


def managed(host: str, name: str = "web") -> Object:
    """A route whose Ingress is the operator's own; the TLS Secret `<first label of host>-tls` is the team's."""
    label = host.split(".", maxsplit=1)[0]
    ingress = {"name": f"{label}-login", "mode": "Managed", "className": "nginx", "tlsSecretName": f"{label}-tls"}
    return {"name": name, "ingress": ingress}


def adopted(ingress: str, name: str = "web") -> Object:
    """A route over an Ingress that the team has already."""
    return {"name": name, "ingress": {"name": ingress, "mode": "Adopted"}}


def tenant(
    name: str,
    primary: RentedSystem,
    secondary: RentedSystem,
    host: str,
    routes: list[Object],
    *,
    sync: Object | None = None,
    **spec: Any,
) -> Object:
    """A BCPTenant for two rented systems; without `sync` it only switches. The cool-down only warns, since tests switch at once."""
    return {
        "apiVersion": API_VERSION,
        "kind": "BCPTenant",
        "metadata": {"name": name, "namespace": TEAM},
        "spec": {
            "primary": {**primary.spec, "tenantID": name},
            "secondary": {**secondary.spec, "tenantID": name},
            "sync": {"enabled": False} if sync is None else {"enabled": True, **sync},
            "login": {"url": f"https://{host}/", "caRef": {"name": "test-ca"}, "routes": routes},
            "safety": {"rules": {"CoolDown": "Warn"}},
            **spec,
        },
    }


def now() -> str:
    """A time for requestedAt that is newer than any before it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def failover(reason: str = "drill") -> Object:
    """What it takes to fail over."""
    return {"activeSystem": "Secondary", "reason": reason}


def failback(**consents: Any) -> Object:
    """What it takes to come back."""
    return {"activeSystem": "Primary", "requestedAt": now(), "secondaryChanges": "Discard", **consents}
