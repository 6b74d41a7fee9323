"""What the apiserver writes down, so that tests can compare the verbs used with the verbs granted."""

from __future__ import annotations

from typing import Any

from tests.cluster.settings import OPERATOR_NAMESPACE

_WRITES = ["create", "update", "patch", "delete", "deletecollection"]


def policy() -> dict[str, Any]:
    """Return the audit policy; the first rule that matches a request decides.

    Writes to tenants carry their bodies; other writes to our group, and every request by the operator's
    namespace, by the service accounts of tests and by certificates of the group `lab:audited`, carry metadata.
    """
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": True,
        "rules": [
            {
                "level": "RequestResponse",
                "verbs": _WRITES,
                "resources": [{"group": "bcp-operator.io", "resources": ["bcptenants", "bcptenants/status"]}],
            },
            {"level": "Metadata", "verbs": _WRITES, "resources": [{"group": "bcp-operator.io"}]},
            {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
            {"level": "Metadata", "userGroups": [f"system:serviceaccounts:{OPERATOR_NAMESPACE}", "lab:audited"]},
            {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
            {"level": "None"},
        ],
    }
