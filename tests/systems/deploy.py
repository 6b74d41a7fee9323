"""A rented system as objects of a cluster: Deployment, Service, Ingress with TLS, token and state. Outside the operator's view."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

IMAGE = "localhost/bcp-systems:dev"
NAMESPACE = "systems"


@dataclass(frozen=True)
class RentedSystem:
    """One system of a vendor: `kind` scim or kinto, reached at https://<host>/, naming itself on /login."""

    name: str
    kind: str
    host: str
    token: str
    dump: Any = field(default=None, repr=False)
    namespace: str = NAMESPACE

    @property
    def title(self) -> str:
        """What its login page calls it."""
        return self.name.upper()

    @property
    def login_url(self) -> str:
        """Its own login page."""
        return f"https://{self.host}/login"

    @property
    def endpoint(self) -> str:
        """Base URL of its API."""
        return f"https://{self.host}/{'v2' if self.kind == 'scim' else 'v1'}"

    @property
    def spec(self) -> Object:
        """The system's half of a BCPTenant, by the built-in profile or, for Kinto, one of the same name in the namespace."""
        return {
            "profile": self.kind,
            "tenantID": "acme",
            "endpoint": self.endpoint,
            "caRef": {"name": "test-ca"},
            "credentialsSecretRef": {"name": f"{self.name}-credentials"},
            "loginURL": self.login_url,
        }

    def credentials(self, namespace: str) -> Object:
        """The Secret a sync uses, in the tenant's namespace."""
        data = {"token": self.token} if self.kind == "scim" else {"username": "bcp", "password": self.token}
        return secret(f"{self.name}-credentials", namespace, data)

    def manifests(self, certificate: tuple[str, str]) -> list[Object]:
        """Everything the system needs in its own namespace; `certificate` is (cert, key) in PEM for its host."""
        state = json.dumps(self.dump if self.dump is not None else ([] if self.kind == "scim" else {}))
        cert, key = certificate
        return [
            secret(f"{self.name}-token", self.namespace, {"token": self.token}),
            secret(f"{self.name}-tls", self.namespace, {"tls.crt": cert, "tls.key": key}, "kubernetes.io/tls"),
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"{self.name}-state", "namespace": self.namespace},
                "data": {"dump.json": state},
            },
            self._deployment(),
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {"selector": {"app": self.name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
            },
            ingress(self.name, self.namespace, self.host, self.name, f"{self.name}-tls"),
        ]

    def _deployment(self) -> Object:
        arguments = [self.kind, "--name", self.title, "--host", "0.0.0.0", "--port", "8080"]
        arguments += ["--token-file", "/token/token", "--dump", "/state/dump.json"]
        container = {
            "name": "system",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "args": arguments,
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "384Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "token", "mountPath": "/token", "readOnly": True},
                {"name": "state", "mountPath": "/state", "readOnly": True},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }
        pod = {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,  # it dies as a machine dies, and as quickly
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [
                {"name": "token", "secret": {"secretName": f"{self.name}-token"}},
                {"name": "state", "configMap": {"name": f"{self.name}-state"}},
                {"name": "tmp", "emptyDir": {}},
            ],
        }
        labels = {"app": self.name}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "spec": {
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }


def secret(name: str, namespace: str, data: dict[str, str], kind: str = "Opaque") -> Object:
    """A Secret with plain-text values."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "stringData": data}


def ingress(name: str, namespace: str, host: str, service: str, tls_secret: str) -> Object:
    """An Ingress of class nginx that sends a host to a Service, with TLS."""
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": tls_secret}],
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    }
