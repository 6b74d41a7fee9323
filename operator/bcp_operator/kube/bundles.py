"""PEM bundles of private authorities, read from the ConfigMaps that caRef names."""

from bcp_operator.api.common import CARef

from .client import CONFIGMAP, Kube
from .errors import KubeError

__all__ = ["read_ca"]


async def read_ca(kube: Kube, namespace: str, ref: CARef | None) -> str | None:
    """The bundle that `ref` names in this namespace; None without a reference.

    Raises KubeError (reason CAMissing) when the ConfigMap or its key is not there.
    """
    if ref is None:
        return None
    found = await kube.get(CONFIGMAP, namespace, ref.name)
    pem = ((found or {}).get("data") or {}).get(ref.key)
    if not pem:
        raise KubeError("CAMissing", f"ConfigMap {ref.name} has no key {ref.key} with a CA bundle")
    return str(pem)
