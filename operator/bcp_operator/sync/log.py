"""The log of a run: one JSON object a line on standard error, or plain lines for people at a desk."""

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """time, level, msg, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        return json.dumps(
            {"time": time, "level": record.levelname.lower(), "msg": record.getMessage(), **extra}, default=str
        )


class PlainLines(logging.Formatter):
    """The message, then name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of text."""
        extra = [f"{name}={value}" for name, value in record.__dict__.items() if name not in _STANDARD]
        return " ".join([f"{record.levelname.lower()}: {record.getMessage()}", *extra])


def set_up(kind: str) -> None:
    """`kind`: json or text. Only our own modules are heard: libraries log URLs and headers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else PlainLines())
    ours = logging.getLogger("bcp_operator")
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    logging.getLogger().handlers[:] = [logging.NullHandler()]
