"""The spec of a DNSEndpoint that makes the login host a CNAME of a login page's host, as text of external-dns and back."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["record", "record_target"]


def record(login_url: str, target_url: str, ttl_seconds: int) -> dict[str, Any]:
    """spec: one CNAME."""
    host, target = (urlsplit(url).hostname or "" for url in (login_url, target_url))
    endpoint = {"dnsName": host, "recordType": "CNAME", "recordTTL": ttl_seconds, "targets": [target.rstrip(".")]}
    return {"endpoints": [endpoint]}


def record_target(spec: Mapping[str, Any]) -> str | None:
    """Where the CNAME of a spec leads, when there is one record and it leads to one name; else None."""
    endpoints = spec.get("endpoints") or []
    targets = endpoints[0].get("targets") or [] if len(endpoints) == 1 else []
    if len(targets) != 1 or endpoints[0].get("recordType") != "CNAME":
        return None
    return str(targets[0])
