"""What tests and demo hold in their hands: one cluster, wherever it comes from."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.cluster import tools
from tests.cluster.errors import ClusterError
from tests.cluster.existing import Existing
from tests.cluster.lab import Lab
from tests.cluster.pki import Authority

KUBECTL_SECONDS = 120
_RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


class Backend(Protocol):
    """Where a cluster comes from."""

    @property
    def kubeconfig(self) -> Path: ...
    @property
    def context(self) -> str: ...
    @property
    def web_authority(self) -> Authority: ...
    @property
    def audit_log(self) -> Path: ...
    def up(self, *, node: bool, images: bool, transient: bool) -> None: ...
    def down(self) -> None: ...
    def close(self) -> None: ...
    def environment(self) -> dict[str, str]: ...
    def client_kubeconfig(self, user: str, groups: Sequence[str]) -> Path: ...
    def forward(self, address: str, port: int) -> int: ...
    def enter(self) -> list[str]: ...


def _backend(instance: str | None) -> Backend:
    kind = os.environ.get("BCP_CLUSTER", "lab")
    if kind == "existing":
        return Existing()
    if kind != "lab":
        raise ClusterError(f"BCP_CLUSTER={kind!r}: only `existing` and `lab` (the default) are known")
    return Lab(instance)


class Cluster:
    """A Kubernetes cluster to test against.

    BCP_CLUSTER=existing uses the current kube context; otherwise it is the one this package makes.

    Args:
        instance: name of the instance; None reads BCP_CLUSTER_INSTANCE, else `default`.

    Raises:
        ClusterError: the existing cluster's context is not allowed.
    """

    def __init__(self, instance: str | None = None) -> None:
        self._backend = _backend(instance)

    def up(self, *, node: bool = True, images: bool = True, transient: bool = False) -> None:
        """Bring it up; harmless when it is up.

        Args:
            node: with a node, DNS, Ingress and volumes; else only the control plane.
            images: build and load the project's images too.
            transient: the last test session that uses it takes it down.

        Raises:
            ClusterError: something is missing or failed.
        """
        self._backend.up(node=node, images=images and node, transient=transient)

    def down(self) -> None:
        """Take it down and leave nothing behind."""
        self._backend.down()

    def close(self) -> None:
        """End this process's own forwards; the cluster stays."""
        self._backend.close()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, usable from the host."""
        return self._backend.kubeconfig

    @property
    def audit_log(self) -> Path:
        """The apiserver's audit log, one JSON event a line; what it holds: `audit.policy`."""
        return self._backend.audit_log

    @property
    def ca_pem(self) -> str:
        """Certificate of the authority behind `issue_cert`, PEM."""
        return self._backend.web_authority.pem.decode()

    def issue_cert(self, hosts: Sequence[str]) -> tuple[str, str]:
        """Return certificate and key, PEM, of a web server with these names."""
        pair = self._backend.web_authority.server(hosts)
        return pair.certificate.decode(), pair.key.decode()

    def client_kubeconfig(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig for a user with groups (a client certificate) and return its path."""
        return self._backend.client_kubeconfig(user, groups)

    def environment(self) -> dict[str, str]:
        """Return KUBECONFIG, PATH with kubectl and helm, BCP_FORWARD_HTTPS, BCP_FORWARD_HTTP and BCP_CA_FILE."""
        return self._backend.environment()

    def forward(self, address: str, port: int) -> int:
        """Return a port on 127.0.0.1 that leads to a TCP address inside, until `close` or the process ends."""
        return self._backend.forward(address, port)

    def enter(self) -> list[str]:
        """Return the arguments that run a program inside the cluster's network namespace."""
        return self._backend.enter()

    def kubectl(
        self, *arguments: str, input: str | None = None, check: bool = True, kubeconfig: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl.

        Args:
            arguments: its arguments.
            input: its standard input.
            check: raise when it fails.
            kubeconfig: another user's kubeconfig; None is the administrator's.

        Raises:
            ClusterError: it failed and `check` is set; the message is what it printed.
        """
        done = subprocess.run(
            [str(tools.kubectl()), f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            timeout=KUBECTL_SECONDS,
        )
        if check and done.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done

    @contextmanager
    def namespace(self, prefix: str = "test", *, restricted: bool = True) -> Iterator[str]:
        """Make a namespace with a random end to its name for a block; it is deleted (not waited for) afterwards."""
        name = f"{prefix}-{secrets.token_hex(3)}"
        self.kubectl("create", "namespace", name)
        try:
            if restricted:
                self.kubectl("label", "namespace", name, _RESTRICTED)
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", check=False)
