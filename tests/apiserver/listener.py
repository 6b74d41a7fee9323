"""A receiver of notices on this host, and the Secret that points to it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.apiserver.api import Api

TOKEN = "canary-5b1c"


@dataclass
class Listener:
    """What was received, in order."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def events(self) -> list[str]:
        """The events of the JSON notices."""
        return [body["event"] for body in self.bodies if "event" in body]


@contextmanager
def listen(port: int) -> Iterator[Listener]:
    """Receive on a port of 127.0.0.1."""
    made = Listener(f"http://127.0.0.1:{port}/{TOKEN}")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def secret(api: Api, namespace: str, name: str, port: int) -> None:
    """The Secret of a receiver."""
    url = base64.b64encode(f"http://127.0.0.1:{port}/{TOKEN}".encode()).decode()
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"url": url}}
    answer = api.create(f"/api/v1/namespaces/{namespace}/secrets", body)
    assert answer.ok, answer.message
