"""A desk beside the real apiserver: a ServiceAccount with a sync pod's rights, its token in a file, and writers."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.access import Cluster
from tests.waiting import until

WRITER = Path(__file__).parent / "fence_writer.py"
Object = dict[str, Any]


@dataclass
class Writer:
    """A running fence_writer.py."""

    process: subprocess.Popen[str]
    out: Path

    def writes(self) -> list[float]:
        """Monotonic times of its writes."""
        return [float(line) for line in self.out.read_text().split()] if self.out.exists() else []

    def writing(self) -> None:
        """Wait until it writes."""
        until(self.writes, "the first write", 30)

    def stop(self) -> int:
        """Tell it to end; returns its exit code."""
        self.out.with_suffix(".stop").touch()
        return self.process.wait(20)

    def said(self) -> str:
        """Its standard output, after its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read()


@dataclass
class Desk:
    """A namespace with a ServiceAccount that may read and write leases."""

    cluster: Cluster
    namespace: str
    folder: Path
    server: str = ""
    token: Path = field(init=False)
    ca_file: Path = field(init=False)
    started: list[Writer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.token, self.ca_file = self.folder / "token", self.folder / "ca.crt"
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        here = config["clusters"][0]["cluster"]
        self.server = here["server"]
        authority = here.get("certificate-authority-data")
        self.ca_file.write_bytes(
            base64.b64decode(authority) if authority else Path(here["certificate-authority"]).read_bytes()
        )
        self.kubectl("create", "serviceaccount", "writer")
        verbs = ["--verb=get,update", "--resource=leases"]
        self.kubectl("create", "role", "writer", *verbs)
        self.kubectl("create", "role", "reporter", "--verb=patch", "--resource=configmaps")
        for role in ("writer", "reporter"):
            self.kubectl("create", "rolebinding", role, f"--role={role}", f"--serviceaccount={self.namespace}:writer")
        self.new_token()

    def new_token(self) -> None:
        """Another token in the same file, as the kubelet rotates them."""
        self.token.write_text(self.kubectl("create", "token", "writer"))

    def kubectl(self, *arguments: str, **more: Any) -> str:
        """As administrator, in the namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, **more).stdout

    def lease(self, name: str, holder: str = "", **spec: Any) -> str:
        """Make a Lease as the operator does."""
        document = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, **spec},
        }
        self.kubectl("create", "-f", "-", input=json.dumps(document))
        return name

    def spec(self, name: str) -> Object:
        """What the Lease says."""
        found: Object = json.loads(self.kubectl("get", "lease", name, "-o", "json"))["spec"]
        return found

    def hold(self, name: str, holder: str) -> float:
        """Swap the holder as a switch does; returns the monotonic time after."""
        self.kubectl("patch", "lease", name, "--type=merge", "-p", json.dumps({"spec": {"holderIdentity": holder}}))
        return time.monotonic()

    def start(self, lease: str, name: str = "", server: str = "") -> Writer:
        """A writer."""
        out = self.folder / f"{name or lease}.log"
        arguments = [server or self.server, str(self.ca_file), str(self.token), self.namespace, lease, str(out)]
        process = subprocess.Popen(
            [sys.executable, str(WRITER), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.started.append(Writer(process, out))
        return self.started[-1]
