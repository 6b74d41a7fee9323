"""What stands in front of the login host in these tests: answers by the Ingress' annotation, as a controller would.

Behind other paths of the same server live the two systems' login pages and health checks, each of which can be taken
down. TLS for the login host, plain HTTP for the systems.
"""

from __future__ import annotations

import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.apiserver.api import Api
from tests.cluster.access import Cluster

REDIRECT = "nginx.ingress.kubernetes.io/temporal-redirect"
DOMAIN = "login.test"


class Gateway:
    """Login hosts `<tenant>.login.test` of one namespace, whose Ingresses are named `<tenant>-login`."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        self.login_port = 0
        self.systems_port = 0
        self.down: set[str] = set()
        self.probes: Counter[str] = Counter()
        self.asked = threading.Semaphore(0)

    @property
    def connect_to(self) -> str:
        """Where the login hosts are served."""
        return f"127.0.0.1:{self.login_port}"

    def page(self, side: str) -> str:
        """Login page of the primary or the secondary."""
        return f"http://127.0.0.1:{self.systems_port}/{side}/login"

    def endpoint(self, side: str) -> str:
        """API of the primary or the secondary."""
        return f"http://127.0.0.1:{self.systems_port}/{side}"

    def location(self, tenant: str) -> str | None:
        """Where the login host sends users now."""
        path = f"/apis/networking.k8s.io/v1/namespaces/{self.namespace}/ingresses/{tenant}-login"
        found = self.api.get(path)
        if not found.ok:
            return None
        annotation = (found.body["metadata"].get("annotations") or {}).get(REDIRECT)
        return None if annotation is None else str(annotation)


@contextmanager
def serve(cluster: Cluster, api: Api, namespace: str) -> Iterator[Gateway]:
    """Serve on two free ports of 127.0.0.1."""
    gateway = Gateway(api, namespace)
    login, systems = _server(_login_handler(gateway)), _server(_systems_handler(gateway))
    certificate, key = cluster.issue_cert([f"*.{DOMAIN}"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as bundle:
        Path(bundle.name).write_text(certificate + key)
        context.load_cert_chain(bundle.name)
    login.socket = context.wrap_socket(login.socket, server_side=True, do_handshake_on_connect=False)
    gateway.login_port, gateway.systems_port = login.server_address[1], systems.server_address[1]
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in (login, systems)]
    for thread in threads:
        thread.start()
    try:
        yield gateway
    finally:
        for server in (login, systems):
            server.shutdown()
            server.server_close()


def _server(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    return server


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def answer(self, status: int, location: str | None = None) -> None:
        """An empty answer."""
        self.send_response(status)
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _login_handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Login(_Quiet):
        def do_GET(self) -> None:
            gateway.asked.release()
            if "login" in gateway.down:
                self.answer(503)
                return
            tenant = (self.headers.get("Host") or "").split(".")[0]
            location = gateway.location(tenant)
            self.answer(302 if location else 200, location)

    return Login


def _systems_handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Systems(_Quiet):
        def do_GET(self) -> None:
            side = self.path.split("/")[1]
            gateway.probes[side] += 1
            self.answer(503 if side in gateway.down else 200)

    return Systems
