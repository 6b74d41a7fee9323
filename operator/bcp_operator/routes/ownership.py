"""Who set an annotation, or a list of the spec: what managedFields say about it."""

from dataclasses import dataclass

from bcp_operator.api.common import FIELD_MANAGER
from bcp_operator.kube.client import Object

__all__ = ["Owner", "owners_of", "owners_of_spec"]

# What `kubectl patch`, `annotate` and `edit` call themselves: a person's hand, not a pipeline that will be back.
_BY_HAND = frozenset({"kubectl-patch", "kubectl-annotate", "kubectl-edit"})


@dataclass(frozen=True)
class Owner:
    """One field manager of the key."""

    manager: str
    operation: str

    @property
    def is_ours(self) -> bool:
        """The operator, or a person who ran the runbook's command in its name."""
        return self.manager == FIELD_MANAGER

    @property
    def is_by_hand(self) -> bool:
        """A single edit by a person, which nobody will repeat."""
        return self.manager in _BY_HAND and self.operation == "Update"


def owners_of(obj: Object, annotation: str) -> list[Owner]:
    """All managers that own this annotation."""
    return _owners(obj, "f:metadata", "f:annotations", f"f:{annotation}")


def owners_of_spec(obj: Object, field: str) -> list[Owner]:
    """All managers that own this field of the spec, e.g. an atomic list."""
    return _owners(obj, "f:spec", f"f:{field}")


def owned_keys(obj: Object, field: str) -> set[str]:
    """Keys of a map in the metadata (labels, annotations) that are ours."""
    found: set[str] = set()
    for entry in obj["metadata"].get("managedFields") or []:
        if Owner(str(entry.get("manager")), "").is_ours:
            keys = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get(f"f:{field}") or {}
            found |= {key.removeprefix("f:") for key in keys if key.startswith("f:")}
    return found


def _owners(obj: Object, *path: str) -> list[Owner]:
    owners = []
    for entry in obj["metadata"].get("managedFields") or []:
        fields = entry.get("fieldsV1") or {}
        for step in path[:-1]:
            fields = fields.get(step) or {}
        if path[-1] in fields:
            owners.append(Owner(str(entry.get("manager", "unknown")), str(entry.get("operation", ""))))
    return owners
