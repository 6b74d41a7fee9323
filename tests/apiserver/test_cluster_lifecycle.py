"""Up and down of a whole instance of its own: nothing is left, whenever it is interrupted."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest
import yaml

from tests.cluster import Cluster, cgroups, mounts, netns, settings, sysctls
from tests.cluster.folders import REPOSITORY, Folders, resolve
from tests.cluster.hosttraces import POD_LOG_LINKS
from tests.cluster.identity import ProcessId
from tests.cluster.ledger import Ledger
from tests.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.lab]

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "holder", "namespace": "default"},
    "spec": {
        "terminationGracePeriodSeconds": 600,
        "securityContext": {"runAsUser": 65532, "fsGroup": 65532},
        "containers": [
            {
                "name": "pause",
                "image": "localhost/pause:1",
                "imagePullPolicy": "Never",
                "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "memory", "mountPath": "/memory"}],
            }
        ],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "memory", "emptyDir": {"medium": "Memory"}},
        ],
    },
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "default"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


_started: list[subprocess.Popen[str]] = []
"""What the running test started: the instance's end is theirs too, also when the test fails."""


def start(argv: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a Python program of this repository."""
    process = subprocess.Popen(
        [sys.executable, *argv],
        cwd=REPOSITORY,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _started.append(process)
    return process


def tool(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `python -m tests.cluster`."""
    return start(["-m", "tests.cluster", *arguments], env)


def ran(*arguments: str) -> str:
    """Run `python -m tests.cluster` to its good end; return what it printed."""
    process = tool(*arguments)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed


def _host_network() -> str:
    """Return the names of the host's own links, and its routes."""
    links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    return "\n".join(line.split()[0] for line in links.splitlines()) + routes


@dataclass
class Instance:
    """An instance nobody else uses, and how the host was before it."""

    folders: Folders
    sysctls: dict[str, str] = field(default_factory=sysctls.current)
    tables: str = field(default_factory=_host_network)
    seen: set[ProcessId] = field(default_factory=set)

    def look(self) -> None:
        """Remember every process that belongs to the instance now."""
        self.seen |= set(netns.members(self.folders.netns))
        self.seen |= set(cgroups.members(cgroups.detect(), self.folders.instance))
        ledger = Ledger.load(self.folders)
        self.seen |= {*ledger.processes.values(), *ledger.jobs.values()}

    def assert_nothing_left(self) -> None:
        """Fail when anything of the instance is still on the host."""
        name = self.folders.instance
        assert not self.folders.state.exists()
        assert [process for process in self.seen if process.alive()] == []
        assert _mentioning(str(self.folders.state)) == []
        assert mounts.under(self.folders.state) == []
        assert [str(h) for h in cgroups.detect().hierarchies if (h / cgroups.folder_name(name)).exists()] == []
        assert sysctls.current() == self.sysctls
        assert _host_network() == self.tables
        links = list(POD_LOG_LINKS.iterdir()) if POD_LOG_LINKS.is_dir() else []
        assert [link for link in links if str(self.folders.state) in os.readlink(link)] == []


def _mentioning(text: str) -> list[str]:
    """Return the command lines, other than this test's own, that mention a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            if f"{text}/" in line:
                found.append(line)
    return found


def until_in(process: subprocess.Popen[str], condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until a condition holds while a process runs."""

    def holds() -> bool:
        if condition():
            return True
        assert process.poll() is None, process.communicate()[0]
        return False

    until(holds, "what the process was started for", seconds)


@pytest.fixture
def heard_signals() -> Iterator[None]:
    """Let children hear what interrupts them: a job in the background or under nohup is started deaf, and passes that on."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch, heard_signals: None) -> Iterator[Instance]:
    monkeypatch.setenv("BCP_CLUSTER_INSTANCE", f"test-{secrets.token_hex(3)}")
    monkeypatch.delenv("BCP_CLUSTER", raising=False)
    instance = Instance(resolve())
    yield instance
    while _started:
        process = _started.pop()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    ran("down")
    _started.clear()
    for lock in (instance.folders.lock, instance.folders.users_lock):
        lock.unlink(missing_ok=True)


def test_a_cluster_with_pods_and_volumes_leaves_nothing(instance: Instance) -> None:
    ran("up", "--control-plane")
    before = Ledger.load(instance.folders).processes
    ran("up", "--no-images")
    ran("up", "--no-images")
    now = Ledger.load(instance.folders).processes
    assert {name: now[name] for name in before} == before, "a second up restarts nothing"
    status = json.loads(ran("status", "-o", "json"))
    assert (status["running"], status["node_ready"]) == (True, True)
    cluster = Cluster()
    cluster.kubectl("create", "-f", "-", input=yaml.safe_dump_all([CLAIM, POD]))
    cluster.kubectl("wait", "pod/holder", "--for=condition=Ready", "--timeout=60s")
    serves_names_and_routes(cluster)
    instance.look()
    assert any(process not in now.values() for process in instance.seen), "the pod's processes are seen"
    assert mounts.under(instance.folders.state)
    a_volume_goes_with_its_claim(cluster, instance.folders.state / "volumes")
    ran("down")
    instance.assert_nothing_left()
    ran("down")


def a_volume_goes_with_its_claim(cluster: Cluster, folder: Path) -> None:
    """Fail unless a claim gets a volume of its own that is removed with it."""
    before = set(folder.iterdir())
    claim = {**CLAIM, "metadata": {"name": "short", "namespace": "default"}}
    cluster.kubectl("create", "-f", "-", input=yaml.safe_dump(claim))
    cluster.kubectl("wait", "pvc/short", "--for=jsonpath={.status.phase}=Bound", "--timeout=30s")
    (made,) = set(folder.iterdir()) - before
    cluster.kubectl("delete", "pvc/short")
    cluster.kubectl("wait", f"pv/{made.name}", "--for=delete", "--timeout=30s")
    assert not made.exists()


def serves_names_and_routes(cluster: Cluster) -> None:
    """Fail unless DNS answers for the cluster and the test zone, and Traefik answers."""
    port = cluster.forward(settings.NODE_ADDRESS, settings.COREDNS_PORT)

    def ask(name: str, kind: str) -> dns.message.Message:
        return dns.query.tcp(dns.message.make_query(name, kind), "127.0.0.1", port=port, timeout=5)

    for name, address in (
        ("login.acme.test", settings.NODE_ADDRESS),
        ("kubernetes.default.svc.cluster.local", settings.KUBERNETES_SERVICE_ADDRESS),
    ):
        (found,) = ask(name, "A").answer
        assert [str(record) for record in found] == [address]
    none = ask("login.acme.test", "AAAA")
    assert (none.rcode(), none.answer, len(none.authority)) == (dns.rcode.NOERROR, [], 1)
    host, _, http_port = cluster.environment()["BCP_FORWARD_HTTP"].partition(":")
    connection = http.client.HTTPConnection(host, int(http_port), timeout=5)
    connection.request("GET", "/", headers={"Host": "nobody.test"})
    assert connection.getresponse().status == 404
    connection.close()


@pytest.mark.parametrize("component", ["etcd", "kube-apiserver", "containerd", "kubelet"])
def test_a_killed_up_is_cleaned_by_down(instance: Instance, component: str) -> None:
    process = tool("up", "--no-images")
    until_in(process, lambda: component in Ledger.load(instance.folders).processes)
    process.kill()
    process.communicate()
    instance.look()
    ran("down")
    instance.assert_nothing_left()


def test_a_killed_up_is_completed_by_the_next(instance: Instance) -> None:
    process = tool("up", "--no-images")
    until_in(process, lambda: "containerd" in Ledger.load(instance.folders).processes)
    process.kill()
    process.communicate()
    ran("up", "--no-images")
    cluster = Cluster()
    cluster.kubectl("create", "-f", "-", input=yaml.safe_dump_all([CLAIM, POD]))
    cluster.kubectl("wait", "pod/holder", "--for=condition=Ready", "--timeout=60s")


def test_what_an_earlier_boot_left_is_replaced(instance: Instance) -> None:
    instance.folders.pki.mkdir(parents=True)
    (instance.folders.pki / "complete").touch()  # its certificates may be out of date
    ledger = Ledger.load(instance.folders)
    with ledger.changing():
        ledger.processes["etcd"] = ProcessId(os.getpid(), 1, "an earlier boot")
    ran("up", "--control-plane")
    assert json.loads(ran("status", "-o", "json"))["running"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_up_cleans_up_itself(instance: Instance, number: signal.Signals) -> None:
    process = tool("up", "--no-images")
    until_in(process, lambda: "kubelet" in Ledger.load(instance.folders).processes)
    instance.look()
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    instance.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_compiler(instance: Instance, tmp_path: Path, number: signal.Signals) -> None:
    fake = tmp_path / "bin" / "go"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$1" = env ] && { echo go1.26.0; exit; }\nsleep 600 & wait\n')
    fake.chmod(0o755)
    environment = {"PATH": f"{fake.parent}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = tool("up", "--control-plane", env=environment)
    until_in(process, lambda: "build-etcd" in Ledger.load(instance.folders).jobs)
    instance.look()
    process.send_signal(number)
    process.communicate(timeout=60)
    ran("down")
    instance.assert_nothing_left()


def test_a_missing_compiler_is_told(instance: Instance, tmp_path: Path) -> None:
    process = tool("up", "--control-plane", env={"PATH": str(tmp_path)})
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "`go` is not installed" in printed
    assert "Traceback" not in printed
    instance.assert_nothing_left()


SESSION = """\
import pathlib, time

def test_uses_the_cluster(cluster, request):
    cluster.kubectl("get", "namespaces")
    folder = pathlib.Path(__file__).parent
    (folder / "running").touch()
    while not (folder / "go").exists():
        time.sleep(0.02)
"""


def session(folder: Path) -> subprocess.Popen[str]:
    """Start a test session of its own that uses the instance until the file `go` is there."""
    folder.mkdir()
    (folder / "test_session.py").write_text(SESSION)
    argv = ["-m", "pytest", "-q", "-p", "tests.cluster.fixtures", "-p", "no:cacheprovider"]
    return start([*argv, f"--rootdir={folder}", "-c", "/dev/null", str(folder)])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_session_takes_its_cluster_down(
    instance: Instance, tmp_path: Path, number: signal.Signals
) -> None:
    process = session(tmp_path / "one")
    until_in(process, (tmp_path / "one" / "running").exists)
    instance.look()
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, printed
    instance.assert_nothing_left()


def test_the_last_of_two_sessions_takes_the_cluster_down(instance: Instance, tmp_path: Path) -> None:
    one, two = session(tmp_path / "one"), session(tmp_path / "two")
    until_in(one, (tmp_path / "one" / "running").exists)
    until_in(two, (tmp_path / "two" / "running").exists)
    instance.look()
    (tmp_path / "one" / "go").touch()
    printed, _ = one.communicate(timeout=60)
    assert one.returncode == 0, printed
    assert json.loads(ran("status", "-o", "json"))["running"]
    (tmp_path / "two" / "go").touch()
    printed, _ = two.communicate(timeout=60)
    assert two.returncode == 0, printed
    instance.assert_nothing_left()


def test_a_cluster_that_was_up_stays_up(instance: Instance, tmp_path: Path) -> None:
    ran("up", "--control-plane")
    process = session(tmp_path / "one")
    (tmp_path / "one" / "go").touch()
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert json.loads(ran("status", "-o", "json"))["running"]
