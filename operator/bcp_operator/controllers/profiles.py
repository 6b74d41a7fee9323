"""Whether a sync's profiles and the types that its policy names fit together: said before a run fails for it.

A ConfigMap is read only when it carries the label of profiles; of one that doesn't the run itself has to tell.
"""

import asyncio
from functools import lru_cache

from bcp_operator.api import names
from bcp_operator.api.common import LABEL_PROFILE
from bcp_operator.api.policy import SyncPolicySpec
from bcp_operator.api.tenant import BCPTenantSpec
from bcp_operator.continuity.observed import Problem
from bcp_operator.kube.client import CONFIGMAP, Kube
from bcp_operator.kube.errors import Forbidden
from bcp_operator.systems.catalog import BUILT_IN, ProfileError, load, parse

Types = frozenset[str]


async def problem(kube: Kube, namespace: str, spec: BCPTenantSpec, policy: SyncPolicySpec) -> Problem | None:
    """Why no run can succeed, as far as it can be told from here. Raises KubeError, but not for a missing right."""
    sides = dict.fromkeys((spec.primary.profile, spec.secondary.profile))
    found = await asyncio.gather(*(_types(kube, namespace, name) for name in sides))
    for outcome in found:
        if isinstance(outcome, Problem):
            return outcome
    known = [outcome for outcome in found if isinstance(outcome, frozenset)]
    if len(known) < len(found) or policy.mode != "Custom":
        return None
    shared = frozenset.intersection(*known)
    named = {entity.type for entity in policy.entities or []} | {*(policy.exclude or [])}
    if named <= shared:
        return None
    wrong, right = ", ".join(sorted(named - shared)), ", ".join(sorted(shared))
    text = f"the SyncPolicy names {wrong}, which profile {' and '.join(sides)} does not know: name types of {right}"
    return Problem("UnknownEntityType", text)


async def _types(kube: Kube, namespace: str, name: str) -> Types | Problem | None:
    """Types of a profile; what is wrong with it; None where that can't be told."""
    if name in BUILT_IN:
        return _built_in(name)
    try:
        found = await kube.get(CONFIGMAP, namespace, name)
    except Forbidden:
        return None
    advice = f'put it in a ConfigMap of that name labelled {LABEL_PROFILE}: "true", key {names.PROFILE_KEY}'
    if found is None:
        why = f"profile {name} is neither built in ({', '.join(BUILT_IN)}) nor a ConfigMap in this namespace"
        return Problem("ProfileNotFound", f"{why}: {advice}")
    if (found["metadata"].get("labels") or {}).get(LABEL_PROFILE) != "true":
        return None
    text = (found.get("data") or {}).get(names.PROFILE_KEY)
    if not text:
        return Problem("ProfileNotFound", f"ConfigMap {name} has no key {names.PROFILE_KEY}: {advice}")
    return _parsed(text, f"ConfigMap {name}")


@lru_cache(maxsize=16)
def _built_in(name: str) -> Types:
    return frozenset(load(name).types)


@lru_cache(maxsize=64)
def _parsed(text: str, source: str) -> Types | Problem:
    try:
        return frozenset(parse(text, source).types)
    except ProfileError as error:
        return Problem("ProfileInvalid", str(error).replace("\n", "; ")[:1024])
