"""The base image, made by debootstrap from wherever this host's apt gets its packages: no registry is needed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.cluster.buildah import Buildah
from tests.cluster.errors import ClusterError
from tests.cluster.jobs import Jobs
from tests.cluster.progress import Timings

PACKAGES: Final = ("ca-certificates", "python3", "python3-venv")
SUITES: Final = {(3, 11): "bookworm"}
"""Debian release whose Python is the given one: wheels are built by the host's Python and must fit the image's."""

_PRUNED: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt", "var/log")
_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"


def suite() -> str:
    """Return the Debian release for the base image.

    Raises:
        ClusterError: no known release has this Python.
    """
    found = SUITES.get(sys.version_info[:2])
    if found is None:
        known = ", ".join(".".join(map(str, version)) for version in SUITES)
        raise ClusterError(f"images are built with Python {known} on the host; this is {sys.version.split()[0]}")
    return found


def image_name() -> str:
    """Return the base image's name; its tag is a hash of everything that goes into it."""
    content = "\n".join((suite(), *PACKAGES, *_PRUNED))
    return f"localhost/bcp-base:{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def ensure(buildah: Buildah, jobs: Jobs, timings: Timings) -> str:
    """Return the name of the base image, making it when the storage lacks it; the caller holds the images lock.

    Raises:
        ClusterError: apt knows no Debian mirror, or a step failed.
    """
    image = image_name()
    if buildah.has(image):
        return image
    tree = buildah.work / "base"
    if tree.exists():
        shutil.rmtree(tree)
    with timings.measured("base-image", f"making the base image with debootstrap ({suite()})", "about 2 min"):
        argv = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        if Path(_KEYRING).exists():
            argv.append(f"--keyring={_KEYRING}")
        jobs.run("debootstrap", [*argv, suite(), str(tree), mirror()], env=proxy_environment())
        for folder in _PRUNED:
            shutil.rmtree(tree / folder, ignore_errors=True)
            (tree / folder).mkdir(parents=True, exist_ok=True)
        for file in ("etc/resolv.conf", "etc/hostname"):
            (tree / file).unlink(missing_ok=True)
        buildah.import_tree("base-image", tree, image)
        shutil.rmtree(tree)
    return image


def mirror() -> str:
    """Return the Debian mirror of this host's own apt configuration.

    Raises:
        ClusterError: apt knows none.
    """
    wanted = ["Created-By: Packages", "Origin: Debian", "Component: main"]
    argv = ["apt-get", "indextargets", "--format", "$(SITE) $(SUITE)", *wanted]
    for line in _output(argv).splitlines():
        site, _, name = line.partition(" ")
        if "security" not in site + name and "updates" not in name:
            return site
    raise ClusterError(
        "apt knows no Debian mirror to make the base image from: run `apt-get update`, or see apt's sources"
    )


def proxy_environment() -> dict[str, str]:
    """Return the proxy that apt is told to use, for debootstrap, which doesn't read apt's configuration."""
    text = _output(["apt-config", "shell", "http_proxy", "Acquire::http::Proxy"])
    value = text.partition("=")[2].strip().strip("'\"")
    return {"http_proxy": value} if value and value != "DIRECT" else {}


def _output(argv: list[str]) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment).stdout
