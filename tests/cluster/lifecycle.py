"""`up` and `down`: the order of things, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from tests.cluster import cgroups, controlplane, hoststate, hosttraces, identity, mounts, netns, packages, settings
from tests.cluster import node as nodes
from tests.cluster.apiclient import ApiClient
from tests.cluster.errors import ClusterError
from tests.cluster.folders import Folders, check_length
from tests.cluster.images import Builder, unmount_leftovers
from tests.cluster.jobs import Jobs, stop_leftover
from tests.cluster.ledger import Ledger, locked
from tests.cluster.progress import Timings, say
from tests.cluster.supervisor import Supervisor

STOP_ORDER = (
    "kubelet",
    "volume-provisioner",
    "traefik",
    "coredns",
    "kube-proxy",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
    "containerd",
    "forwarder",
)


def up(folders: Folders, *, node: bool, images: bool, transient: bool = False) -> None:
    """Bring the cluster up; harmless when it is up already.

    When it fails or is interrupted and there was nothing before, what it made is taken down again.

    Args:
        folders: the instance.
        node: with a node, DNS, Ingress and volumes; else only the control plane.
        images: build and load the project's images too (needs a node).
        transient: a test session starts it, and its last user takes it down.

    Raises:
        ClusterError: something is missing or failed.
    """
    if os.geteuid() != 0:
        raise ClusterError("the test cluster makes namespaces, mounts and cgroups: run it as root")
    check_length(folders)
    with locked(folders.lock), _interruptible():
        fresh = _settle_leftovers(folders)
        folders.state.mkdir(parents=True, exist_ok=True)
        ledger = Ledger.load(folders)
        with ledger.changing():
            ledger.transient = transient if fresh else ledger.transient and transient
        jobs = Jobs(ledger, folders.logs)
        try:
            _up(folders, ledger, jobs, node=node, images=images)
        except BaseException:
            jobs.cancel()
            if fresh:
                say("taking down what was started")
                _down(folders)
            raise


def _settle_leftovers(folders: Folders) -> bool:
    """End what a killed `up` left running, and clear away what an earlier boot left; return whether nothing is there."""
    if not folders.state.exists():
        return True
    ledger = Ledger.load(folders)
    if any(process.boot_id != identity.boot_id() for process in ledger.processes.values()):
        say("the machine was restarted since this cluster ran: starting a new one")
        _down(folders)
        return True
    for leader in ledger.jobs.values():
        stop_leftover(leader)
    with ledger.changing():
        ledger.jobs.clear()
    packages.allow_services(ledger)
    return False


def _up(folders: Folders, ledger: Ledger, jobs: Jobs, *, node: bool, images: bool) -> None:
    timings = Timings(folders.cache / "timings.json")
    wanted = [packages.CONTROL_PLANE, *([packages.NODE] if node else []), *([packages.IMAGES] if images else [])]
    packages.ensure(wanted, ledger, jobs, timings)
    builder = Builder(folders, ledger, jobs, timings)
    found = _fetch(folders, jobs, timings, builder if images else None, node=node)
    supervisor = Supervisor(folders, ledger)
    controlplane.prepare(folders, ledger)
    client = ApiClient(folders.pki, folders.netns)
    controlplane.start_early(folders, ledger, supervisor, found)
    if node:
        nodes.prepare(folders)
        nodes.start_containerd(folders, ledger, supervisor, found, jobs)
    controlplane.wait_apiserver(client, supervisor)
    controlplane.start_controllers(folders, supervisor, found)
    if node:
        nodes.start(folders, client, supervisor, found)
        nodes.wait(folders, client, supervisor)
    controlplane.wait_controllers(client, supervisor)
    if images:
        builder.load_all()


def _fetch(folders: Folders, jobs: Jobs, timings: Timings, builder: Builder | None, *, node: bool) -> dict[str, Path]:
    """Build or find all programs; the base image, which waits for the network, is made meanwhile."""
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(jobs.alongside(builder.base)) if builder else None
        found = controlplane.fetch(folders, jobs, timings)
        if node:
            found |= nodes.fetch(folders, jobs, timings)
        if base:
            base.result()
        return found


def load_images(folders: Folders) -> None:
    """Build the project's images anew where their inputs have changed, and load them into the running cluster.

    Raises:
        ClusterError: no node runs, or a step failed.
    """
    with locked(folders.lock), _interruptible():
        ledger = Ledger.load(folders)
        if not ledger.running("containerd"):
            raise ClusterError("no node runs that could take images: start it with `python -m tests.cluster up`")
        jobs = Jobs(ledger, folders.logs)
        try:
            timings = Timings(folders.cache / "timings.json")
            packages.ensure([packages.IMAGES], ledger, jobs, timings)
            Builder(folders, ledger, jobs, timings).load_all()
        except BaseException:
            jobs.cancel()
            raise


def down(folders: Folders) -> None:
    """Take the cluster down and leave nothing behind; harmless when there is none.

    Raises:
        ClusterError: something can't be ended or removed.
    """
    with locked(folders.lock):
        _down(folders)


def _down(folders: Folders) -> None:
    if not folders.state.exists():
        return
    ledger = Ledger.load(folders)
    for leader in ledger.jobs.values():
        stop_leftover(leader)
    packages.allow_services(ledger)
    _stop_processes(folders, ledger)
    hosttraces.remove(folders)
    unmount_leftovers(folders)
    mounts.unmount_under(folders.state, settings.STOP_GRACE_SECONDS)
    netns.remove(folders.netns)
    with contextlib.suppress(ClusterError):  # a host without cgroups never ran a node
        cgroups.remove(cgroups.detect(), folders.instance, settings.STOP_GRACE_SECONDS)
        if changed := hoststate.release(folders):
            say(f"put back kernel settings: {', '.join(changed)}")
    shutil.rmtree(folders.state)
    say("the cluster is down")


def _stop_processes(folders: Folders, ledger: Ledger) -> None:
    """Stop components in order, then whatever else is inside our cgroup and namespace (pods and their shims)."""
    supervisor = Supervisor(folders, ledger)
    supervisor.stop(["kubelet"], settings.STOP_GRACE_SECONDS)  # first, else it starts pods again
    with contextlib.suppress(ClusterError):
        pods = cgroups.members(cgroups.detect(), folders.instance)
        identity.kill(pods)
    supervisor.stop(STOP_ORDER, settings.STOP_GRACE_SECONDS)
    if left := identity.kill(netns.members(folders.netns)):
        raise ClusterError(f"processes {', '.join(str(process.pid) for process in left)} can't be ended")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end `up` as SIGINT does: through the clean-up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
