"""Reading BCPTenants from the cluster that the user's kubeconfig names."""

import json
from http import HTTPStatus
from typing import Any

from bcp_operator.api.common import API_VERSION

__all__ = ["ClusterError", "read_tenants"]

REQUEST_TIMEOUT_SECONDS = 10
PAGE_SIZE = 500


class ClusterError(Exception):
    """The tenants could not be read; the message says why and what to do."""


class _NoDiscovery:
    """Stands in for the client's discovery, which would read every API group of the cluster at each start."""

    def __init__(self, *_: object) -> None:
        pass


def read_tenants(
    name: str | None, *, namespace: str | None, all_namespaces: bool, context: str | None
) -> list[dict[str, Any]]:
    """Read one BCPTenant, or all of a namespace (none = the context's own), or of all namespaces; sorted by name.

    Raises ClusterError when there is no usable kubeconfig, no answer, no such resource or no right to read it.
    """
    # Here and not above: the package takes most of a second to import, and --help needs none of it.
    from kubernetes import config  # noqa: PLC0415
    from kubernetes.dynamic import DynamicClient  # noqa: PLC0415

    try:
        _, active = config.list_kube_config_contexts()
        api = config.new_client_from_config(context=context)
        where = namespace or _context_namespace(config.list_kube_config_contexts()[0], context or active["name"])
    except (config.ConfigException, OSError) as error:
        raise ClusterError(f"no usable kubeconfig: {error}") from None
    path = f"/apis/{API_VERSION}" + ("" if all_namespaces else f"/namespaces/{where}") + "/bcptenants"
    client = DynamicClient(api, discoverer=_NoDiscovery)
    if name is not None:
        return [_get(client, f"{path}/{name}", f"BCPTenant {name} in namespace {where}")]
    return _list(client, path, "all namespaces" if all_namespaces else f"namespace {where}")


def _context_namespace(contexts: list[dict[str, Any]], name: str) -> str:
    for context in contexts:
        if context["name"] == name:
            return str(context["context"].get("namespace") or "default")
    return "default"


def _list(client: Any, path: str, where: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    more: str | None = None
    while True:
        page = _get(client, path, f"BCPTenants of {where}", limit=PAGE_SIZE, _continue=more)
        items += page.get("items") or []
        more = page.get("metadata", {}).get("continue")
        if not more:
            return sorted(items, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))


def _get(client: Any, path: str, what: str, **params: Any) -> dict[str, Any]:
    from kubernetes.dynamic.exceptions import DynamicApiError  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        answer = client.request("get", path, serialize=False, _request_timeout=REQUEST_TIMEOUT_SECONDS, **params)
        body: dict[str, Any] = json.loads(answer.data)
    except DynamicApiError as error:
        raise ClusterError(_explain(error.status, error.body, what)) from None
    except (HTTPError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise ClusterError(f"the API server does not answer: {reason}") from None
    except ValueError:
        raise ClusterError(f"{what}: the API server's answer is not JSON") from None
    return body


def _explain(status: int, body: Any, what: str) -> str:
    message = _status_message(body)
    if status == HTTPStatus.NOT_FOUND and "could not find the requested resource" in message:
        return "this cluster does not know BCPTenants: the CustomResourceDefinitions of bcp-operator are not installed"
    if status == HTTPStatus.NOT_FOUND:
        return f"{what} does not exist"
    if status == HTTPStatus.UNAUTHORIZED:
        return "the API server does not accept the credentials of this kubeconfig"
    return f"{what}: {message or f'the API server answers {status}'}"


def _status_message(body: Any) -> str:
    """Read the message of a Status object; a list of an unknown kind is answered in plain text."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        parsed = json.loads(text)
    except ValueError:
        return "could not find the requested resource" if text.strip() == "404 page not found" else text[:200]
    return str(parsed.get("message", "")) if isinstance(parsed, dict) else ""
