"""What resources point to by name: PEM bundles in ConfigMaps, single keys of Secrets."""

import base64
import binascii

from bcp_operator.api.common import CARef

from .client import CONFIGMAP, SECRET, Kube
from .errors import KubeError

__all__ = ["read_ca", "read_secret"]


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


async def read_secret(kube: Kube, namespace: str, name: str, key: str) -> str:
    """One key of a Secret of this namespace, without blanks around it.

    Raises KubeError (reason SecretMissing) when the Secret or the key is not there, or holds no text.
    """
    found = await kube.get(SECRET, namespace, name)
    try:
        text = base64.b64decode(((found or {}).get("data") or {}).get(key) or "", validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    if not text:
        raise KubeError("SecretMissing", f"Secret {name} has no key {key}")
    return text
