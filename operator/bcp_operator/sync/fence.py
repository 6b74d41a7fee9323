"""The writer lease: nothing is written to the secondary without it, and nothing after it ran out.

The protocol is DESIGN section 4. The Lease is made by the operator and swapped to `fence/<operation>` when it switches;
a run takes it only when it is free. The one place, with the report, that speaks to Kubernetes: over the same
transport as everything else, with the ServiceAccount's token read anew from its file each time.

A thread of its own renews, so that a long computation can't starve it. Time counts on the monotonic clock from before
a renewal is sent. setitimer(ITIMER_REAL) with SIGALRM at its default is set to the same moment: if the process was
frozen, the kernel ends it before it runs again.
"""

import asyncio
import json
import logging
import secrets
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bcp_operator.api import names
from bcp_operator.api.names import FENCE_PREFIX, RUN_PREFIX, WRITER_LEASE_SECONDS
from bcp_operator.systems.transport import Transport, TransportError, open_client

LEASE_SECONDS = float(WRITER_LEASE_SECONDS)
RENEW_SECONDS = 5.0
CALL_SECONDS = 4.0
MARGIN_SECONDS = 0.25  # the kernel timer fires this much before the lease ends
GIVE_UP_SECONDS = 1.0  # when this little is left and no renewal came, the run stops by itself
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

log = logging.getLogger(__name__)


class Held(Exception):
    """The run must not write now: the lease is fenced, taken or missing, or the login URL shows the secondary."""


class FenceLost(Held):
    """The lease was lost during the run; nothing more may be sent."""


class ApiError(Exception):
    """The Kubernetes API did not do what was asked. `status` is 0 when it did not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class ApiServer:
    """Where the API is, and who we are there."""

    base_url: str
    ca_file: str | None
    token_file: Path

    @classmethod
    def in_cluster(cls, environ: Mapping[str, str]) -> "ApiServer":
        """As Kubernetes tells its pods. Raises ApiError outside a pod."""
        folder = SERVICE_ACCOUNT
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise ApiError(0, "run.yaml names a Lease, but this is no pod (KUBERNETES_SERVICE_HOST is not set)")
        host = f"[{host}]" if ":" in host else host
        return cls(f"https://{host}:{port}", str(folder / "ca.crt"), folder / "token")

    def connect(self) -> Transport:
        """A transport to the API."""
        return open_client(self.base_url, ca_file=self.ca_file, timeout_seconds=CALL_SECONDS, max_connections=2)

    async def call(
        self,
        http: Transport,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        deadline_seconds: float = CALL_SECONDS,
    ) -> dict[str, Any]:
        """One call. Raises ApiError."""
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
            answer = await http.request(
                method,
                path,
                headers={"Authorization": f"Bearer {token}", "Content-Type": content_type},
                body=None if body is None else json.dumps(body).encode(),
                deadline_seconds=deadline_seconds,
            )
            document: Any = answer.json()
        except (TransportError, OSError, ValueError) as error:
            raise ApiError(0, f"the Kubernetes API can't be used: {error}") from None
        if answer.status >= 300:
            raise ApiError(answer.status, f"the Kubernetes API answered {answer.status} to {method} {path}")
        return document if isinstance(document, dict) else {}


async def publish_report(
    api: ApiServer, namespace: str, config_map: str, text: str, key: str = names.REPORT_KEY
) -> None:
    """Put the complete report into its ConfigMap, which the operator made. Raises ApiError."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/{config_map}"
    async with api.connect() as http:
        await api.call(http, "PATCH", path, {"data": {key: text}}, content_type="application/merge-patch+json")


def run_identity() -> str:
    """Who holds the lease: `run/<pod>/<random>`."""
    return f"{RUN_PREFIX}{socket.gethostname()}/{secrets.token_hex(4)}"


class Fence:
    """The lease, held. Use: acquire(), gate() before each write, close() when no more is to be written."""

    def __init__(self, api: ApiServer, namespace: str, name: str, identity: str | None = None) -> None:
        self._api = api
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
        self.identity = identity or run_identity()
        self._lease: dict[str, Any] = {}
        self._end = 0.0  # monotonic; nothing may be under way after it
        self._lost: str | None = None
        self._closing = threading.Event()
        self._settled = threading.Event()  # acquired, or known that it won't be
        self._refusal: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="writer-lease", daemon=True)

    def acquire(self) -> None:
        """Take the lease and keep it. Waits up to a lease duration for a dead holder. Raises Held, ApiError."""
        self._thread.start()
        self._settled.wait()
        if self._refusal is not None:
            raise self._refusal

    async def gate(self, deadline_seconds: float) -> None:
        """Return when a write that takes at most so long fits into the lease. Raises FenceLost."""
        while True:
            left = self._end - time.monotonic()
            if self._lost is not None:
                raise FenceLost(self._lost)
            if deadline_seconds <= left - MARGIN_SECONDS:
                return
            if left < GIVE_UP_SECONDS:
                self._lost = "the writer lease could not be renewed in time"
            else:
                await asyncio.sleep(0.05)

    def check(self) -> None:
        """Raises FenceLost when the lease is known to be lost."""
        if self._lost is not None:
            raise FenceLost(self._lost)

    def close(self) -> None:
        """Let nothing more pass, then give the lease back if it is still ours. Only call with no write under way."""
        self._lost = self._lost or "the run has ended"
        self._closing.set()
        self._thread.join(timeout=2 * CALL_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, 0)

    # --- in the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._hold())
        except Exception as error:
            self._refusal = error
            self._lost = self._lost or str(error)
        finally:
            self._settled.set()

    async def _hold(self) -> None:
        async with self._api.connect() as http:
            await self._take(http)
            self._settled.set()
            renewed = time.monotonic()
            while not self._closing.is_set() and self._lost is None:
                if time.monotonic() - renewed >= RENEW_SECONDS:
                    renewed = time.monotonic() if await self._renew(http) else renewed + 1.0
                await asyncio.sleep(0.05)
            if self._closing.is_set():
                await self._give_back(http)

    async def _take(self, http: Transport) -> None:
        watched: tuple[Any, ...] | None = None
        since = 0.0
        while True:
            lease = await self._get(http)
            spec = lease.get("spec") or {}
            holder = spec.get("holderIdentity") or ""
            if holder and not holder.startswith(RUN_PREFIX):
                raise Held(_held_by(holder))
            seen = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
            if watched is not None and holder and seen != watched:
                raise Held(f"another run is writing ({holder})")
            if watched is None:
                watched, since = seen, time.monotonic()
            if not holder or time.monotonic() - since >= LEASE_SECONDS:
                if await self._put(http, lease, self.identity, transition=True):
                    return
                watched = None
            await asyncio.sleep(0.5)

    async def _get(self, http: Transport) -> dict[str, Any]:
        try:
            return await self._api.call(http, "GET", self._path)
        except ApiError as error:
            if error.status == 404:
                raise Held("the writer lease is missing; only the operator makes it") from None
            raise

    async def _renew(self, http: Transport) -> bool:
        """Renew once; False: try again soon. Notes the loss when the lease is somebody else's."""
        try:
            if await self._put(http, self._lease, self.identity):
                return True
        except ApiError as error:
            if error.status not in (403, 422):  # admission refuses a fenced lease, too
                log.warning("the writer lease was not renewed", extra={"reason": str(error)})
                return False
        try:
            lease = await self._get(http)  # somebody wrote: an annotation, or the fence
            holder = (lease.get("spec") or {}).get("holderIdentity") or ""
            if holder != self.identity:
                self._lost = _held_by(holder)
                return False
            return await self._put(http, lease, self.identity)
        except Held as held:
            self._lost = str(held)
        except ApiError as error:
            log.warning("the writer lease was not renewed", extra={"reason": str(error)})
        return False

    async def _put(self, http: Transport, lease: dict[str, Any], holder: str, *, transition: bool = False) -> bool:
        """Compare-and-swap; on success the new end of the lease is set. False on conflict."""
        before = time.monotonic()
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = {**(lease.get("spec") or {}), "holderIdentity": holder, "leaseDurationSeconds": int(LEASE_SECONDS)}
        spec["renewTime"] = now
        if transition:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        try:
            self._lease = await self._api.call(http, "PUT", self._path, {**lease, "spec": spec})
        except ApiError as error:
            if error.status == 409:
                return False
            raise
        if holder == self.identity:
            self._extend(before + LEASE_SECONDS)
        return True

    def _extend(self, end: float) -> None:
        """Set the kernel's timer, then the end that gate() sees; again if we were held up in between."""
        while True:
            computed = time.monotonic()
            left = end - computed - MARGIN_SECONDS
            if left <= 0:
                self._lost = "the renewal of the writer lease came too late"
                return
            signal.setitimer(signal.ITIMER_REAL, left)
            if time.monotonic() - computed < MARGIN_SECONDS / 2:
                break
        self._end = end

    async def _give_back(self, http: Transport) -> None:
        try:
            if await self._put(http, self._lease, ""):
                return
            lease = await self._get(http)
            if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                await self._put(http, lease, "")
        except (ApiError, Held) as error:
            log.warning("the writer lease was not given back; it runs out by itself", extra={"reason": str(error)})


def _held_by(holder: str) -> str:
    if holder.startswith(FENCE_PREFIX):
        return f"the sync is fenced by operation {holder.removeprefix(FENCE_PREFIX)}: nothing is written while users may be on the secondary"
    return f"the writer lease belongs to {holder or 'nobody'}"
