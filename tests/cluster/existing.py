"""A cluster somebody else made (kind, a company's test cluster), used only when its context is named as allowed."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import tools
from tests.cluster.errors import ClusterError
from tests.cluster.folders import resolve
from tests.cluster.pki import Authority, Pair, request, write_private

ALLOWED = "BCP_CLUSTER_ALLOWED_CONTEXTS"
_SIGN_SECONDS = 30.0


def checked_context(context: str, allowed: str) -> str:
    """Return the context when it is on the comma-separated list.

    Raises:
        ClusterError: it is not.
    """
    names = [name.strip() for name in allowed.split(",") if name.strip()]
    if context not in names:
        listed = ", ".join(names) or "empty"
        raise ClusterError(
            f"the current kube context {context!r} is not named in {ALLOWED} ({listed}): tests create and delete things, "
            f"so name the context there when it is meant for that, e.g. {ALLOWED}={context}"
        )
    return context


class Existing:
    """The cluster of the current kube context.

    Raises:
        ClusterError: there is no current context, or it is not allowed.
    """

    def __init__(self) -> None:
        self._folder = resolve("existing").state
        self._kubectl = shutil.which("kubectl") or str(tools.kubectl())
        self.context: str = checked_context(self._run("config", "current-context").strip(), os.environ.get(ALLOWED, ""))

    def up(self, *, node: bool, images: bool, transient: bool) -> None:
        """Check that the cluster answers and write its context to a kubeconfig of its own."""
        text = self._run("config", "view", "--minify", "--flatten", "--context", self.context)
        write_private(self.kubeconfig, text.encode())
        self._run("get", "--raw", "/readyz")

    def down(self) -> None:
        """Leave the cluster alone, it isn't ours; remove the files made for it."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Nothing to end."""

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with the one context."""
        return self._folder / "admin.kubeconfig"

    def environment(self) -> dict[str, str]:
        """Return KUBECONFIG, PATH and whatever the caller set about forwards."""
        kept = {name: value for name, value in os.environ.items() if name.startswith("BCP_FORWARD_")}
        path = f"{Path(self._kubectl).parent}:{os.environ.get('PATH', '')}"
        return {**kept, "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    @cached_property
    def web_authority(self) -> Authority:
        """The authority of the tests' web servers."""
        if not (self._folder / "web-ca.crt").exists():
            Authority.create("test web authority").save(self._folder, "web-ca")
        return Authority.load(self._folder, "web-ca")

    def client_kubeconfig(self, user: str, groups: Sequence[str]) -> Path:
        """Have the cluster sign a client certificate and write a kubeconfig with it."""
        key, csr = request(user, groups)
        name = re.sub(r"[^a-z0-9-]", "-", "-".join(("lab", user, *groups)).lower())[:60].strip("-")
        pair = Pair(self._signed(name, csr), key)
        document = yaml.safe_load(self.kubeconfig.read_text())
        document["users"] = [{"name": user, "user": _credentials(pair)}]
        document["contexts"][0]["context"]["user"] = user
        file = self._folder / "clients" / f"{name}.kubeconfig"
        write_private(file, yaml.safe_dump(document).encode())
        return file

    def forward(self, address: str, port: int) -> int:
        """Return the port of BCP_FORWARD_HTTPS or BCP_FORWARD_HTTP; an existing cluster has no other way in."""
        variable = {443: "BCP_FORWARD_HTTPS", 80: "BCP_FORWARD_HTTP"}.get(port, "")
        host, _, local = os.environ.get(variable, "").partition(":")
        if host != "127.0.0.1" or not local.isdigit():
            raise ClusterError(
                f"{address}:{port} of an existing cluster can't be reached by itself: forward its Ingress to a local "
                f"port and set {variable or 'a forward'}=127.0.0.1:PORT"
            )
        return int(local)

    def enter(self) -> list[str]:
        """Refuse: an existing cluster has no namespace of ours."""
        raise ClusterError("an existing cluster has no network namespace to enter")

    @property
    def audit_log(self) -> Path:
        """Refuse: an existing cluster's audit log isn't ours to read."""
        raise ClusterError("the audit log of an existing cluster can't be read")

    def _signed(self, name: str, csr: bytes) -> bytes:
        spec = {"request": base64.b64encode(csr).decode(), "signerName": "kubernetes.io/kube-apiserver-client"}
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {**spec, "usages": ["client auth"], "expirationSeconds": 3600 * 24},
        }
        self._run("delete", "csr", name, "--ignore-not-found")
        self._run("create", "-f", "-", text=yaml.safe_dump(body))
        self._run("certificate", "approve", name)
        deadline = time.monotonic() + _SIGN_SECONDS
        while time.monotonic() < deadline:
            if encoded := self._run("get", "csr", name, "-o", "jsonpath={.status.certificate}"):
                return base64.b64decode(encoded)
            time.sleep(0.1)
        raise ClusterError(f"the cluster did not sign the client certificate {name} within {_SIGN_SECONDS:.0f} s")

    def _run(self, *arguments: str, text: str | None = None) -> str:
        done = subprocess.run([self._kubectl, *arguments], input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout


def _credentials(pair: Pair) -> dict[str, Any]:
    return {
        "client-certificate-data": base64.b64encode(pair.certificate).decode(),
        "client-key-data": base64.b64encode(pair.key).decode(),
    }
