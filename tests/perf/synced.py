"""Runs of bcp-sync as its own process, measured: wall clock of the run, CPU and peak memory of the whole process tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

RECORDER = """
import json, sys
from bcp_operator.sync import __main__ as command
from bcp_operator.systems.transport import Transport
sent, out = Transport.request, open(sys.argv[1], "a", buffering=1)
async def request(self, method, url, *, headers=None, body=None, **more):
    line = {"method": method, "url": url, "headers": dict(headers or {}), "body": body and body.decode()}
    out.write(json.dumps(line) + "\\n")
    return await sent(self, method, url, headers=headers, body=body, **more)
Transport.request = request
sys.exit(command.main(sys.argv[2:]))
"""


@dataclass(frozen=True)
class Sample:
    """One run. `cpu_seconds` is without what it takes to start."""

    what: str
    seconds: float
    cpu_seconds: float
    peak_mib: float
    requests: int
    counts: Mapping[str, int]

    def plain(self) -> dict[str, Any]:
        """For the file of raw samples."""
        return asdict(self)


class Synced:
    """A pair of systems with run.yaml, profiles and a store that can be put aside and brought back."""

    def __init__(self, folder: Path, systems: Mapping[str, Mapping[str, str]], profile: str, concurrency: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "benchmark.yaml").write_text(profile)
        document: dict[str, Any] = {
            "tenant": {"namespace": "bench", "name": "bench"},
            "pair": "be" * 32,
            "store": {"sqlite": {"path": str(folder / "store" / "correlations.db")}},
            "limits": {"requestsPerSecond": 10000, "concurrency": concurrency},
            "approval": "Never",
        }
        for side, system in systems.items():
            credentials = folder / side
            credentials.mkdir(exist_ok=True)
            (credentials / "token").write_text(system.get("token", "none"))
            document[side] = {
                "profile": "benchmark",
                "tenantID": side,
                "endpoint": system["endpoint"],
                "insecure": True,
                "credentialsDir": str(credentials),
            }
        (folder / "run.yaml").write_text(yaml.safe_dump(document))
        self._startup = _measured([sys.executable, "-c", "import bcp_operator.sync.__main__, bcp_operator.sync.run"])[2]

    def run(self, what: str) -> Sample:
        """Sync once; fails when it does not succeed."""
        printed, logged, cpu, peak = _measured([sys.executable, "-m", "bcp_operator.sync", *self._arguments()])
        report = json.loads(printed.splitlines()[-1])
        assert report["result"] == "Succeeded", report["message"]
        done = {name: number for name, number in report["counts"].items() if number}
        return Sample(what, report["seconds"], max(0.0, cpu - self._startup), peak, _requests(logged), done)

    def record(self) -> Path:
        """Sync once and write down every request."""
        out = self.folder / "requests.jsonl"
        out.unlink(missing_ok=True)
        _measured([sys.executable, "-c", RECORDER, str(out), *self._arguments()])
        return out

    def put_aside(self) -> None:
        """Keep the store as it is."""
        shutil.rmtree(self.folder / "aside", ignore_errors=True)
        shutil.copytree(self.folder / "store", self.folder / "aside")

    def bring_back(self, *, empty: bool = False) -> None:
        """The store as it was put aside, or none."""
        shutil.rmtree(self.folder / "store", ignore_errors=True)
        if not empty:
            shutil.copytree(self.folder / "aside", self.folder / "store")

    def _arguments(self) -> list[str]:
        config = ["--config", str(self.folder / "run.yaml"), "--profiles", str(self.folder)]
        return ["run", *config, "-o", "json", "--log-format", "json", "--unfenced", "--reason", "benchmark"]


def bare(requests: Path, concurrency: int) -> Sample:
    """The same requests by the bare client."""
    printed, _, cpu, peak = _measured([sys.executable, "-m", "tests.perf.bare", str(requests), str(concurrency)])
    said = json.loads(printed)
    startup = _measured([sys.executable, "-c", "import aiohttp, tests.perf.bare"])[2]
    return Sample("bare", said["seconds"], max(0.0, cpu - startup), peak, said["requests"], {})


def _requests(logged: str) -> int:
    last = [json.loads(line) for line in logged.splitlines() if '"msg": "done"' in line][-1]
    return int(last["reads"]) + int(last["writes"])


def _measured(command: Sequence[str]) -> tuple[str, str, float, float]:
    """Run it; returns standard output and error, CPU seconds and peak memory in MiB, of it and its children."""
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as logged:
        process = subprocess.Popen(command, stdout=printed, stderr=logged)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (printed, logged):
            stream.seek(0)
        out, log = printed.read(), logged.read()
    assert process.returncode == 0, f"{command[2]} ended with {process.returncode}: {out}{log[-2000:]}"
    return out, log, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
