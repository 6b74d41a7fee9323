"""Who set an annotation: what managedFields say about one key."""

from dataclasses import dataclass

from bcp_operator.api.common import FIELD_MANAGER
from bcp_operator.kube.client import Object

__all__ = ["Owner", "owners_of"]

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
    owners = []
    for entry in obj["metadata"].get("managedFields") or []:
        fields = entry.get("fieldsV1") or {}
        keys = (fields.get("f:metadata") or {}).get("f:annotations") or {}
        if f"f:{annotation}" in keys:
            owners.append(Owner(str(entry.get("manager", "unknown")), str(entry.get("operation", ""))))
    return owners
