"""A tiny dynamic provisioner: one folder and one local volume for each claim of its class, removed after use.

`local` volumes, not hostPath: kubelet gives a local volume to a pod's fsGroup, so unprivileged pods can write.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.apiclient import ApiClient, ApiError, Object
from tests.cluster.settings import NODE_NAME, PROVISIONER, STORAGE_CLASS

_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"
_WATCH_SECONDS = 300
_RETRY_SECONDS = 0.5


def storage_class() -> Object:
    """Return the default StorageClass."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def wants_volume(claim: Object) -> bool:
    """Whether a claim is of our class and has no volume yet."""
    spec = claim.get("spec", {})
    gone = "deletionTimestamp" in claim["metadata"]
    return spec.get("storageClassName") == STORAGE_CLASS and not spec.get("volumeName") and not gone


def released(volume: Object) -> bool:
    """Whether a volume of ours has outlived its claim."""
    ours = volume["metadata"].get("annotations", {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER
    return bool(ours) and volume.get("status", {}).get("phase") == "Released"


def volume_for(claim: Object, folder: Path) -> Object:
    """Return the volume for a claim, bound to it by uid."""
    metadata, spec = claim["metadata"], claim["spec"]
    reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "uid": metadata["uid"]}
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(claim),
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": STORAGE_CLASS,
            "claimRef": {**reference, "name": metadata["name"], "namespace": metadata["namespace"]},
            "local": {"path": str(folder / volume_name(claim))},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
        },
    }


def volume_name(claim: Object) -> str:
    """Return the name of a claim's volume: the same each time, so a repeat makes no second one."""
    return f"pvc-{claim['metadata']['uid']}"


class Provisioner:
    """Gives claims their volumes and removes released ones."""

    def __init__(self, client: ApiClient, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def provide(self, claim: Object) -> None:
        """Make folder and volume for a claim that wants one."""
        if not wants_volume(claim):
            return
        volume = volume_for(claim, self._folder)
        Path(volume["spec"]["local"]["path"]).mkdir(parents=True, exist_ok=True, mode=0o770)
        self._client.apply(f"{_VOLUMES}/{volume['metadata']['name']}", volume)
        _log(f"volume {volume['metadata']['name']} for {claim['metadata']['namespace']}/{claim['metadata']['name']}")

    def reclaim(self, volume: Object) -> None:
        """Remove folder and volume once the claim is gone."""
        if not released(volume):
            return
        name = volume["metadata"]["name"]
        shutil.rmtree(self._folder / name, ignore_errors=True)
        self._client.request("DELETE", f"{_VOLUMES}/{name}")
        _log(f"removed volume {name}")

    def run(self) -> None:
        """Work until the process is ended."""
        claims = threading.Thread(target=self._follow, args=(_CLAIMS, self.provide), daemon=True)
        claims.start()
        self._follow(_VOLUMES, self.reclaim)

    def _follow(self, path: str, handle: Callable[[Object], None]) -> None:
        """Hand every object, and every later change of one, to a function; any failure starts again from the list."""
        while True:
            try:
                listed = self._client.request("GET", path)
                for item in listed["items"]:
                    handle(item)
                version = listed["metadata"]["resourceVersion"]
                for event in self._client.watch(path, version, _WATCH_SECONDS):
                    if event["type"] in {"ADDED", "MODIFIED"}:
                        handle(event["object"])
            except (ApiError, OSError, ValueError) as error:
                _log(f"{path}: {error}")
                time.sleep(_RETRY_SECONDS)


def _log(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def main(arguments: list[str]) -> int:
    """Run as a process inside the namespace: `provisioner PKI FOLDER`."""
    os.umask(0)
    folder = Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    Provisioner(ApiClient(Path(arguments[0]), None), folder).run()
    return 0
