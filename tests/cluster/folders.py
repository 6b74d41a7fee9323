"""Where the test cluster keeps things: a cache that survives, a state folder that `down` removes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError

REPOSITORY = Path(__file__).resolve().parents[2]
GO_FOLDER = Path(__file__).resolve().parent / "go"

_INSTANCE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,18}[a-z0-9])?")
_LONGEST_STATE_PATH = 70  # containerd's socket and its ttrpc twin must fit in the 107 bytes of a socket path


@dataclass(frozen=True)
class Folders:
    """The folders of one cluster instance.

    Attributes:
        instance: name of the instance; `default` unless BCP_CLUSTER_INSTANCE says otherwise.
        state: everything a running cluster owns; removed by `down`.
        cache: built binaries, tools and images; shared by all instances, kept.
    """

    instance: str
    state: Path
    cache: Path

    @property
    def netns(self) -> Path:
        """The file the network namespace is bound to."""
        return self.state / "netns"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One log per component."""
        return self.state / "logs"

    @property
    def config(self) -> Path:
        """Rendered configuration files."""
        return self.state / "config"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, usable from the host through the forwarder."""
        return self.state / "admin.kubeconfig"

    @property
    def inside_kubeconfig(self) -> Path:
        """The administrator's kubeconfig for processes inside the namespace."""
        return self.config / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The apiserver's audit log, one JSON event a line."""
        return self.logs / "audit.log"

    @property
    def containerd_socket(self) -> Path:
        """The cluster's own containerd."""
        return self.state / "containerd" / "containerd.sock"

    @property
    def lock(self) -> Path:
        """Lock file that keeps two `up` or `down` of one instance apart; outlives the state folder."""
        return self.state.with_suffix(".lock")

    @property
    def users_lock(self) -> Path:
        """Held shared by every test session that uses the instance."""
        return self.state.with_suffix(".users")


def _base(variable: str, fallback: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / fallback


def resolve(instance: str | None = None) -> Folders:
    """Return the folders of an instance.

    Args:
        instance: name; None reads BCP_CLUSTER_INSTANCE, else `default`.

    Raises:
        ClusterError: the name is not a short DNS label.
    """
    name = instance or os.environ.get("BCP_CLUSTER_INSTANCE") or "default"
    if not _INSTANCE.fullmatch(name):
        raise ClusterError(f"BCP_CLUSTER_INSTANCE {name!r} must be a lower-case DNS label of at most 20 characters")
    state = _base("XDG_STATE_HOME", ".local/state") / "bcp-operator" / name
    return Folders(name, state, _base("XDG_CACHE_HOME", ".cache") / "bcp-operator")


def check_length(folders: Folders) -> None:
    """Refuse a state folder whose path is too long for containerd's socket.

    Raises:
        ClusterError: it is.
    """
    if len(str(folders.state)) > _LONGEST_STATE_PATH:
        raise ClusterError(
            f"the state folder {folders.state} is too long for a unix socket: set XDG_STATE_HOME to a shorter path"
        )


def write_changed(file: Path, text: str) -> None:
    """Write a configuration file only when its content changes: kube-proxy ends itself when its file is touched."""
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
