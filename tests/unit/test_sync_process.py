"""bcp-sync as a process: parent and child, signals, run.yaml, exit codes, what it imports, where the login URL leads."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from bcp_operator.api.run import RunLogin, RunReport
from bcp_operator.sync.__main__ import main
from bcp_operator.sync.config import ConfigError, chosen_types, read_config
from bcp_operator.sync.fence import Held
from bcp_operator.sync.login import refuse_when_secondary, shows
from bcp_operator.sync.supervisor import write_termination_message
from bcp_operator.systems.catalog import load

from tests.unit.http_server import serve

PARENT = """
import os, signal, sys, time
from datetime import datetime, UTC
from bcp_operator.api.run import ExitCode, RunReport
from bcp_operator.sync.supervisor import supervise

def work():
    print("child", os.getpid(), flush=True)
    exec(sys.argv[1])
    return ExitCode.PARTIAL, RunReport(result="Partial", start_time=datetime.now(UTC), seconds=1, message="done")

code, report = supervise(work)
print(report.model_dump_json() if report else "none")
sys.exit(code)
"""


def start(work: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, work], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )


def child_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline().split()[1])


def gone(pid: int) -> bool:
    """Ended, or waiting for somebody to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until_gone(pid: int) -> None:
    end = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < end, "the writer outlived its parent"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        ("pass", 3, "done"),
        ("signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(30)", 5, "the writer lease ran out and the kernel"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 5, "killed, perhaps for want of memory"),
        ("os._exit(5)", 5, "none"),
    ],
)
def test_however_the_writer_ends_there_is_a_report(work: str, code: int, said: str) -> None:
    process = start(work)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert said in printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_the_writer_dies_first(number: signal.Signals) -> None:
    process = start("time.sleep(60)")
    child = child_of(process)
    process.send_signal(number)
    assert process.wait(10) == 128 + number
    assert gone(child)
    assert process.stdout is not None
    process.stdout.close()


def test_the_writer_dies_with_its_parent_however_that_ends() -> None:
    process = start("time.sleep(60)")
    child = child_of(process)
    process.kill()
    process.wait()
    until_gone(child)
    assert process.stdout is not None
    process.stdout.close()


def test_the_termination_message_is_written_only_where_the_kubelet_made_one(tmp_path: Path) -> None:
    report = RunReport.model_validate(
        {"result": "Held", "startTime": "2026-11-24T10:00:00Z", "seconds": 1, "message": "m" * 9000}
    )
    write_termination_message(report, tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "log"
    path.touch()
    write_termination_message(report, path)
    assert path.stat().st_size <= 3 * 1024
    assert json.loads(path.read_text())["result"] == "Held"


# --- what it imports


def test_the_sync_pod_loads_neither_kopf_nor_kubernetes_nor_aiohttp() -> None:
    script = (
        "import sys, bcp_operator.sync.__main__, bcp_operator.sync.run, bcp_operator.sync.show\n"
        "print([m for m in ('kopf', 'kubernetes', 'aiohttp', 'dns', 'bcp_operator.kube') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_waiting_parent_loads_no_http() -> None:
    script = "import sys, bcp_operator.sync.__main__; print([m for m in ('httpx', 'sqlite3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


# --- run.yaml and usage

SYSTEM = {"profile": "scim", "tenantID": "t", "endpoint": "https://x.test/v2", "credentialsDir": "/none"}
CONFIG: dict[str, Any] = {
    "tenant": {"namespace": "n", "name": "t"},
    "pair": "ab" * 32,
    "primary": SYSTEM,
    "secondary": SYSTEM,
    "store": {"sqlite": {"path": "/none/c.db"}},
}


def written(folder: Path, document: Any) -> Path:
    path = folder / "run.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("a: [", "line 1: not YAML"),
        (CONFIG | {"pair": "x"}, "pair: String should match pattern"),
        (CONFIG | {"typo": 1}, "typo: Extra inputs are not permitted"),
        (CONFIG | {"entities": [{"type": "user"}], "exclude": ["group"]}, "give entities or exclude, not both"),
        (CONFIG | {"primary": SYSTEM | {"endpoint": "http://x.test"}}, "endpoint is plain http"),
    ],
)
def test_mistakes_in_run_yaml_are_named(tmp_path: Path, document: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(written(tmp_path, document))
    assert said in str(caught.value)
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "absent")


def test_the_choice_of_types(tmp_path: Path) -> None:
    scim = load("scim")

    def choice(**more: Any) -> frozenset[str]:
        return chosen_types(read_config(written(tmp_path, CONFIG | more)), scim, scim)

    assert choice() == {"user", "group"}
    assert choice(entities=[{"type": "group"}]) == {"group"}
    assert choice(exclude=["group"]) == {"user"}
    with pytest.raises(ConfigError, match="no such entity type: skill; known are group, user"):
        choice(entities=[{"type": "skill"}])
    with pytest.raises(ConfigError, match="no entity type is left"):
        choice(exclude=["group", "user"])


@pytest.mark.parametrize(
    ("arguments", "more", "said"),
    [
        (["run"], {}, "names no Lease"),
        (["run", "--unfenced"], {}, "names no Lease"),
        (["run", "--unfenced", "--reason", "x"], {"lease": {"namespace": "n", "name": "l"}}, "leave --unfenced out"),
        (["plan"], {}, "key 'token' is missing"),
        (["run", "--unfenced", "--reason", "x"], {}, "key 'token' is missing"),
    ],
)
def test_usage_that_can_not_work_is_exit_code_2(
    tmp_path: Path, arguments: list[str], more: Any, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--config", str(written(tmp_path, CONFIG | more))]) == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("document", "said"), [({}, "key 'token' is missing"), ({"pair": "x"}, "pair: String should match pattern")]
)
def test_a_run_that_can_not_begin_says_why_where_the_operator_looks(
    tmp_path: Path, document: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[RunReport] = []
    monkeypatch.setattr("bcp_operator.sync.__main__.write_termination_message", reports.append)
    config = written(tmp_path, CONFIG | document)
    assert main(["run", "--unfenced", "--reason", "x", "--config", str(config)]) == 2
    assert [(report.result, said in report.message) for report in reports] == [("Failed", True)]


def test_a_lease_outside_a_cluster_is_a_clear_failure(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    (tmp_path / "token").write_text("t")
    system = SYSTEM | {"credentialsDir": str(tmp_path)}
    config = CONFIG | {"primary": system, "secondary": system, "lease": {"namespace": "n", "name": "l"}}
    assert main(["run", "--config", str(written(tmp_path, config))]) == 5
    assert "this is no pod" in capfd.readouterr().out


# --- the login URL


def login(url: str, **more: Any) -> RunLogin:
    pages = {"primaryLoginURL": "https://na1.test/login", "secondaryLoginURL": "https://eu1.test/login"}
    return RunLogin.model_validate({"url": url} | pages | more)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("https://eu1.test/login", "secondary"),
        ("https://EU1.test:443/login?next=/x", "secondary"),
        ("https://eu1.test/login/deeper", "secondary"),
        ("https://eu1.test/loginpage", None),
        ("http://eu1.test/login", None),
        ("https://na1.test/login", "primary"),
        ("https://other.test/login", None),
    ],
)
def test_which_system_a_redirect_shows(target: str, shown: str | None) -> None:
    assert shows(target, login("https://login.test/")) == shown


def test_of_two_pages_on_one_host_the_longer_match_counts() -> None:
    pages = login("https://l.test/", primaryLoginURL="https://one.test/", secondaryLoginURL="https://one.test/second")
    assert shows("https://one.test/second/x", pages) == "secondary"
    assert shows("https://one.test/first", pages) == "primary"


@pytest.mark.parametrize("status", [302, 303, 307])
async def test_a_login_url_that_shows_the_secondary_refuses(status: int) -> None:
    async with serve(lambda _: (status, None, {"Location": "https://eu1.test/login"})) as fake:
        port = fake.url.rpartition(":")[2]
        asked = login("http://login.acme.test/", connectTo=f"127.0.0.1:{port}")
        with pytest.raises(Held, match="the login URL sends users to the secondary"):
            await refuse_when_secondary(asked)
        assert fake.seen[0].headers["Host"] == "login.acme.test"


@pytest.mark.parametrize(
    "answer", [(302, None, {"Location": "https://na1.test/login"}), (200, b"page", {}), (500, b"", {})]
)
async def test_any_other_answer_and_none_do_not(answer: Any) -> None:
    async with serve(lambda _: answer) as fake:
        await refuse_when_secondary(login(fake.url))
    await refuse_when_secondary(login("http://127.0.0.1:1/"))
