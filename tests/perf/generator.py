"""A directory that costs next to nothing to ask: entities made by a formula, pages made as they are asked for.

    python -m tests.perf.generator --side p --entities 100000     prints LISTENING <port>

Entity n has the login n@acme.example on both sides and another ID on each. POST /set?entities=N&changed=K chooses how many there are, and of
how many, spread evenly, the title has changed. What is written is remembered as long as the process lives.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from urllib.parse import parse_qsl

PROFILE = """
description: the benchmark's generated directory
auth: {kind: none}
paging: {kind: offset, offsetParam: skip, sizeParam: top, size: 500}
types:
  person:
    list: {path: /people, items: items, total: total}
    read: {path: "/people/{id}"}
    key: {path: login, ignoreCase: true}
    ignore: [id, meta]
    emptyIsAbsent: true
    unordered: [phones]
    create: {method: POST, path: /people, entity: "@"}
    update: {method: PUT, path: "/people/{id}", entity: "@"}
    deactivate: {method: POST, path: "/people/{id}/off", doneWhen: "active == `false`"}
"""


class Directory:
    """What there is."""

    def __init__(self, side: str, entities: int) -> None:
        self.side = side
        self.entities, self.changed = entities, 0
        self.written: dict[int, str] = {}  # number -> entity, as JSON without its ID

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str]:
        """Status and JSON."""
        path, _, query = target.partition("?")
        parts = path.split("/")
        asked = dict(parse_qsl(query))
        if parts[1] == "set":
            self.entities, self.changed = int(asked["entities"]), int(asked.get("changed", 0))
            self.written.clear()
            return 200, "{}"
        if method == "GET" and len(parts) == 2:
            first = int(asked["skip"])
            last = min(self.entities, first + int(asked["top"]))
            items = ",".join([self.entity(number) for number in range(first, last)])
            return 200, f'{{"total":{self.entities},"items":[{items}]}}'
        if method == "POST" and len(parts) == 2:
            number, self.entities = self.entities, self.entities + 1
        else:
            number = int(parts[2][1:])
        if method != "GET":
            self.written[number] = json.dumps(json.loads(body) | {"meta": {"version": 1}})[1:]
        return 201 if method == "POST" else 200, self.entity(number)

    def entity(self, number: int) -> str:
        """One entity as JSON."""
        written = self.written.get(number)
        if written is not None:
            return f'{{"id":"{self.side}{number}",{written}'
        every = self.entities // self.changed if self.changed else 0
        title = "Changed" if every and number % every == 0 else "Agent"
        return (
            f'{{"id":"{self.side}{number}","meta":{{"version":1}},"login":"agent{number:07d}@acme.example","active":true,'
            f'"title":"{title}","name":{{"given":"Ada {number}","family":"Okafor"}},"locale":"en-US",'
            f'"phones":[{{"type":"work","value":"+1555{number:07d}"}},{{"type":"home","value":"+1556{number:07d}"}}]}}'
        )


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, and nothing of it that a benchmark doesn't send."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].decode("latin-1")
            length = 0
            at = head.lower().find("content-length:")
            if at >= 0:
                length = int(head[at + 15 :].partition("\r\n")[0])
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            method, target, _ = head.split(" ", 2)
            status, text = self._directory.answer(method, target, body)
            raw = text.encode()
            self._transport.write(
                b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(raw))
                + raw
            )


async def serve(directory: Directory) -> None:
    """Until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(directory), "127.0.0.1", 0)
    print(f"LISTENING {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> int:
    """Serve."""
    parser = argparse.ArgumentParser(description="A directory for benchmarks.")
    parser.add_argument("--side", required=True)
    parser.add_argument("--entities", type=int, default=0)
    options = parser.parse_args()
    asyncio.run(serve(Directory(options.side, options.entities)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
