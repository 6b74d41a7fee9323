"""A whole installation on a cluster: rented systems, the operator from its chart, tenants. The demo and the e2e tests stand on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.systems.deploy import NAMESPACE as SYSTEMS
from tests.systems.deploy import Object, RentedSystem, secret
from tests.systems.kubeapi import KubeApi
from tests.systems.reader import AGENT, Directory
from tests.systems.tenants import TEAM
from tests.systems.web import Net, Request, access_log, ask
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "bcp-operator"
OPERATOR = "bcp-system"
RELEASE = "bcp-operator"
CA = "test-ca"
TRAEFIK = "10.99.0.2"
OPERATOR_PODS = "app.kubernetes.io/component=operator"


class ClusterTool(Protocol):
    """What is needed of the cluster tool."""

    @property
    def kubeconfig(self) -> Path: ...
    @property
    def ca_pem(self) -> str: ...
    def issue_cert(self, hosts: Sequence[str]) -> tuple[str, str]: ...
    def forward(self, address: str, port: int) -> int: ...
    def environment(self) -> dict[str, str]: ...
    def enter(self) -> list[str]: ...
    @property
    def audit_log(self) -> Path: ...


@dataclass
class Stack:
    """One installation; methods are what a platform engineer, an administrator or a disaster does."""

    cluster: ClusterTool
    systems: dict[str, RentedSystem] = field(default_factory=dict)
    audit_from: int = 0

    @cached_property
    def api(self) -> KubeApi:
        """The API as cluster administrator."""
        return KubeApi(self.cluster.kubeconfig)

    @cached_property
    def net(self) -> Net:
        """How the outside world reaches the cluster's edge: real names and real TLS, through the forwarder."""
        return Net(ca=self.cluster.ca_pem, forward={443: ("127.0.0.1", self.cluster.forward(TRAEFIK, 443))})

    def run(self, *command: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a tool (kubectl, helm, bash) against the cluster; raises RuntimeError with what it said when it fails."""
        environment = {**os.environ, **self.cluster.environment()}
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, timeout=300, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)[:300]}\n{done.stdout}{done.stderr}")
        return done

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the team's namespace."""
        return self.run("kubectl", "-n", TEAM, *arguments, stdin=stdin, check=check)

    def start_over(self) -> None:
        """Remove what an earlier installation left on this cluster; harmless when there is nothing."""
        if self.run("helm", "status", RELEASE, "--namespace", OPERATOR, check=False).returncode == 0:
            self.run("helm", "uninstall", RELEASE, "--namespace", OPERATOR, "--wait", "--timeout", "60s")
        if self.run("kubectl", "get", "crd", "bcptenants.bcp-operator.io", check=False).returncode == 0:
            for tenant in self.api.list("BCPTenant", TEAM):
                self.api.patch("BCPTenant", TEAM, tenant["metadata"]["name"], {"metadata": {"finalizers": None}})
        self.api.delete("Lease", OPERATOR, "bcp-operator-leader")
        for name in (TEAM, SYSTEMS):
            self.api.delete("Namespace", None, name)
        for name in (TEAM, SYSTEMS):
            self.api.wait_gone("Namespace", None, name, 90)
        self.api.list("Pod", OPERATOR)
        self.audit_from = self.cluster.audit_log.stat().st_size

    def namespaces(self) -> None:
        """The three namespaces, all of them demanding `restricted` pods."""
        for name in (OPERATOR, TEAM, SYSTEMS):
            labels = {"pod-security.kubernetes.io/enforce": "restricted"}
            self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        ca = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CA, "namespace": TEAM}}
        self.api.apply({**ca, "data": {"ca.crt": self.cluster.ca_pem}})

    def rent(self, *systems: RentedSystem) -> None:
        """Deploy systems, and hand their credentials to the team; `ready` waits for them."""
        for system in systems:
            self.systems[system.name] = system
            for manifest in system.manifests(self.cluster.issue_cert([system.host])):
                self.api.apply(manifest)
            self.api.apply(system.credentials(TEAM))

    def ready(self, *names: str, deadline_seconds: float = 90) -> None:
        """Wait until the login pages of these systems (none = all) are shown to the outside."""
        for name in names or tuple(self.systems):
            system = self.systems[name]
            until(lambda s=system: self.shows(s.login_url), f"{system.login_url} shows its page", deadline_seconds)  # type: ignore[misc]

    def shows(self, url: str) -> bool:
        """The edge serves this page, with a certificate for its name."""
        try:
            return ask(url, self.net).status == 200
        except OSError:
            return False

    def certificate(self, name: str, host: str) -> None:
        """A TLS Secret for a login host, in the team's namespace."""
        cert, key = self.cluster.issue_cert([host])
        self.api.apply(secret(name, TEAM, {"tls.crt": cert, "tls.key": key}, "kubernetes.io/tls"))

    def install(self, allowed_hosts: Iterable[str], **values: Any) -> None:
        """Install the operator from its Helm chart and wait until both replicas are ready."""
        image = {"repository": "localhost/bcp-operator", "tag": "dev", "pullPolicy": "IfNotPresent"}
        wanted = {
            "image": image,
            "watchNamespaces": [TEAM],
            "allowedHosts": list(allowed_hosts),
            "networkPolicy": {"egressPorts": [6443, 5353]},
            **values,
        }
        command = ["helm", "upgrade", "--install", RELEASE, str(CHART), "--namespace", OPERATOR, "--values", "-"]
        self.run(*command, "--wait", "--timeout", "120s", stdin=yaml.safe_dump(wanted))

    def apply(self, *manifests: Object) -> None:
        """`kubectl apply`, as a person or a pipeline does it."""
        text = "\n---\n".join(yaml.safe_dump(m, allow_unicode=True) for m in manifests)
        self.kubectl("apply", "-f", "-", stdin=text)

    def tenant(self, name: str) -> Object:
        """The BCPTenant as it is now; raises AssertionError when it is not there."""
        found = self.api.get("BCPTenant", TEAM, name)
        assert found is not None, f"BCPTenant {name} does not exist"
        return found

    def status(self, name: str) -> Object:
        """Its status; empty when there is none yet."""
        status: Object = self.tenant(name).get("status") or {}
        return status

    def directory(self, name: str) -> Directory:
        """The independent reader's view of a SCIM system."""
        system = self.systems[name]
        return Directory(system.endpoint, system.token, self.net)

    def pods(self, namespace: str, selector: str) -> list[Object]:
        """Pods by label that are not on their way out."""
        return [p for p in self.api.list("Pod", namespace, selector) if "deletionTimestamp" not in p["metadata"]]

    def requests(self, name: str) -> list[Request]:
        """The access log of a system's running pod, without what the tests' own reader asked."""
        pods = self.pods(SYSTEMS, f"app={name}")
        assert pods, f"{name} is not running"
        log = access_log(self.api.logs(SYSTEMS, pods[0]["metadata"]["name"]).splitlines())
        return [r for r in log if r.agent != AGENT]

    def kill(self, name: str) -> None:
        """The disaster: the system is gone, and its login page with it."""
        self.scale(SYSTEMS, name, 0)
        system = self.systems[name]
        until(lambda: not self.shows(system.login_url), f"{system.login_url} is dead", 30)

    def revive(self, name: str) -> None:
        """The system comes back with the state of its dump."""
        self.scale(SYSTEMS, name, 1)
        self.ready(name)

    def audit(self) -> list[Object]:
        """What the API server wrote down of the operator's requests since `start_over`."""
        user = f"system:serviceaccount:{OPERATOR}:{RELEASE}"
        with self.cluster.audit_log.open("rb") as log:
            log.seek(self.audit_from)
            lines = [line for line in log if line.endswith(b"\n") and user.encode() in line]
        return [e for e in map(json.loads, lines) if e["user"]["username"] == user]

    def leader(self) -> str:
        """Name of the pod that holds the operator's Lease."""
        lease = self.api.get("Lease", OPERATOR, "bcp-operator-leader")
        name: str = (lease or {}).get("spec", {}).get("holderIdentity", "")
        return next(
            (p["metadata"]["name"] for p in self.pods(OPERATOR, OPERATOR_PODS) if p["metadata"]["name"] in name), ""
        )

    def kill_minus_nine(self, pod: str) -> float:
        """SIGKILL the operator's process in a pod, from the node: no farewell. Returns the monotonic time of it."""
        found = self.api.get("Pod", OPERATOR, pod)
        assert found is not None, f"pod {pod} does not exist"
        uid = found["metadata"]["uid"]
        victims = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _is_operator(p, uid)]
        assert victims, f"no operator process of pod {pod} on this node"
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        return time.monotonic()

    def scale(self, namespace: str, deployment: str, replicas: int, deadline_seconds: float = 60) -> None:
        """Scale a Deployment; to nothing = wait until its pods are gone, else until all are ready."""
        self.api.patch("Deployment", namespace, deployment, {"spec": {"replicas": replicas}})
        if replicas:
            self.api.wait(
                "Deployment",
                namespace,
                deployment,
                lambda d: d["status"].get("readyReplicas") == replicas == d["status"].get("replicas"),
                f"{replicas} ready",
                deadline_seconds,
            )
            return
        labels = (self.api.get("Deployment", namespace, deployment) or {})["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{k}={v}" for k, v in labels.items())
        until(lambda: not self.api.list("Pod", namespace, selector), f"{deployment} gone", deadline_seconds)

    def patch(self, tenant: str, failover: Object) -> Object:
        """What an administrator's `kubectl patch` of the failover field does, without the start of a process."""
        return self.api.patch("BCPTenant", TEAM, tenant, {"spec": {"failover": failover}})


def _is_operator(process: Path, pod_uid: str) -> bool:
    try:
        cgroup = (process / "cgroup").read_text().replace("_", "-")
        command = (process / "cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return False
    return pod_uid in cgroup and b"bcp-operator" in command
