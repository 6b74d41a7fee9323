"""A fleet of tenants on a real API server and a real Traefik: all failed over at once, idle, restarted, and without their leader.

    python -m tests.perf.fleet [--tenants 1000] [--parts idle,restart,failover,kill] [--out samples.json]

Sync is enabled: every tenant has a CronJob, a Lease, and a Job and a pod of its last run (fleet_world.py). The operator is a process of
its own inside the cluster's network, and so is the bare client that makes the same writes as the operator made, in the same run.
Counted from outside: writes in the API server's audit log, memory in the process table, where users are sent at Traefik.
Exits with 1 when a target of the design is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.apiserver.replica import Replica
from tests.cluster import Cluster
from tests.cluster.settings import APISERVER_PORT, NODE_ADDRESS
from tests.perf import fleet_bare
from tests.perf.fleet_log import Audit, OwnLog, cpu_seconds, memory_mib, wait_quiet, writes
from tests.perf.fleet_world import AT_ONCE, LOGIN_DOMAIN, Bare, Fleet, sent_to, spread, vendor

ROOT = Path(__file__).parents[2]
USER = "fleet-operator"
OWN, WATCHED = "fleet-own", "fleet"
LEADER = "bcp-operator-leader"
PARTS = ("idle", "restart", "failover", "kill")
IDLE_SECONDS = 60.0
QUIET_SECONDS = 5.0
DEADLINE_SECONDS = 600.0
SWITCH_DEADLINE_SECONDS = 180.0
KILL_DEADLINE_SECONDS = 90.0
POLL_SECONDS = 0.5
TARGETS = {"ratio": 0.7, "verified": 60.0, "handled": 20.0}
RSS_MIB = {1000: 200.0, 5000: 400.0}
RESTART_SECONDS = {1000: 5.0, 5000: 15.0}


def limit(limits: dict[int, float], size: int) -> float:
    """The target for a fleet of that size: that of the next larger one which has one."""
    return next((value for most, value in sorted(limits.items()) if size <= most), max(limits.values()))


@dataclass
class Bench:
    """Figures and missed targets, as they come."""

    fleet: Fleet
    audit: Audit
    kubeconfig: Path
    folder: Path
    ca_pem: str
    figures: dict[str, Any] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    running: list[Replica] = field(default_factory=list)

    def start(self, name: str) -> tuple[Replica, OwnLog]:
        """One replica, and its log from now on."""
        log = OwnLog(self.folder / f"{name}.log")
        made = Replica(self.kubeconfig, OWN, WATCHED, self.folder, name)
        self.running.append(made)
        return made, log

    def target(self, what: str, value: float, most: float, *, at_least: bool = False) -> None:
        """Print a figure beside its target."""
        good = value >= most if at_least else value <= most
        verdict = "met" if good else "MISSED"
        print(
            f"  {what}: {value:.2f} (target: {'at least' if at_least else 'at most'} {most:g}, {verdict})", flush=True
        )
        self.figures[what] = value
        if not good:
            self.missed.append(f"{what} {value:.2f}")

    def note(self, what: str, value: Any) -> None:
        """Print and keep a figure without a target."""
        print(f"  {what}: {value:.2f}" if isinstance(value, float) else f"  {what}: {value}", flush=True)
        self.figures[what] = value


async def wait_for(check: Callable[[], bool], seconds: float, what: str, replica: Replica) -> None:
    """Poll until it holds, while the vendor's pages are served; raises AssertionError with the end of the log."""
    end = time.monotonic() + seconds
    while not check():
        assert replica.process.poll() is None, f"the operator ended:\n{replica.log[-3000:]}"
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}\n{replica.log[-2000:]}"
        await asyncio.sleep(POLL_SECONDS)


async def quiet(bench: Bench) -> None:
    """Until the operator writes nothing any more."""
    await asyncio.to_thread(wait_quiet, bench.audit, QUIET_SECONDS, DEADLINE_SECONDS, but=LEADER)


async def enrol(bench: Bench) -> Replica:
    """Make the fleet while the operator runs; then the runs that it has behind it."""
    begun = time.monotonic()
    replica, _ = bench.start("first")
    await wait_for(replica.ready, 60, "ready", replica)
    await spread(bench.fleet.enrol, bench.fleet.names)
    await quiet(bench)
    bench.note("seconds to enrol", time.monotonic() - begun - QUIET_SECONDS)
    await spread(bench.fleet.last_run, bench.fleet.names)
    await quiet(bench)
    return replica


async def idle(bench: Bench, replica: Replica) -> None:
    """A minute in which nothing happens."""
    offset, cpu = bench.audit.size(), cpu_seconds(replica.process.pid)
    peak = 0.0
    end = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < end:
        await asyncio.sleep(POLL_SECONDS)
        peak = max(peak, memory_mib(replica.process.pid))
    requests = bench.audit.since(offset)
    print("idle", flush=True)
    bench.target("idle: writes in a minute, without the leader Lease", writes(requests, but=LEADER).total(), 0)
    bench.target("idle: resident MiB", peak, limit(RSS_MIB, bench.fleet.size))
    bench.note("idle: CPU seconds in a minute", cpu_seconds(replica.process.pid) - cpu)
    bench.note("idle: reads in a minute", sum(not one.is_write for one in requests))


async def restart(bench: Bench, replica: Replica) -> Replica:
    """Stop it, start it, and wait until it has looked at everything."""
    replica.stop()
    offset, begun = bench.audit.size(), time.time()
    again, log = bench.start("again")
    size = bench.fleet.size
    await wait_for(lambda: log.at_rest()[0] >= size, 120, f"{size} objects looked at", again)
    await quiet(bench)
    requests = bench.audit.since(offset)
    print("restart", flush=True)
    bench.target("restart: seconds to all reconciled", log.at_rest()[1] - begun, limit(RESTART_SECONDS, size))
    bench.target("restart: writes, without the leader Lease", writes(requests, but=LEADER).total(), 0)
    bench.note("restart: reads", sum(not one.is_write for one in requests))
    bench.note("restart: CPU seconds", cpu_seconds(again.process.pid))
    bench.note("restart: resident MiB", memory_mib(again.process.pid))
    return again


async def switch(bench: Bench, replica: Replica, side: str) -> list[str]:
    """All at once; returns the kinds of writes that a tenant needed up to its route."""
    log, offset, begun = OwnLog(bench.folder / f"{replica.name}.log"), bench.audit.size(), time.time()
    cpu, size = cpu_seconds(replica.process.pid), bench.fleet.size
    word = "Failover" if side == "Secondary" else "Failback"
    await spread(lambda name: bench.fleet.ask(name, side, "bench"), bench.fleet.names)
    asked = time.time() - begun
    done = lambda: len(log.with_reason(f"{word}Completed")) >= size  # noqa: E731
    with suppress(AssertionError):
        await wait_for(done, SWITCH_DEADLINE_SECONDS, f"{size} switches", replica)
    ended = sorted(moment - begun for moment in log.with_reason(f"{word}Completed"))
    used = cpu_seconds(replica.process.pid) - cpu
    await quiet(bench)
    requests = bench.audit.since(offset)
    routed = sorted(one.at - begun for one in requests if one.kind == fleet_bare.ROUTE)
    shown = await sent_to(bench.fleet, bench.ca_pem)
    wrong = [name for name, where in shown.items() if where != bench.fleet.page(name, side)]
    title = word.lower()
    print(f"{title} of {size} at once, asked for within {asked:.1f} s", flush=True)
    bench.note(f"{title}: all routes written, seconds", routed[-1] if routed else 0.0)
    bench.note(f"{title}: routes a second", len(routed) / routed[-1] if routed else 0.0)
    bench.target(f"{title}: all verified, seconds", ended[-1] if len(ended) == size else 999.0, TARGETS["verified"])
    bench.target(f"{title}: login URLs that lead elsewhere", len(wrong), 0)
    bench.note(f"{title}: CPU milliseconds of the operator a tenant", 1000 * used / size)
    bench.note(f"{title}: reads a tenant", sum(not one.is_write for one in requests) / size)
    bench.note(f"{title}: writes", dict(writes(requests, but=LEADER)))
    bench.note(f"{title}: resident MiB", memory_mib(replica.process.pid))
    bench.figures[f"{title}: samples"] = {"routed": routed, "completed": ended, "asked": asked}
    return fleet_bare.until_routed(requests, bench.fleet.names)


async def bare(bench: Bench, kinds: list[str]) -> None:
    """The same writes, with the operator away and the same crowd asking."""
    writer = fleet_bare.Writer(bench.fleet, kinds)
    await writer.load()
    begun = time.time()
    await asyncio.gather(
        spread(lambda name: bench.fleet.ask(name, "Secondary", "bare"), bench.fleet.names, AT_ONCE), writer.run()
    )
    routed = sorted(moment - begun for moment in writer.routed)
    print(f"a bare client, {', '.join(kinds)}", flush=True)
    bench.note("bare: all routes written, seconds", routed[-1])
    bench.note("bare: routes a second", len(routed) / routed[-1])
    bench.figures["bare: samples"] = routed
    ratio = bench.figures["failover: routes a second"] / bench.figures["bare: routes a second"]
    bench.target("failover: rate of routes beside the bare client's", ratio, TARGETS["ratio"], at_least=True)


async def failover(bench: Bench, replica: Replica) -> Replica:
    """Out, back, and the bare client's turn; the operator runs again afterwards."""
    kinds = await switch(bench, replica, "Secondary")
    await switch(bench, replica, "Primary")
    replica.stop()
    await bare(bench, kinds)
    return replica


async def kill(bench: Bench, replica: Replica) -> Replica:
    """The leader dies, and a moment later a switch is asked for."""
    standby, log = bench.start("standby")
    await wait_for(standby.ready, 60, "the standby to be ready", standby)
    name = bench.fleet.names[0]
    replica.signal(signal.SIGKILL)
    begun = time.time()
    await bench.fleet.ask(name, "Secondary", "the leader is dead")
    await wait_for(
        lambda: bool(log.with_reason("FailoverCompleted")), KILL_DEADLINE_SECONDS, "the pending failover", standby
    )
    print("leader killed", flush=True)
    bench.target(
        "killed: seconds to a pending failover", log.with_reason("FailoverCompleted")[0] - begun, TARGETS["handled"]
    )
    await bench.fleet.ask(name, "Primary", "the leader lives")
    await quiet(bench)
    return standby


async def run(args: argparse.Namespace) -> int:
    """Everything, inside the cluster's network."""
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(Bare.connect(args.admin))
            pages = await stack.enter_async_context(vendor())
            fleet = Fleet(api, WATCHED, args.tenants, pages)
            ca_pem = args.ca.read_text()
            bench = Bench(fleet, Audit(args.audit_log, USER), args.kubeconfig, args.logs or Path(folder), ca_pem)
            with ending(bench.running):
                await fleet.prepare(ca_pem, (args.cert.read_text(), args.key.read_text()))
                print(f"{args.tenants} tenants, sync enabled", flush=True)
                replica = await enrol(bench)
                for part in (idle, restart, kill, failover):  # the bare client leaves a mess, so it is the last
                    if part.__name__ in args.parts.split(","):
                        replica = await part(bench, replica) or replica
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"tenants": args.tenants, "missed": bench.missed, **bench.figures}))
    for line in bench.missed:
        print(f"missed: {line}")
    return 1 if bench.missed else 0


@contextmanager
def ending(running: list[Replica]) -> Any:
    """No replica outlives the bench."""
    try:
        yield
    finally:
        for replica in running:
            if replica.process.poll() is None:
                replica.process.kill()
                replica.process.wait()


def enter(args: argparse.Namespace) -> None:
    """Bring the cluster up, clear it, and become a process inside its network. Does not return."""
    cluster = Cluster()
    cluster.up(node=True, images=False)
    for namespace in (WATCHED, OWN):
        cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=true")
        cluster.kubectl("create", "namespace", namespace)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    folder = Path(tempfile.mkdtemp(prefix="bench-fleet-"))
    files = {"admin": inside(cluster, "admin", ["system:masters"], folder)}
    files["kubeconfig"] = inside(cluster, USER, ["system:masters", "lab:audited"], folder)
    cert, key = cluster.issue_cert([f"*.{LOGIN_DOMAIN}"])
    for name, text in (("ca", cluster.ca_pem), ("cert", cert), ("key", key)):
        files[name] = folder / f"{name}.pem"
        files[name].write_text(text)
    files["audit-log"] = cluster.audit_log
    told = [part for name, file in files.items() for part in (f"--{name}", str(file))]
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [*cluster.enter(), sys.executable, "-m", "tests.perf.fleet", *sys.argv[1:], *told]
    sys.stdout.flush()
    os.execvp(command[0], command)


def inside(cluster: Cluster, user: str, groups: list[str], folder: Path) -> Path:
    """A kubeconfig that works inside the cluster's network, without the forwarder."""
    text = cluster.client_kubeconfig(user, groups).read_text()
    lines = text.splitlines()
    file = folder / f"{user}.kubeconfig"
    server = f"https://{NODE_ADDRESS}:{APISERVER_PORT}"
    file.write_text("\n".join(f"    server: {server}" if "server:" in line else line for line in lines))
    file.chmod(0o600)
    return file


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--out", type=Path, help="where figures and raw samples go, as JSON")
    parser.add_argument("--logs", type=Path, help="an existing folder for the operator's logs; default: thrown away")
    for name in ("admin", "kubeconfig", "ca", "cert", "key", "audit-log"):
        parser.add_argument(f"--{name}", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.admin is None:
        enter(args)
    try:
        return asyncio.run(run(args))
    finally:
        shutil.rmtree(args.admin.parent, ignore_errors=True)  # keys


if __name__ == "__main__":
    sys.exit(main())
