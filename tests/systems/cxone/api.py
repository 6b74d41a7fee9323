"""What every topic uses: routes with the section they were built from, calls, replies and refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.systems.cxone.tenant import Tenant

Host = Literal["global", "userhub", "acd"]
Row = dict[str, Any]
ACD = "/inContactAPI/services/v33.0"  # 2.3: public code uses v16 to v34


@dataclass(frozen=True)
class Call:
    """One request, after authentication."""

    method: str
    path: str
    tenant: Tenant
    params: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    form: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    refused_items: dict[str, str] = field(default_factory=dict)  # faults.py: name -> why

    def objects(self, name: str) -> list[Row]:
        """The array of entities that a bulk call carries; 400 when there is none."""
        value = self.body.get(name) if isinstance(self.body, dict) else None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise Refused(400, f"the body has no array {name}")
        return value

    def object(self, name: str | None = None) -> Row:
        """The body, or the object that it wraps; 400 when there is none."""
        value = self.body.get(name) if name and isinstance(self.body, dict) else self.body
        if not isinstance(value, dict):
            raise Refused(400, f"the body holds no {name or 'object'}")
        return value


@dataclass(frozen=True)
class Reply:
    """An answer."""

    body: Any = None
    status: int = 200


class Refused(Exception):
    """The whole request is refused with an HTTP status."""

    def __init__(self, status: int, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.status, self.code = status, code


class ItemRefused(Exception):
    """One entity of a bulk call is refused; the answer is HTTP 200 all the same (2.3)."""


Handler = Callable[[Call], Reply]


@dataclass(frozen=True)
class Route:
    """One operation."""

    method: str
    template: str
    host: Host
    cite: str
    handler: Handler
    public: bool
    pattern: re.Pattern[str]


ROUTES: list[Route] = []


def route(method: str, path: str, *, host: Host, cite: str, public: bool = False) -> Callable[[Handler], Handler]:
    """Register an operation. `cite` names the section of the reference; `public` needs no token."""
    full = ACD + path if host == "acd" else path
    pattern = re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", full) + "$")

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, full, host, cite, handler, public, pattern))
        return handler

    return register


def find(method: str, path: str, host: Host | None) -> tuple[Route, dict[str, str]]:
    """The operation that answers; literal paths before those with parameters. Raises Refused 404 or 405."""
    matches = [(r, m) for r in ROUTES if (host is None or r.host == host) and (m := r.pattern.match(path))]
    if not matches:
        raise Refused(404, "no such path on this host")
    fitting = [(r, m) for r, m in matches if r.method == method]
    if not fitting:
        raise Refused(405, "no such method for this path")
    chosen, match = min(fitting, key=lambda pair: pair[0].template.count("{"))
    return chosen, match.groupdict()


def bulk(call: Call, items: list[Row], act: Callable[[Row], Row], results: str) -> Reply:
    """2.3: bulk calls answer HTTP 200 with errorCount and success or error per item."""
    answers: list[Row] = []
    for item in items:
        try:
            for value in item.values():
                if str(value) in call.refused_items:
                    raise ItemRefused(call.refused_items[str(value)])
            answers.append({"success": True, **act(item)})
        except ItemRefused as refusal:
            answers.append({"success": False, "error": str(refusal)})
    return Reply({"errorCount": sum(not answer["success"] for answer in answers), results: answers})
