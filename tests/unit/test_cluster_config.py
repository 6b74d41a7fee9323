"""Configuration and certificates of the test cluster's parts, and what its tool prints."""

import asyncio
import socket
import ssl
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.cluster import audit, components, kubeconfig, nodeconfig, nodeparts, provisioner, report, settings
from tests.cluster.apiclient import ApiError
from tests.cluster.errors import ClusterError
from tests.cluster.existing import checked_context
from tests.cluster.folders import Folders, check_length, resolve, write_changed
from tests.cluster.forwarder import LocalForward
from tests.cluster.pki import Authority, create_all
from tests.cluster.provisioner import Provisioner


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders("x", tmp_path / "state", tmp_path / "cache")


@pytest.mark.parametrize("name", ["-x", "X", "a_b", "a" * 21, "../etc"])
def test_an_instance_is_a_short_label(name: str) -> None:
    with pytest.raises(ClusterError, match="must be a lower-case DNS label"):
        resolve(name)


def test_folders_follow_the_user_s_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative paths are to be ignored")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("BCP_CLUSTER_INSTANCE", "mine")
    assert resolve() == Folders("mine", Path("/s/bcp-operator/mine"), Path("/home/somebody/.cache/bcp-operator"))
    monkeypatch.setenv("XDG_STATE_HOME", "/s" * 40)
    with pytest.raises(ClusterError, match="set XDG_STATE_HOME to a shorter path"):
        check_length(resolve())


def test_an_unchanged_file_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b"
    write_changed(file, "x")
    before = file.stat().st_mtime_ns
    write_changed(file, "x")
    assert file.stat().st_mtime_ns == before
    write_changed(file, "y")
    assert file.read_text() == "y"


def test_containerd_keeps_to_its_own_folders(folders: Folders) -> None:
    config = tomllib.loads(nodeconfig.containerd(folders, "/usr/sbin/runc"))
    state = str(folders.state)
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    for path in (config["root"], config["state"], config["grpc"]["address"], cri["cni"]["conf_dir"]):
        assert path.startswith(state)
    assert cri["restrict_oom_score_adj"]
    assert cri["netns_mounts_under_state_dir"]


def test_kubelet_runs_on_both_cgroup_versions_in_its_own_cgroup(folders: Folders) -> None:
    config = nodeconfig.kubelet(folders, "bcp-operator-x")
    assert (config["failCgroupV1"], config["cgroupRoot"], config["cgroupDriver"]) == (
        False,
        "/bcp-operator-x",
        "cgroupfs",
    )


def test_nothing_listens_on_all_addresses(folders: Folders) -> None:
    parts = [
        components.etcd(folders, Path("/b")),
        components.apiserver(folders, Path("/b")),
        components.controller_manager(folders, Path("/b")),
        nodeparts.scheduler(folders, Path("/b")),
        nodeparts.traefik(folders, Path("/b")),
    ]
    for part in parts:
        assert part.inside
        assert any("10.99.0.2" in word or "127.0.0.1" in word for word in part.argv), part.name
        assert not any("0.0.0.0" in word for word in part.argv), part.name


def test_the_first_audit_rule_that_matches_keeps_bodies_of_tenants_only() -> None:
    rules = audit.policy()["rules"]
    assert [rule["level"] for rule in rules] == ["RequestResponse", "Metadata", "None", "Metadata", "Metadata", "None"]
    assert rules[0]["resources"] == [{"group": "bcp-operator.io", "resources": ["bcptenants", "bcptenants/status"]}]


def test_certificates_name_users_groups_and_hosts(tmp_path: Path) -> None:
    create_all(tmp_path)
    create_all(tmp_path)
    authority = Authority.load(tmp_path, "ca")
    client = x509.load_pem_x509_certificate(authority.client("alice", ["oncall", "dev"]).certificate)
    assert client.subject.rfc4514_string() == "CN=alice,O=dev,O=oncall"
    server = x509.load_pem_x509_certificate(authority.server(["a.test", "10.0.0.1"]).certificate)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.test"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    for file in tmp_path.glob("*.key"):
        assert file.stat().st_mode & 0o077 == 0


def test_a_certificate_is_good_for_tls(tmp_path: Path) -> None:
    authority = Authority.create("test")
    authority.save(tmp_path, "ca")
    pair = authority.server(["login.acme.test"])
    (tmp_path / "s.pem").write_bytes(pair.certificate + pair.key)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "s.pem")
    asked = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    near, far = socket.socketpair()
    server = threading.Thread(target=lambda: served.wrap_socket(far, server_side=True).close())
    server.start()
    with asked.wrap_socket(near, server_hostname="login.acme.test") as connection:
        assert connection.version() == "TLSv1.3"
    server.join()


def test_one_kubeconfig_file_is_enough() -> None:
    pair = Authority.create("x").client("alice")
    document = yaml.safe_load(kubeconfig.render("https://127.0.0.1:1", b"ca", "alice", pair))
    assert document["current-context"] == document["contexts"][0]["name"]
    assert set(document["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


CLAIM: dict[str, Any] = {
    "metadata": {"name": "data", "namespace": "team-a", "uid": "u-1"},
    "spec": {
        "storageClassName": settings.STORAGE_CLASS,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
}


class FakeClient:
    """Records what the provisioner asks for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def apply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(("APPLY", path))
        return body

    def request(self, method: str, path: str) -> dict[str, Any]:
        self.calls.append((method, path))
        return {}


def test_a_claim_gets_a_folder_and_a_volume_bound_to_it(tmp_path: Path) -> None:
    client = FakeClient()
    Provisioner(client, tmp_path).provide(CLAIM)  # type: ignore[arg-type]
    assert client.calls == [("APPLY", "/api/v1/persistentvolumes/pvc-u-1")]
    assert (tmp_path / "pvc-u-1").is_dir()
    volume = provisioner.volume_for(CLAIM, tmp_path)
    assert volume["spec"]["claimRef"]["uid"] == "u-1"
    assert volume["spec"]["local"]["path"] == str(tmp_path / "pvc-u-1")


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {**CLAIM["spec"], "storageClassName": "other"}},
        {"spec": {**CLAIM["spec"], "volumeName": "has-one"}},
        {"metadata": {**CLAIM["metadata"], "deletionTimestamp": "now"}},
    ],
    ids=["another class", "bound", "going"],
)
def test_other_claims_are_left_alone(tmp_path: Path, change: dict[str, Any]) -> None:
    client = FakeClient()
    Provisioner(client, tmp_path).provide({**CLAIM, **change})  # type: ignore[arg-type]
    assert client.calls == []


@pytest.mark.parametrize(
    ("phase", "owner", "gone"),
    [("Released", settings.PROVISIONER, True), ("Bound", settings.PROVISIONER, False), ("Released", "x", False)],
)
def test_only_own_released_volumes_go(tmp_path: Path, phase: str, owner: str, gone: bool) -> None:
    client = FakeClient()
    (tmp_path / "pvc-u-1" / "data").mkdir(parents=True)
    metadata = {"name": "pvc-u-1", "annotations": {"pv.kubernetes.io/provisioned-by": owner}}
    Provisioner(client, tmp_path).reclaim({"metadata": metadata, "status": {"phase": phase}})  # type: ignore[arg-type]
    assert bool(client.calls) is gone
    assert (tmp_path / "pvc-u-1").exists() is not gone


async def test_a_forward_carries_both_ways_and_half_closes() -> None:
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())  # the whole: only a half-close ends it
        writer.close()

    server = await asyncio.start_server(upper, "127.0.0.1", 0)
    forward = LocalForward(Path("/proc/self/ns/net"), server.sockets[0].getsockname()[:2])
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
        writer.write(b"hello" * 100_000)
        writer.write_eof()
        assert await reader.read() == b"HELLO" * 100_000
        writer.close()
    finally:
        await asyncio.to_thread(forward.close)
        server.close()


@pytest.mark.parametrize("allowed", ["", "other", "kind-x-2"])
def test_a_context_that_is_not_named_is_refused(allowed: str) -> None:
    with pytest.raises(ClusterError, match=r"'kind-x' is not named in BCP_CLUSTER_ALLOWED_CONTEXTS"):
        checked_context("kind-x", allowed)


def test_a_named_context_is_allowed() -> None:
    assert checked_context("kind-x", "other, kind-x") == "kind-x"


def test_exports_survive_a_shell() -> None:
    text = report.exports({"KUBECONFIG": "/home/some body/k"}, Path("/tools"))
    assert text == "export KUBECONFIG='/home/some body/k'\nexport PATH=/tools:\"$PATH\""


def test_a_cluster_that_is_down_says_so(folders: Folders) -> None:
    assert report.as_text(report.status(folders)) == "cluster x: down"
    with pytest.raises(ClusterError, match="is down: start it with"):
        report.environment(folders)


def test_an_api_error_is_told_without_a_traceback() -> None:
    assert isinstance(ApiError(403, "no"), ClusterError)
