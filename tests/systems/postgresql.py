"""A real PostgreSQL server for tests, as a local process of a user that isn't root.

    with start_postgresql() as server:
        dsn = server.database()         # a database of its own, by unix socket
        server.stop(); server.start()

It needs no cluster, listens on a socket in its own folder and, with TLS and passwords, on a port of loopback. It ends with the
process that started it, also when that is killed: the kernel tells it.
"""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cluster import packages

ADMIN = "admin"
PREFIX = "bcp-pg-"
DEADLINE_SECONDS = 30
UNPRIVILEGED = 65534

# Whoever may read the folder may connect by socket without a password; over the network TLS and a password are asked for.
_HBA = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
_SETTINGS = """
fsync = off
max_connections = 40
shared_buffers = 16MB
log_min_messages = warning
ssl = on
password_encryption = scram-sha-256
"""


@dataclass
class Postgresql:
    """A server, running or not."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    names: Iterator[int] = field(default_factory=itertools.count)

    @property
    def ca_file(self) -> Path:
        """The authority of its certificate, which is for 127.0.0.1."""
        return self.folder / "server.crt"

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def dsn(self, database: str, **more: str) -> str:
        """By unix socket, as the administrator."""
        parts = {"host": str(self.folder), "port": str(self.port), "user": ADMIN, "dbname": database} | more
        return " ".join(f"{name}={value}" for name, value in parts.items())

    def network_dsn(self, database: str, user: str, password: str) -> str:
        """By loopback, as people write it."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make an empty database; returns its name."""
        name = f"test_{next(self.names)}"
        self.ask("postgres", f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def ask(self, database: str, statement: str) -> list[Any]:
        """Run a statement as the administrator; returns rows, if it gives any."""
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = packages.postgres()
        argv = [program, "-D", str(self.folder / "data"), "-k", str(self.folder), "-p", str(self.port)]
        argv += ["-c", "listen_addresses=127.0.0.1"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(_as_user(argv), cwd=self.folder, stdout=log, stderr=log)
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{self.log[-2000:]}") from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: sessions are ended first (fast). SIGQUIT: at once, as a machine that dies (immediate)."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(DEADLINE_SECONDS)
            self.process = None


@contextmanager
def start_postgresql() -> Iterator[Postgresql]:
    """A server with an empty data folder (about a second)."""
    _clear_away()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    server = Postgresql(folder, _free_port())
    try:
        _make(server)
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def _clear_away() -> None:
    """Folders of tests that were killed. Their servers ended with them."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)


def _make(server: Postgresql) -> None:
    folder, data = server.folder, server.folder / "data"
    _certificate(folder)
    _give_away(folder, *folder.iterdir())
    initdb = Path(packages.postgres()).with_name("initdb")
    # Checksums, so that damage is noticed; English, because driver and tests read messages.
    argv = [str(initdb), "-D", str(data), "-U", ADMIN, "--no-sync", "--data-checksums", "--locale=C.UTF-8"]
    argv += ["--encoding=UTF8", "--auth=trust"]
    subprocess.run(_as_user(argv), check=True, capture_output=True, cwd=folder)
    (data / "pg_hba.conf").write_text(_HBA)
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(f"{_SETTINGS}ssl_cert_file = '{folder}/server.crt'\nssl_key_file = '{folder}/server.key'\n")


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test database")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").touch(mode=0o600)
    (folder / "server.key").write_bytes(private)


def _give_away(*paths: Path) -> None:
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)


def _as_user(argv: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root. Whoever runs it: it ends with this process (SIGQUIT: at once)."""
    user = str(UNPRIVILEGED)
    other = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *other, "--pdeathsig=QUIT", *argv]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
