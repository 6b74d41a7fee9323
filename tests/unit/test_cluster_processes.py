"""Processes the test cluster starts and ends: never the wrong one, none forgotten."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import identity, jobs, packages
from tests.cluster.components import Component
from tests.cluster.errors import ClusterError
from tests.cluster.folders import Folders
from tests.cluster.identity import ProcessId
from tests.cluster.jobs import Jobs
from tests.cluster.ledger import Ledger, locked
from tests.cluster.supervisor import Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "state").mkdir()
    return Folders("x", tmp_path / "state", tmp_path / "cache")


def test_a_successor_of_the_same_process_id_is_left_alone() -> None:
    process = subprocess.Popen(SLEEP)
    mine = ProcessId.of(process.pid)
    assert mine is not None
    assert mine.alive()
    for other in (replace(mine, start_ticks=mine.start_ticks - 1), replace(mine, boot_id="earlier")):
        assert not other.alive()
        assert not other.send(signal.SIGKILL)
    assert process.poll() is None
    assert identity.stop([mine], 5.0) == []
    assert not mine.alive()


def test_one_that_ignores_the_request_is_killed() -> None:
    process = subprocess.Popen(STUBBORN, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    mine = ProcessId.of(process.pid)
    assert mine is not None
    assert identity.stop([mine], 0.2) == []
    process.stdout.close()


def test_a_zombie_counts_as_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()
    assert identity.wait_gone([ProcessId(process.pid, 0, "")], 5.0) == []
    process.stdout.close()
    process.wait()
    assert ProcessId.of(process.pid) is None


def test_a_component_is_started_once_and_stopped(folders: Folders) -> None:
    supervisor = Supervisor(folders, Ledger.load(folders))
    component = Component("sleeper", tuple(SLEEP), inside=False)
    assert supervisor.start(component)
    again = Supervisor(folders, Ledger.load(folders))
    assert not again.start(component), "the ledger on disk knows it"
    assert again.dead(["sleeper"]) is None
    again.stop(["sleeper", "never-started"], 5.0)
    assert "sleeper ended" in str(again.dead(["sleeper"]))
    assert Ledger.load(folders).processes == {}


def test_the_end_of_a_dead_component_s_log_is_shown(folders: Folders) -> None:
    supervisor = Supervisor(folders, Ledger.load(folders))
    script = "import time; print('the port is taken', flush=True); time.sleep(0.3)"
    supervisor.start(Component("short", (sys.executable, "-c", script), inside=False))
    started = Ledger.load(folders).processes["short"]
    assert identity.wait_gone([started], 10.0) == []
    assert "the port is taken" in str(supervisor.dead(["short"]))


def test_a_failed_job_tells_the_end_of_its_output(folders: Folders) -> None:
    runner = Jobs(Ledger.load(folders), folders.logs)
    script = "import sys; print('line'); print('no such mirror'); sys.exit(7)"
    with pytest.raises(ClusterError, match=r"fetch failed .*exit code 7.*\n.*\n.*no such mirror"):
        runner.run("fetch", [sys.executable, "-c", script])
    assert Ledger.load(folders).jobs == {}


def test_jobs_get_their_input_and_environment(folders: Folders) -> None:
    runner = Jobs(Ledger.load(folders), folders.logs)
    script = "import os, sys; print(sys.stdin.read(), os.environ['X'])"
    runner.run("echo", [sys.executable, "-c", script], env={"X": "7"}, input_text="hello")
    assert (folders.logs / "echo.log").read_text() == "hello 7\n"


def test_a_failing_block_kills_the_job_beside_it(folders: Folders) -> None:
    runner = Jobs(Ledger.load(folders), folders.logs)
    marker = folders.state / "started"
    script = f"import pathlib, time; pathlib.Path({str(marker)!r}).touch(); time.sleep(600)"

    def fail_once_it_runs() -> None:
        while not marker.exists():
            pass
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        runner.alongside(lambda: runner.run("long", [sys.executable, "-c", script])) as job,
    ):
        fail_once_it_runs()
    assert isinstance(job.exception(), ClusterError)
    with pytest.raises(ClusterError, match="interrupted"):
        runner.run("later", SLEEP)


def test_what_an_interrupted_up_left_of_a_job_is_ended_with_its_children() -> None:
    script = f"import subprocess; p = subprocess.Popen({SLEEP!r}); print(p.pid, flush=True); p.wait()"
    leader = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    child = ProcessId.of(int(leader.stdout.readline()))
    known = ProcessId.of(leader.pid)
    assert child is not None
    assert known is not None
    jobs.stop_leftover(replace(known, start_ticks=known.start_ticks - 1))
    assert child.alive(), "the process id belongs to somebody else's session now"
    leader.kill()
    leader.wait()
    jobs.stop_leftover(known)
    assert not child.alive(), "the leader is gone, its session is not"
    leader.stdout.close()


def test_the_ledger_survives_and_ignores_what_it_does_not_know(folders: Folders) -> None:
    ledger = Ledger.load(folders)
    with ledger.changing():
        ledger.forwards["https"] = 1234
        ledger.jobs["build"] = ProcessId(1, 2, "b")
    ledger.file.write_text(json.dumps({**json.loads(ledger.file.read_text()), "from_the_future": 1}))
    read = Ledger.load(folders)
    assert (read.forwards, read.jobs) == ({"https": 1234}, {"build": ProcessId(1, 2, "b")})


def test_a_lock_can_be_tried(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
        pass
    with locked(tmp_path / "lock", wait=False):
        pass


def test_missing_programs_name_their_packages_once() -> None:
    assert packages.missing({"sh": "dash", "no-such-program": "some", "/no/such/file": "some"}) == ["some"]


def test_services_are_kept_off_only_while_installing(folders: Folders, tmp_path: Path) -> None:
    ledger, policy = Ledger.load(folders), tmp_path / "policy-rc.d"
    packages.keep_services_off(ledger, policy)
    assert "exit 101" in policy.read_text()
    assert Ledger.load(folders).host_files == [str(policy)], "a later `down` can remove it"
    packages.allow_services(ledger)
    assert not policy.exists()


def test_the_host_s_own_policy_is_left_alone(folders: Folders, tmp_path: Path) -> None:
    ledger, policy = Ledger.load(folders), tmp_path / "policy-rc.d"
    policy.write_text("the host's")
    packages.keep_services_off(ledger, policy)
    packages.allow_services(ledger)
    assert policy.read_text() == "the host's"
