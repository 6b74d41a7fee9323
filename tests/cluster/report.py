"""What `status` and `env` print."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster import settings, tools
from tests.cluster.apiclient import ApiClient
from tests.cluster.controlplane import CONTROL_PLANE
from tests.cluster.errors import ClusterError
from tests.cluster.folders import Folders
from tests.cluster.ledger import Ledger


@dataclass(frozen=True)
class ComponentState:
    """One component: its name, process id, whether it runs, and its log."""

    name: str
    pid: int
    running: bool
    log: str


@dataclass(frozen=True)
class Status:
    """What runs of an instance.

    Attributes:
        instance: its name.
        running: the control plane's processes are all alive and the apiserver says it is ready.
        node_ready: the node says it is Ready; None when the cluster has no node.
        transient: a test session started it and its last user takes it down.
        components: every recorded component.
        kubeconfig: administrator's kubeconfig for the host.
        forwards: name -> port on 127.0.0.1 of the host.
    """

    instance: str
    running: bool
    node_ready: bool | None
    transient: bool
    components: tuple[ComponentState, ...]
    kubeconfig: str
    forwards: dict[str, int]

    def as_dict(self) -> dict[str, object]:
        """Return it as plain data."""
        return asdict(self)


def status(folders: Folders) -> Status:
    """Look at what is recorded and ask the apiserver."""
    ledger = Ledger.load(folders)
    states = tuple(
        ComponentState(name, process.pid, process.alive(), str(folders.logs / f"{name}.log"))
        for name, process in ledger.processes.items()
    )
    alive = {state.name for state in states if state.running}
    running, node_ready = False, None
    if alive.issuperset(CONTROL_PLANE):
        client = ApiClient(folders.pki, folders.netns)
        running = client.ready()
        if "kubelet" in ledger.processes:
            node_ready = client.node_ready(settings.NODE_NAME)
    kubeconfig = str(folders.kubeconfig)
    return Status(folders.instance, running, node_ready, ledger.transient, states, kubeconfig, ledger.forwards)


def as_text(report: Status) -> str:
    """Return the status for people."""
    if not report.components:
        return f"cluster {report.instance}: down"
    node = {None: "no node", True: "node Ready", False: "node not ready"}[report.node_ready]
    lines = [f"cluster {report.instance}: {'apiserver ready' if report.running else 'not ready'}, {node}"]
    for state in report.components:
        what = f"process {state.pid}" if state.running else "dead"
        lines.append(f"  {state.name:<24} {what:<16} {state.log}")
    return "\n".join(lines)


def environment(folders: Folders) -> dict[str, str]:
    """Return the variables that make kubectl, helm and the tests use this cluster.

    Raises:
        ClusterError: the cluster is down.
    """
    ledger = Ledger.load(folders)
    if not ledger.processes:
        raise ClusterError("the cluster is down: start it with `python -m tests.cluster up`")
    return {
        "KUBECONFIG": str(folders.kubeconfig),
        "BCP_FORWARD_HTTPS": f"127.0.0.1:{ledger.forwards['https']}",
        "BCP_FORWARD_HTTP": f"127.0.0.1:{ledger.forwards['http']}",
        "BCP_CA_FILE": str(folders.pki / "web-ca.crt"),
    }


def tool_folder(folders: Folders) -> Path:
    """Return the folder with kubectl and helm."""
    return tools.folder(tools.KUBECTL, folders.cache)


def exports(variables: dict[str, str], program_folder: Path) -> str:
    """Return shell lines that export the variables and put a folder in front of PATH."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(program_folder))}:"$PATH"'])
