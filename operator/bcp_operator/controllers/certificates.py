"""Certificates of both sides of every tenant, looked at from time to time and before a switch; one loop for all."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import get_args
from urllib.parse import urlsplit

from bcp_operator.api.common import CARef, System
from bcp_operator.api.tenant import BCPTenantSpec
from bcp_operator.continuity.certificates import CertificateView, Look, looks
from bcp_operator.kube.bundles import read_ca
from bcp_operator.kube.client import Kube
from bcp_operator.kube.errors import KubeError
from bcp_operator.observe.certificates import Certificate, look_at
from bcp_operator.systems.hosts import HostPolicy, HostRefused, host_of

from .queue import Key

log = logging.getLogger(__name__)

LOOK_SECONDS = 3600.0
"""Certificates live for weeks; an hour is often enough for one that is renewed or forgotten."""
ROUND_SECONDS = 30.0
SPREAD_SECONDS = 600.0
RECENT_SECONDS = 30.0
TIMEOUT_SECONDS = 1.0
AT_ONCE = 8

Views = Mapping[System, tuple[CertificateView, ...]]


@dataclass
class _Known:
    """What was seen for a tenant, and when it is looked at again (monotonic seconds)."""

    spec: BCPTenantSpec
    due: float
    views: dict[System, tuple[CertificateView, ...]] = field(default_factory=dict)

    def good(self, side: System, now: datetime) -> bool:
        """All certificates of a side were seen, and are valid still."""
        return side in self.views and all(view.expires is not None and view.expires > now for view in self.views[side])


class Certificates:
    """Looks at certificates. `changed` is called with the tenant of which something new is known."""

    def __init__(
        self, kube: Kube, hosts: HostPolicy, changed: Callable[[Key], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rng = random.Random()  # noqa: S311 - jitter
        self._kube, self._hosts, self._changed, self._clock = kube, hosts, changed, clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._known: dict[Key, _Known] = {}
        self._asked: dict[tuple[str, str, str | None], tuple[float, asyncio.Task[Certificate]]] = {}
        self._news = asyncio.Event()

    def view(self, key: Key, spec: BCPTenantSpec, *, new: bool = True) -> Views:
        """What is known of a tenant's certificates; from now on they are looked at.

        `new`: at once. Tenants that are only new to this process, which has just begun, are spread over some time.
        """
        known = self._known.get(key)
        if known is None or _asked(known.spec) != _asked(spec):
            pause = 0.0 if new or known is not None else SPREAD_SECONDS * self._rng.random()
            known = self._known[key] = _Known(spec, self._clock() + pause)
            self._news.set()
        return dict(known.views)

    def forget(self, key: Key) -> None:
        """The tenant is gone."""
        self._known.pop(key, None)

    async def look(self, key: Key, spec: BCPTenantSpec, side: System) -> Views:
        """What to say before a switch to `side`: a good look of the last hour, or one made now, within about a second."""
        known = self._known.get(key)
        if known is not None and known.spec == spec and known.good(side, datetime.now(UTC)):
            return {side: known.views[side]}
        return {side: await self._side(key.namespace, spec, side)}

    async def run(self) -> None:
        """Look at what is due until cancelled."""
        while True:
            self._news.clear()
            oldest = self._clock() - RECENT_SECONDS
            self._asked = {question: known for question, known in self._asked.items() if known[0] >= oldest}
            due = [key for key, known in self._known.items() if known.due <= self._clock()]
            await asyncio.gather(*(self._refresh(key) for key in due))
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _refresh(self, key: Key) -> None:
        known = self._known.get(key)
        if known is None:
            return
        known.due = self._clock() + LOOK_SECONDS
        before = dict(known.views)
        for side in get_args(System):
            try:
                known.views[side] = await self._side(key.namespace, known.spec, side)
            except Exception:
                log.exception("a look at certificates broke; it is made again at its next time")
        if known.views != before and self._known.get(key) is known:
            self._changed(key)

    async def _side(self, namespace: str, spec: BCPTenantSpec, side: System) -> tuple[CertificateView, ...]:
        system = spec.primary if side == "Primary" else spec.secondary
        try:
            wanted = looks(spec, side, host_of(spec.login.url), host_of(system.login_url))
        except HostRefused:
            return ()
        authorities = {True: spec.login.ca_ref, False: system.ca_ref}
        return tuple(
            await asyncio.gather(*(self._look(namespace, look, authorities[look.login_authority]) for look in wanted))
        )

    async def _look(self, namespace: str, look: Look, authority: CARef | None) -> CertificateView:
        try:
            self._hosts.check_url(look.url)
            ca_pem = await read_ca(self._kube, namespace, authority)
        except KubeError as error:
            return CertificateView(look, None, error.message, unknown=True)
        except HostRefused as error:
            return CertificateView(look, None, str(error), unknown=True)
        seen = await self._shared(look.name, urlsplit(look.url).netloc, ca_pem)
        return CertificateView(look, seen.expires, seen.problem, seen.unknown)

    async def _shared(self, name: str, where: str, ca_pem: str | None) -> Certificate:
        """Tenants of one vendor share its certificate: it is asked for once in a while."""
        question, at = (name, where, ca_pem), self._clock()
        known = self._asked.get(question)
        if known is None or at - known[0] > RECENT_SECONDS:
            known = self._asked[question] = (at, asyncio.create_task(self._handshake(name, where, ca_pem)))
        return await asyncio.shield(known[1])

    async def _handshake(self, name: str, where: str, ca_pem: str | None) -> Certificate:
        async with self._turns:
            return await look_at(name, where, hosts=self._hosts, ca_pem=ca_pem, timeout_seconds=TIMEOUT_SECONDS)


def _asked(spec: BCPTenantSpec) -> object:
    """What a look depends on."""
    sides = [(system.login_url, system.ca_ref) for system in (spec.primary, spec.secondary)]
    return sides, spec.login.url, spec.login.ca_ref, spec.login.routes
