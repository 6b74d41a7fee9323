"""A watch on one single object, for the leader's sign of life. Everything else is watched by Kopf."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
from kubernetes.aio.client.exceptions import ApiException

from .client import Kind, Kube, Object
from .errors import Unavailable, from_status

__all__ = ["watch_object"]

ESTABLISH_SECONDS = 10.0
STREAM_SECONDS = 240
"""The server ends the stream after this time; the caller opens another one."""


async def watch_object(
    kube: Kube, kind: Kind, namespace: str, name: str, *, silence_seconds: float
) -> AsyncIterator[Object]:
    """Yield the object each time it changes, starting with how it is now.

    Ends when the server ends the stream; raises KubeError when it can't be opened or says nothing for
    `silence_seconds`.
    """
    try:
        async with asyncio.timeout(ESTABLISH_SECONDS):
            stream = await kube.open_watch(kind, namespace, name, seconds=STREAM_SECONDS)
        try:
            while True:
                async with asyncio.timeout(silence_seconds):
                    line = await stream.content.readline()
                if not line:
                    return
                event = json.loads(line)
                if event.get("type") == "ERROR":
                    raise from_status(int(event["object"].get("code", 500)), json.dumps(event["object"]))
                yield event["object"]
        finally:
            stream.close()
    except ApiException as error:
        raise from_status(error.status or 0, error.body) from None
    except TimeoutError:
        raise Unavailable("Silent", "the watch brought nothing in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unavailable("WatchBroken", f"the watch broke ({type(error).__name__})") from error
