"""Real name servers for a login host that lives in DNS: one zone, one name that may be changed, by one TSIG key."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from tests.cluster.packages import name_server

KEY_NAME = "bcp-operator"
ALGORITHM = "hmac-sha256"
SECRET = "b25seSBmb3IgdGVzdHMsIHRoaXMgaXMgbm8gc2VjcmV0IQ=="


@dataclass(frozen=True)
class NameServer:
    """A running name server; `asked` is the host:port at which this process reaches it, over TCP."""

    zone: str
    asked: tuple[str, int]

    def target(self, host: str) -> str:
        """Where the CNAME of a host points, without the final dot; empty when there is none. Raises on no answer."""
        query = dns.message.make_query(host, dns.rdatatype.CNAME)
        answer = dns.query.tcp(query, self.asked[0], timeout=3, port=self.asked[1])
        found = [str(record.target) for rrset in answer.answer for record in rrset]
        return found[0].rstrip(".") if len(found) == 1 else ""


@dataclass
class Watch:
    """What somebody saw who kept asking the name server: each run of equal answers once, with its first monotonic second."""

    seen: list[tuple[float, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        """Where the name led, in order."""
        return [target for _, target in self.seen]


def _zone(zone: str, host: str, target: str, address: str) -> str:
    return (
        f"$ORIGIN {zone}.\n$TTL 30\n@ IN SOA ns1 hostmaster 1 3600 600 86400 30\n@ IN NS ns1\nns1 IN A {address}\n"
        f"{host}. 30 IN CNAME {target}.\n"
    )


@contextmanager
def start_bind(
    zone: str, host: str, target: str, address: str, port: int, enter: Sequence[str] = ()
) -> Iterator[tuple[str, int]]:
    """BIND for `zone` with `host` CNAME `target`; `enter` is what runs a program where `address` is. Yields (address, port)."""
    with _folder("bind") as folder:
        (folder / "zone.db").write_text(_zone(zone, host, target, address))
        (folder / "named.conf").write_text(
            f"{_bind_options(folder, address, port)} recursion no; }};\n"
            "controls { };\n"
            f'key "{KEY_NAME}" {{ algorithm {ALGORITHM}; secret "{SECRET}"; }};\n'
            f'zone "{zone}" {{ type primary; file "{folder}/zone.db";\n'
            f"  update-policy {{ grant {KEY_NAME} name {host}. CNAME A AAAA TXT; }}; }};\n"
        )
        with _running(
            [*enter, name_server("named"), "-g", "-c", str(folder / "named.conf")], folder, "all zones loaded"
        ):
            yield address, port


@contextmanager
def start_knot(zone: str, host: str, target: str, address: str, port: int) -> Iterator[tuple[str, int]]:
    """Knot DNS for the same zone, with the same key for the same name. Yields (address, port)."""
    with _folder("knot") as folder:
        (folder / "zone.db").write_text(_zone(zone, host, target, address))
        (folder / "knot.conf").write_text(
            f'server:\n  rundir: "{folder}"\n  listen: {address}@{port}\n'
            f'log:\n- target: stderr\n  any: info\ndatabase:\n  storage: "{folder}"\n'
            f"key:\n- id: {KEY_NAME}\n  algorithm: {ALGORITHM}\n  secret: {SECRET}\n"
            f"acl:\n- id: operator\n  key: {KEY_NAME}\n  action: update\n  update-type: [CNAME, A, AAAA, TXT]\n"
            f'  update-owner: name\n  update-owner-match: equal\n  update-owner-name: ["{host}."]\n'
            f'zone:\n- domain: {zone}\n  storage: "{folder}"\n  file: zone.db\n  acl: operator\n'
        )
        with _running([name_server("knotd"), "-c", str(folder / "knot.conf")], folder, f"[{zone}.] loaded"):
            yield address, port


@contextmanager
def start_resolver(authority: tuple[str, int], address: str, port: int) -> Iterator[tuple[str, int]]:
    """A caching resolver, as users have one, that gets everything from `authority`. Yields (address, port)."""
    with _folder("resolver") as folder:
        forward = f"forward only; forwarders port {authority[1]} {{ {authority[0]}; }};"
        (folder / "named.conf").write_text(
            f"{_bind_options(folder, address, port)} recursion yes; {forward} }};\ncontrols {{ }};\n"
        )
        with _running([name_server("named"), "-g", "-c", str(folder / "named.conf")], folder, "all zones loaded"):
            yield address, port


def _bind_options(folder: Path, address: str, port: int) -> str:
    return (
        f'options {{ directory "{folder}"; listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};\n'
        f'  pid-file "{folder}/named.pid"; session-keyfile "{folder}/session.key"; dnssec-validation no;\n '
    )


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"bcp-{name}-") as made:
        yield Path(made)


@contextmanager
def _running(command: Sequence[str], folder: Path, ready: str) -> Iterator[None]:
    """Run a server until the block ends; it begins when the log says `ready`."""
    name, path = command[-3], folder / "log"
    with path.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 20
            while ready not in (text := path.read_text()):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"{name} did not start:\n{text[-2000:]}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait()


@contextmanager
def watching(server: NameServer, host: str, every_seconds: float = 0.02) -> Iterator[Watch]:
    """Keep asking for a host until the block ends."""
    watch, stop = Watch(), threading.Event()

    def keep_asking() -> None:
        while not stop.wait(every_seconds):
            try:
                seen = server.target(host)
            except (OSError, EOFError, dns.exception.DNSException) as problem:
                watch.errors.append(f"{type(problem).__name__}: {problem}")
                continue
            if not watch.seen or watch.seen[-1][1] != seen:
                watch.seen.append((time.monotonic(), seen))

    thread = threading.Thread(target=keep_asking, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
