"""How an Ingress controller is told to redirect: one dialect per family of controllers, chosen by IngressClass.

There is one today. ingress-nginx and Traefik (>= 3.7, provider kubernetesIngressNGINX) both speak it, so every class
is taken to; a controller with annotations of its own gets a dialect here and its class in _BY_CLASS.
"""

from dataclasses import dataclass

__all__ = ["NGINX", "Dialect", "dialect_for"]


@dataclass(frozen=True)
class Dialect:
    """Annotations that redirect. `rivals` are other keys that redirect too, `code_key` holds the status code."""

    redirect_key: str
    rivals: tuple[str, ...]
    code_key: str
    codes: frozenset[str]
    path_preserved: bool


NGINX = Dialect(
    # 302. The path is lost: the controllers refuse $request_uri in this value since it was a way to inject code.
    redirect_key="nginx.ingress.kubernetes.io/temporal-redirect",
    rivals=("nginx.ingress.kubernetes.io/permanent-redirect",),
    code_key="nginx.ingress.kubernetes.io/temporal-redirect-code",
    # Never 301 or 308: browsers keep those for good, and users would not come back.
    codes=frozenset({"302", "303", "307"}),
    path_preserved=False,
)

_BY_CLASS: dict[str, Dialect] = {}


def dialect_for(class_name: str | None) -> Dialect:
    """The dialect of an IngressClass; the nginx annotations for every class not named otherwise."""
    return _BY_CLASS.get(class_name or "", NGINX)
