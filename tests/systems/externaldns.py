"""A stand-in for external-dns: one DNSEndpoint, one name server. It reads the object, writes the record, says what it read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.query
import dns.tsig
import dns.update

from tests.systems.deploy import Object
from tests.systems.kubeapi import KubeApi
from tests.systems.nameserver import ALGORITHM, KEY_NAME, SECRET, NameServer


@contextmanager
def following(
    api: KubeApi, namespace: str, name: str, server: NameServer, every_seconds: float = 0.1
) -> Iterator[None]:
    """Bring the server to what the object says, again and again, until the block ends."""
    stop = threading.Event()
    failures: list[Exception] = []

    def keep_following() -> None:
        seen = 0
        while not stop.wait(every_seconds):
            found = api.get("DNSEndpoint", namespace, name)
            if found is None or found["metadata"]["generation"] == seen:
                continue
            try:
                write(found, server)
            except Exception as problem:
                failures.append(problem)
                return
            seen = found["metadata"]["generation"]
            api.patch("DNSEndpoint", namespace, name, {"status": {"observedGeneration": seen}}, sub="status")

    thread = threading.Thread(target=keep_following, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        assert failures == []


def write(endpoint: Object, server: NameServer) -> None:
    """Write the one record that a DNSEndpoint asks for."""
    (record,) = endpoint["spec"]["endpoints"]
    update = dns.update.UpdateMessage(server.zone, keyring=dns.tsig.Key(KEY_NAME, SECRET, ALGORITHM))
    target = f"{record['targets'][0]}."
    update.replace(f"{record['dnsName']}.", record["recordTTL"], record["recordType"], target)
    rcode = dns.query.tcp(update, server.asked[0], port=server.asked[1], timeout=5).rcode()
    assert rcode == 0, rcode
