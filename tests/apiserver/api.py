"""A bare client of the API server for these tests: one request, one answer, nothing retried or interpreted."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

Object = dict[str, Any]

# What the API server adds when an error keeps it from evaluating CEL rules; it is no verdict of its own.
_NOT_CHECKED = "some validation rules were not checked because the object was invalid"


@dataclass(frozen=True)
class Cause:
    """One reason for a refusal."""

    reason: str
    field: str
    message: str


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: Object

    @property
    def ok(self) -> bool:
        """Accepted."""
        return self.status < 300

    @property
    def message(self) -> str:
        """The API server's words."""
        return str(self.body.get("message", ""))

    @property
    def causes(self) -> list[Cause]:
        """Every reason for a refusal by the schema."""
        return list(self._causes())

    def _causes(self) -> Iterator[Cause]:
        for cause in self.body.get("details", {}).get("causes", []):
            found = Cause(cause.get("reason", ""), cause.get("field", ""), cause.get("message", ""))
            if _NOT_CHECKED not in found.message:
                yield found


class Api:
    """Speaks to the API server with the client certificate, or the token, of a kubeconfig."""

    def __init__(self, kubeconfig: Path, token: str | None = None) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        if token is None:
            with tempfile.NamedTemporaryFile() as pair:
                pair.write(base64.b64decode(user["client-certificate-data"]))
                pair.write(base64.b64decode(user["client-key-data"]))
                pair.flush()
                context.load_cert_chain(pair.name)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=cluster["server"], verify=context, headers=headers, timeout=30)

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        dry: bool = False,
        as_type: str = "json",
        **query: str,
    ) -> Answer:
        """One request; `as_type` json, merge-patch+json or apply-patch+yaml; `query` are parameters of the URL."""
        parameters = query | ({"dryRun": "All"} if dry else {})
        response = self._client.request(
            method,
            path,
            params=parameters,
            content=None if body is None else json.dumps(body),
            headers={"Content-Type": f"application/{as_type}"},
        )
        return Answer(response.status_code, response.json())

    def get(self, path: str) -> Answer:
        """Read."""
        return self.send("GET", path)

    def create(self, path: str, body: Object, *, dry: bool = False) -> Answer:
        """POST into a collection."""
        return self.send("POST", path, body, dry=dry)

    def replace(self, path: str, body: Object, *, dry: bool = False) -> Answer:
        """PUT, as `kubectl replace` does."""
        return self.send("PUT", path, body, dry=dry)

    def merge(self, path: str, body: Object, *, dry: bool = False) -> Answer:
        """JSON merge patch, as `kubectl patch --type=merge` does."""
        return self.send("PATCH", path, body, dry=dry, as_type="merge-patch+json")

    def apply(self, path: str, body: Object, manager: str, *, force: bool = False, dry: bool = False) -> Answer:
        """Server-side apply."""
        return self.send(
            "PATCH",
            path,
            body,
            dry=dry,
            as_type="apply-patch+yaml",
            fieldManager=manager,
            force=str(force).lower(),
        )

    def delete(self, path: str, policy: str = "Background") -> Answer:
        """DELETE; `policy` is Background, Foreground or Orphan."""
        return self.send("DELETE", path, propagationPolicy=policy)


def collection(namespace: str, plural: str) -> str:
    """Path of a collection of ours."""
    return f"/apis/bcp-operator.io/v1alpha1/namespaces/{namespace}/{plural}"
