"""What the test cluster builds, and when it builds it anew."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.cluster import archive, base, binaries, images, progress, tools, wheels
from tests.cluster.errors import ClusterError
from tests.cluster.folders import GO_FOLDER, REPOSITORY
from tests.cluster.jobs import Jobs
from tests.cluster.ledger import Ledger
from tests.cluster.progress import Timings


def go_module(folder: Path) -> Path:
    folder.mkdir()
    for name in ("go.mod", "go.sum", "main.go"):
        (folder / name).write_text(name)
    return folder


def test_everything_that_goes_into_a_program_is_in_its_key(tmp_path: Path) -> None:
    module = go_module(tmp_path / "m")
    key = binaries.cache_key(module, "-s", "go1.26.8")
    assert binaries.cache_key(module, "-s", "go1.26.8") == key
    others = {binaries.cache_key(module, "-w", "go1.26.8"), binaries.cache_key(module, "-s", "go1.26.9")}
    (module / "README").write_text("not compiled")
    assert binaries.cache_key(module, "-s", "go1.26.8") == key
    for name in ("go.mod", "go.sum", "main.go"):
        (module / name).write_text("changed")
        others.add(binaries.cache_key(module, "-s", "go1.26.8"))
    assert key not in others
    assert len(others) == 5


def test_the_programs_know_their_version() -> None:
    flags = binaries.kubernetes_ldflags("v1.37.2")
    package = "k8s.io/component-base/version"
    for setting in (f"{package}.gitVersion=v1.37.2", f"{package}.gitMajor=1", f"{package}.gitMinor=37"):
        assert f"-X {setting}" in flags


def test_the_named_versions_are_those_of_the_modules() -> None:
    required = {
        "controlplane": f"k8s.io/kubernetes v{binaries.KUBERNETES.what.split()[-1]}",
        "etcd": f"go.etcd.io/etcd/server/v3 v{binaries.ETCD.what.split()[-1]}",
        "coredns": f"github.com/coredns/coredns v{binaries.COREDNS.what.split()[-1]}",
    }
    for folder, line in required.items():
        assert line in (GO_FOLDER / folder / "go.mod").read_text()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60.0, "1 min 0 s"), (347.2, "5 min 47 s")]
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


def test_a_slow_step_tells_how_long_it_took_the_last_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timings = Timings(tmp_path / "cache" / "timings.json")
    with timings.measured("etcd", "building etcd", "about 1 min"):
        pass
    assert "building etcd (the first time takes about 1 min)" in capsys.readouterr().err
    (tmp_path / "cache" / "timings.json").write_text('{"etcd": 62}')
    with timings.measured("etcd", "building etcd", "about 1 min"):
        pass
    assert "building etcd (last time 1 min 2 s)" in capsys.readouterr().err
    (tmp_path / "cache" / "timings.json").write_text("torn {")
    assert timings.last("etcd") is None


def test_a_failed_step_is_not_remembered(tmp_path: Path) -> None:
    timings = Timings(tmp_path / "timings.json")
    with pytest.raises(ClusterError), timings.measured("etcd", "building etcd", "about 1 min"):
        raise ClusterError("no")
    assert timings.last("etcd") is None


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> images.Image:
    """An image with a context of its own."""
    monkeypatch.setattr(images, "REPOSITORY", tmp_path)
    (tmp_path / "Dockerfile").write_text(
        "ARG BASE\nFROM ${BASE} AS one\nCOPY wheels/ /wheels/\nCOPY serve.py data /app/\nFROM ${BASE}\nCOPY --from=one /a /a\n"
    )
    (tmp_path / "serve.py").write_text("serve")
    (tmp_path / "data" / "__pycache__").mkdir(parents=True)
    (tmp_path / "data" / "x").write_text("x")
    (tmp_path / "data" / "__pycache__" / "x.pyc").write_text("compiled")
    (tmp_path / "other").write_text("not copied")
    return images.Image("localhost/thing:dev", tmp_path, tmp_path / "requirements.txt")


def test_an_image_is_made_anew_when_what_it_copies_changes(image: images.Image) -> None:
    assert [file.name for file in image.inputs()] == ["Dockerfile", "serve.py", "x"]
    key = images.input_key(image, "base:1", "a==1")
    for same in ("other", "data/__pycache__/x.pyc"):
        (image.context / same).write_text("changed")
    assert images.input_key(image, "base:1", "a==1") == key
    others = {images.input_key(image, "base:2", "a==1"), images.input_key(image, "base:1", "a==2")}
    for name in ("Dockerfile", "serve.py", "data/x"):
        (image.context / name).write_text((image.context / name).read_text() + " changed")
        others.add(images.input_key(image, "base:1", "a==1"))
    assert key not in others
    assert len(others) == 5


def test_the_operator_s_image_depends_on_the_operator_s_code() -> None:
    names = {str(file.relative_to(REPOSITORY)) for file in images.IMAGES[0].inputs()}
    assert {"Dockerfile", "pyproject.toml", "operator/bcp_operator/__main__.py"} <= names


def test_the_base_image_s_tag_follows_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    before = base.image_name()
    monkeypatch.setattr(base, "PACKAGES", (*base.PACKAGES, "nano"))
    assert base.image_name() != before


def test_a_python_without_a_debian_release_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SUITES", {(2, 7): "jessie"})
    with pytest.raises(ClusterError, match=r"images are built with Python 2\.7 on the host"):
        base.suite()


def test_the_mirror_is_the_one_of_the_host_s_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "http://m.example/debian-security bookworm-security\nhttp://m.example/debian bookworm-updates\n"
    monkeypatch.setattr(base, "_output", lambda argv: lines + "http://m.example/debian stable\n")
    assert base.mirror() == "http://m.example/debian"
    monkeypatch.setattr(base, "_output", lambda argv: "")
    with pytest.raises(ClusterError, match="apt knows no Debian mirror"):
        base.mirror()


@pytest.mark.parametrize(
    ("answer", "environment"),
    [
        ("", {}),
        ("http_proxy='http://p.example:3128'\n", {"http_proxy": "http://p.example:3128"}),
        ("http_proxy='DIRECT'", {}),
    ],
)
def test_debootstrap_uses_the_proxy_of_apt(
    monkeypatch: pytest.MonkeyPatch, answer: str, environment: dict[str, str]
) -> None:
    monkeypatch.setattr(base, "_output", lambda argv: answer)
    assert base.proxy_environment() == environment


def test_collected_wheels_are_not_collected_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    jobs = Jobs(Ledger(tmp_path / "ledger.json"), tmp_path)
    monkeypatch.setattr(jobs, "run", lambda name, argv: calls.append(" ".join(argv)))
    timings = Timings(tmp_path / "timings.json")
    first = wheels.ensure("a==1 --hash=sha256:0\n", tmp_path, jobs, timings, "thing")
    assert wheels.ensure("a==1 --hash=sha256:0\n", tmp_path, jobs, timings, "thing") == first
    assert wheels.ensure("a==2 --hash=sha256:0\n", tmp_path, jobs, timings, "thing") != first
    assert len(calls) == 2
    assert "--require-hashes" in calls[0]


def test_kubectl_and_helm_are_the_pinned_ones() -> None:
    folder = tools.kubectl().parent
    assert folder == tools.helm().parent
    assert tools.KUBECTL.sha256[:12] in folder.name


def test_a_program_becomes_an_image(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"ELF")
    archive.write_single_program(tmp_path / "x.tar", "localhost/pause:1", program)
    with tarfile.open(tmp_path / "x.tar") as outer:
        manifest = json.load(outer.extractfile("manifest.json") or io.BytesIO())
        assert manifest[0]["RepoTags"] == ["localhost/pause:1"]
        config = json.load(outer.extractfile(manifest[0]["Config"]) or io.BytesIO())
        assert config["config"]["Entrypoint"] == ["/pause"]
        layer = outer.extractfile("layer.tar")
        assert layer is not None
        with tarfile.open(fileobj=layer) as inner:
            assert inner.getmember("pause").mode == 0o755
