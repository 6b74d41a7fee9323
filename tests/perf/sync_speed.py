"""How fast a sync is beside the least a client could do, and what a million entities cost.

    python -m tests.perf.sync_speed [--entities 400] [--generated 10000] [--sizes 10000,100000,1000000] [--rounds 3] [--out samples.json]

In one run, turn and turn about: bcp-sync, and a bare aiohttp client that makes the same requests at the same concurrency. On a real
directory (scim2-server) and on one that generates its answers. Targets of the design: all creates at 85 % of the bare client's rate or more,
nothing changed at 90 % (both on the real directory); at the largest size 300 MiB at most, and at most 1.5 times the CPU
per entity of the smallest. Exits with 1 when one is missed; raw samples are kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bcp_operator.sync.correlations.sqlite import open_sqlite
from bcp_operator.sync.correlations.store import Row

from tests.perf import generator
from tests.perf.synced import Sample, Synced, bare
from tests.systems import world
from tests.systems.servers import start_scim
from tests.systems.web import ask

ROOT = Path(__file__).parents[2]
SCIM = ROOT / "operator" / "bcp_operator" / "systems" / "profiles" / "scim.yaml"
CONCURRENCY = 8
TARGETS = {"creates": 0.85, "unchanged": 0.90, "peak MiB": 300.0, "growth": 1.5}
SMALL_PART = 1000  # one entity in so many has changed


class Bench:
    """Figures, samples and missed targets, as they come."""

    def __init__(self) -> None:
        self.samples: list[dict[str, Any]] = []
        self.missed: list[str] = []

    def note(self, name: str, sample: Sample) -> Sample:
        """Keep a raw sample."""
        self.samples.append({"case": name, **sample.plain()})
        return sample

    def target(self, what: str, value: float, limit: float, *, at_least: bool) -> None:
        """Compare with a target."""
        good = value >= limit if at_least else value <= limit
        print(
            f"  target: {what} {value:.2f}, {'at least' if at_least else 'at most'} {limit:g}: {'met' if good else 'MISSED'}"
        )
        if not good:
            self.missed.append(what)

    def beside(self, name: str, synced: Synced, entities: int, rounds: int, prepare: Callable[[], None]) -> float:
        """The engine and the bare client in turn; prints both and returns the engine's share of the bare rate."""
        prepare()
        requests = synced.record()
        ours, theirs = list[Sample](), list[Sample]()
        for _ in range(rounds):
            prepare()
            ours.append(self.note(name, synced.run("bcp-sync")))
            prepare()
            theirs.append(self.note(name, bare(requests, CONCURRENCY)))
        seconds, floor = (statistics.median(s.seconds for s in samples) for samples in (ours, theirs))
        cpu, least = (statistics.median(s.cpu_seconds for s in samples) for samples in (ours, theirs))
        number = theirs[0].requests
        print(
            f"{name}: {entities} entities, {number} requests ({number / entities:.3f} per entity): bcp-sync {number / seconds:.0f} requests/s,"
            f" {entities / seconds:.0f} entities/s, {cpu / entities * 1e6:.0f} us CPU per entity; bare client {number / floor:.0f} requests/s,"
            f" {least / entities * 1e6:.0f} us; {floor / seconds:.0%}",
            flush=True,
        )
        return floor / seconds


@contextmanager
def generating(side: str, entities: int) -> Iterator[str]:
    """A generator server; gives its base URL."""
    command = [sys.executable, "-m", "tests.perf.generator", "--side", side, "--entities", str(entities)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline().split()[1])}"
    finally:
        process.kill()
        process.wait()


def reshape(base: str, entities: int, changed: int = 0) -> None:
    """Tell a generator server what there is."""
    assert ask(f"{base}/set?entities={entities}&changed={changed}", method="POST").status == 200


def real(bench: Bench, folder: Path, entities: int, rounds: int) -> None:
    """On somebody else's directory."""
    dump = world.scim_dump(entities, entities // 20)
    with ExitStack() as stack:
        primary = stack.enter_context(start_scim(token="tp", dump=dump, snapshots=True))
        secondary = stack.enter_context(start_scim(token="ts", name="SECONDARY", snapshots=True))
        systems = {
            "primary": {"endpoint": primary.base + "/v2", "token": "tp"},
            "secondary": {"endpoint": secondary.base + "/v2", "token": "ts"},
        }
        synced = Synced(folder, systems, SCIM.read_text(), CONCURRENCY)
        secondary.keep("empty")

        def afresh() -> None:
            secondary.restore("empty")
            synced.bring_back(empty=True)

        share = bench.beside("all creates, scim2-server", synced, len(dump), rounds, afresh)
        bench.target("creates, share of the bare client's rate", share, TARGETS["creates"], at_least=True)
        afresh()
        synced.run("copy")
        synced.put_aside()
        share = bench.beside("nothing changed, scim2-server", synced, len(dump), rounds, synced.bring_back)
        bench.target("nothing changed, share of the bare client's rate", share, TARGETS["unchanged"], at_least=True)


def fast(bench: Bench, folder: Path, entities: int, rounds: int) -> None:
    """On generator servers, where nothing hides what the engine costs."""
    with generating("p", entities) as one, generating("s", 0) as two:
        synced = Synced(
            folder, {"primary": {"endpoint": one}, "secondary": {"endpoint": two}}, generator.PROFILE, CONCURRENCY
        )

        def afresh() -> None:
            reshape(two, 0)
            synced.bring_back(empty=True)

        bench.beside("all creates, generator", synced, entities, rounds, afresh)
        reshape(two, entities)
        synced.bring_back(empty=True)
        bench.note("adopting", synced.run("adopt"))
        synced.put_aside()
        bench.beside("nothing changed, generator", synced, entities, rounds, synced.bring_back)


def growth(bench: Bench, folder: Path, sizes: list[int]) -> None:
    """One entity in a thousand has changed; ever more of them."""
    per_entity: list[float] = []
    peak = 0.0
    for size in sizes:
        with generating("p", size) as one, generating("s", size) as two:
            systems = {"primary": {"endpoint": one}, "secondary": {"endpoint": two}}
            synced = Synced(folder / str(size), systems, generator.PROFILE, CONCURRENCY)
            first = bench.note(f"first copy of {size}, all there already", synced.run("adopt"))
            reshape(one, size, changed=size // SMALL_PART)
            sample = bench.note(f"{size} entities, 0.1 % changed", synced.run("bcp-sync"))
        assert sample.counts.get("updated") == size // SMALL_PART, sample.counts
        per_entity.append(sample.cpu_seconds / size * 1e6)
        peak = sample.peak_mib
        print(
            f"{size} entities, 0.1 % changed: {sample.seconds:.1f} s, {per_entity[-1]:.0f} us CPU per entity, {sample.requests / size:.4f}"
            f" requests per entity, peak {peak:.0f} MiB (the first run, which found all of them by key: {first.seconds:.1f} s, {first.peak_mib:.0f} MiB)",
            flush=True,
        )
    bench.target(f"peak MiB at {sizes[-1]} entities", peak, TARGETS["peak MiB"], at_least=False)
    bench.target(
        "CPU per entity, largest beside smallest", per_entity[-1] / per_entity[0], TARGETS["growth"], at_least=False
    )


def stores(bench: Bench, folder: Path, rows: int = 20_000, batch: int = 500) -> None:
    """Rows per second of the store, written in batches as a run writes them, and read one by one."""
    store = open_sqlite(folder / "rows.db", "be" * 32)
    made = [
        Row("person", f"p{n}", f"{n:032x}", f"s{n}", f"k{n}", "a" * 32, "b" * 32, {"x": ("c", "c")}, "ACTIVE")
        for n in range(rows)
    ]
    began = time.monotonic()
    for start in range(0, rows, batch):
        store.save(made[start : start + batch])
    saved = time.monotonic()
    for row in made:
        store.by_primary("person", row.primary_id)
    read = time.monotonic()
    store.close()
    figures = {"rows": rows, "saved": rows / (saved - began), "read": rows / (read - saved)}
    bench.samples.append({"case": "store", "store": "sqlite", **figures})
    print(
        f"store, sqlite: {figures['saved']:.0f} rows/s saved in batches of {batch}, {figures['read']:.0f} rows/s read one by one"
    )


def main() -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(description="How fast a sync is.")
    parser.add_argument("--entities", type=int, default=400, help="users on the real directory")
    parser.add_argument("--generated", type=int, default=10_000, help="entities on the generator server")
    parser.add_argument("--sizes", default="10000,100000,1000000", help="entities, with 0.1 %% changed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="real,fast,growth,stores")
    parser.add_argument("--out", type=Path, help="raw samples as JSON")
    options = parser.parse_args()
    bench = Bench()
    wanted = options.only.split(",")
    with tempfile.TemporaryDirectory(prefix="bcp-bench-") as name:
        folder = Path(name)
        if "real" in wanted:
            real(bench, folder / "real", options.entities, options.rounds)
        if "fast" in wanted:
            fast(bench, folder / "fast", options.generated, options.rounds)
        if "stores" in wanted:
            stores(bench, folder)
        if "growth" in wanted:
            growth(bench, folder / "growth", [int(size) for size in options.sizes.split(",")])
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(bench.samples, indent=1))
    print("all targets met" if not bench.missed else f"missed: {', '.join(bench.missed)}")
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
