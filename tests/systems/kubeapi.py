"""The Kubernetes API for tests and demo, over a kept connection: quick enough to watch a switch go by. Imports nothing of the operator."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import yaml

from tests.waiting import until

Object = dict[str, Any]
T = TypeVar("T")

PLURALS = {
    "BCPTenant": ("bcp-operator.io/v1alpha1", "bcptenants"),
    "SyncPolicy": ("bcp-operator.io/v1alpha1", "syncpolicies"),
    "CronJob": ("batch/v1", "cronjobs"),
    "Job": ("batch/v1", "jobs"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    "Ingress": ("networking.k8s.io/v1", "ingresses"),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "httproutes"),
    "DNSEndpoint": ("externaldns.k8s.io/v1alpha1", "dnsendpoints"),
    "Gateway": ("gateway.networking.k8s.io/v1", "gateways"),
    "Deployment": ("apps/v1", "deployments"),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "Event": ("events.k8s.io/v1", "events"),
    "Pod": ("v1", "pods"),
    "ConfigMap": ("v1", "configmaps"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "Namespace": ("v1", "namespaces"),
}


class ApiError(Exception):
    """The API server refused; `status` is the HTTP status, the text is its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class KubeApi:
    """One kubeconfig's view of the API. Safe to use from several threads: each has a connection of its own."""

    def __init__(self, kubeconfig: str | Path) -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text())
        context = next(c["context"] for c in config["contexts"] if c["name"] == config["current-context"])
        cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
        user = next(u["user"] for u in config["users"] if u["name"] == context["user"])
        self.server = urlsplit(cluster["server"])
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._tls = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority", kubeconfig))
        if "client-certificate" in user or "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
                pair.write(_pem(user, "client-certificate", kubeconfig) + "\n" + _pem(user, "client-key", kubeconfig))
                pair.flush()
                self._tls.load_cert_chain(pair.name)
        self._local = threading.local()

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request; raises ApiError on any status from 400 on."""
        headers = {"Content-Type": content_type, "Accept": "application/json", **self._headers}
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self._checked(*self._send(method, path, data, headers)))

    def _checked(self, status: int, raw: bytes) -> str:
        text = raw.decode(errors="replace")
        if status >= 400:
            raise ApiError(status, str(json.loads(text).get("message", "")) if text.startswith("{") else text)
        return text

    def _send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        kept = getattr(self._local, "connection", None)
        for connection in (kept, self._fresh()) if kept is not None else (self._fresh(),):
            try:
                connection.request(method, path, body=data, headers=headers)
                response = connection.getresponse()
                self._local.connection = connection
                return response.status, response.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                if connection is not kept:
                    raise
        raise AssertionError("unreachable")

    def _fresh(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.server.hostname or "", self.server.port, context=self._tls, timeout=30)

    def path(self, kind: str, namespace: str | None, name: str = "", sub: str = "") -> str:
        """URL path of an object, or of its collection without a name."""
        version, plural = PLURALS[kind]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        inside = f"/namespaces/{namespace}" if namespace and kind != "Namespace" else ""
        return f"{root}{inside}/{plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """The object, or None when there is none."""
        try:
            found: Object = self.call("GET", self.path(kind, namespace, name))
        except ApiError as problem:
            if problem.status == 404:
                return None
            raise
        return found

    def list(self, kind: str, namespace: str | None, selector: str = "") -> list[Object]:
        """All objects of a kind, by label selector."""
        query = f"?labelSelector={quote(selector)}" if selector else ""
        items: list[Object] = self.call("GET", self.path(kind, namespace) + query)["items"]
        return items

    def create(self, obj: Object) -> Object:
        """Create an object; raises ApiError 409 when there is one."""
        made: Object = self.call("POST", self.path(obj["kind"], obj["metadata"].get("namespace")), obj)
        return made

    def patch(self, kind: str, namespace: str | None, name: str, body: Object, sub: str = "") -> Object:
        """JSON merge patch."""
        path = self.path(kind, namespace, name, sub)
        changed: Object = self.call("PATCH", path, body, "application/merge-patch+json")
        return changed

    def apply(self, obj: Object, manager: str = "tests", force: bool = True) -> Object:
        """Server-side apply."""
        path = self.path(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])
        path += f"?fieldManager={manager}&force={'true' if force else 'false'}"
        applied: Object = self.call("PATCH", path, obj, "application/apply-patch+yaml")
        return applied

    def delete(self, kind: str, namespace: str | None, name: str, grace_seconds: int | None = None) -> None:
        """Delete an object in the background; nothing happens when there is none."""
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            self.call("DELETE", self.path(kind, namespace, name), body)
        except ApiError as problem:
            if problem.status != 404:
                raise

    def logs(self, namespace: str, pod: str, container: str = "") -> str:
        """What a pod's container wrote."""
        query = f"?container={container}" if container else ""
        return self._checked(
            *self._send("GET", self.path("Pod", namespace, pod, "log") + query, None, dict(self._headers))
        )

    def wait(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        condition: Callable[[Object], Any],
        what: str,
        deadline_seconds: float = 30,
    ) -> Object:
        """Look until the condition holds for the object; raises AssertionError with its status when it does not in time."""
        seen: Object | None = None

        def look() -> Object | None:
            nonlocal seen
            seen = self.get(kind, namespace, name)
            return seen if seen is not None and condition(seen) else None

        try:
            return until(look, what, deadline_seconds)
        except AssertionError as problem:
            state = (
                "it does not exist" if seen is None else json.dumps(seen.get("status"), indent=1, ensure_ascii=False)
            )
            raise AssertionError(f"{kind} {name}: {problem}\n{state}") from None

    def wait_gone(self, kind: str, namespace: str | None, name: str, deadline_seconds: float = 30) -> None:
        """Look until the object is gone."""
        until(lambda: self.get(kind, namespace, name) is None, f"{kind} {name} gone", deadline_seconds)


def _pem(part: Object, key: str, kubeconfig: str | Path) -> str:
    if f"{key}-data" in part:
        return base64.b64decode(part[f"{key}-data"]).decode()
    return (Path(kubeconfig).parent / str(part[key])).read_text()
