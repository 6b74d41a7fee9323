"""How the node's components are started: pure lists of arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.cluster import settings
from tests.cluster.components import Component
from tests.cluster.folders import Folders


def containerd(folders: Folders, program: str) -> Component:
    """Return containerd."""
    return Component("containerd", (program, "--config", str(folders.config / "containerd.toml")))


def kubelet(folders: Folders, binaries: Path) -> Component:
    """Return kubelet; its node address must not be loopback, else `kubectl logs` finds no way."""
    root = folders.state / "kubelet"
    flags = [f"--config={folders.config / 'kubelet.yaml'}", f"--kubeconfig={folders.config / 'kubelet.kubeconfig'}"]
    flags += [f"--root-dir={root}", f"--cert-dir={root / 'pki'}", f"--hostname-override={settings.NODE_NAME}"]
    flags += [f"--node-ip={settings.NODE_ADDRESS}"]
    return Component("kubelet", (str(binaries / "kubelet"), *flags), env=_with_system_folders())


def proxy(folders: Folders, binaries: Path) -> Component:
    """Return kube-proxy."""
    argv = (str(binaries / "kube-proxy"), f"--config={folders.config / 'proxy.yaml'}")
    return Component("kube-proxy", argv, env=_with_system_folders())


def coredns(folders: Folders, binaries: Path) -> Component:
    """Return CoreDNS, a host process behind the Service address of the cluster's DNS."""
    return Component("coredns", (str(binaries / "coredns"), "-conf", str(folders.config / "Corefile")))


def traefik(folders: Folders, tools: Path) -> Component:
    """Return Traefik as the controller of Ingresses of class `nginx` and of the Gateway API.

    Its throttle keeps its default of 2 s, as in production: bursts of changes are batched.
    """
    node = settings.NODE_ADDRESS
    flags = [f"--entrypoints.web.address={node}:{settings.HTTP_PORT}"]
    flags += [f"--entrypoints.websecure.address={node}:{settings.HTTPS_PORT}", "--entrypoints.websecure.http.tls=false"]
    flags += [f"--entrypoints.ping.address=127.0.0.1:{settings.TRAEFIK_PING_PORT}", "--ping.entrypoint=ping"]
    flags += ["--providers.kubernetesingressnginx.httpentrypoint=web"]
    flags += ["--providers.kubernetesingressnginx.httpsentrypoint=websecure"]
    flags += [f"--providers.kubernetesingressnginx.publishstatusaddress={node}"]
    flags += [f"--providers.kubernetesgateway.statusaddress.ip={node}"]
    flags += [f"--accesslog.filepath={folders.logs / 'traefik-access.log'}", "--accesslog.format=json"]
    flags += ["--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=INFO"]
    environment = {"KUBECONFIG": str(folders.inside_kubeconfig)}
    return Component("traefik", (str(tools / "traefik"), *flags), env=environment)


def provisioner(folders: Folders, python: Sequence[str]) -> Component:
    """Return the volume provisioner."""
    argv = (*python, "volume-provisioner", str(folders.pki), str(folders.state / "volumes"))
    return Component("volume-provisioner", argv)


def scheduler(folders: Folders, binaries: Path) -> Component:
    """Return the scheduler."""
    kubeconfig = folders.config / "scheduler.kubeconfig"
    flags = [
        f"--{name}={kubeconfig}" for name in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    ]
    flags += ["--bind-address=127.0.0.1", f"--secure-port={settings.SCHEDULER_PORT}", "--leader-elect=false"]
    return Component("kube-scheduler", (str(binaries / "kube-scheduler"), *flags))


def _with_system_folders() -> dict[str, str]:
    """Return a PATH with the folders that hold nft, mount and the like."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
