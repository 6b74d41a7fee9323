"""Complete manifests that the API server accepts, with every field set, and a way to change single fields of them."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

Object = dict[str, Any]


class _Drop:
    """Edit that removes a field."""

    def __repr__(self) -> str:
        return "DROP"


DROP: Final = _Drop()
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def edited(manifest: Object, edits: Mapping[str, Any]) -> Object:
    """A copy with the edits made; a key is a path such as `spec.login.routes[0].name` or `spec.job.nodeSelector.zone`."""
    result = copy.deepcopy(manifest)
    for path, value in edits.items():
        *way, last = [int(index) if index else name for name, index in _STEP.findall(path)]
        target: Any = result
        for step in way:
            target = target[step] if isinstance(step, int) else target.setdefault(step, {})
        if value is DROP:
            del target[last]
        else:
            target[last] = value
    return result


def _system(side: str) -> Object:
    return {
        "profile": "scim",
        "tenantID": f"acme-{side}",
        "endpoint": f"https://api.{side}.example/v2",
        "insecure": False,
        "caRef": {"kind": "ConfigMap", "name": f"ca-{side}", "key": "ca.crt"},
        "credentialsSecretRef": {"name": f"acme-{side}"},
        "loginURL": f"https://{side}.example/login",
        "health": {
            "path": "/health",
            "expectStatus": 200,
            "interval": "1m",
            "timeout": "5s",
            "slowAfter": "2s",
            "failureThreshold": 3,
        },
    }


def tenant(name: str) -> Object:
    """A BCPTenant with every field of its spec, an Ingress route, a DNS route, an HTTPRoute and a DNSEndpoint, in this order."""
    return {
        "apiVersion": "bcp-operator.io/v1alpha1",
        "kind": "BCPTenant",
        "metadata": {"name": name},
        "spec": {
            "primary": _system("primary"),
            "secondary": _system("secondary"),
            "sync": {
                "enabled": True,
                "policyRef": {"name": "nightly"},
                "timeZone": "Europe/Berlin",
                "trigger": "2026-11-24T10:00:00Z",
                "approve": "sha256:" + "0123456789abcdef" * 4,
                "store": {"sqlite": {"size": "1Gi", "storageClassName": "fast"}},
            },
            "login": {
                "url": "https://login.acme.example/",
                "connectTo": "10.0.0.80:443",
                "caRef": {"kind": "ConfigMap", "name": "ca-login", "key": "ca.crt"},
                "routes": [
                    {
                        "name": "web",
                        "ingress": {
                            "name": "acme-login",
                            "mode": "Managed",
                            "className": "nginx",
                            "tlsSecretName": "login-tls",
                            "labels": {"team": "acme"},
                            "annotations": {"cert-manager.io/cluster-issuer": "company"},
                        },
                    },
                    {
                        "name": "dns",
                        "rfc2136": {
                            "server": "10.0.0.53:53",
                            "zone": "acme.example",
                            "tsigSecretRef": {"name": "tsig"},
                            "ttlSeconds": 30,
                        },
                    },
                    {
                        "name": "gw",
                        "httpRoute": {
                            "name": "acme-login",
                            "parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}],
                            "statusCode": 302,
                        },
                    },
                    {
                        "name": "edns",
                        "dnsEndpoint": {"name": "acme-login", "servers": ["10.0.0.53:53"], "ttlSeconds": 30},
                    },
                ],
            },
            "notify": [
                {
                    "urlSecretRef": {"name": "chat"},
                    "caRef": {"kind": "ConfigMap", "name": "chat-ca", "key": "ca.crt"},
                    "format": "JSON",
                    "events": ["SyncFailed"],
                }
            ],
            "failover": {
                "activeSystem": "Primary",
                "reason": "INC-4711",
                "requestedAt": "2026-11-24T10:00:00Z",
                "override": ["TargetHealthy"],
                "secondaryChanges": "Keep",
                "mode": "Unplanned",
            },
            "safety": {
                "minSwitchInterval": "10m",
                "maxRecoveryPointAge": "26h",
                "certificateHorizon": "336h",
                "drain": {
                    "url": "https://calls.example/drained",
                    "caRef": {"kind": "ConfigMap", "name": "calls-ca", "key": "ca.crt"},
                    "timeout": "30m",
                },
                "rules": {
                    "TargetHealthy": "Block",
                    "RouteOwned": "Block",
                    "CoolDown": "Warn",
                    "RecoveryPointFresh": "Warn",
                    "CertificateValid": "Warn",
                    "DivergenceKnown": "Block",
                },
            },
            "suspend": False,
            "deletionPolicy": "Retain",
        },
    }


def simple_tenant(name: str) -> Object:
    """A BCPTenant as people write it first: no failover block, one Ingress route."""
    whole = tenant(name)
    return edited(whole, {"spec.failover": DROP, "spec.login.routes": whole["spec"]["login"]["routes"][:1]})


def policy(name: str) -> Object:
    """A SyncPolicy with every field of its spec."""
    return {
        "apiVersion": "bcp-operator.io/v1alpha1",
        "kind": "SyncPolicy",
        "metadata": {"name": name},
        "spec": {
            "mode": "Custom",
            "entities": [
                {"type": "user", "filter": {"title": ["Agent", "Lead"]}, "onMissing": "Deactivate"},
                {"type": "group"},
            ],
            "mappings": [{"type": "user", "field": "title", "values": {"Agent": "Stand-in"}}],
            "adopt": "ByKey",
            "onUnresolved": "OmitField",
            "schedule": {"cron": "0 2 * * *", "timeZone": "Europe/Berlin", "jitter": "30m"},
            "suspend": False,
            "guard": {"maxRemovals": 50, "maxRemovalPercent": 5, "maxUpdatePercent": 50, "maxCreatePercent": 100},
            "approval": "OnGuard",
            "dryRun": False,
            "limits": {"requestsPerSecond": 10, "concurrency": 4, "timeout": "2h"},
            "job": {
                "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}},
                "nodeSelector": {"zone": "a"},
                "tolerations": [
                    {
                        "key": "dedicated",
                        "operator": "Equal",
                        "value": "bcp",
                        "effect": "NoExecute",
                        "tolerationSeconds": 60,
                    }
                ],
                "priorityClassName": "low",
            },
        },
    }


def operation(number: int = 1) -> Object:
    """An operation under way, with every field."""
    return {
        "id": f"op-{number}",
        "type": "Failover",
        "step": "Fence",
        "generation": 2,
        "requestedAt": "2026-11-24T10:00:00Z",
        "startTime": "2026-11-24T10:00:01Z",
        "startTimeBound": False,
        "verifiedTime": "2026-11-24T10:00:02Z",
        "deadline": "2026-11-24T10:10:00Z",
        "initiator": "alice",
        "initiatorVerified": True,
        "reason": "INC-4711",
        "override": ["CoolDown"],
        "warnings": ["CoolDown: the last switch ended less than 10m ago"],
        "secondaryChanges": "Keep",
        "mode": "Unplanned",
    }


def finished(number: int = 1) -> Object:
    """An operation that has ended, with every field."""
    return operation(number) | {
        "result": "Completed",
        "endTime": "2026-11-24T10:00:05Z",
        "message": "done",
        "rtoSeconds": 0.4,
        "recoveryPointAgeSeconds": 60.0,
    }


def condition(kind: str = "Ready") -> Object:
    """A condition, with every field."""
    return {
        "type": kind,
        "status": "True",
        "reason": "Settled",
        "message": "works",
        "observedGeneration": 2,
        "lastTransitionTime": "2026-11-24T10:00:05Z",
    }


def tenant_status() -> Object:
    """A status with every field that is bounded."""
    return {
        "observedGeneration": 2,
        "phase": "Secondary",
        "activeSystem": "Secondary",
        "activeLoginURL": "https://secondary.example/login",
        "settledSystem": "Secondary",
        "requestHash": "0" * 64,
        "claims": ["0" * 24],
        "operation": operation(),
        "lastOperation": finished(),
        "history": [finished()],
        "divergence": {
            "name": "acme-diff-1764000000",
            "result": "Known",
            "time": "2026-11-24T10:00:00Z",
            "changed": 1,
            "added": 0,
            "removed": 0,
            "unclear": 0,
            "report": "acme-divergence",
            "message": "user: 1 changed",
        },
        "sync": {
            "enabledAt": "2026-11-24T09:00:00Z",
            "lastSuccessTime": "2026-11-24T09:00:00Z",
            "lastRun": {
                "name": "acme-sync-1",
                "result": "Succeeded",
                "startTime": "2026-11-24T09:00:00Z",
                "seconds": 1.5,
                "counts": {"created": 3},
                "withheldHash": "sha256:" + "0123456789abcdef" * 4,
                "message": "done",
            },
            "nextSyncTime": "2026-11-25T09:00:00Z",
            "missed": 2,
            "lastTrigger": "2026-11-24T10:00:00Z",
            "heldBy": "fence/op-1",
        },
        "routes": [
            {
                "name": "web",
                "desired": "Secondary",
                "written": True,
                "observed": "Secondary",
                "pathPreserved": False,
                "message": "",
            }
        ],
        "runbook": [{"title": "Switch", "command": "kubectl patch"}],
        "conditions": [condition()],
    }


def policy_status() -> Object:
    """A SyncPolicy's status with every field."""
    return {"observedGeneration": 1, "tenants": 2, "conditions": [condition()]}
