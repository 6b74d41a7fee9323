"""What tests of Ingress routes share: a tenant's context, an adopted object, drivers on any Kube."""

from typing import Any

from bcp_operator.api.tenant import LoginSpec, Route
from bcp_operator.continuity.dialects import IngressSetup
from bcp_operator.kube.client import INGRESS, Kube, Object
from bcp_operator.routes.base import Context, Driver
from bcp_operator.routes.drivers import build
from bcp_operator.systems.hosts import HostPolicy

KEY = "nginx.ingress.kubernetes.io/temporal-redirect"
PERMANENT = "nginx.ingress.kubernetes.io/permanent-redirect"
HAPROXY = "haproxy.org/request-redirect"
CODE = "nginx.ingress.kubernetes.io/temporal-redirect-code"
PRIMARY, SECONDARY, OTHER = "https://primary.saas.test/login", "https://secondary.saas.test/login", "https://x.test/"
HOSTS = HostPolicy.parse("*.saas.test,*.acme.test,127.0.0.1", "*.acme.test")


def context(namespace: str = "team-a", *, primary: str = PRIMARY, secondary: str = SECONDARY, **login: Any) -> Context:
    spec = {"url": "https://login.acme.test/", "routes": [{"name": "web"}]} | login
    return Context(namespace, "acme", LoginSpec.model_validate(spec), primary, secondary)


SETUP = IngressSetup.parse("nobody-haproxy=haproxy", "cert-manager.io/*,example.com/team")


def driver(kube: Kube, where: Context | None = None, *, hosts: HostPolicy = HOSTS, **route: Any) -> Driver:
    # A class that no controller serves: the real one would write the status between two steps.
    ingress = {"name": "acme-login", "mode": "Managed", "className": "nobody"} | route
    if ingress["mode"] == "Adopted":
        del ingress["className"]
    spec = Route.model_validate({"name": "web", "ingress": ingress})
    return build(spec, where or context(), kube, hosts, SETUP)


def theirs(
    namespace: str = "team-a", host: str = "login.acme.test", class_name: str = "nobody", **annotations: str
) -> Object:
    """The owner's manifest of an Ingress that is to be adopted."""
    backend = {"service": {"name": "portal", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    return {
        "metadata": {"namespace": namespace, "name": "acme-login", "annotations": {"owner": "team-a"} | annotations},
        "spec": {"ingressClassName": class_name, "rules": [{"host": host, "http": {"paths": paths}}]},
    }


async def annotations_of(kube: Kube, namespace: str = "team-a") -> dict[str, str]:
    found = await kube.get(INGRESS, namespace, "acme-login")
    assert found is not None
    return dict(found["metadata"].get("annotations") or {})


async def annotate(hand: Kube, namespace: str, **annotations: str | None) -> None:
    """As `kubectl annotate` does it."""
    found = await hand.get(INGRESS, namespace, "acme-login")
    assert found is not None
    keys = {"key": KEY, "code": CODE, "permanent": PERMANENT}
    await hand.patch_metadata(
        INGRESS,
        namespace,
        "acme-login",
        resource_version=found["metadata"]["resourceVersion"],
        annotations={keys.get(name, name): value for name, value in annotations.items()},
    )
