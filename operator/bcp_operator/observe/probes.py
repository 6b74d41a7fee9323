"""Asking from outside: what the login URL answers, and whether a system works.

Every ask is a new connection, as a user's browser would make it, without cookies, proxies or credentials.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass
from typing import Literal

from bcp_operator.api.tenant import SystemSpec
from bcp_operator.systems.hosts import HostPolicy, HostRefused
from bcp_operator.systems.transport import TransportError

from .connect import Unresolved
from .exchange import exchange

__all__ = ["ErrorClass", "Health", "LoginAnswer", "ask_login", "certificate_fault", "health_url", "probe_system"]

MAX_PAGE_BYTES = 4 * 1024 * 1024

ErrorClass = Literal["Refused", "Unresolved", "ResolverDown", "Untrusted", "BadCertificate", "Unreachable"]
"""Why there was no answer. Refused: not allowed by policy. Untrusted: issuer unknown to us, users may well trust it."""

# X509_V_ERR_*: signed by another key of that name, self-signed, self-signed in chain, no issuer, unverified.
_ISSUER_UNKNOWN = frozenset({7, 18, 19, 20, 21})


@dataclass(frozen=True)
class LoginAnswer:
    """One answer, or why there was none. `detail` is for people and holds nothing of the body."""

    status: int | None
    location: str | None
    error: ErrorClass | None
    detail: str


@dataclass(frozen=True)
class Health:
    """Only Failed is a reason to hold a switch back; Unknown means that we could not tell."""

    result: Literal["Healthy", "Failed", "Unknown"]
    detail: str


async def ask_login(
    url: str,
    *,
    hosts: HostPolicy,
    connect_to: str | None = None,
    ca_pem: str | None = None,
    timeout_seconds: float = 2.0,
) -> LoginAnswer:
    """GET the URL without following redirects; `connect_to` (host or host:port) is used instead of the URL's address.

    Never raises for what the network or the policy does.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            answer = await exchange(
                "GET",
                url,
                hosts,
                timeout_seconds=timeout_seconds,
                max_bytes=MAX_PAGE_BYTES,
                connect_to=connect_to,
                ca_pem=ca_pem,
            )
    except HostRefused as error:
        return LoginAnswer(None, None, "Refused", str(error))
    except ValueError as error:  # a CA bundle without a certificate
        return LoginAnswer(None, None, "Untrusted", str(error))
    except Unresolved as error:
        return LoginAnswer(None, None, "ResolverDown" if error.temporary else "Unresolved", str(error))
    except TransportError as error:
        return LoginAnswer(None, None, *_classify(error))
    except TimeoutError:
        return LoginAnswer(None, None, "Unreachable", f"no answer within {timeout_seconds:g} s")
    location = answer.headers.get("location")
    detail = f"HTTP {answer.status}" + (f" to {_shown(location)}" if location else "")
    return LoginAnswer(answer.status, location, None, detail)


def health_url(system: SystemSpec) -> str:
    """What is asked about a system: its health path, else its login page."""
    return system.login_url if system.health is None else system.endpoint.rstrip("/") + system.health.path


async def probe_system(
    system: SystemSpec,
    *,
    hosts: HostPolicy,
    ca_pem: str | None = None,
    connect_to: str | None = None,
    timeout_seconds: float = 1.0,
) -> Health:
    """Ask a system whether it works, within one second.

    With spec.health: its path below the endpoint, which has to answer with expectStatus. Without: the login page,
    whose every answer below 500 is healthy. Failed: refused or timed-out connections, names that do not exist, bad
    certificates (expired, wrong host), unexpected statuses. Unknown: our own doing or set-up - hosts that are not on
    the allow-list, an issuer we do not know, a resolver that is down, a health path that wants credentials (401, 403).
    """
    answer = await ask_login(
        health_url(system), hosts=hosts, connect_to=connect_to, ca_pem=ca_pem, timeout_seconds=timeout_seconds
    )
    if answer.status is None:
        unknown = answer.error in ("Refused", "ResolverDown", "Untrusted")
        return Health("Unknown" if unknown else "Failed", answer.detail)
    if system.health is None:
        return Health("Healthy" if answer.status < 500 else "Failed", f"login page: HTTP {answer.status}")
    return _judge(answer.status, system.health.expect_status)


def _judge(status: int, expected: int) -> Health:
    if status == expected:
        return Health("Healthy", f"health path: HTTP {status}")
    if status in (401, 403):
        return Health("Unknown", f"health path: HTTP {status}, use a path that needs no credentials")
    return Health("Failed", f"health path: HTTP {status} instead of {expected}")


def _classify(error: TransportError) -> tuple[ErrorClass, str]:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return certificate_fault(cause)
        cause = cause.__cause__ or cause.__context__
    return "Unreachable", str(error)


def certificate_fault(error: ssl.SSLCertVerificationError) -> tuple[ErrorClass, str]:
    """Whether a certificate is bad, or only from an issuer that we do not know; and the words for it."""
    if error.verify_code in _ISSUER_UNKNOWN:
        return "Untrusted", (
            "the certificate's issuer is not known here: set or renew caRef, or look whether the server shows a "
            "default certificate because its own is missing or for another host"
        )
    return "BadCertificate", f"the certificate is not valid: {error.verify_message}"


def _shown(location: str) -> str:
    """A Location fit for status and events: no query and no fragment, which may hold a token, and not endless."""
    return re.split(r"[?#]", location, maxsplit=1)[0][:256]
