"""One replica of the operator as a real process, and tenants for it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.apiserver.api import Api, Object, collection
from tests.apiserver.gateway import DOMAIN, Gateway
from tests.waiting import until

LEASE_PATH = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"


class Replica:
    """`python -m bcp_operator` on this host, against the test cluster."""

    def __init__(self, kubeconfig: Path, own: str, watched: str, folder: Path, name: str, **settings: str) -> None:
        self.name = name
        self.port = free_port()
        self.log_file = folder / f"{name}.log"
        environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "POD_NAMESPACE": own,
            "POD_NAME": name,
            "WATCH_NAMESPACES": watched,
            "ALLOWED_HOSTS": f"127.0.0.1,*.{DOMAIN}",
            "INSECURE_HOSTS": "127.0.0.1",
            "BCP_SYNC_IMAGE": "registry.test/bcp-operator:dev",
            **settings,
        }
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bcp_operator", "--health-port", str(self.port), "--log-format", "json"],
                env=environment,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """Everything it has logged."""
        return self.log_file.read_text()

    def get(self, path: str) -> tuple[int, str]:
        """Ask /livez or /readyz; status 0 when nothing answers."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)
        except httpx.HTTPError as error:
            return 0, str(error)
        return answer.status_code, answer.text

    def ready(self) -> bool:
        """Says so itself, and lives."""
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log[-4000:]}"
        return self.get("/readyz")[0] == 200

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to stop and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not stop:\n{self.log[-4000:]}") from None


@contextmanager
def replica(
    kubeconfig: Path, own: str, watched: str, folder: Path, name: str = "one", **settings: str
) -> Iterator[Replica]:
    """A running replica, stopped at the end; `settings` are more of its environment."""
    made = Replica(kubeconfig, own, watched, folder, name, **settings)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Tenants:
    """Makes and changes tenants of one namespace."""

    def __init__(self, api: Api, namespace: str, gateway: Gateway) -> None:
        self.api, self.namespace, self.gateway = api, namespace, gateway
        self.path = collection(namespace, "bcptenants")

    def manifest(self, name: str, **spec: Any) -> Object:
        """A tenant with a Managed Ingress; keyword arguments replace parts of its spec."""

        def system(side: str) -> Object:
            return {
                "profile": "scim",
                "tenantID": f"{name}-{side}",
                "endpoint": self.gateway.endpoint(side),
                "insecure": True,
                "credentialsSecretRef": {"name": f"{name}-{side}"},
                "loginURL": self.gateway.page(side),
            }

        login = {
            "url": f"https://{name}.{DOMAIN}/",
            "connectTo": self.gateway.connect_to,
            "caRef": {"name": "web-ca"},
            "routes": [{"name": "web", "ingress": {"name": f"{name}-login"}}],
        }
        safety = {"rules": {"CoolDown": "Warn"}}
        whole = {"primary": system("primary"), "secondary": system("secondary"), "login": login, "safety": safety}
        return {
            "apiVersion": "bcp-operator.io/v1alpha1",
            "kind": "BCPTenant",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": whole | spec,
        }

    def create(self, name: str, **spec: Any) -> None:
        """Create one."""
        answer = self.api.create(self.path, self.manifest(name, **spec))
        assert answer.ok, answer.message

    def patch(self, name: str, spec: Object) -> None:
        """Merge-patch the spec."""
        answer = self.api.merge(f"{self.path}/{name}", {"spec": spec})
        assert answer.ok, answer.message

    def get(self, name: str) -> Object:
        """The object."""
        return self.api.get(f"{self.path}/{name}").body

    def status(self, name: str) -> Object:
        """Its status."""
        status: Object = self.get(name).get("status") or {}
        return status

    def condition(self, name: str, kind: str) -> Object:
        """One condition; empty when there is none."""
        found = [c for c in self.status(name).get("conditions", []) if c["type"] == kind]
        return found[0] if found else {}

    def wait_phase(self, name: str, phase: str, seconds: float = 20.0) -> Object:
        """Wait for a phase and return the status."""
        until(
            lambda: self.status(name).get("phase") == phase, lambda: f"{name} is {phase}: {self.status(name)}", seconds
        )
        return self.status(name)
