"""Carries TCP connections from 127.0.0.1 of the host into the network namespace, and nothing the other way.

It listens in the host's namespace and then moves itself into the cluster's, so that its outgoing connections are
inside. The kernel keeps a listening socket in the namespace it was made in.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import netns

Target = tuple[str, int]

_CHUNK_BYTES = 65536


def listen(port: int) -> socket.socket:
    """Return a listening socket on 127.0.0.1; port 0 lets the kernel choose.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    listener.setblocking(False)
    return listener


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end, then close that direction only."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _carry(target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection; when nothing listens inside, the client sees it closed."""
    far_writer: asyncio.StreamWriter | None = None
    try:
        far_reader, far_writer = await asyncio.open_connection(*target)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    except OSError:
        pass  # nothing listens there (yet)
    finally:
        for end in (writer, far_writer):
            if end is not None:
                end.close()


def _accept(
    carried: set[asyncio.Task[None]], target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry a connection in a task that somebody holds on to: asyncio itself does not, and quiet ones were collected."""
    task = asyncio.get_running_loop().create_task(_carry(target, reader, writer))
    carried.add(task)
    task.add_done_callback(carried.discard)


async def serve(listeners: Mapping[socket.socket, Target]) -> None:
    """Serve until cancelled."""
    async with contextlib.AsyncExitStack() as stack:
        carried: set[asyncio.Task[None]] = set()
        for listener, target in listeners.items():
            accept = functools.partial(_accept, carried, target)
            await stack.enter_async_context(await asyncio.start_server(accept, sock=listener))
        await asyncio.Event().wait()


class LocalForward:
    """A forward of one port for as long as the calling process wants it.

    Args:
        namespace_file: the network namespace.
        target: address and port inside.
    """

    def __init__(self, namespace_file: Path, target: Target) -> None:
        listener = listen(0)
        self.port: int = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(
            target=self._run, args=(namespace_file, listener, target), name=f"forward-{self.port}", daemon=True
        )
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop forwarding and break the connections."""
        with contextlib.suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join()

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _run(self, namespace_file: Path, listener: socket.socket, target: Target) -> None:
        try:
            netns.join(namespace_file)  # moves this thread only
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        with contextlib.suppress(asyncio.CancelledError), contextlib.closing(self._loop):
            self._loop.run_until_complete(serve({listener: target}))


def main(arguments: list[str]) -> int:
    """Run as a process: `forwarder NETNS PORT=ADDRESS:PORT ...`."""
    listeners: dict[socket.socket, Target] = {}
    for rule in arguments[1:]:
        port, _, inside = rule.partition("=")
        address, _, target = inside.rpartition(":")
        listeners[listen(int(port))] = (address, int(target))
    netns.join(Path(arguments[0]))

    async def until_told() -> None:
        task = asyncio.ensure_future(serve(listeners))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_told())
    return 0
