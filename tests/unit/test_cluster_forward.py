"""A forward keeps what it carries, however quiet it is."""

import asyncio
import gc
from pathlib import Path

from tests.cluster.forwarder import LocalForward


async def test_a_quiet_connection_is_not_collected() -> None:
    """The client has said everything and waits; nothing but the far end's answer is still to come."""
    heard, answer = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        heard.set()
        await answer.wait()
        writer.write(b"late")
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    forward = LocalForward(Path("/proc/self/ns/net"), server.sockets[0].getsockname()[:2])
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
        writer.write_eof()
        await heard.wait()
        gc.collect()
        answer.set()
        assert await asyncio.wait_for(reader.read(), 5) == b"late"
        writer.close()
    finally:
        await asyncio.to_thread(forward.close)
        server.close()
