"""Who set spec.failover.activeSystem and when, read from the object's own metadata."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bcp_operator.api.common import ANNOTATION_REQUESTED_BY
from bcp_operator.continuity.observed import Requester


def read(obj: Mapping[str, Any], *, stamped: bool) -> Requester:
    """The requester. `stamped`: the cluster's admission policy writes the stamp and refuses forged ones."""
    metadata = obj["metadata"]
    entry = _owner(metadata)
    time = parse_time(entry.get("time"))
    stamp = (metadata.get("annotations") or {}).get(ANNOTATION_REQUESTED_BY, "") if stamped else ""
    return Requester(
        name=stamp or entry.get("manager", ""),
        verified=bool(stamp),
        time=time,
        at_creation=_at_creation(metadata, entry, time),
    )


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time; None for anything else."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _owner(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The newest field manager that owns activeSystem, else anything of the failover block."""
    found: list[tuple[bool, str, Mapping[str, Any]]] = []
    for entry in metadata.get("managedFields") or []:
        block = _spec_fields(entry).get("f:failover")
        if block is not None:
            found.append(("f:activeSystem" in block, str(entry.get("time", "")), entry))
    return max(found, key=lambda item: item[:2])[2] if found else {}


def _at_creation(metadata: Mapping[str, Any], entry: Mapping[str, Any], time: datetime | None) -> bool:
    """Set by whoever created the object, and not touched by them since.

    Generation 1 leaves no doubt. Later on the creator's own entry (it also owns the login URL, without which nothing
    can be created) still carries the time of creation.
    """
    if metadata.get("generation", 1) == 1:
        return True
    created = parse_time(metadata.get("creationTimestamp"))
    by_creator = "f:login" in _spec_fields(entry)
    return by_creator and created is not None and time is not None and time <= created


def _spec_fields(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return fields
