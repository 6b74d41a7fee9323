"""What the test cluster reads from and puts back on its host: cgroups, mounts, kernel settings, leftovers."""

import json
import socket
from pathlib import Path

import pytest

from tests.cluster import cgroups, hoststate, hosttraces, mounts, sysctls
from tests.cluster.errors import ClusterError
from tests.cluster.folders import Folders

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_version_1_is_detected_beside_an_empty_version_2_tree() -> None:
    layout = cgroups.detect(V1)
    assert layout.version == 1
    assert [str(path) for path in layout.hierarchies] == [
        "/sys/fs/cgroup/cpu,cpuacct",
        "/sys/fs/cgroup/memory",
        "/sys/fs/cgroup/systemd",
        "/sys/fs/cgroup/unified",
    ]


def test_version_2_is_detected() -> None:
    assert cgroups.detect(V2) == cgroups.Layout(2, (Path("/sys/fs/cgroup"),), frozenset())


@pytest.mark.parametrize("mountinfo", ["", V1.splitlines(keepends=True)[3]], ids=["none", "only systemd's"])
def test_a_host_without_cgroups_is_refused(mountinfo: str) -> None:
    with pytest.raises(ClusterError, match="no cgroups are mounted"):
        cgroups.detect(mountinfo)


def test_version_2_hands_down_what_kubelet_needs_and_takes_it_back(tmp_path: Path) -> None:
    control = tmp_path / "cgroup.subtree_control"
    control.write_text("memory pids\n")
    layout = cgroups.Layout(2, (tmp_path,), frozenset())
    missing = cgroups.missing_controllers(layout)
    assert missing == ["cpu", "cpuset"]
    cgroups.create(layout, "x")
    assert control.read_text() == "+cpu +cpuset"
    assert (tmp_path / "bcp-operator-x").is_dir()
    cgroups.remove(layout, "x", 1.0)
    cgroups.switch_off(layout, missing)
    assert control.read_text() == "-cpu -cpuset"
    assert not (tmp_path / "bcp-operator-x").exists()


def test_version_1_changes_no_root(tmp_path: Path) -> None:
    layout = cgroups.Layout(1, (tmp_path,), frozenset({"cpu"}))
    assert cgroups.missing_controllers(layout) == []
    cgroups.create(layout, "x")
    assert [path.name for path in tmp_path.iterdir()] == ["bcp-operator-x"]


def test_nested_cgroups_go_and_a_busy_one_is_named(tmp_path: Path) -> None:
    layout = cgroups.Layout(1, (tmp_path,), frozenset())
    (tmp_path / "bcp-operator-x" / "kubepods" / "pod1").mkdir(parents=True)
    cgroups.remove(layout, "x", 1.0)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "bcp-operator-x" / "busy").mkdir(parents=True)
    (tmp_path / "bcp-operator-x" / "busy" / "file").touch()
    with pytest.raises(ClusterError, match=r"still busy: .*busy"):
        cgroups.remove(layout, "x", 0.0)


def test_mount_points_are_decoded_and_found_below_a_folder() -> None:
    text = "1 2 0:1 / /a rw - x x rw\n2 2 0:1 / /a/b\\040c rw - x x rw\n3 2 0:1 / /ab rw - x x rw\n"
    assert mounts.under(Path("/a"), text) == ["/a", "/a/b c"]


def test_kernel_settings_are_put_back_where_they_differ(tmp_path: Path) -> None:
    for name in ("kernel/panic", "vm/overcommit_memory"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("0\n")
    saved = sysctls.current(tmp_path)
    assert saved == {"kernel/panic": "0", "vm/overcommit_memory": "0"}
    (tmp_path / "kernel/panic").write_text("10\n")
    assert sysctls.restore(saved, tmp_path) == ["kernel/panic"]
    assert sysctls.current(tmp_path) == saved


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the host's kernel settings and folders."""
    setting = tmp_path / "proc" / "kernel" / "panic"
    setting.parent.mkdir(parents=True)
    setting.write_text("0")
    monkeypatch.setattr(sysctls, "current", lambda: {"kernel/panic": setting.read_text()})
    monkeypatch.setattr(
        sysctls, "restore", lambda saved: [setting.write_text(saved["kernel/panic"]) and "kernel/panic"]
    )
    monkeypatch.setattr(cgroups, "detect", lambda: cgroups.Layout(1, (), frozenset()))
    monkeypatch.setattr(hosttraces, "FOLDERS", (tmp_path / "var", tmp_path / "proc"))
    return setting


def instance(tmp_path: Path, name: str) -> Folders:
    folders = Folders(name, tmp_path / "state" / name, tmp_path / "cache")
    folders.state.mkdir(parents=True)
    return folders


def test_only_the_last_instance_puts_the_host_back(tmp_path: Path, host: Path) -> None:
    first, second = instance(tmp_path, "one"), instance(tmp_path, "two")
    hoststate.claim(first)
    host.write_text("10")
    (tmp_path / "var").mkdir()
    hoststate.claim(second)
    hoststate.claim(second)
    assert hoststate.release(first) == []
    assert host.read_text() == "10"
    assert hoststate.release(second) == ["kernel/panic"]
    assert host.read_text() == "0"
    assert not (tmp_path / "var").exists()
    assert (tmp_path / "proc").exists(), "it was there before"
    assert hoststate.release(second) == []


def test_an_instance_whose_folder_is_gone_does_not_count(tmp_path: Path, host: Path) -> None:
    first, second = instance(tmp_path, "one"), instance(tmp_path, "two")
    hoststate.claim(first)
    hoststate.claim(second)
    first.state.rmdir()
    assert hoststate.release(second) == ["kernel/panic"]


def test_what_an_earlier_boot_noted_is_void(tmp_path: Path, host: Path) -> None:
    folders = instance(tmp_path, "one")
    hoststate.claim(folders)
    file = folders.state.parent / "host.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "boot_id": "another"}))
    assert hoststate.release(folders) == []


def test_only_own_log_links_and_shim_sockets_are_removed(tmp_path: Path) -> None:
    folders = instance(tmp_path, "one")
    links = tmp_path / "links"
    links.mkdir()
    (links / "ours").symlink_to(folders.state / "pod-logs" / "x")
    (links / "theirs").symlink_to(tmp_path / "state" / "one-more" / "x")
    shim = folders.state / "containerd/state/io.containerd.runtime.v2.task/k8s.io/id"
    shim.mkdir(parents=True)
    sock = tmp_path / "shim.sock"
    sock.touch()
    (shim / "address").write_text(f"unix://{sock}")
    hosttraces.remove(folders, links)
    assert [link.name for link in links.iterdir()] == ["theirs"]
    assert not sock.exists()


def test_a_host_with_its_own_kubelet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "device-plugins").mkdir()
    hosttraces.refuse_real_node(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "device-plugins" / "kubelet.sock"))
        listener.listen()
        with pytest.raises(ClusterError, match="is a Kubernetes node already"):
            hosttraces.refuse_real_node(tmp_path)
