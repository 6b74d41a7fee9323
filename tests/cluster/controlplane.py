"""Brings up etcd, the apiserver and the controller manager, and the way to them from the host."""

from __future__ import annotations

import socket
from pathlib import Path

import yaml

from tests.cluster import audit, binaries, components, kubeconfig, netns, pki, settings, tools
from tests.cluster.apiclient import ApiClient, wait_until
from tests.cluster.folders import Folders, write_changed
from tests.cluster.forwarder import listen
from tests.cluster.jobs import Jobs
from tests.cluster.ledger import Ledger
from tests.cluster.progress import Timings, say
from tests.cluster.supervisor import PYTHON, Supervisor

FORWARDED = {
    "apiserver": (settings.NODE_ADDRESS, settings.APISERVER_PORT),
    "https": (settings.NODE_ADDRESS, settings.HTTPS_PORT),
    "http": (settings.NODE_ADDRESS, settings.HTTP_PORT),
}
CONTROL_PLANE = ("forwarder", "etcd", "kube-apiserver", "kube-controller-manager")


def fetch(folders: Folders, jobs: Jobs, timings: Timings) -> dict[str, Path]:
    """Build or find the control plane's programs and the command line tools; return folder by name."""
    with jobs.alongside(lambda: tools.ensure(tools.KUBECTL, folders.cache, jobs, timings)) as kubectl:
        found = {
            program.folder: binaries.ensure(program, folders.cache, jobs, timings)
            for program in binaries.CONTROL_PLANE_PROGRAMS
        }
        return {**found, "kubectl": kubectl.result()}


def prepare(folders: Folders, ledger: Ledger) -> None:
    """Make the namespace, keys and configuration files that don't exist yet."""
    netns.ensure(folders.netns)
    pki.create_all(folders.pki)
    folders.config.mkdir(parents=True, exist_ok=True)
    folders.logs.mkdir(parents=True, exist_ok=True)
    write_changed(folders.config / "audit.yaml", yaml.safe_dump(audit.policy()))
    inside = f"https://{settings.NODE_ADDRESS}:{settings.APISERVER_PORT}"
    for client in ("admin", "controller-manager", "scheduler", "kubelet", "proxy"):
        kubeconfig.write(folders.config / f"{client}.kubeconfig", inside, folders.pki, client)
    if not ledger.forwards:
        with ledger.changing():
            ledger.forwards = _free_ports()
    kubeconfig.write(folders.kubeconfig, host_server(ledger), folders.pki, "admin")


def host_server(ledger: Ledger) -> str:
    """Return the apiserver's URL for the host."""
    return f"https://127.0.0.1:{ledger.forwards['apiserver']}"


def _free_ports() -> dict[str, int]:
    """Return a free host port for each forward; all are held until all are chosen."""
    listeners: dict[str, socket.socket] = {name: listen(0) for name in FORWARDED}
    ports = {name: int(listener.getsockname()[1]) for name, listener in listeners.items()}
    for listener in listeners.values():
        listener.close()
    return ports


def start_early(folders: Folders, ledger: Ledger, supervisor: Supervisor, found: dict[str, Path]) -> None:
    """Start what needs no apiserver."""
    rules = {ledger.forwards[name]: target for name, target in FORWARDED.items()}
    supervisor.start(components.forwarder(folders, PYTHON, rules))
    if supervisor.start(components.etcd(folders, found["etcd"])):
        wait_until(
            lambda: _listens(folders, "127.0.0.1", settings.ETCD_CLIENT_PORT),
            settings.APISERVER_READY_SECONDS,
            "etcd opens its port",
            lambda: supervisor.dead(["etcd"]),
        )
    supervisor.start(components.apiserver(folders, found["controlplane"]))


def wait_apiserver(client: ApiClient, supervisor: Supervisor) -> None:
    """Wait until the apiserver is ready."""
    wait_until(
        client.ready,
        settings.APISERVER_READY_SECONDS,
        "the apiserver becomes ready",
        lambda: supervisor.dead(["forwarder", "etcd", "kube-apiserver"]),
    )
    say("apiserver ready")


def start_controllers(folders: Folders, supervisor: Supervisor, found: dict[str, Path]) -> None:
    """Start the controller manager."""
    supervisor.start(components.controller_manager(folders, found["controlplane"]))


def wait_controllers(client: ApiClient, supervisor: Supervisor) -> None:
    """Wait until the controller manager serves new namespaces."""
    wait_until(
        lambda: client.exists("/api/v1/namespaces/default/serviceaccounts/default"),
        settings.APISERVER_READY_SECONDS,
        "the controller manager works",
        lambda: supervisor.dead(CONTROL_PLANE),
    )
    say("controller manager works")


def _listens(folders: Folders, address: str, port: int) -> bool:
    try:
        netns.connect(folders.netns, address, port, 1.0).close()
    except OSError:
        return False
    return True
