"""What the operator did, as others wrote it down: the API server's audit log, the process table, and its own log for the moments."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

READS = ("get", "list", "watch")
AT_REST = "at rest: "


@dataclass(frozen=True)
class Request:
    """One request of the operator; `at` is when the API server got it, in seconds since 1970."""

    at: float
    verb: str
    resource: str
    name: str
    code: int

    @property
    def kind(self) -> str:
        """What was done to what."""
        return f"{self.verb} {self.resource}"

    @property
    def is_write(self) -> bool:
        """It would change something."""
        return self.verb not in READS


class Audit:
    """The API server's audit log from a moment on."""

    def __init__(self, file: Path, user: str) -> None:
        self._file, self._user = file, user.encode()

    def size(self) -> int:
        """Where the log ends now."""
        return self._file.stat().st_size

    def since(self, offset: int) -> list[Request]:
        """Every request of the user that is written after the offset, in order."""
        with self._file.open("rb") as log:
            log.seek(offset)
            lines = [line for line in log if line.endswith(b"\n") and self._user in line]
        return sorted((_request(json.loads(line)) for line in lines), key=lambda one: one.at)


def _request(event: dict[str, Any]) -> Request:
    ref = event.get("objectRef") or {}
    resource = ref.get("resource", "") + (f"/{ref['subresource']}" if ref.get("subresource") else "")
    at = datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()
    code = (event.get("responseStatus") or {}).get("code", 0)
    return Request(at, event["verb"], resource, str(ref.get("name", "")), code)


def writes(requests: list[Request], *, but: str = "") -> Counter[str]:
    """How many writes of each kind, without those to the object of that name."""
    return Counter(one.kind for one in requests if one.is_write and one.name != but)


class OwnLog:
    """The operator's own log, JSON lines, from a moment on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = file.stat().st_size if file.exists() else 0
        self.entries: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """Everything so far."""
        with self._file.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                if line.startswith(b"{"):
                    self.entries.append(json.loads(line))
        return self.entries

    def with_reason(self, reason: str) -> list[float]:
        """When something of that reason was told, in seconds since 1970."""
        return [_moment(entry) for entry in self.read() if entry.get("reason") == reason]

    def at_rest(self) -> tuple[int, float]:
        """How many objects were looked at until the queue was empty, over all such moments, and when the last one was."""
        told = [entry for entry in self.read() if entry["message"].startswith(AT_REST)]
        objects = sum(int(entry["message"].split()[2]) for entry in told)
        return objects, _moment(told[-1]) if told else 0.0


def _moment(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["time"]).timestamp()


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def wait_quiet(audit: Audit, seconds: float, deadline_seconds: float, *, but: str) -> None:
    """Wait until the operator has written nothing for so long."""
    end = time.monotonic() + deadline_seconds
    offset, since = audit.size(), time.monotonic()
    while time.monotonic() - since < seconds:
        assert time.monotonic() < end, f"the operator still writes after {deadline_seconds:g} s"
        time.sleep(0.5)
        size = audit.size()
        if writes(audit.since(offset), but=but):
            since = time.monotonic()
        offset = size
