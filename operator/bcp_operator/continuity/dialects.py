"""How an Ingress controller is told to redirect: one dialect per family of controllers, chosen by IngressClass.

ingress-nginx and Traefik (>= 3.7, provider kubernetesIngressNGINX) speak one dialect, HAProxy's controller (>= 1.11)
another. A controller with annotations of its own gets a Dialect in DIALECTS; a class is given its dialect in a table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import urlsplit

from bcp_operator.api.login import HAPROXY_REDIRECT, NGINX_PERMANENT, NGINX_REDIRECT

__all__ = ["BY_CLASS", "DIALECTS", "HAPROXY", "NGINX", "Dialect", "IngressSetup"]

# Never 301 or 308: browsers keep those for good, and users would not come back.
_CODES = frozenset({"302", "303", "307"})


@dataclass(frozen=True)
class Dialect:
    """Annotations that redirect. `rivals` are other keys that redirect too, `code_key` holds the status code.

    `leads_to`: the value is a whole URL, whatever was asked for (the path is lost), or the origin alone, and the
    controller puts path and query of the request behind it.
    """

    redirect_key: str
    rivals: tuple[str, ...]
    code_key: str
    leads_to: Literal["URL", "Origin"]
    codes: frozenset[str] = _CODES

    @property
    def path_preserved(self) -> bool:
        """Whether path and query of the request survive."""
        return self.leads_to == "Origin"

    def value(self, login_url: str) -> str:
        """What the annotation has to say to send users to a system's login page."""
        return login_url if self.leads_to == "URL" else _origin(login_url)

    def problem(self, url: str, login_urls: tuple[str, str]) -> str | None:
        """Why users who open `url` can't be sent to these pages with it; None when they can."""
        if self.leads_to == "URL":
            return None
        if any(_rest(login_url) != _rest(url) for login_url in login_urls):
            return (
                f"annotation {self.redirect_key} keeps path and query of the request: give login.url and both loginURLs "
                "the same path and query, or use another driver"
            )
        first, second = map(_origin, login_urls)
        return (
            "both login pages are on the same host: this annotation can't tell them apart" if first == second else None
        )


NGINX = Dialect(
    # 302. The path is lost: the controllers refuse $request_uri in this value since it was a way to inject code.
    redirect_key=NGINX_REDIRECT,
    rivals=(NGINX_PERMANENT,),
    code_key=f"{NGINX_REDIRECT}-code",
    leads_to="URL",
)
HAPROXY = Dialect(
    # 302 unless the code says otherwise; "%[capture.req.uri]" is put behind the value, so it has to be an origin.
    redirect_key=HAPROXY_REDIRECT,
    rivals=(),
    code_key=f"{HAPROXY_REDIRECT}-code",
    leads_to="Origin",
)
DIALECTS = {"nginx": NGINX, "haproxy": HAPROXY}
"""By the name that the chart's ingressClasses uses."""
BY_CLASS = {"haproxy": "haproxy"}
"""Dialects of classes that are called so by default; an operator's own table comes before it."""


@dataclass(frozen=True)
class IngressSetup:
    """What the chart says of Ingresses: dialects by class (nginx for all others), and annotations tenants may ask for.

    `annotations` are shell patterns. Without a list whoever may set up a tenant could configure the proxy, or claim
    hosts at external-dns, by the operator's hand.
    """

    classes: Mapping[str, str] = field(default_factory=lambda: BY_CLASS)
    annotations: tuple[str, ...] = ()

    @classmethod
    def parse(cls, classes: str, annotations: str) -> "IngressSetup":
        """From class=dialect pairs and patterns, comma separated. Raises ValueError that says what is wrong."""
        own = {}
        for pair in _parts(classes):
            name, separator, dialect = (part.strip() for part in pair.partition("="))
            if not (name and separator) or dialect not in DIALECTS:
                raise ValueError(
                    f"{pair!r}: write class=dialect, with one of the dialects {', '.join(sorted(DIALECTS))}"
                )
            own[name] = dialect
        return cls({**BY_CLASS, **own}, tuple(_parts(annotations)))

    def dialect(self, class_name: str | None) -> str:
        """Name of the dialect of a class; None is the cluster's default class, whose name nobody knows here."""
        return self.classes.get(class_name or "", "nginx")

    def refused(self, annotations: Mapping[str, str] | None) -> str | None:
        """Why a tenant may not have these annotations on its Ingress."""
        for key in annotations or {}:
            if not any(fnmatchcase(key, pattern) for pattern in self.annotations):
                return f"annotation {key} is not on the operator's list (chart: ingressAnnotations): leave it out"
        return None


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _rest(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.path or "/", parts.query
