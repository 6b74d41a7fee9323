"""Listings: skip and top with a total and a next link (2.3), searches by POST (2.3), and pages by number (roles, 2.3)."""

from __future__ import annotations

from urllib.parse import urlencode

from tests.systems.cxone.api import Call, Refused, Reply, Row


def acd_page(call: Call, rows: list[Row], name: str) -> Reply:
    """2.3, Admin API: skip, top -> totalRecords and _links.next; the next link is a whole address."""
    skip, top = _numbers(call, call.query.get("skip", "0"), call.query.get("top", str(call.tenant.max_top)))
    part = rows[skip : skip + top]
    answer: Row = {"businessUnitId": call.tenant.business_unit, "totalRecords": len(rows), name: part, "_links": {}}
    if skip + len(part) < len(rows):
        query = urlencode({**call.query, "skip": skip + len(part), "top": top})
        answer["_links"]["next"] = f"http://{call.headers.get('host', '')}{call.path}?{query}"
    return Reply(answer)


def search_page(call: Call, rows: list[Row], name: str) -> Reply:
    """2.3, UserHub: POST .../search with skip and top in the body."""
    body = call.object()
    skip, top = _numbers(call, str(body.get("skip", 0)), str(body.get("top", call.tenant.max_top)))
    return Reply({"totalRecords": len(rows), "skip": skip, "top": top, name: rows[skip : skip + top]})


def numbered_page(call: Call, rows: list[Row], name: str) -> Reply:
    """2.3, roles: page{pageSize, pageNo, totalRecords}; the first page is 1 (assumed)."""
    asked = call.object().get("page") or {}
    number, size = _numbers(call, str(asked.get("pageNo", 1)), str(asked.get("pageSize", call.tenant.max_top)))
    first = (max(number, 1) - 1) * size
    return Reply(
        {
            "page": {"pageNo": number, "pageSize": size, "totalRecords": len(rows)},
            name: rows[first : first + size],
        }
    )


def _numbers(call: Call, first: str, size: str) -> tuple[int, int]:
    if not first.isdigit() or not size.isdigit() or not int(size):
        raise Refused(400, "skip and top are whole numbers, top above 0")
    return int(first), min(int(size), call.tenant.max_top)
