"""How each component is started: pure lists of arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import settings
from tests.cluster.folders import Folders

CONTROLLERS = (
    "certificatesigningrequest-cleaner-controller",
    "certificatesigningrequest-signing-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
)


@dataclass(frozen=True)
class Component:
    """A long-running process of the cluster.

    Attributes:
        name: name in the ledger, the log file and `status`.
        argv: program and arguments.
        inside: runs in the network namespace from the start (the forwarder enters it by itself).
        env: variables on top of the caller's.
    """

    name: str
    argv: tuple[str, ...]
    inside: bool = True
    env: dict[str, str] = field(default_factory=dict)


def etcd(folders: Folders, binaries: Path) -> Component:
    """Return etcd; it need not survive a power cut, so it never waits for the disk."""
    client = f"http://127.0.0.1:{settings.ETCD_CLIENT_PORT}"
    peer = f"http://127.0.0.1:{settings.ETCD_PEER_PORT}"
    flags = [f"--data-dir={folders.state / 'etcd'}", "--unsafe-no-fsync", f"--listen-client-urls={client}"]
    flags += [f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"]
    flags += [f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}", "--log-level=warn"]
    return Component("etcd", (str(binaries / "etcd"), *flags))


def apiserver(folders: Folders, binaries: Path) -> Component:
    """Return the apiserver, bound to the node's address (kube-proxy owns the Service address)."""
    pki = folders.pki
    flags = {
        "etcd-servers": f"http://127.0.0.1:{settings.ETCD_CLIENT_PORT}",
        "bind-address": settings.NODE_ADDRESS,
        "advertise-address": settings.NODE_ADDRESS,
        "secure-port": settings.APISERVER_PORT,
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "client-ca-file": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet.crt",
        "kubelet-client-key": pki / "apiserver-kubelet.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": pki / "service-accounts.crt",
        "service-account-signing-key-file": pki / "service-accounts.key",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "service-cluster-ip-range": settings.SERVICE_CIDR,
        "allow-privileged": "true",
        "profiling": "false",
        "anonymous-auth": "false",
        "enable-aggregator-routing": "true",
        "audit-policy-file": folders.config / "audit.yaml",
        "audit-log-path": folders.audit_log,
        "audit-log-maxsize": 1000,  # MiB: one file, so that tests read it as a whole
        "shutdown-delay-duration": "0s",
    }
    return Component("kube-apiserver", (str(binaries / "kube-apiserver"), *_flags(flags)))


def controller_manager(folders: Folders, binaries: Path) -> Component:
    """Return the controller manager with the controllers that Jobs, Helm releases and volumes need."""
    kubeconfig = folders.config / "controller-manager.kubeconfig"
    flags = {
        **_own_kubeconfig(kubeconfig),
        "bind-address": "127.0.0.1",
        "secure-port": settings.CONTROLLER_MANAGER_PORT,
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": folders.pki / "service-accounts.key",
        "root-ca-file": folders.pki / "ca.crt",
        "cluster-signing-cert-file": folders.pki / "ca.crt",
        "cluster-signing-key-file": folders.pki / "ca.key",
        "controllers": ",".join(CONTROLLERS),
        "node-monitor-grace-period": "60s",
    }
    return Component("kube-controller-manager", (str(binaries / "kube-controller-manager"), *_flags(flags)))


def forwarder(folders: Folders, python: Sequence[str], forwards: dict[int, tuple[str, int]]) -> Component:
    """Return the process that carries connections from the host into the namespace.

    Args:
        folders: the instance.
        python: how to run a Python component.
        forwards: port on 127.0.0.1 of the host -> address and port inside.
    """
    rules = [f"{port}={address}:{target}" for port, (address, target) in forwards.items()]
    return Component("forwarder", (*python, "forwarder", str(folders.netns), *rules), inside=False)


def _own_kubeconfig(file: Path) -> dict[str, Path]:
    return {"kubeconfig": file, "authentication-kubeconfig": file, "authorization-kubeconfig": file}


def _flags(flags: dict[str, object] | dict[str, Path]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
