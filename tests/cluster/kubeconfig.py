"""Kubeconfig files with everything inside, so that one file is enough."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from tests.cluster.pki import Pair, write_private

CONTEXT = "bcp-lab"


def render(server: str, authority_pem: bytes, user: str, pair: Pair) -> str:
    """Return a kubeconfig.

    Args:
        server: URL of the apiserver.
        authority_pem: the authority that signed the apiserver's certificate.
        user: name of the user entry.
        pair: client certificate and key.
    """

    def encoded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": encoded(authority_pem)}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": encoded(pair.certificate),
                    "client-key-data": encoded(pair.key),
                },
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
        "current-context": CONTEXT,
    }
    return yaml.safe_dump(document, sort_keys=False)


def write(file: Path, server: str, pki: Path, client: str) -> None:
    """Write the kubeconfig of a client whose pair lies in the pki folder."""
    pair = Pair((pki / f"{client}.crt").read_bytes(), (pki / f"{client}.key").read_bytes())
    text = render(server, (pki / "ca.crt").read_bytes(), client, pair)
    write_private(file, text.encode())
