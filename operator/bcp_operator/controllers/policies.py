"""Reconcile one SyncPolicy: how many tenants use it, and whether its schedule can be kept."""

from pydantic import ValidationError

from bcp_operator.api.conditions import Condition, merge
from bcp_operator.api.policy import SyncPolicySpec, SyncPolicyStatus
from bcp_operator.api.tenant import SyncSpec
from bcp_operator.continuity import schedule
from bcp_operator.continuity.observed import Problem
from bcp_operator.kube.client import POLICY, TENANT, Kube, Object
from bcp_operator.kube.errors import Conflict, NotFound

from .act import Actor
from .cache import Cache
from .queue import Key
from .state import now


class PolicyReconciler:
    """Keeps the status of policies; their effect is in the tenants that use them."""

    def __init__(self, kube: Kube, cache: Cache, actor: Actor) -> None:
        self._kube = kube
        self._cache = cache
        self._actor = actor

    async def reconcile(self, key: Key) -> float | None:
        """Write the status if it changed."""
        obj = self._cache.get(POLICY, key.namespace, key.name)
        if obj is None:
            return None
        before = _status(obj)
        after = self._assess(obj, before)
        if _written(after) == _written(before):
            return None
        self._actor.check()
        metadata = obj["metadata"]
        try:
            written = await self._kube.patch_status(
                POLICY, key.namespace, key.name, _written(after), metadata["resourceVersion"]
            )
        except (Conflict, NotFound):
            return None  # its own watch event is on the way
        self._cache.put(POLICY, written)
        return None

    def tenants_of(self, namespace: str, policy: str) -> list[str]:
        """Names of the tenants that use a policy."""
        tenants = self._cache.all(TENANT, namespace)
        return sorted(tenant["metadata"]["name"] for tenant in tenants if policy_of(tenant) == policy)

    def _assess(self, obj: Object, before: SyncPolicyStatus) -> SyncPolicyStatus:
        metadata = obj["metadata"]
        problem = _problem(obj)
        ready = Condition(
            type="Ready",
            status="False" if problem else "True",
            reason=problem.reason if problem else "Valid",
            message=problem.message if problem else "",
            observed_generation=metadata.get("generation", 1),
            last_transition_time=now().wall.replace(microsecond=0),
        )
        return SyncPolicyStatus(
            observed_generation=metadata.get("generation", 1),
            tenants=len(self.tenants_of(metadata["namespace"], metadata["name"])),
            conditions=merge(before.conditions, [ready]),
        )


def policy_of(tenant: Object) -> str | None:
    """Name of the policy that a tenant uses."""
    sync = (tenant.get("spec") or {}).get("sync") or {}
    name = (sync.get("policyRef") or {}).get("name")
    return None if name is None else str(name)


def _problem(obj: Object) -> Problem | None:
    try:
        spec = SyncPolicySpec.model_validate(obj.get("spec") or {})
    except ValidationError:
        return Problem("Unreadable", "spec does not fit the schema: is the CRD of another version?")
    return schedule.check(SyncSpec(), spec)


def _status(obj: Object) -> SyncPolicyStatus:
    try:
        return SyncPolicyStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return SyncPolicyStatus()


def _written(status: SyncPolicyStatus) -> Object:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
