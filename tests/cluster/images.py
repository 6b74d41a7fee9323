"""The project's images: built from its own Dockerfiles when their inputs change, loaded when containerd lacks them."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster import base, buildah, mounts, settings, wheels
from tests.cluster.buildah import Buildah
from tests.cluster.folders import REPOSITORY, Folders
from tests.cluster.jobs import Jobs
from tests.cluster.ledger import Ledger, locked
from tests.cluster.node import ctr
from tests.cluster.progress import Timings

_COPY = re.compile(r"^COPY\s+(?!--from)(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """One image of the project.

    Attributes:
        name: name and tag in the cluster.
        context: folder that its Dockerfile's COPY lines refer to.
        requirements: hashed requirements whose wheels go to `wheels/` of the build.
        project: the project's own wheel goes there too.
    """

    name: str
    context: Path
    requirements: Path
    project: bool = False

    @property
    def short(self) -> str:
        """The name without registry and tag."""
        return self.name.rpartition("/")[2].partition(":")[0]

    @property
    def dockerfile(self) -> Path:
        """Its Dockerfile."""
        return self.context / "Dockerfile"

    def copied(self) -> list[Path]:
        """Return the files and folders that the Dockerfile copies from the context, wheels left out."""
        words = [word for match in _COPY.findall(self.dockerfile.read_text()) for word in match.split()[:-1]]
        return [self.context / word for word in words if Path(word).parts[0] != "wheels" and not word.startswith("--")]

    def inputs(self) -> list[Path]:
        """Return every file whose change makes a new image."""
        roots = [self.dockerfile, *self.copied()]
        if self.project:
            roots += [REPOSITORY / name for name in ("pyproject.toml", "README.md", "LICENSE", "operator")]
        found = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*")))]
        return [file for file in found if file.is_file() and "__pycache__" not in file.parts]


IMAGES: Final = (
    Image("localhost/bcp-operator:dev", REPOSITORY, REPOSITORY / "requirements" / "image.txt", project=True),
    Image(
        "localhost/bcp-systems:dev",
        REPOSITORY / "tests" / "systems",
        REPOSITORY / "tests" / "systems" / "requirements.txt",
    ),
)


def input_key(image: Image, base_image: str, requirements: str) -> str:
    """Return a hash of everything that goes into an image."""
    digest = hashlib.sha256(f"{base_image}\n{requirements}".encode())
    for file in image.inputs():
        digest.update(f"{file.relative_to(REPOSITORY)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


class Builder:
    """Builds and loads images for one instance."""

    def __init__(self, folders: Folders, ledger: Ledger, jobs: Jobs, timings: Timings) -> None:
        self._folders = folders
        self._ledger = ledger
        self._jobs = jobs
        self._timings = timings

    def base(self) -> str:
        """Return the base image, making it when it isn't there."""
        with locked(lock(self._folders)):
            return base.ensure(Buildah(self._folders, self._jobs), self._jobs, self._timings)

    def load_all(self) -> None:
        """Load every image of the project into the cluster."""
        for image in IMAGES:
            self.load(image)

    def load(self, image: Image) -> bool:
        """Build an image if its inputs have changed, and load it into the cluster unless this very one is there.

        The images lock is held throughout: another instance may be about to replace the archive.

        Returns:
            Whether it was loaded.

        Raises:
            ClusterError: a step failed.
        """
        with locked(lock(self._folders)):
            archive, key = self._ensure(image)
            if self._ledger.images.get(image.name) == key:
                return False
            with self._timings.measured(f"load-{image.short}", f"loading {image.name}", "about 10 s"):
                self._jobs.run(f"load-{image.short}", [*ctr(self._folders), "images", "import", str(archive)])
        with self._ledger.changing():
            self._ledger.images[image.name] = key
        return True

    def _ensure(self, image: Image) -> tuple[Path, str]:
        """Return an image's archive and the hash of its inputs, building it when they have changed."""
        builder = Buildah(self._folders, self._jobs)
        base_image = base.ensure(builder, self._jobs, self._timings)
        requirements = image.requirements.read_text()
        key = input_key(image, base_image, requirements)
        archive = self._folders.cache / "images" / f"{image.short}-{key}.tar"
        if not archive.exists():
            with self._timings.measured(f"image-{image.short}", f"building {image.name}", "about 1 min"):
                builder.forget_leftovers()
                self._build(image, builder, base_image, requirements, archive)
        return archive, key

    def _build(self, image: Image, builder: Buildah, base_image: str, requirements: str, archive: Path) -> None:
        context = builder.work / image.short
        if context.exists():
            shutil.rmtree(context)
        (context / "wheels").mkdir(parents=True)
        collected = wheels.ensure(requirements, self._folders.cache, self._jobs, self._timings, image.short)
        for wheel in collected.glob("*.whl"):
            shutil.copy(wheel, context / "wheels")
        if image.project:
            wheels.build_project(context / "wheels" / "project", self._jobs)
        for source in image.copied():
            target = context / source.relative_to(image.context)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        arguments = {"BASE": base_image}
        if image.project:
            # Under a name of its own the stage outlives the tidying up: a change of the code builds the last layer only.
            kept = f"localhost/{image.short}-dependencies:cache"
            builder.build(f"layers-{image.short}", kept, image.dockerfile, context, arguments, stage="dependencies")
        builder.build(f"build-{image.short}", image.name, image.dockerfile, context, arguments)
        for old in archive.parent.glob(f"{image.short}-*.tar"):
            old.unlink()
        builder.save(f"save-{image.short}", image.name, archive)
        shutil.rmtree(context)


def lock(folders: Folders) -> Path:
    """Return the lock of the image storage, which all instances share."""
    return folders.cache / "images.lock"


def unmount_leftovers(folders: Folders) -> None:
    """Unmount what an interrupted build left in the storage, unless another instance is building right now."""
    if not buildah.storage(folders).exists():
        return
    with contextlib.suppress(BlockingIOError), locked(lock(folders), wait=False):
        mounts.unmount_under(buildah.storage(folders), settings.STOP_GRACE_SECONDS)
