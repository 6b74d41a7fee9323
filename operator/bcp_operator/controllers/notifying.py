"""Notices to whom spec.notify names: behind a bounded queue of their own, so that no receiver is in a switch's way.

Best effort: a notice is tried for some minutes and then given up, with an event that says so; one that had not been
sent when the operator ended is lost. Status and events are the record. The URL is a secret, and so never told.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from bcp_operator.api.notify import URL_KEY, Notify
from bcp_operator.api.tenant_status import BCPTenantStatus
from bcp_operator.continuity import notice
from bcp_operator.continuity.actions import Note
from bcp_operator.continuity.notice import Notice
from bcp_operator.kube.bundles import read_ca, read_secret
from bcp_operator.kube.client import TENANT, Kube, Object
from bcp_operator.kube.errors import KubeError
from bcp_operator.kube.events import Events
from bcp_operator.observe.connect import Unresolved
from bcp_operator.observe.exchange import exchange
from bcp_operator.systems.hosts import HostPolicy, HostRefused
from bcp_operator.systems.transport import TransportError

from .state import now

log = logging.getLogger(__name__)

AT_ONCE = 4
WAITING = 2000
"""Notices that may wait; further ones are dropped, and the log says so."""
ATTEMPTS = 10
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 120.0
TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024
AGAIN = frozenset({408, 425, 429})

_RECEIVERS = TypeAdapter(list[Notify])


class _Failed(Exception):
    """Not delivered; the message names neither URL nor answer. `final`: another attempt would not help."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


@dataclass(frozen=True)
class _Letter:
    """One notice for one receiver."""

    notice: Notice
    receiver: Notify
    regarding: Object
    attempt: int = 1


class Notifier:
    """Delivers notices; `check` raises unless this process leads."""

    def __init__(self, kube: Kube, hosts: HostPolicy, events: Events, check: Callable[[], None]) -> None:
        self._kube = kube
        self._hosts = hosts
        self._events = events
        self._check = check
        self._ready: asyncio.Queue[_Letter] = asyncio.Queue()
        self._open = 0
        self._rng = random.Random()  # noqa: S311 - jitter

    def tell(self, obj: Object, note: Note, status: BCPTenantStatus) -> None:
        """Pass an event of a tenant on to whom it concerns. Returns at once and never raises."""
        try:
            receivers = _RECEIVERS.validate_python((obj.get("spec") or {}).get("notify") or [])
        except ValidationError:
            return
        chosen = [receiver for receiver in receivers if notice.wanted(receiver, note.reason)]
        made = notice.about(obj["metadata"], note, status, now().wall)
        regarding = {"apiVersion": TENANT.api_version, "kind": TENANT.kind, "metadata": obj["metadata"]}
        for receiver in chosen:
            if self._open >= WAITING:
                log.error("too many notices wait: %s is dropped", note.reason, extra=_where(made))
                return
            self._open += 1
            self._ready.put_nowait(_Letter(made, receiver, regarding))

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            letter = await self._ready.get()
            try:
                await self._deliver(letter)
            except _Failed as error:
                self._failed(letter, error)
            else:
                self._open -= 1

    async def _deliver(self, letter: _Letter) -> None:
        receiver, namespace = letter.receiver, letter.notice.namespace
        self._check()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                url = await read_secret(self._kube, namespace, receiver.url_secret_ref.name, URL_KEY)
                ca_pem = await read_ca(self._kube, namespace, receiver.ca_ref)
                answer = await exchange(
                    "POST",
                    url,
                    self._hosts,
                    timeout_seconds=TIMEOUT_SECONDS,
                    max_bytes=MAX_ANSWER_BYTES,
                    ca_pem=ca_pem,
                    headers={"Content-Type": notice.CONTENT_TYPES[receiver.format]},
                    body=notice.body(letter.notice, receiver.format),
                )
        except KubeError as error:
            raise _Failed(error.message) from None
        except HostRefused:
            raise _Failed("its host or URL is not allowed (allowedHosts, insecureHosts)", final=True) from None
        except Unresolved:
            raise _Failed("its host has no address") from None
        except ValueError:
            raise _Failed("the CA bundle holds no certificate", final=True) from None
        except (TransportError, TimeoutError):
            raise _Failed("it does not answer") from None
        if not 200 <= answer.status < 300:
            final = answer.status < 500 and answer.status not in AGAIN
            raise _Failed(f"it answers HTTP {answer.status}", final=final)

    def _failed(self, letter: _Letter, error: _Failed) -> None:
        """Again later, or never."""
        where, secret = _where(letter.notice), letter.receiver.url_secret_ref.name
        if error.final or letter.attempt >= ATTEMPTS:
            self._open -= 1
            text = f"{letter.notice.event} could not be sent to the receiver of Secret {secret}: {error}"
            log.warning("%s", text, extra=where | {"reason": "NotificationFailed"})
            self._events.emit(letter.regarding, "NotificationFailed", text, type_="Warning")
            return
        log.info("%s waits for the receiver of Secret %s: %s", letter.notice.event, secret, error, extra=where)
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (letter.attempt - 1))
        later = replace(letter, attempt=letter.attempt + 1)
        asyncio.get_running_loop().call_later(pause * self._rng.uniform(0.75, 1.0), self._ready.put_nowait, later)


def _where(made: Notice) -> dict[str, str]:
    return {"tenant": made.name, "namespace": made.namespace}
