"""A fleet of tenants on the test cluster: everything the operator looks at, made by a client that imports nothing of it.

Each tenant has its own login host behind Traefik (a Managed Ingress), its own login pages at one of ten regions of a vendor,
and a daily sync, whose last run was a moment ago: CronJob, Lease, two ConfigMaps, a claim, a Job and a pod. Nothing runs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

Object = dict[str, Any]

AT_ONCE = 32
"""Requests of this client under way at a time: as many as the operator has workers."""
REGIONS = 10
LOGIN_DOMAIN = "login.test"
TRAEFIK = "10.99.0.2:443"
TENANT_LABEL = "bcp-operator.io/tenant"
LABELS = {"app.kubernetes.io/managed-by": "bcp-operator", "app.kubernetes.io/component": "sync"}
ELSEWHERE = "bench.test/nobody"
"""Manager of the seeded Jobs: the Job controller leaves them alone."""
PATHS = {
    "tenants": "/apis/bcp-operator.io/v1alpha1/namespaces/{}/bcptenants",
    "ingresses": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "leases": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "cronjobs": "/apis/batch/v1/namespaces/{}/cronjobs",
    "jobs": "/apis/batch/v1/namespaces/{}/jobs",
    "pods": "/api/v1/namespaces/{}/pods",
    "events": "/apis/events.k8s.io/v1/namespaces/{}/events",
    "secrets": "/api/v1/namespaces/{}/secrets",
    "configmaps": "/api/v1/namespaces/{}/configmaps",
}


class Bare:
    """The least a client can be: aiohttp, one request, one answer."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session, self._server = session, server

    @classmethod
    @asynccontextmanager
    async def connect(cls, kubeconfig: Path) -> AsyncIterator[Bare]:
        """With the client certificate of a kubeconfig."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(user["client-certificate-data"]))
            pair.write(base64.b64decode(user["client-key-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
        connector = aiohttp.TCPConnector(ssl=context, limit=AT_ONCE)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield cls(session, cluster["server"])

    async def send(self, method: str, path: str, body: Any = None, as_type: str = "json") -> Object:
        """One request; raises AssertionError unless it succeeds."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": f"application/{as_type}"}
        async with self._session.request(method, self._server + path, data=data, headers=headers) as answer:
            text = await answer.text()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text[:500]}"
            found: Object = json.loads(text)
            return found

    async def list(self, kind: str, namespace: str) -> list[Object]:
        """All objects of a kind."""
        items: list[Object] = []
        token = ""
        while True:
            page = await self.send("GET", f"{PATHS[kind].format(namespace)}?limit=500&continue={token}")
            items += page["items"]
            token = page["metadata"].get("continue") or ""
            if not token:
                return items


async def spread(work: Callable[[Any], Awaitable[object]], over: Iterable[Any], at_once: int = AT_ONCE) -> None:
    """Do the work for each, so many at a time."""
    left = iter(list(over))

    async def worker() -> None:
        for one in left:
            await work(one)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())


@dataclass(frozen=True)
class Fleet:
    """Tenants of one namespace; `pages` is the port of the vendor's pages on 127.0.0.1."""

    api: Bare
    namespace: str
    size: int
    pages: int

    @property
    def names(self) -> list[str]:
        """Of the tenants."""
        return [f"t{number:05d}" for number in range(self.size)]

    def host(self, name: str) -> str:
        """What its users type."""
        return f"{name}.{LOGIN_DOMAIN}"

    def page(self, name: str, side: str) -> str:
        """Its login page at one of the two systems."""
        return f"{self._region(name, side)}/{name}/login"

    def path(self, kind: str, name: str = "") -> str:
        """URL path of a collection or an object."""
        return PATHS[kind].format(self.namespace) + (f"/{name}" if name else "")

    async def prepare(self, ca_pem: str, certificate: tuple[str, str]) -> None:
        """What all tenants share."""
        ca = {"metadata": {"name": "web-ca"}, "data": {"ca.crt": ca_pem}}
        await self.api.send("POST", self.path("configmaps"), ca)
        data = {"tls.crt": certificate[0], "tls.key": certificate[1]}
        tls = {"metadata": {"name": "login-tls"}, "type": "kubernetes.io/tls", "stringData": data}
        await self.api.send("POST", self.path("secrets"), tls)

    async def enrol(self, name: str) -> None:
        """A tenant whose sync was enabled twelve hours ago: its next run is twelve hours away."""
        enabled = (datetime.now(UTC) - timedelta(hours=12)).isoformat(timespec="seconds")
        metadata = {"name": f"{name}-writer", "labels": {**LABELS, TENANT_LABEL: name}}
        metadata["annotations"] = {"bcp-operator.io/sync-enabled-at": enabled}
        await self.api.send("POST", self.path("leases"), {"metadata": metadata, "spec": {"holderIdentity": ""}})
        await self.api.send("POST", self.path("tenants"), self._tenant(name))

    async def last_run(self, name: str) -> None:
        """A run that has just succeeded: its Job and its pod, as they stay for days."""
        begun, ended = (datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") for _ in range(2))
        labels = {**LABELS, TENANT_LABEL: name}
        pod = {
            "restartPolicy": "Never",
            "containers": [{"name": "bcp-sync", "image": "registry.test/bcp-operator:dev", "securityContext": _SECURE}],
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        }
        template = {"metadata": {"labels": labels}, "spec": pod}
        job = {"metadata": {"name": f"{name}-sync-1", "labels": labels}}
        job["spec"] = {"managedBy": ELSEWHERE, "template": template}
        await self.api.send("POST", self.path("jobs"), job)
        labels = labels | {"batch.kubernetes.io/job-name": f"{name}-sync-1"}
        await self.api.send(
            "POST", self.path("pods"), {"metadata": {"name": f"{name}-sync-1-x", "labels": labels}, "spec": pod}
        )
        report = {"result": "Succeeded", "startTime": begun, "seconds": 1.0, "message": "nothing has changed"}
        terminated = {"exitCode": 0, "reason": "Completed", "message": json.dumps(report)}
        container = {"name": "bcp-sync", "image": "x", "imageID": "x", "ready": False, "restartCount": 0}
        status: Object = {"phase": "Succeeded", "startTime": begun}
        status["containerStatuses"] = [container | {"state": {"terminated": terminated}}]
        await self._status("pods", f"{name}-sync-1-x", status)
        done = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
        await self._status(
            "jobs",
            f"{name}-sync-1",
            {"startTime": begun, "completionTime": ended, "succeeded": 1, "conditions": done}
            | {"uncountedTerminatedPods": {}},
        )

    async def ask(self, name: str, side: str, reason: str) -> None:
        """What an administrator's `kubectl patch` of the failover field does."""
        asked: Object = {"activeSystem": side, "reason": reason, "requestedAt": datetime.now(UTC).isoformat()}
        if side == "Primary":
            asked["secondaryChanges"] = "Discard"
        body = {"spec": {"failover": asked}}
        await self.api.send("PATCH", self.path("tenants", name), body, "merge-patch+json")

    async def _status(self, kind: str, name: str, status: Object) -> None:
        path = self.path(kind, name) + "/status"
        await self.api.send("PATCH", path, {"status": status}, "merge-patch+json")

    def _region(self, name: str, side: str) -> str:
        return f"http://127.0.0.1:{self.pages}/{side.lower()}/{int(name[1:]) % REGIONS}"

    def _tenant(self, name: str) -> Object:
        def system(side: str) -> Object:
            return {
                "profile": "scim",
                "tenantID": f"{name}-{side}",
                "endpoint": self._region(name, side),
                "insecure": True,
                "credentialsSecretRef": {"name": f"{name}-{side.lower()}"},
                "loginURL": self.page(name, side),
                "health": {"path": "/health"},
            }

        route = {"name": f"{name}-login", "className": "nginx", "tlsSecretName": "login-tls"}
        spec = {
            "primary": system("Primary"),
            "secondary": system("Secondary"),
            "sync": {"enabled": True},
            "login": {
                "url": f"https://{self.host(name)}/",
                "connectTo": TRAEFIK,
                "caRef": {"name": "web-ca"},
                "routes": [{"name": "web", "ingress": route}],
            },
            "safety": {"rules": {"CoolDown": "Warn"}},
        }
        return {
            "apiVersion": "bcp-operator.io/v1alpha1",
            "kind": "BCPTenant",
            "metadata": {"name": name},
            "spec": spec,
        }


_SECURE = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@asynccontextmanager
async def vendor() -> AsyncIterator[int]:
    """Both systems' health and login pages; the port on 127.0.0.1."""

    async def answer(request: web.Request) -> web.Response:
        del request
        return web.Response(text="a page")

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def sent_to(fleet: Fleet, ca_pem: str) -> dict[str, str]:
    """Where users of each login host are sent now, as an outside client sees it: a new connection, real TLS, no following."""
    found: dict[str, str] = {}
    context = ssl.create_default_context(cadata=ca_pem)
    connector = aiohttp.TCPConnector(ssl=context, force_close=True, resolver=_AtTraefik())
    async with aiohttp.ClientSession(connector=connector) as session:

        async def look(name: str) -> None:
            async with session.get(f"https://{fleet.host(name)}/", allow_redirects=False) as answer:
                found[name] = answer.headers.get("Location", str(answer.status))

        await spread(look, fleet.names, 8)
    return found


class _AtTraefik(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        address = TRAEFIK.partition(":")[0]
        return [{"hostname": host, "host": address, "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing to close."""
