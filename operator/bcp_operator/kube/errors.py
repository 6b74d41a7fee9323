"""What can go wrong when talking to the Kubernetes API, as a small family of errors."""

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "AlreadyExists",
    "Conflict",
    "FieldConflict",
    "Forbidden",
    "Invalid",
    "KubeError",
    "NotFound",
    "Unavailable",
    "from_status",
]

MESSAGE_MAX_CHARS = 512
_MISSING_RIGHT = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[\w/]+)"( in API group "(?P<group>[\w.-]*)")?'
)


class KubeError(Exception):
    """A call to the Kubernetes API failed.

    `reason` is one CamelCase word for machines, `message` is for people and safe to show in status and events,
    `retriable` says whether the same call may work later without anybody changing anything.
    """

    retriable = False

    def __init__(self, reason: str, message: str, retriable: bool | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        if retriable is not None:
            self.retriable = retriable


class NotFound(KubeError):
    """404: the object, its namespace or its kind does not exist."""


class Conflict(KubeError):
    """409: the object changed since it was read. Read and decide again; never repeat the same write."""


class FieldConflict(Conflict):
    """409 from a server-side apply: another field manager owns a field that was to be set.

    `owners` maps each field path to the name of the manager that holds it.
    """

    def __init__(self, message: str, owners: Mapping[str, str]) -> None:
        super().__init__("FieldManagerConflict", message)
        self.owners = dict(owners)


class AlreadyExists(KubeError):
    """409 on create: an object of this name is there already."""


class Forbidden(KubeError):
    """401 or 403: the operator's credentials do not allow this call, or admission, a quota or an ending namespace."""

    @property
    def missing_right(self) -> str:
        """The RBAC right that would have allowed the call, e.g. create cronjobs.batch; empty when none would."""
        found = _MISSING_RIGHT.search(self.message)
        return "" if found is None else f"{found['verb']} {found['resource']}.{found['group'] or ''}".rstrip(".")


class Invalid(KubeError):
    """400, 405, 415 or 422: the API server refused the content. Repeating it will not help."""


class Unavailable(KubeError):
    """No answer in time, no connection, 429 or 5xx: the API server could not serve the call now."""

    retriable = True


_BY_HTTP_STATUS: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    410: Unavailable,
    415: Invalid,
    422: Invalid,
}


def from_status(http_status: int, body: str | None) -> KubeError:
    """Turn the status code and the metav1.Status body of a failed call into an error.

    A body that is not a metav1.Status (a proxy's error page) is not repeated in the message.
    """
    status = _parse(body)
    reason = str(status.get("reason") or f"HTTP{http_status}")
    message = str(status.get("message") or f"the Kubernetes API answered with HTTP status {http_status}")
    message = message[:MESSAGE_MAX_CHARS]
    if http_status == 409:
        return _conflict(reason, message, status)
    return _BY_HTTP_STATUS.get(http_status, Unavailable)(reason, message)


def _conflict(reason: str, message: str, status: Mapping[str, Any]) -> KubeError:
    if reason == "AlreadyExists":
        return AlreadyExists(reason, message)
    causes = (status.get("details") or {}).get("causes") or []
    owners = {
        str(cause.get("field")): _manager(str(cause.get("message", "")))
        for cause in causes
        if cause.get("reason") == "FieldManagerConflict"
    }
    return FieldConflict(message, owners) if owners else Conflict(reason, message)


def _manager(cause: str) -> str:
    """Pick the manager's name out of: conflict with "NAME" using GROUP/VERSION."""
    return cause.split('"')[1] if cause.count('"') >= 2 else cause


def _parse(body: str | None) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body or "")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) and parsed.get("kind") == "Status" else {}
