"""Host programs from Debian packages: what is missing is installed, and said so."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from glob import glob
from pathlib import Path
from typing import Final

from tests.cluster.errors import ClusterError
from tests.cluster.folders import resolve
from tests.cluster.jobs import Jobs
from tests.cluster.ledger import Ledger, locked
from tests.cluster.progress import Timings

# program (or file) -> Debian package
CONTROL_PLANE: Final = {"nsenter": "util-linux", "umount": "mount", "ip": "iproute2"}
NODE: Final = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "nft": "nftables",
    "conntrack": "conntrack",
}
IMAGES: Final = {"buildah": "buildah", "debootstrap": "debootstrap"}
DATABASE: Final = {"/usr/lib/postgresql/*/bin/postgres": "postgresql"}
NAME_SERVERS: Final = {"named": "bind9", "nsupdate": "bind9-dnsutils", "knotd": "knot"}

_POLICY: Final = Path("/usr/sbin/policy-rc.d")
_NO_SERVICES: Final = "#!/bin/sh\n# the test cluster installs packages and runs the programs itself\nexit 101\n"
_SYSTEM_FOLDERS: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str) -> str:
    """Return the path of a host program.

    Raises:
        ClusterError: it isn't installed.
    """
    found = _which(name)
    if found is None:
        raise ClusterError(f"{name} is not installed")
    return found


def missing(wanted: dict[str, str]) -> list[str]:
    """Return the packages of programs that the host lacks."""
    return sorted({package for name, package in wanted.items() if _which(name) is None})


def ensure(wanted: Iterable[dict[str, str]], ledger: Ledger, jobs: Jobs, timings: Timings) -> None:
    """Install the packages of programs that the host lacks; no service of theirs is started.

    Raises:
        ClusterError: the host has no apt-get, or it failed.
    """
    packages = missing({name: package for group in wanted for name, package in group.items()})
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(f"these packages are missing and there is no apt-get to install them: {', '.join(packages)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    with timings.measured("apt-get", f"installing {', '.join(packages)} with apt-get", "about 1 min"):
        jobs.run("apt-get-update", ["apt-get", "update", "-q"], env=environment)
        keep_services_off(ledger)
        try:
            argv = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages]
            jobs.run("apt-get-install", argv, env=environment)
        finally:
            allow_services(ledger)


def keep_services_off(ledger: Ledger, policy: Path = _POLICY) -> None:
    """Tell Debian's maintainer scripts to start nothing, unless the host has a policy already."""
    if not policy.exists():
        with ledger.changing():
            ledger.host_files.append(str(policy))
        policy.write_text(_NO_SERVICES)
        policy.chmod(0o755)


def allow_services(ledger: Ledger) -> None:
    """Remove the policy that `keep_services_off` wrote; `down` does it too, after an interrupted install."""
    for name in ledger.host_files:
        Path(name).unlink(missing_ok=True)
    with ledger.changing():
        ledger.host_files.clear()


def _which(name: str) -> str | None:
    """Where a program is; of several that fit a pattern the last, which is the newest version."""
    if "*" in name:
        return max(glob(name), default=None)
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS)


@lru_cache
def name_server(name: str) -> str:
    """A name server; what of them and of nsupdate the host lacks is installed. Raises ClusterError: it can't be."""
    return _for_tests(name, NAME_SERVERS)


@lru_cache
def postgres() -> str:
    """PostgreSQL's server, with its initdb beside it. Raises ClusterError: it can't be installed."""
    return _for_tests(next(iter(DATABASE)), DATABASE)


def _for_tests(name: str, wanted: dict[str, str]) -> str:
    """A program, with or without a cluster."""
    if missing(wanted):
        cache = resolve().cache
        with tempfile.TemporaryDirectory(prefix="bcp-install-") as folder, locked(cache / "packages.lock"):
            ledger = Ledger(Path(folder) / "ledger.json")
            ensure([wanted], ledger, Jobs(ledger, Path(folder)), Timings(cache / "timings.json"))
    return program(name)
