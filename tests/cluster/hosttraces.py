"""What kubelet and containerd insist on putting outside the state folder, and how it goes away again."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from pathlib import Path
from typing import Final

from tests.cluster.errors import ClusterError
from tests.cluster.folders import Folders

KUBELET: Final = Path("/var/lib/kubelet")  # the device plugins' socket is always there, whatever --root-dir says
POD_LOG_LINKS: Final = Path("/var/log/containers")
_RUNC: Final = Path("/run/containerd/runc/k8s.io")
FOLDERS: Final = (KUBELET, POD_LOG_LINKS, Path("/run/containerd"))


def refuse_real_node(kubelet: Path = KUBELET) -> None:
    """Refuse to start a node on a host that runs a kubelet of its own: ours would take over its socket.

    Raises:
        ClusterError: a kubelet in the host's network namespace listens there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(kubelet / "device-plugins" / "kubelet.sock"))
            pid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            theirs = os.stat(f"/proc/{pid}/ns/net")
        except OSError:
            return  # none listens
    ours = os.stat("/proc/self/ns/net")
    if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
        raise ClusterError(
            f"this host is a Kubernetes node already (process {pid} is its kubelet): use BCP_CLUSTER=existing, "
            "or another machine"
        )


def remove(folders: Folders, pod_log_links: Path = POD_LOG_LINKS) -> None:
    """Remove the links to an instance's pod logs, the sockets of its containers' shims, and runc's records of them."""
    if pod_log_links.is_dir():
        for link in pod_log_links.iterdir():
            if link.is_symlink() and str(link.readlink()).startswith(f"{folders.state}/"):
                link.unlink()
    for file in (folders.state / "containerd").glob("state/io.containerd.runtime.v2.task/*/*/address"):
        Path(file.read_text().strip().removeprefix("unix://")).unlink(missing_ok=True)
        shutil.rmtree(_RUNC / file.parent.name, ignore_errors=True)
