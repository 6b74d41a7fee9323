"""Rented systems as local processes, for tests without a cluster.

    with start_scim(token="t", dump=resources) as primary, start_scim(name="SECONDARY") as secondary:
        ... primary.url ... primary.requests() ...

The servers (scim2-server, Kinto) live in an environment of their own in the user's cache folder, built on first use.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.systems.web import Request, access_log, ask

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"


class StartFailed(RuntimeError):
    """A server ended, or said nothing, before it listened; carries what it wrote."""


def environment() -> Path:
    """The Python interpreter of the servers' environment; builds it when it is not there (about 20 s, once per lock file)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bcp-operator"
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = cache / f"systems-{key}"
    python = home / "bin" / "python"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"systems-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / ".done").exists():
            print(f"building the environment of the test systems in {home} (about 20 s, once)", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
            pip = [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--require-hashes",
            ]
            subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
            (home / ".done").touch()
    return python


@dataclass
class Server:
    """A running system."""

    name: str
    port: int
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        """Root of the server, e.g. http://127.0.0.1:4711; /login and /health are below it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def login_url(self) -> str:
        """The system's own login page."""
        return f"{self.base}/login"

    def requests(self) -> list[Request]:
        """The access log so far."""
        return access_log(list(self.lines))

    def keep(self, name: str) -> None:
        """Remember the state under a name."""
        assert ask(f"{self.base}/snapshots/{name}", method="PUT").status == 204

    def restore(self, name: str) -> None:
        """Bring a remembered state back."""
        assert ask(f"{self.base}/snapshots/{name}", method="POST").status == 204

    def kill(self) -> None:
        """End it at once, as a machine that dies."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def start_scim(
    port: int = 0,
    token: str = "token",
    dump: list[dict[str, Any]] | None = None,
    name: str = "PRIMARY",
    without: str = "bulk",
    *,
    snapshots: bool = False,
) -> Iterator[Server]:
    """A scim2-server; SCIM lives at `server.base + "/v2"`, with `Authorization: Bearer <token>`.

    `dump` is a list of SCIM resources with `id` and `meta.resourceType` (see `world.scim_dump`). `without` names the
    features that it doesn't offer, separated by commas: bulk, patch, etag, filter. `snapshots`: its state can be
    kept and brought back (`Server.keep`, `Server.restore`), and IDs of new entities follow from their names.
    """
    more = ["--without", without, *(["--snapshots"] if snapshots else [])]
    with _start("scim", port, token, dump, name, more) as server:
        yield server


@contextmanager
def start_kinto(
    port: int = 0,
    password: str = "password",
    dump: dict[str, dict[str, list[dict[str, Any]]]] | None = None,
    name: str = "PRIMARY",
) -> Iterator[Server]:
    """A Kinto; its API lives at `server.base + "/v1"`, user `bcp` with the password given.

    `dump` maps bucket -> collection -> records with `id` (see `world.kinto_dump`).
    """
    with _start("kinto", port, password, dump, name) as server:
        yield server


@contextmanager
def _start(kind: str, port: int, token: str, dump: Any, name: str, more: Sequence[str] = ()) -> Iterator[Server]:
    python = environment()
    with tempfile.TemporaryDirectory(prefix=f"bcp-{kind}-") as folder:
        token_file = Path(folder) / "token"
        token_file.write_text(token)
        command = [str(python), str(HERE / "serve.py"), kind, "--name", name, "--port", str(port)]
        command += ["--token-file", str(token_file), *more]
        if dump is not None:
            dump_file = Path(folder) / "dump.json"
            dump_file.write_text(json.dumps(dump))
            command += ["--dump", str(dump_file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            yield _listening(process, name)
        finally:
            process.kill()
            process.wait()


def _listening(process: subprocess.Popen[str], name: str, deadline_seconds: float = 30) -> Server:
    ready = threading.Event()
    server = Server(name, 0, process)

    def pump() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            server.lines.append(line.rstrip("\n"))
            if line.startswith("LISTENING "):
                server.port = int(line.split()[1])
                ready.set()
        ready.set()

    threading.Thread(target=pump, daemon=True).start()
    if not ready.wait(deadline_seconds) or not server.port:
        process.kill()
        raise StartFailed(f"{name} did not start:\n" + "\n".join(server.lines[-20:]))
    return server
