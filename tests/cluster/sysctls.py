"""Kernel settings of the whole host that kubelet changes: remembered before, put back after."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NAMES: Final = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
_ROOT = Path("/proc/sys")


def current(root: Path = _ROOT) -> dict[str, str]:
    """Return the present values of those settings that this kernel has."""
    return {name: (root / name).read_text().strip() for name in NAMES if (root / name).exists()}


def restore(saved: dict[str, str], root: Path = _ROOT) -> list[str]:
    """Write remembered values back where they differ; return the names that were changed back."""
    changed = []
    for name, value in saved.items():
        file = root / name
        if file.read_text().strip() != value:
            file.write_text(value)
            changed.append(name)
    return changed
