"""The cluster this package makes, seen through the interface that tests and demo use."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tests.cluster import controlplane, kubeconfig, lifecycle, netns, report
from tests.cluster.errors import ClusterError
from tests.cluster.folders import Folders, resolve
from tests.cluster.forwarder import LocalForward
from tests.cluster.ledger import Ledger
from tests.cluster.pki import Authority, write_private


class Lab:
    """One instance of the test cluster.

    Args:
        instance: its name; None reads BCP_CLUSTER_INSTANCE, else `default`.
    """

    def __init__(self, instance: str | None = None) -> None:
        self.folders: Folders = resolve(instance)
        self._forwards: dict[tuple[str, int], LocalForward] = {}

    def up(self, *, node: bool, images: bool, transient: bool) -> None:
        """Bring it up, see `lifecycle.up`."""
        lifecycle.up(self.folders, node=node, images=images, transient=transient)

    def down(self) -> None:
        """Take it down, see `lifecycle.down`."""
        self.close()
        lifecycle.down(self.folders)

    def close(self) -> None:
        """End this process's own forwards; the cluster stays."""
        for forward in self._forwards.values():
            forward.close()
        self._forwards.clear()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig for the host."""
        return self.folders.kubeconfig

    @property
    def context(self) -> str:
        """Name of the context in the kubeconfig."""
        return kubeconfig.CONTEXT

    def environment(self) -> dict[str, str]:
        """Return the variables of `env`, PATH included."""
        variables = report.environment(self.folders)
        path = f"{report.tool_folder(self.folders)}:{os.environ.get('PATH', '')}"
        return {**variables, "PATH": path}

    @cached_property
    def web_authority(self) -> Authority:
        """The authority of the tests' web servers."""
        return Authority.load(self.folders.pki, "web-ca")

    def client_kubeconfig(self, user: str, groups: Sequence[str]) -> Path:
        """Write a kubeconfig with a client certificate for a user and groups."""
        pair = Authority.load(self.folders.pki, "ca").client(user, groups)
        name = re.sub(r"[^a-z0-9.-]", "_", "-".join((user, *groups)).lower())
        file = self.folders.state / "clients" / f"{name}.kubeconfig"
        server = controlplane.host_server(Ledger.load(self.folders))
        text = kubeconfig.render(server, (self.folders.pki / "ca.crt").read_bytes(), user, pair)
        write_private(file, text.encode())
        return file

    def forward(self, address: str, port: int) -> int:
        """Return a port on 127.0.0.1 that leads to an address inside, for this process's lifetime."""
        target = (address, port)
        if target not in self._forwards:
            self._forwards[target] = LocalForward(self.folders.netns, target)
        return self._forwards[target].port

    def enter(self) -> list[str]:
        """Return the arguments that run a program inside the network namespace."""
        return netns.enter(self.folders.netns)

    @property
    def audit_log(self) -> Path:
        """The apiserver's audit log."""
        if not self.folders.audit_log.exists():
            raise ClusterError("the apiserver has written no audit log yet")
        return self.folders.audit_log
