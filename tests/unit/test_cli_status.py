"""kubectl bcp status: against a small HTTP server that answers as an API server does, and on plain data."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from bcp_operator.cli.__main__ import main
from bcp_operator.cli.status import describe, summary, table

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BASE = "/apis/bcp-operator.io/v1alpha1"


def condition(kind: str, status: str, reason: str = "Because", message: str = "so it is") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def tenant(name: str = "acme", namespace: str = "team-a", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "generation": 3},
        "spec": {"login": {"url": "https://login.acme.test/"}},
        "status": {
            "observedGeneration": 3,
            "phase": "Primary",
            "activeSystem": "Primary",
            "activeLoginURL": "https://primary.saas.test/login",
            "sync": {
                "lastSuccessTime": "2026-11-24T10:58:30Z",
                "nextSyncTime": "2026-11-25T10:58:00Z",
                "lastRun": {
                    "name": "acme-sync-1",
                    "result": "Succeeded",
                    "startTime": "2026-11-24T10:58:30Z",
                    "seconds": 4.25,
                    "counts": {"created": 330, "failed": 0},
                },
            },
            "conditions": [
                condition("Ready", "True"),
                condition("Stalled", "False"),
                condition("Reconciling", "False"),
                condition("SyncFenced", "False"),
                condition("IntentConflict", "False"),
            ],
            **status,
        },
    }


def switched() -> dict[str, Any]:
    return tenant(
        phase="Secondary",
        activeSystem="Secondary",
        activeLoginURL="https://secondary.saas.test/login",
        lastOperation={
            "type": "Failover",
            "result": "Completed",
            "endTime": "2026-11-24T11:59:00Z",
            "initiator": "alice",
            "initiatorVerified": False,
            "rtoSeconds": 0.413,
            "recoveryPointAgeSeconds": 3629.0,
            "message": "",
        },
        conditions=[condition("Ready", "True"), condition("SyncFenced", "True")],
    )


class ApiServer:
    """Answers GETs from `objects` (path -> body), else with 404 as the API server words it."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.failure: int | None = None
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                code, body = outer.answer(self.path)
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def answer(self, path: str) -> tuple[int, Any]:
        if self.failure:
            return self.failure, {"kind": "Status", "message": "forbidden: no right to read"}
        plain = path.split("?", maxsplit=1)[0]
        if path in self.objects or plain in self.objects:
            return 200, self.objects.get(path, self.objects.get(plain))
        if plain.startswith(BASE) and self.objects:
            return 404, {"kind": "Status", "message": f'bcptenants "{plain.rsplit("/", 1)[1]}" not found'}
        return 404, {"kind": "Status", "message": "the server could not find the requested resource"}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    server = ApiServer()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}},
            {"name": "bare", "context": {"cluster": "c", "user": "u"}},
        ],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    # Read once at import by the kubernetes package.
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    yield server
    server.server.shutdown()
    server.server.server_close()
    server.thread.join()


def test_one_tenant_that_is_fine(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    api.objects[f"{BASE}/namespaces/team-a/bcptenants/acme"] = tenant()
    assert main(["status", "acme"]) == 0
    out = capsys.readouterr().out
    assert "active system   Primary (Primary)" in out
    assert "https://login.acme.test/ -> https://primary.saas.test/login" in out
    assert "Succeeded, 2026-11-24T10:58:30Z, 4.25 s, 330 created" in out
    assert "attention" not in out
    assert len(api.asked) == 1, "no discovery: one request is enough"


def test_the_contexts_namespace_is_the_default_one(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    api.objects[f"{BASE}/namespaces/team-a/bcptenants"] = {"items": []}
    api.objects[f"{BASE}/namespaces/default/bcptenants"] = {"items": [tenant(namespace="default")]}
    assert main(["status"]) == 0
    assert capsys.readouterr().out == "no BCPTenants here\n"
    assert main(["status", "--context", "bare"]) == 0
    assert "default" in capsys.readouterr().out


def test_all_namespaces_page_by_page(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    api.objects[f"{BASE}/bcptenants?continue=more&limit=500"] = {"items": [tenant("aaa", "team-b")]}
    api.objects[f"{BASE}/bcptenants"] = {"items": [tenant()], "metadata": {"continue": "more"}}
    assert main(["status", "-A", "-o", "json"]) == 0
    assert [item["name"] for item in json.loads(capsys.readouterr().out)] == ["acme", "aaa"]


def test_attention_makes_the_exit_code_one(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tenant(conditions=[condition("Ready", "False", "SecretMissing", "Secret acme-primary does not exist")])
    api.objects[f"{BASE}/namespaces/team-a/bcptenants/acme"] = bad
    assert main(["status", "acme", "-n", "team-a"]) == 1
    assert "Ready=False SecretMissing: Secret acme-primary does not exist" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("objects", "failure", "expected"),
    [
        ({}, None, "this cluster does not know BCPTenants"),
        ({"/x": {}}, None, "BCPTenant acme in namespace team-a does not exist"),
        ({}, 403, "forbidden: no right to read"),
        ({}, 401, "does not accept the credentials"),
    ],
)
def test_errors_are_one_line(
    api: ApiServer, capsys: pytest.CaptureFixture[str], objects: dict[str, Any], failure: int | None, expected: str
) -> None:
    api.objects, api.failure = objects, failure
    assert main(["status", "acme"]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_no_answer_and_no_such_context(api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    api.server.shutdown()
    api.server.server_close()
    assert main(["status"]) == 2
    assert "the API server does not answer" in capsys.readouterr().err
    assert main(["status", "--context", "nowhere"]) == 2
    assert "no usable kubeconfig" in capsys.readouterr().err


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["status", "acme", "-A"], ["status", "-A", "-n", "x"], ["nonsense"]):
        with pytest.raises(SystemExit) as exited:
            main(arguments)
        assert exited.value.code == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_switch_is_told_with_its_figures() -> None:
    text = describe(summary(switched(), NOW))
    assert "Failover Completed at 2026-11-24T11:59:00Z, by alice (unverified), RTO 0.41 s" in text
    assert "recovery point was 1h 29s old" in text
    assert "recovery point  1h 1m old" in text
    assert "attention" not in text


def test_what_users_would_miss_is_told() -> None:
    assert "would miss      not known yet" in describe(summary(tenant(), NOW))
    readiness = {"usersWithoutLogin": 3, "unsyncedTypes": ["group"], "unresolved": 2}
    text = describe(summary(tenant(readiness=readiness), NOW))
    assert "3 users without login, 1 types not synced (group), 2 references that lead nowhere" in text


def test_a_bound_and_a_running_operation_are_said() -> None:
    item = switched()
    item["status"]["lastOperation"]["startTimeBound"] = True
    item["status"]["operation"] = {"type": "Failback", "step": "Verify", "startTime": "2026-11-24T11:59:59Z"}
    text = describe(summary(item, NOW))
    assert "RTO at most 0.41 s" in text
    assert "Failback, step Verify, since 2026-11-24T11:59:59Z" in text


@pytest.mark.parametrize(
    ("active", "fenced", "fine"),
    [
        ("Primary", "False", True),
        ("Primary", "True", False),
        ("Secondary", "True", True),
        ("Secondary", "False", False),
    ],
)
def test_a_fence_belongs_to_the_secondarys_time(active: str, fenced: str, fine: bool) -> None:
    item = tenant(activeSystem=active, conditions=[condition("SyncFenced", fenced)])
    assert (summary(item, NOW)["attention"] == []) is fine


@pytest.mark.parametrize(
    ("kind", "value", "active", "fine"),
    [
        ("RecoveryPointFresh", "Unknown", "Primary", True),
        ("RecoveryPointFresh", "False", "Primary", False),
        ("RecoveryPointFresh", "False", "Secondary", True),
        ("CorrelationHealthy", "Unknown", "Primary", True),
        ("CorrelationHealthy", "False", "Secondary", False),
        ("Reconciling", "True", "Primary", True),
        ("Stalled", "True", "Primary", False),
        ("IntentConflict", "True", "Primary", False),
        ("SyncGuarded", "True", "Primary", False),
        ("SyncGuarded", "False", "Primary", True),
        ("SyncGuarded", "Unknown", "Primary", True),
        ("LoginRouted", "False", "Secondary", False),
        ("LoginVerified", "Unknown", "Primary", False),
        ("SomethingNew", "False", "Primary", False),
    ],
)
def test_each_condition_is_read_by_its_meaning(kind: str, value: str, active: str, fine: bool) -> None:
    item = tenant(activeSystem=active, conditions=[condition(kind, value)])
    assert (summary(item, NOW)["attention"] == []) is fine


def test_what_is_not_known_is_not_fine() -> None:
    fresh = {"metadata": {"name": "acme", "namespace": "team-a", "generation": 1}, "spec": {}}
    item = summary(fresh, NOW)
    assert [entry["reason"] for entry in item["attention"]] == ["NoStatus"]
    assert "Unknown (no status yet)" in describe(item)
    behind = tenant(observedGeneration=2)
    assert [entry["reason"] for entry in summary(behind, NOW)["attention"]] == ["NotObserved"]
    doubtful = tenant(conditions=[condition("LoginVerified", "Unknown")])
    assert [entry["type"] for entry in summary(doubtful, NOW)["attention"]] == ["LoginVerified"]


def test_the_table_lines_up() -> None:
    lines = table([summary(tenant(), NOW), summary(switched(), NOW)]).splitlines()
    column = lines[0].index("ACTIVE")
    assert [line[column:].split()[0] for line in lines[1:]] == ["Primary", "Secondary"]
    assert lines[2].endswith("Failover Completed 0.41 s  -")


def test_what_was_changed_in_the_secondary_is_shown_while_users_are_there() -> None:
    found = {
        "name": "acme-diff-1",
        "result": "Known",
        "time": "2026-11-24T10:00:00Z",
        "changed": 3,
        "added": 1,
        "removed": 0,
        "report": "acme-divergence",
        "message": "user: 3 changed, 1 added",
    }
    text = describe(summary(tenant(activeSystem="Secondary", divergence=found), NOW))
    assert "3 changed, 1 added, as of 2026-11-24T10:00:00Z, see ConfigMap acme-divergence" in text
    text = describe(summary(tenant(activeSystem="Secondary", divergence=found | {"changed": 0, "added": 0}), NOW))
    assert "nothing, as of 2026-11-24T10:00:00Z" in text
    text = describe(summary(tenant(activeSystem="Secondary", divergence={"name": "x", "result": "Unknown"}), NOW))
    assert "changed there   not known\n" in text
    text = describe(summary(tenant(activeSystem="Secondary"), NOW))
    assert "not looked at yet: set spec.sync.trigger" in text
    assert "changed there" not in describe(summary(tenant(activeSystem="Primary"), NOW))
