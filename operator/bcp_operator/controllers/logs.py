"""One log for everything in the process: a line for people, or an object for machines."""

import json
import logging
import sys
from datetime import UTC, datetime

FIELDS = ("tenant", "namespace", "reason", "operation", "audit")
"""Extra fields of a record that are written out."""


class TextFormatter(logging.Formatter):
    """time level message field=value ..."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback where something is broken."""
        parts = [f"{_time(record)} {record.levelname.lower():7} {record.getMessage()}"]
        parts += [f"{name}={value}" for name, value in _extras(record).items()]
        text = " ".join(parts)
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """time, level, logger, message and what else the record carries."""
        entry: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= _extras(record)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure(log_format: str, level: str) -> None:
    """Route everything, Kopf's own records too, to stderr in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("kopf", "asyncio", "aiohttp", "httpx", "httpcore", "kubernetes", "dns"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
