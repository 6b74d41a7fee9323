"""Exclusivity: a system, and a login host, belong to one tenant over all watched namespaces, in whichever role.

What a tenant holds is recorded in its status, so that nobody who comes later, or is edited later, takes anything from
a tenant that works: an older name or an earlier creation is no licence.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

KEY_LENGTH = 24


@dataclass(frozen=True)
class Claim:
    """What one tenant names, and what it is known to hold. `live`: its users are on the secondary or on the way.

    `names` are the claimed things by key, in words for people; `held` the keys of these that its status records.
    """

    tenant: str
    created: str
    uid: str
    names: Mapping[str, str] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    live: bool = False

    @property
    def age(self) -> tuple[str, str]:
        """Orders tenants by creation; of the same second, by uid."""
        return self.created, self.uid

    @property
    def settled(self) -> bool:
        """It holds all that it names: nothing has to be asked for."""
        return self.held >= self.names.keys()


def read(obj: Mapping[str, Any]) -> Claim:
    """The claim of a tenant object as the API server stores it; what doesn't fit the schema claims nothing."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    names = _names(obj.get("spec") or {})
    recorded = {key for key in status.get("claims") or [] if isinstance(key, str)}
    return Claim(
        tenant=f"{metadata['namespace']}/{metadata['name']}",
        created=str(metadata.get("creationTimestamp", "")),
        uid=str(metadata.get("uid", "")),
        names=names,
        held=frozenset(recorded & names.keys()),
        live=bool(status.get("operation")) or status.get("settledSystem") == "Secondary",
    )


def owners(claims: Iterable[Claim]) -> dict[str, Claim]:
    """Who owns what: first what is held, then whoever gets everything that it names.

    Among equals those come first whose users are on the secondary, then the older.
    """
    found: dict[str, Claim] = {}
    ranked = sorted(claims, key=lambda claim: (not claim.live, claim.age))
    for claim in ranked:
        for key in claim.held:
            found.setdefault(key, claim)
    for claim in ranked:
        if all(found.get(key, claim) is claim for key in claim.names):
            found |= dict.fromkeys(claim.names, claim)
    return found


def taken(claim: Claim, others: Iterable[Claim]) -> str:
    """What of this claim belongs to others, and to whom, for people; empty when nothing does."""
    found = owners([claim, *others])
    texts = [
        f"{claim.names[key]} belongs to BCPTenant {found[key].tenant}"
        for key in sorted(claim.names)
        if key in found and found[key] is not claim
    ]
    return "; ".join(texts)


def _names(spec: Mapping[str, Any]) -> dict[str, str]:
    made: dict[str, str] = {}
    for side in ("primary", "secondary"):
        system = spec.get(side) or {}
        host = _host(system.get("endpoint"))
        if host:
            profile, tenant_id = system.get("profile"), system.get("tenantID")
            made[_key("system", f"{profile}|{host}|{tenant_id}")] = f"system {tenant_id} on {host} ({profile})"
    login = _host((spec.get("login") or {}).get("url"))
    if login:
        made[_key("login", login)] = f"login host {login}"
    return made


def _host(url: object) -> str:
    try:
        return (urlsplit(str(url or "")).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _key(kind: str, text: str) -> str:
    return hashlib.sha256(f"{kind}|{text}".encode()).hexdigest()[:KEY_LENGTH]
