"""A proxy between an operator's replica and the API server, that can kill the replica, or hang up, at any write.

It counts the writes to one namespace (events, which hold nothing up, left out) and knows nothing of the operator.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import yaml

PASSED_ON = ("accept", "content-type", "user-agent", "accept-encoding")


class Trapdoor:
    """See the module. `writes` are method and path of those let through, or that the trap took."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = urlsplit(cluster["server"])
        self._context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            self._context.load_cert_chain(pair.name)
        self._inside = f"/namespaces/{namespace}/"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.writes: list[str] = []
        self._at = 0
        self._kill: Callable[[], None] | None = None
        self.down = False
        self.port = 0

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig that leads through here, as the same user."""
        made = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "trapdoor", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "operator", "user": {}}],
            "contexts": [{"name": "trapdoor", "context": {"cluster": "trapdoor", "user": "operator"}}],
            "current-context": "trapdoor",
        }
        file = folder / "trapdoor.kubeconfig"
        file.write_text(yaml.safe_dump(made))
        return file

    def arm(self, number: int, kill: Callable[[], None]) -> None:
        """Count anew; before the given write is passed on, kill whoever sent it."""
        with self._lock:
            self.writes, self._at, self._kill = [], number, kill

    def count(self) -> None:
        """Count anew, and let everything through."""
        self.arm(0, lambda: None)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The API server is gone for a while: what is open is cut, and nobody is let in."""
        self.down = True
        with self._lock:
            cut, self._open = self._open, set()
        for connection in cut:
            _close(connection)
        try:
            yield
        finally:
            self.down = False

    def falls(self, method: str, path: str) -> bool:
        """Note a request; whether it is the one that must not be passed on."""
        if method == "GET" or self._inside not in path or "/events" in path:
            return False
        with self._lock:
            self.writes.append(f"{method} {path.partition('?')[0]}")
            sprung = self._kill is not None and len(self.writes) == self._at
            kill, self._kill = self._kill, None if sprung else self._kill
        if sprung and kill is not None:
            kill()
        return sprung

    def upstream(self) -> http.client.HTTPSConnection:
        """A connection to the API server."""
        assert self._server.hostname is not None
        return http.client.HTTPSConnection(self._server.hostname, self._server.port, context=self._context, timeout=400)

    def opened(self, connection: socket.socket) -> None:
        """A client's connection."""
        with self._lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """It has ended."""
        with self._lock:
            self._open.discard(connection)


@contextmanager
def trapdoor(kubeconfig: Path, namespace: str) -> Iterator[Trapdoor]:
    """Serve on a free port of 127.0.0.1."""
    made = Trapdoor(kubeconfig, namespace)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def _handler(trap: Trapdoor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def _pass(self) -> None:
            self.close_connection = True
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if trap.down or trap.falls(self.command, self.path):
                _close(self.connection)
                return
            trap.opened(self.connection)
            upstream = trap.upstream()
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() in PASSED_ON}
                upstream.request(self.command, self.path, body or None, headers)
                answer = upstream.getresponse()
                self.send_response(answer.status)
                for name in ("Content-Type", "Content-Encoding"):
                    if answer.getheader(name):
                        self.send_header(name, str(answer.getheader(name)))
                self.send_header("Connection", "close")
                self.end_headers()
                while chunk := answer.read1(65536):
                    self.wfile.write(chunk)
                    self.wfile.flush()
            except (OSError, http.client.HTTPException):
                _close(self.connection)  # the one side or the other has gone
            finally:
                trap.closed(self.connection)
                upstream.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

    return Handler


def _close(connection: socket.socket) -> None:
    """Hang up, whatever is under way."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        connection.close()
