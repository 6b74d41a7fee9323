"""The rule of an HTTPRoute that redirects everything to a login page, as text of the Gateway API and back.

Every default that the API server would fill in is written out, so that what is stored equals what was meant.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["keeps_path", "redirect_rules", "redirect_url"]

DEFAULT_PORTS = {"http": 80, "https": 443}


def keeps_path(login_url: str, target_url: str) -> bool:
    """Whether path and query of the request go along: where both URLs are a host's root, so that / leads to /."""
    return all(urlsplit(url).path in ("", "/") for url in (login_url, target_url))


def redirect_rules(login_url: str, target_url: str, status_code: int) -> list[dict[str, Any]]:
    """spec.rules: one rule that sends every request to the target.

    The default port is left out: some controllers would repeat it in the answer. Without a port they take the scheme's.
    """
    parts = urlsplit(target_url)
    redirect: dict[str, Any] = {
        "scheme": parts.scheme,
        "hostname": (parts.hostname or "").rstrip("."),
        "statusCode": status_code,
    }
    if parts.port not in (None, DEFAULT_PORTS.get(parts.scheme)):
        redirect["port"] = parts.port
    if not keeps_path(login_url, target_url):
        redirect["path"] = {"type": "ReplaceFullPath", "replaceFullPath": parts.path or "/"}
    return [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "filters": [{"type": "RequestRedirect", "requestRedirect": redirect}],
        }
    ]


def redirect_url(spec: Mapping[str, Any]) -> str | None:
    """Where the rules of a spec send users, when all of them are redirects to one place; else None."""
    urls = {_url(rule) for rule in spec.get("rules") or []}
    return urls.pop() if len(urls) == 1 else None


def _url(rule: Mapping[str, Any]) -> str | None:
    redirects = [f["requestRedirect"] for f in rule.get("filters") or [] if f.get("requestRedirect")]
    if len(redirects) != 1 or not redirects[0].get("hostname"):
        return None
    redirect = redirects[0]
    port = f":{redirect['port']}" if redirect.get("port") else ""
    path = (redirect.get("path") or {}).get("replaceFullPath") or "/"
    return f"{redirect.get('scheme') or 'https'}://{redirect['hostname']}{port}{path}"
