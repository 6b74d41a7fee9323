"""Walking through a listing page by page. Pure: given the last answer, what to ask next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .profile import CursorPaging, NextLinkPaging, OffsetPaging, PageNumberPaging, Paging, SinglePage


class PagingError(Exception):
    """The listing can't be walked to its end; the message says why."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What to add to the list call: query parameters, or another target (path with query) altogether."""

    query: Mapping[str, str]
    target: str | None = None
    body: Mapping[str, int] = field(default_factory=dict)  # field of a POST search's body, with dots -> number


@dataclass(frozen=True, slots=True)
class PageSeen:
    """What the last answer held."""

    number: int  # of the page, from 0
    items: int  # on this page
    items_so_far: int  # with this page
    total: int | None
    body: Any
    headers: Mapping[str, str]


def first_page(paging: Paging) -> PageRequest:
    """What to ask first."""
    match paging:
        case OffsetPaging():
            return _numbered(paging, {paging.offset_param: paging.first})
        case PageNumberPaging():
            return _numbered(paging, {paging.page_param: paging.first})
        case CursorPaging() | NextLinkPaging():
            return PageRequest({paging.size_param: str(paging.size)} if paging.size_param else {})
    return PageRequest({})


def next_page(paging: Paging, seen: PageSeen, host: str) -> PageRequest | None:
    """What to ask next, or None at the end. `host` is the only one that a next link may name. Raises PagingError."""
    match paging:
        case OffsetPaging() | PageNumberPaging():
            return _counted(paging, seen)
        case CursorPaging():
            return _after_cursor(paging, seen)
        case NextLinkPaging():
            return _linked(paging, seen, host)
        case SinglePage():
            return None


def _counted(paging: OffsetPaging | PageNumberPaging, seen: PageSeen) -> PageRequest | None:
    if seen.items == 0 or (seen.total is not None and seen.items_so_far >= seen.total):
        return None
    if isinstance(paging, OffsetPaging):
        return _numbered(paging, {paging.offset_param: paging.first + seen.items_so_far})
    return _numbered(paging, {paging.page_param: paging.first + seen.number + 1})


def _numbered(paging: OffsetPaging | PageNumberPaging, position: Mapping[str, int]) -> PageRequest:
    numbers = {**position, paging.size_param: paging.size}
    if paging.place == "body":
        return PageRequest({}, body=numbers)
    return PageRequest({name: str(number) for name, number in numbers.items()})


def _after_cursor(paging: CursorPaging, seen: PageSeen) -> PageRequest | None:
    cursor = paging.compiled(paging.next)(seen.body)
    if cursor in (None, ""):
        return None
    size = {paging.size_param: str(paging.size)} if paging.size_param else {}
    return PageRequest({paging.cursor_param: str(cursor)} | size)


def _linked(paging: NextLinkPaging, seen: PageSeen, host: str) -> PageRequest | None:
    if paging.header is not None:
        link = seen.headers.get(paging.header)
    else:
        link = paging.compiled(paging.path or "")(seen.body)
    if not link:
        return None
    if not isinstance(link, str):
        raise PagingError("the link to the next page is no text")
    parts = urlsplit(link)
    if parts.netloc and parts.hostname != host:
        raise PagingError("the link to the next page names another host; credentials are not sent there")
    if not parts.path.startswith("/"):
        raise PagingError("the link to the next page is neither an absolute URL nor an absolute path")
    # Only path and query are taken: a server behind a TLS proxy names a scheme and port of its own.
    return PageRequest({}, parts.path + (f"?{parts.query}" if parts.query else ""))
