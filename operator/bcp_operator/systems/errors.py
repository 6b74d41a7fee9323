"""What can go wrong with a call, in our own words: no text of a system's error answer is ever copied."""

from collections.abc import Callable, Sequence
from typing import Any

from .body import read_json
from .profile import ErrorClass, ErrorRule

_BY_STATUS: dict[int, ErrorClass] = {
    401: "Unauthorized",
    403: "Unauthorized",
    404: "NotFound",
    408: "Transient",
    409: "Duplicate",
    410: "NotFound",
    412: "Stale",
    425: "Transient",
    429: "Throttled",
}


class CallFailed(Exception):
    """A call was answered with an error, or not at all.

    `reason` is an ErrorClass or: Unreachable (never handled), OutcomeUnknown (may have been handled), BadAnswer (answer
    isn't what the profile says), Changing (a listing that changed while it was read). `answered` is False when no
    answer came at all.
    """

    def __init__(self, reason: str, message: str, *, answered: bool = True) -> None:
        super().__init__(message)
        self.reason, self.answered = reason, answered

    def __str__(self) -> str:
        return f"{self.reason}: {super().__str__()}"


def classify(rules: Sequence[ErrorRule], status: int, body: bytes) -> ErrorClass | None:
    """What an answer means, by the profile's rules and then by HTTP; None for success."""
    return meaning_of(rules, status, lambda: read_json(body))


def meaning_of(rules: Sequence[ErrorRule], status: int, document: Callable[[], Any]) -> ErrorClass | None:
    """What a status means, with the JSON beside it; None for success."""
    for rule in rules:
        if status in rule.status and (rule.when is None or _holds(rule.compiled(rule.when), document)):
            return rule.means
    if status < 400:
        return None if 200 <= status < 300 else "Refused"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "Transient" if status >= 500 and status not in (501, 505) else "Refused"


def _holds(expression: Any, document: Callable[[], Any]) -> bool:
    try:
        return bool(expression(document()))
    except ValueError:
        return False
