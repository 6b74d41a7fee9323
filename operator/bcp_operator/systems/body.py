"""JSON that a system gave: read with a bound on its depth, and its IDs and keys as text that can be stored. Pure."""

import json
from typing import Any

MAX_DEPTH = 100  # far above any real entity, far below Python's recursion limit


def read_json(body: bytes) -> Any:
    """The body as JSON. Raises ValueError without quoting the body: no JSON, or nested deeper than MAX_DEPTH."""
    try:
        document = json.loads(body)
    except RecursionError:
        raise ValueError(f"the body ({len(body)} bytes) is nested too deeply") from None
    except ValueError:
        raise ValueError(f"the body ({len(body)} bytes) is not JSON") from None
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            for part in (whole.values() if isinstance(whole, dict) else whole if isinstance(whole, list) else ())
            if isinstance(part, dict | list)
        ]
        if not level:
            return document
    raise ValueError(f"the body ({len(body)} bytes) is nested too deeply")


def as_text(value: object) -> str:
    """An ID or a key as text that every store can hold: what UTF-8 or PostgreSQL can't is written as its escape."""
    text = str(value).replace("\0", "\\x00")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
