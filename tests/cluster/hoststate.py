"""What nodes change on the host as a whole: remembered by the first instance, put back by the last."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.cluster import cgroups, hosttraces, sysctls
from tests.cluster.folders import Folders
from tests.cluster.identity import boot_id
from tests.cluster.ledger import locked


@dataclass
class HostState:
    """The host before the first node, shared by all instances.

    Attributes:
        boot_id: the boot it belongs to; kernel settings and cgroups don't outlive one.
        instances: instances with a node.
        sysctls: kernel settings before.
        cgroup_controllers: cgroup v2 controllers that were switched on at the root.
        folders: folders that weren't there.
    """

    boot_id: str
    instances: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    cgroup_controllers: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def claim(folders: Folders) -> None:
    """Note that an instance is about to run a node; the first one notes how the host was."""
    file = _file(folders)
    with locked(file.with_suffix(".lock")):
        state = _load(file)
        state.instances = [name for name in state.instances if (file.parent / name).exists()]
        if not state.instances:
            fresh = [str(folder) for folder in hosttraces.FOLDERS if not folder.exists()]
            state = HostState(boot_id(), sysctls=sysctls.current(), folders=fresh)
            state.cgroup_controllers = cgroups.missing_controllers(cgroups.detect())
        if folders.instance not in state.instances:
            state.instances.append(folders.instance)
        _save(file, state)


def release(folders: Folders) -> list[str]:
    """Note that an instance has no node any more; the last one puts the host back.

    Returns:
        The kernel settings that were changed back.
    """
    file = _file(folders)
    with locked(file.with_suffix(".lock")):
        state = _load(file)
        if folders.instance not in state.instances:
            return []
        state.instances.remove(folders.instance)
        if any((file.parent / name).exists() for name in state.instances):
            _save(file, state)
            return []
        cgroups.switch_off(cgroups.detect(), state.cgroup_controllers)
        for folder in state.folders:
            shutil.rmtree(folder, ignore_errors=True)
        changed = sysctls.restore(state.sysctls)
        file.unlink()
        return changed


def _file(folders: Folders) -> Path:
    return folders.state.parent / "host.json"


def _load(file: Path) -> HostState:
    try:
        state = HostState(**json.loads(file.read_text()))
    except FileNotFoundError:
        return HostState(boot_id())
    return state if state.boot_id == boot_id() else HostState(boot_id())


def _save(file: Path, state: HostState) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=1))
    new.replace(file)
