"""What the Gateways say of an HTTPRoute: read from status.parents[], for the current generation only."""

from typing import Any

from bcp_operator.kube.client import GATEWAY, GATEWAY_CLASS, Kube, Object
from bcp_operator.kube.errors import KubeError

from .base import RouteError

__all__ = ["not_accepted", "require_status_code"]

CONDITIONS = ("Accepted", "ResolvedRefs")
FEATURES = {303: "HTTPRoute303RedirectStatusCode", 307: "HTTPRoute307RedirectStatusCode"}
"""Names in GatewayClass.status.supportedFeatures; 302 is part of the core, which every implementation has."""
GROUP = GATEWAY.group


def not_accepted(route: Object) -> str | None:
    """Why the route is not in force at one of its parents; None when all of them have taken this generation."""
    namespace, generation = route["metadata"]["namespace"], route["metadata"].get("generation", 1)
    entries = (route.get("status") or {}).get("parents") or []
    for ref in route["spec"].get("parentRefs") or []:
        told = [entry for entry in entries if _key(entry.get("parentRef") or {}, namespace) == _key(ref, namespace)]
        problem = "no controller has answered yet" if not told else _problem(told, generation)
        if problem:
            section = f" ({ref['sectionName']})" if ref.get("sectionName") else ""
            return f"Gateway {ref['name']}{section}: {problem}"
    return None


async def require_status_code(kube: Kube, namespace: str, refs: list[Object], code: int) -> None:
    """Raise RouteError unless the GatewayClass of every parent lists the feature that this status code needs."""
    feature = FEATURES.get(code)
    if feature is None:
        return
    for ref in refs:
        where, name = ref.get("namespace") or namespace, ref["name"]
        instead = f"use statusCode: 302, or a GatewayClass with the feature {feature}"
        try:
            gateway = await kube.get(GATEWAY, where, name)
            if gateway is None:
                raise RouteError(f"Gateway {where}/{name} does not exist: create it, or correct parentRefs")
            class_name = str(gateway["spec"]["gatewayClassName"])
            found = await kube.get(GATEWAY_CLASS, "", class_name)
        except KubeError as error:
            message = (
                f"cannot see whether Gateway {where}/{name} can answer {code}: {error.message}; use statusCode: 302"
            )
            raise RouteError(message) from None
        if feature not in _features(found):
            raise RouteError(f"GatewayClass {class_name} does not say that it can answer {code}: {instead}")


def _features(gateway_class: Object | None) -> set[str]:
    """Names, in the form of today (objects) and that of before Gateway API 1.2 (plain texts)."""
    listed: list[Any] = ((gateway_class or {}).get("status") or {}).get("supportedFeatures") or []
    return {str(item.get("name")) if isinstance(item, dict) else str(item) for item in listed}


def _key(ref: Object, namespace: str) -> tuple[str, ...]:
    return (
        str(ref.get("group", GROUP)),
        str(ref.get("kind", "Gateway")),
        str(ref.get("namespace") or namespace),
        str(ref.get("name", "")),
        str(ref.get("sectionName") or ""),
    )


def _problem(entries: list[Object], generation: int) -> str | None:
    """One parent may be told of by several controllers; the one that has taken the route counts."""
    problems = [_of_conditions(entry.get("conditions") or [], generation) for entry in entries]
    return None if None in problems else problems[0]


def _of_conditions(conditions: list[Object], generation: int) -> str | None:
    by_type = {str(condition.get("type")): condition for condition in conditions}
    for name in CONDITIONS:
        condition = by_type.get(name)
        if condition is None or int(condition.get("observedGeneration") or 0) < generation:
            return f"{name} is not known yet for generation {generation}"
        if condition.get("status") != "True":
            text = str(condition.get("message") or "")[:200]
            return f"{name} is {condition.get('status')} ({condition.get('reason')}) {text}".strip()
    return None
