"""A real BIND for a login host that lives in DNS: one zone, one name that may be changed, by one TSIG key."""

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

from tests.cluster.packages import named

KEY_NAME = "bcp-operator"
ALGORITHM = "hmac-sha256"
SECRET = "b25seSBmb3IgdGVzdHMsIHRoaXMgaXMgbm8gc2VjcmV0IQ=="


@dataclass(frozen=True)
class NameServer:
    """A running BIND; `asked` is the host:port at which this process reaches it, over TCP."""

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
    """What somebody saw who kept asking the name server."""

    targets: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def start_bind(
    zone: str, host: str, target: str, address: str, port: int, enter: Sequence[str] = ()
) -> Iterator[tuple[str, int]]:
    """BIND for `zone` with `host` CNAME `target`; `enter` is what runs a program where `address` is. Yields (address, port)."""
    with tempfile.TemporaryDirectory(prefix="bcp-bind-") as made:
        folder = Path(made)
        (folder / "zone.db").write_text(
            f"$ORIGIN {zone}.\n$TTL 30\n@ IN SOA ns1 hostmaster 1 3600 600 86400 30\n@ IN NS ns1\nns1 IN A {address}\n"
            f"{host}. 30 IN CNAME {target}.\n"
        )
        (folder / "named.conf").write_text(
            f'options {{ directory "{folder}"; listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }}; recursion no;\n'
            f'  pid-file "{folder}/named.pid"; session-keyfile "{folder}/session.key"; dnssec-validation no; }};\n'
            "controls { };\n"
            f'key "{KEY_NAME}" {{ algorithm {ALGORITHM}; secret "{SECRET}"; }};\n'
            f'zone "{zone}" {{ type primary; file "{folder}/zone.db";\n'
            f"  update-policy {{ grant {KEY_NAME} name {host}. CNAME A AAAA TXT; }}; }};\n"
        )
        log = (folder / "named.log").open("w")
        command = [*enter, named(), "-g", "-c", str(folder / "named.conf")]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 20
            while "all zones loaded" not in (text := (folder / "named.log").read_text()):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"named did not start:\n{text[-2000:]}")
                time.sleep(0.05)
            yield address, port
        finally:
            process.terminate()
            process.wait()
            log.close()


@contextmanager
def watching(server: NameServer, host: str, every_seconds: float = 0.02) -> Iterator[Watch]:
    """Keep asking for a host until the block ends; each run of equal answers is kept once."""
    watch, stop = Watch(), threading.Event()

    def keep_asking() -> None:
        while not stop.wait(every_seconds):
            try:
                seen = server.target(host)
            except (OSError, EOFError, dns.exception.DNSException) as problem:
                watch.errors.append(f"{type(problem).__name__}: {problem}")
                continue
            if not watch.targets or watch.targets[-1] != seen:
                watch.targets.append(seen)

    thread = threading.Thread(target=keep_asking, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
