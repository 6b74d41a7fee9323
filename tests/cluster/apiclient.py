"""A small client of the apiserver for the tool itself: readiness, manifests, and the volume provisioner's watch."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.cluster import netns
from tests.cluster.errors import ClusterError
from tests.cluster.settings import APISERVER_PORT, NODE_ADDRESS

Object = dict[str, Any]
FIELD_MANAGER = "bcp-lab"
_APPLY = "application/apply-patch+yaml"


class ApiError(ClusterError):
    """The apiserver answered with an error status.

    Attributes:
        status: HTTP status.
        message: the apiserver's words.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class ApiClient:
    """Talks to the apiserver as the administrator, through the network namespace.

    Args:
        pki: folder with ca.crt, admin.crt and admin.key.
        namespace_file: the network namespace; None when the caller is inside already.
    """

    def __init__(self, pki: Path, namespace_file: Path | None) -> None:
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._namespace = namespace_file

    def request(
        self, method: str, path: str, body: Object | None = None, content_type: str = "application/json"
    ) -> Object:
        """Send one request and return the decoded answer.

        Raises:
            ApiError: the apiserver refused.
            OSError: it can't be reached.
        """
        connection = self._connect(10.0)
        try:
            headers = {"Content-Type": content_type}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return _decoded(response.status, response.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"the apiserver broke off: {error}") from error
        finally:
            connection.close()

    def apply(self, path: str, body: Object) -> Object:
        """Apply an object on the server's side.

        Args:
            path: the object's own path.
            body: the object.
        """
        return self.request("PATCH", f"{path}?fieldManager={FIELD_MANAGER}&force=true", body, _APPLY)

    def watch(self, path: str, resource_version: str, seconds: int) -> Iterator[Object]:
        """Yield watch events until the server ends the watch.

        Raises:
            OSError: the connection broke.
        """
        connection = self._connect(seconds + 10.0)
        try:
            query = f"watch=true&resourceVersion={resource_version}&timeoutSeconds={seconds}"
            connection.request("GET", f"{path}?{query}")
            response = connection.getresponse()
            if response.status != 200:
                _decoded(response.status, response.read())
            while line := response.readline():
                yield json.loads(line)
        except http.client.HTTPException as error:
            raise ConnectionError(f"the watch broke off: {error}") from error
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether the apiserver says it is ready."""
        try:
            self.request("GET", "/readyz")
        except (ApiError, OSError):
            return False
        return True

    def exists(self, path: str) -> bool:
        """Whether an object exists; False too while the apiserver can't be asked."""
        try:
            self.request("GET", path)
        except (ApiError, OSError):
            return False
        return True

    def node_ready(self, name: str) -> bool:
        """Whether the node says it is Ready."""
        try:
            node = self.request("GET", f"/api/v1/nodes/{name}")
        except (ApiError, OSError):
            return False
        conditions = node.get("status", {}).get("conditions", [])
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    def _connect(self, timeout_seconds: float) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(
            NODE_ADDRESS, APISERVER_PORT, context=self._context, timeout=timeout_seconds
        )
        if self._namespace is not None:
            raw = netns.connect(self._namespace, NODE_ADDRESS, APISERVER_PORT, timeout_seconds)
            connection.sock = self._context.wrap_socket(raw, server_hostname=NODE_ADDRESS)
        return connection


def _decoded(status: int, content: bytes) -> Object:
    try:
        value = json.loads(content)
    except ValueError:
        value = {"message": content.decode(errors="replace")[:300]}
    if status >= 300:
        raise ApiError(status, str(value.get("message", "")))
    return value if isinstance(value, dict) else {}


def wait_until(condition: Callable[[], bool], seconds: float, what: str, alive: Callable[[], str | None]) -> None:
    """Wait until a condition holds.

    Args:
        condition: asked every 50 ms.
        seconds: deadline.
        what: the condition in words.
        alive: returns why waiting is pointless (a component died), or None.

    Raises:
        ClusterError: the deadline passed, or `alive` gave a reason.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if reason := alive():
            raise ClusterError(f"{what}: {reason}")
        if time.monotonic() >= deadline:
            raise ClusterError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)
