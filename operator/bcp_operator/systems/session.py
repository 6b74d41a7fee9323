"""Sending requests to one system: addresses, authentication, pace, retries, and what an answer means.

A session made without a gate can't send a write, whatever it is told: the primary's has none.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .addresses import AddressError, Addresses
from .auth import Token, fixed_headers, token_request
from .errors import CallFailed, classify
from .expressions import Expression
from .pace import MAX_ATTEMPTS, RETRY_BUDGET_SECONDS, Pace, retry_delay_seconds
from .profile import ErrorRule, LoginAuth, OAuth2Auth, Profile
from .transport import Answer, Transport, TransportError

READ_DEADLINE_SECONDS = 30.0
WRITE_DEADLINE_SECONDS = 5.0  # bounded by the writer lease, see sync/fence.py

Gate = Callable[[float], Awaitable[None]]  # returns when a write of that many seconds may be sent; raises to stop it


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `write` goes through the gate; only what is `repeatable` is sent again after an unknown outcome."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    purpose: Literal["read", "token", "write"] = "read"
    repeatable: bool = True
    errors: Sequence[ErrorRule] = ()  # the call's own, before the profile's

    @property
    def deadline_seconds(self) -> float:
        """How long it may take."""
        return WRITE_DEADLINE_SECONDS if self.purpose == "write" else READ_DEADLINE_SECONDS


class Session:
    """What is known of one system while a run goes on: its addresses and the token."""

    def __init__(
        self,
        profile: Profile,
        *,
        tenant_id: str,
        endpoint: str,
        credentials: Mapping[str, str],
        transport: Transport,
        pace: Pace,
        gate: Gate | None = None,
    ) -> None:
        self.profile = profile
        self.addresses = Addresses(profile, tenant_id=tenant_id, endpoint=endpoint)
        self._credentials = credentials
        self._fixed = {**profile.headers, **fixed_headers(profile.auth, credentials)}
        self._token_auth = profile.auth if isinstance(profile.auth, OAuth2Auth | LoginAuth) else None
        self._token = Token(self._token_auth) if self._token_auth else None
        self._transport, self._pace, self._gate = transport, pace, gate
        self._finding, self._renewing = asyncio.Lock(), asyncio.Lock()
        self.requests = 0
        self.writes = 0

    async def url(self, base: str | None, path: str, values: Mapping[str, object] | None = None) -> str:
        """The address of a call; asks the system for its bases first where the profile says so. Raises CallFailed."""
        found = self.addresses.url(base)
        if found is None:
            try:
                await self._find_bases()
            except AddressError as error:
                raise CallFailed("BadAnswer", str(error)) from None
            found = self.addresses.url(base)
        if found is None:
            raise CallFailed("BadAnswer", f"base {base or self.profile.base}: nothing names it")
        return found + self.path(path, values or {})

    def path(self, template: str, values: Mapping[str, object]) -> str:
        """A path with its placeholders replaced. Raises CallFailed."""
        try:
            return self.addresses.filled(template, values)
        except AddressError as error:
            raise CallFailed("Refused", str(error)) from None

    async def send(self, request: Request) -> Answer:
        """Send, and send again what may be sent again, within the budget. Raises CallFailed."""
        if request.purpose == "write" and self._gate is None:
            raise AssertionError("this session belongs to the primary: it can't write")
        started = time.monotonic()
        renewed = False
        for attempt in range(1, MAX_ATTEMPTS + 1):
            headers = {**self._fixed, **await self._token_headers(request), **request.headers}
            answer, failure, again = await self._attempt(request, headers)
            if failure is None and answer is not None:
                return answer
            if answer is not None and answer.status == 401 and not renewed and self._refused(request, headers):
                renewed = True  # a token that has run out was not handled: once more with a new one
                continue
            delay = retry_delay_seconds(attempt, answer.headers if answer else None, time.time())
            if not again or attempt == MAX_ATTEMPTS or time.monotonic() - started + delay > RETRY_BUDGET_SECONDS:
                raise failure or CallFailed("Transient", "no answer")
            if answer is not None and answer.status in (429, 503):
                self._pace.hold(delay)
            await asyncio.sleep(delay)
        raise AssertionError("unreachable")

    async def _attempt(
        self, request: Request, headers: Mapping[str, str]
    ) -> tuple[Answer | None, CallFailed | None, bool]:
        """One try: (answer, what failed, whether trying again is safe and of use)."""
        async with self._pace.slot():
            if request.purpose == "write" and self._gate is not None:
                await self._gate(request.deadline_seconds)
                self.writes += 1
            self.requests += 1
            try:
                answer = await self._transport.request(
                    request.method,
                    request.url,
                    headers=headers,
                    body=request.body,
                    deadline_seconds=request.deadline_seconds,
                )
            except TransportError as error:
                if not error.maybe_handled:
                    return None, CallFailed("Unreachable", str(error), answered=False), True
                return None, CallFailed("OutcomeUnknown", str(error), answered=False), request.repeatable
        meaning = classify([*request.errors, *self.profile.errors], answer.status, answer.body)
        if meaning is None:
            return answer, None, False
        failure = CallFailed(meaning, f"HTTP {answer.status}")
        if meaning == "Transient" and not request.repeatable:
            failure = CallFailed("OutcomeUnknown", f"HTTP {answer.status}")
        return answer, failure, meaning == "Throttled" or (meaning == "Transient" and request.repeatable)

    async def _find_bases(self) -> None:
        """Ask the discovery call, or for a token whose answer names them."""
        discovery = self.profile.discovery
        async with self._finding:
            if discovery is not None and any(self.addresses.url(name) is None for name in discovery.bases):
                url = self.addresses.endpoint + self.addresses.filled(discovery.path, {})
                answer = await self.send(Request("GET", url, {}, purpose="token"))
                self.addresses.learn(discovery.bases, json_of(answer))
        if self._token_auth is not None and self._token_auth.bases:
            await self._fetch_token()

    async def _token_headers(self, request: Request) -> Mapping[str, str]:
        if self._token is None or request.purpose == "token":
            return {}
        headers = self._token.headers()
        while headers is None:
            await self._fetch_token()
            headers = self._token.headers()
        return headers

    async def _fetch_token(self) -> None:
        auth, token = self._token_auth, self._token
        assert auth is not None
        assert token is not None
        async with self._renewing:
            if token.headers() is not None:
                return  # another request has fetched it meanwhile
            asked = token_request(auth, self._credentials)
            url = await self._token_url(auth)
            try:
                answer = await self.send(Request("POST", url, asked.headers, asked.body, purpose="token"))
            except CallFailed as error:
                reason = "Unauthorized" if error.reason == "Refused" else error.reason
                raise CallFailed(reason, f"no token was given: {error}") from None
            token.take(json_of(answer))
            try:
                self.addresses.learn(auth.bases, json_of(answer))
            except AddressError as error:
                raise CallFailed("BadAnswer", str(error)) from None

    async def _token_url(self, auth: OAuth2Auth | LoginAuth) -> str:
        if auth.base is None:
            return self.addresses.endpoint + self.addresses.filled(auth.path, {})
        return await self.url(auth.base, auth.path)

    def _refused(self, request: Request, headers: Mapping[str, str]) -> bool:
        return self._token is not None and request.purpose != "token" and self._token.refuse(headers)


def json_of(answer: Answer) -> Any:
    """The answer's JSON. Raises CallFailed."""
    try:
        return answer.json()
    except ValueError as error:
        raise CallFailed("BadAnswer", str(error)) from None


def applied(expression: Expression, value: Any, reason: str) -> Any:
    """What the profile's expression makes of a value; that it doesn't fit this one says nothing of the others.

    Raises CallFailed with `reason`.
    """
    try:
        return expression(value)
    except ValueError as error:
        raise CallFailed(reason, str(error)) from None
