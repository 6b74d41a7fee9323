"""buildah with its own storage and no registry, no policy and no configuration of the host's."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.folders import Folders
from tests.cluster.jobs import Jobs

_ANY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'


class Buildah:
    """Runs buildah; images stay in the cache folder, everything temporary is in the state folder."""

    def __init__(self, folders: Folders, jobs: Jobs) -> None:
        self._jobs = jobs
        self.work: Path = folders.state / "build"
        self._storage = storage(folders)
        for folder in (self.work / "tmp", self.work / "run", self._storage):
            folder.mkdir(parents=True, exist_ok=True)
        self._policy = self.work / "policy.json"
        self._policy.write_text(_ANY)
        self._empty = self.work / "empty.conf"
        self._empty.write_text("")

    def run(self, name: str, *arguments: str) -> None:
        """Run one buildah command.

        Raises:
            ClusterError: it failed.
        """
        self._jobs.run(name, self._argv(arguments), env=self._environment())

    def ask(self, *arguments: str) -> str | None:
        """Return the output of one buildah command, or None when it failed."""
        environment = {**self._environment(), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(self._argv(arguments), capture_output=True, text=True, check=False, env=environment)
        return done.stdout.strip() if done.returncode == 0 else None

    def has(self, image: str) -> bool:
        """Whether the storage holds an image."""
        return self.ask("inspect", "--type", "image", "--format", "{{.FromImageID}}", image) is not None

    def forget_leftovers(self) -> None:
        """Remove working containers and nameless images of earlier builds; the caller holds the images lock."""
        self.ask("rm", "--all")
        self.ask("rmi", "--prune")

    def build(
        self, name: str, image: str, dockerfile: Path, context: Path, arguments: dict[str, str], *, stage: str = ""
    ) -> None:
        """Build an image, or one stage of it, from a Dockerfile without asking any registry; layers are kept."""
        options = ["--layers", *(f"--build-arg={key}={value}" for key, value in arguments.items())]
        options += [f"--target={stage}"] if stage else []
        options += ["--isolation=chroot", "--pull-never", "--format=docker", f"--signature-policy={self._policy}"]
        self.run(name, "build", *options, f"--tag={image}", f"--file={dockerfile}", str(context))

    def import_tree(self, name: str, tree: Path, image: str) -> None:
        """Make an image of one layer from a folder."""
        container = self.ask("from", f"--signature-policy={self._policy}", "scratch")
        assert container is not None, "buildah can't make a container from scratch"
        self.run(f"{name}-copy", "copy", "--quiet", container, str(tree), "/")
        self.run(f"{name}-commit", "commit", "--quiet", "--rm", f"--signature-policy={self._policy}", container, image)

    def save(self, name: str, image: str, file: Path) -> None:
        """Write an image as a docker archive."""
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        self.run(name, "push", "--quiet", f"--signature-policy={self._policy}", image, f"docker-archive:{new}:{image}")
        new.replace(file)

    def _argv(self, arguments: Sequence[str]) -> list[str]:
        return [
            "buildah",
            f"--root={self._storage}",
            f"--runroot={self.work / 'run'}",
            "--storage-driver=overlay",
            *arguments,
        ]

    def _environment(self) -> dict[str, str]:
        return {
            "TMPDIR": str(self.work / "tmp"),
            "CONTAINERS_CONF": str(self._empty),
            "CONTAINERS_REGISTRIES_CONF": str(self._empty),
            "CONTAINERS_STORAGE_CONF": str(self._empty),
        }


def storage(folders: Folders) -> Path:
    """Return the folder of buildah's images."""
    return folders.cache / "images" / "storage"
