"""Programs built from the Go module proxy, cached by everything that goes into them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.errors import ClusterError
from tests.cluster.folders import GO_FOLDER
from tests.cluster.jobs import Jobs
from tests.cluster.progress import Timings
from tests.cluster.settings import KUBERNETES_VERSION

_BUILD_ENVIRONMENT: Final = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}


def kubernetes_ldflags(version: str) -> str:
    """Return the linker flags that make the programs report their version (Helm's kubeVersion checks read it)."""
    major, minor, _ = version.removeprefix("v").split(".")
    package = "k8s.io/component-base/version"
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s -w", *(f"-X {package}.{key}={value}" for key, value in values.items())])


@dataclass(frozen=True)
class Program:
    """One Go module under tests/cluster/go.

    Attributes:
        folder: its folder there.
        what: name and version in words.
        first_time: how long a build with empty caches takes on two cores.
        names: the names the binary answers to.
        ldflags: linker flags.
    """

    folder: str
    what: str
    first_time: str
    names: tuple[str, ...]
    ldflags: str = "-s -w"


KUBERNETES: Final = Program(
    "controlplane",
    f"Kubernetes {KUBERNETES_VERSION.removeprefix('v')}",
    "about 6 min",
    ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
    kubernetes_ldflags(KUBERNETES_VERSION),
)
ETCD: Final = Program("etcd", "etcd 3.7.3", "about 1 min", ("etcd",))
COREDNS: Final = Program("coredns", "CoreDNS 1.14.0", "about 2 min", ("coredns",))
PAUSE: Final = Program("pause", "the pause program", "some seconds", ("pause",))
CONTROL_PLANE_PROGRAMS: Final = (ETCD, KUBERNETES)
NODE_PROGRAMS: Final = (COREDNS, PAUSE)


def cache_key(module: Path, ldflags: str, go_version: str) -> str:
    """Return the key of a build: every source file, the flags and the compiler."""
    digest = hashlib.sha256()
    for file in sorted(module.iterdir()):
        if file.name in {"go.mod", "go.sum"} or file.suffix == ".go":
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    digest.update(f"{ldflags}\0{sorted(_BUILD_ENVIRONMENT.items())}\0{go_version}".encode())
    return digest.hexdigest()[:16]


def ensure(program: Program, cache: Path, jobs: Jobs, timings: Timings) -> Path:
    """Return the folder with a program's binaries, building it when the cache lacks it.

    Raises:
        ClusterError: Go is missing or the build failed.
    """
    module = GO_FOLDER / program.folder
    folder = cache / "bin" / f"{program.folder}-{cache_key(module, program.ldflags, _go_version())}"
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with timings.measured(
        f"build-{program.folder}", f"building {program.what} from the Go modules", program.first_time
    ):
        binary = folder / program.folder
        argv = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", program.ldflags, "-o", str(binary), "."]
        jobs.run(f"build-{program.folder}", argv, cwd=module, env=_BUILD_ENVIRONMENT)
    for name in program.names:
        if name != program.folder:
            (folder / name).symlink_to(binary.name)
    (folder / "complete").touch()
    return folder


def _go_version() -> str:
    if shutil.which("go") is None:
        raise ClusterError(
            "the test cluster is built from Go modules and `go` is not installed: install Go 1.26 or newer"
        )
    environment = {**os.environ, "GOTOOLCHAIN": os.environ.get("GOTOOLCHAIN", "auto")}
    done = subprocess.run(
        ["go", "env", "GOVERSION"], capture_output=True, text=True, check=True, cwd=GO_FOLDER, env=environment
    )
    return done.stdout.strip()
