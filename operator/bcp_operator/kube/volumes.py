"""What is mounted into the pod of a sync run, and where.

Secrets, profiles and CA bundles are mounted as optional: a missing one is then something that the run reports in
words, instead of a pod that hangs in ContainerCreating without saying why.
"""

from typing import Any

from bcp_operator.api import names
from bcp_operator.api.common import SecretRef
from bcp_operator.api.tenant import BCPTenantSpec

Manifest = dict[str, Any]

RUN_FOLDER = "/etc/bcp"
CA_FOLDER = "/etc/bcp/ca"
CREDENTIALS_FOLDER = "/run/bcp"
STATE_FOLDER = "/var/lib/bcp"
STORE_FOLDER = f"{CREDENTIALS_FOLDER}/store"
TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
TOKEN_SECONDS = 3600


def volumes(tenant: str, spec: BCPTenantSpec) -> list[tuple[Manifest, Manifest]]:
    """Each volume with its mount."""
    run = {"configMap": {"name": names.run_configmap(tenant), "items": [_item(names.RUN_KEY, names.RUN_KEY)]}}
    profiles = sorted({spec.primary.profile, spec.secondary.profile})
    sources = [run, *map(_profile, profiles), *_bundles(spec)]
    return [
        _volume("run", {"projected": {"sources": sources}}, RUN_FOLDER),
        _volume("primary", _secret(spec.primary.credentials_secret_ref), f"{CREDENTIALS_FOLDER}/primary"),
        _volume("secondary", _secret(spec.secondary.credentials_secret_ref), f"{CREDENTIALS_FOLDER}/secondary"),
        _volume("api-access", {"projected": {"sources": _api_access()}}, TOKEN_FOLDER),
        _state(tenant, spec),
        _volume("tmp", {"emptyDir": {}}, "/tmp"),  # noqa: S108 - inside the pod
    ]


def _state(tenant: str, spec: BCPTenantSpec) -> tuple[Manifest, Manifest]:
    """The correlations themselves, or what is needed to reach them."""
    if spec.sync.store.postgresql is not None:
        return _volume("store", _secret(spec.sync.store.postgresql.dsn_secret_ref), STORE_FOLDER)
    claim = {"persistentVolumeClaim": {"claimName": names.correlations_claim(tenant)}}
    return _volume("state", claim, STATE_FOLDER)


def _bundles(spec: BCPTenantSpec) -> list[Manifest]:
    """CA bundles, each below its own folder in the run's configuration."""
    refs = {"primary": spec.primary.ca_ref, "secondary": spec.secondary.ca_ref, "login": spec.login.ca_ref}
    return [
        {"configMap": {"name": ref.name, "items": [_item(ref.key, f"ca/{name}/{ref.key}")], "optional": True}}
        for name, ref in refs.items()
        if ref is not None
    ]


def _volume(name: str, source: Manifest, path: str) -> tuple[Manifest, Manifest]:
    mount: Manifest = {"name": name, "mountPath": path}
    if name not in ("state", "tmp"):
        mount |= {"readOnly": True}
    return mount, {"name": name} | source


def _profile(name: str) -> Manifest:
    """Built-in profiles win by name in the run itself; a ConfigMap of that name then only lies there."""
    items = [_item(names.PROFILE_KEY, f"profiles/{name}.yaml")]
    return {"configMap": {"name": name, "items": items, "optional": True}}


def _secret(ref: SecretRef) -> Manifest:
    return {"secret": {"secretName": ref.name, "optional": True, "defaultMode": 0o440}}


def _api_access() -> list[Manifest]:
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [_item("ca.crt", "ca.crt")]}},
        {"downwardAPI": {"items": [namespace]}},
    ]


def _item(key: str, path: str) -> Manifest:
    return {"key": key, "path": path}
