"""Brings up the node: containerd, kubelet, kube-proxy, DNS, Ingress and Gateway controller, volumes."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.cluster import (
    addons,
    archive,
    binaries,
    cgroups,
    hoststate,
    hosttraces,
    netns,
    nodeconfig,
    nodeparts,
    packages,
    settings,
    tools,
)
from tests.cluster.apiclient import ApiClient, wait_until
from tests.cluster.folders import Folders, write_changed
from tests.cluster.jobs import Jobs
from tests.cluster.ledger import Ledger
from tests.cluster.progress import Timings, say
from tests.cluster.supervisor import PYTHON, Supervisor

PARTS = ("containerd", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "traefik", "volume-provisioner")


def fetch(folders: Folders, jobs: Jobs, timings: Timings) -> dict[str, Path]:
    """Build or find the node's programs; return folder by name."""
    found = {
        program.folder: binaries.ensure(program, folders.cache, jobs, timings) for program in binaries.NODE_PROGRAMS
    }
    return {**found, "traefik": tools.ensure(tools.TRAEFIK, folders.cache, jobs, timings)}


def prepare(folders: Folders) -> None:
    """Write the configuration files; remember the kernel settings that kubelet changes; make the cgroup."""
    hosttraces.refuse_real_node()
    hoststate.claim(folders)
    layout = cgroups.detect()
    say(f"this host has cgroup version {layout.version}")
    cgroups.create(layout, folders.instance)
    kubelet = nodeconfig.kubelet(folders, cgroups.folder_name(folders.instance))
    texts = {
        "cni/10-lab.conflist": nodeconfig.cni(folders),
        "containerd.toml": nodeconfig.containerd(folders, packages.program("runc")),
        "kubelet.yaml": yaml.safe_dump(kubelet),
        "proxy.yaml": yaml.safe_dump(nodeconfig.proxy(folders)),
        "Corefile": nodeconfig.corefile(folders.inside_kubeconfig),
        "resolv.conf": f"nameserver {settings.DNS_SERVICE_ADDRESS}\n",
    }
    for name, text in texts.items():
        write_changed(folders.config / name, text)


def start_containerd(
    folders: Folders, ledger: Ledger, supervisor: Supervisor, found: dict[str, Path], jobs: Jobs
) -> None:
    """Start containerd and load the image that holds a pod's namespaces."""
    if not ledger.running("containerd"):
        folders.containerd_socket.unlink(missing_ok=True)  # a killed one leaves its socket
        supervisor.start(nodeparts.containerd(folders, packages.program("containerd")))
    wait_until(
        folders.containerd_socket.exists,
        settings.NODE_READY_SECONDS,
        "containerd opens its socket",
        lambda: supervisor.dead(["containerd"]),
    )
    if nodeconfig.PAUSE_IMAGE not in ledger.images:
        file = folders.state / "pause.tar"
        archive.write_single_program(file, nodeconfig.PAUSE_IMAGE, found["pause"] / "pause")
        jobs.run("load-pause", [*ctr(folders), "images", "import", str(file)])
        with ledger.changing():
            ledger.images[nodeconfig.PAUSE_IMAGE] = file.name


def ctr(folders: Folders) -> list[str]:
    """Return the arguments of ctr for the cluster's own containerd."""
    return ["ctr", "--address", str(folders.containerd_socket), "--namespace", "k8s.io"]


def start(folders: Folders, client: ApiClient, supervisor: Supervisor, found: dict[str, Path]) -> None:
    """Start everything else on the node; needs a ready apiserver and containerd."""
    kubernetes = found["controlplane"]
    supervisor.start(nodeparts.kubelet(folders, kubernetes))
    supervisor.start(nodeparts.scheduler(folders, kubernetes))
    supervisor.start(nodeparts.proxy(folders, kubernetes))
    supervisor.start(nodeparts.coredns(folders, found["coredns"]))
    supervisor.start(nodeparts.provisioner(folders, PYTHON))
    addons.install(client)
    wait_until(
        lambda: addons.gateway_api_served(client),
        settings.APISERVER_READY_SECONDS,
        "the apiserver serves the Gateway API",
        lambda: None,
    )
    addons.install_gateway_class(client)
    supervisor.start(nodeparts.traefik(folders, found["traefik"]))


def wait(folders: Folders, client: ApiClient, supervisor: Supervisor) -> None:
    """Wait until the node is Ready and DNS and Traefik serve."""
    node = settings.NODE_ADDRESS
    conditions: dict[str, Callable[[], bool]] = {
        "the node becomes Ready": lambda: client.node_ready(settings.NODE_NAME),
        "CoreDNS serves": lambda: http_ok(folders, node, settings.COREDNS_READY_PORT, "/ready"),
        "Traefik serves": lambda: http_ok(folders, "127.0.0.1", settings.TRAEFIK_PING_PORT, "/ping"),
    }
    for what, condition in conditions.items():
        wait_until(condition, settings.NODE_READY_SECONDS, what, lambda: supervisor.dead(PARTS))
        say(what)


def http_ok(folders: Folders, address: str, port: int, path: str) -> bool:
    """Whether an address inside answers a GET with 200."""
    try:
        connection = http.client.HTTPConnection(address, port, timeout=2.0)
        connection.sock = netns.connect(folders.netns, address, port, 2.0)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
