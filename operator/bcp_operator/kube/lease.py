"""The writer Lease of a tenant: who may write to the secondary, a run or nobody.

The operator creates it and fences it; runs take and renew it (sync/fence.py). Every change is a compare-and-swap.
Leader election lives in leader.py and is re-exported here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bcp_operator.api.common import ANNOTATION_PREVIOUS_HOLDER, ANNOTATION_SYNC_ENABLED_AT
from bcp_operator.api.names import FENCE_PREFIX, WRITER_LEASE_SECONDS

from .client import LEASE, Kube, Object
from .errors import AlreadyExists, Conflict, NotFound
from .leader import KernelTimer, LeaderElector, LostLease, micro_time

__all__ = [
    "KernelTimer",
    "LeaderElector",
    "LostLease",
    "WriterLease",
    "WriterState",
    "state_of",
]

FENCE_ATTEMPTS = 5  # a run renews every 5 s: losing the race more often than once means something else is wrong


@dataclass(frozen=True)
class WriterState:
    """What the writer Lease said when it was read."""

    holder: str  # "" = free
    previous_holder: str | None  # as recorded by the fence; "" = nobody held it then; None = not fenced
    sync_enabled_at: datetime | None
    held_since: datetime | None  # acquireTime: when it last changed hands
    transitions: int  # how often it changed hands
    resource_version: str
    obj: Object

    @property
    def uid(self) -> str:
        """Which Lease it is: one that is deleted and made again has another one."""
        return str(self.obj["metadata"].get("uid", ""))

    @property
    def fenced_by(self) -> str | None:
        """Operation id of the fence, `lost-<id>` for one that replaced a lost Lease; None when not fenced."""
        return self.holder.removeprefix(FENCE_PREFIX) if self.holder.startswith(FENCE_PREFIX) else None


class WriterLease:
    """One tenant's writer Lease, by compare-and-swap only."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name

    async def read(self) -> WriterState | None:
        """What it says now; None when it does not exist."""
        lease = await self._kube.get(LEASE, self._namespace, self._name)
        return None if lease is None else state_of(lease)

    async def ensure(
        self,
        *,
        fenced_as: str | None,
        labels: Mapping[str, str],
        owner: Mapping[str, Any] | None,
        sync_enabled_at: datetime | None = None,
    ) -> WriterState:
        """Create it where it is missing: free, or fenced as `fence/<fenced_as>`. One that exists is left as it is.

        A fence made here has no known previous holder, so a whole lease duration has to pass before it counts.
        """
        found = await self.read()
        if found is not None:
            return found
        now = micro_time()
        metadata: Object = {"namespace": self._namespace, "name": self._name, "labels": dict(labels)}
        if owner is not None:
            metadata["ownerReferences"] = [dict(owner)]
        if sync_enabled_at is not None:
            metadata["annotations"] = {ANNOTATION_SYNC_ENABLED_AT: sync_enabled_at.isoformat()}
        spec: Object = {"holderIdentity": "", "leaseDurationSeconds": WRITER_LEASE_SECONDS, "leaseTransitions": 0}
        if fenced_as is not None:
            spec |= {"holderIdentity": FENCE_PREFIX + fenced_as, "acquireTime": now, "renewTime": now}
        try:
            return state_of(await self._kube.create(LEASE, {"metadata": metadata, "spec": spec}))
        except AlreadyExists:
            found = await self.read()
            if found is None:
                raise Conflict("Conflict", f"Lease {self._name} appeared and went: try again") from None
            return found

    async def fence(self, operation_id: str) -> WriterState:
        """Swap whoever holds it for `fence/<operation_id>` and keep the name of the writer that may still be alive.

        Repeating it changes nothing. A fence of an earlier operation, or of a lost Lease, is taken over together
        with the previous holder it recorded. Raises NotFound when there is no Lease (create it fenced: ensure()).
        """
        for _ in range(FENCE_ATTEMPTS):
            state = await self.read()
            if state is None:
                raise NotFound("NotFound", f"Lease {self._namespace}/{self._name} is gone")
            if state.fenced_by == operation_id:
                return state
            previous = state.previous_holder if state.fenced_by is not None else state.holder
            try:
                return await self._swap(state, FENCE_PREFIX + operation_id, previous)
            except Conflict:
                continue  # a renewal came between: read again, the fence must come after it
        raise Conflict("Conflict", f"Lease {self._namespace}/{self._name} kept changing while it was to be fenced")

    async def unfence(self, seen: WriterState) -> WriterState:
        """Free it, as the very last step of the way back; raises Conflict when it is not the fence that was seen."""
        if seen.fenced_by is None:
            return seen
        return await self._swap(seen, "", None)

    async def set_sync_enabled_at(self, seen: WriterState, moment: datetime | None) -> WriterState:
        """Keep (None: forget) the minute at which sync was enabled. Raises Conflict when a run renewed meanwhile."""
        annotations = {**(seen.obj["metadata"].get("annotations") or {})}
        annotations.pop(ANNOTATION_SYNC_ENABLED_AT, None)
        if moment is not None:
            annotations[ANNOTATION_SYNC_ENABLED_AT] = moment.isoformat()
        metadata = seen.obj["metadata"] | {"annotations": annotations}
        return state_of(await self._kube.replace(LEASE, seen.obj | {"metadata": metadata}))

    async def _swap(self, seen: WriterState, holder: str, previous: str | None) -> WriterState:
        old = seen.obj
        annotations = {**(old["metadata"].get("annotations") or {})}
        annotations.pop(ANNOTATION_PREVIOUS_HOLDER, None)
        if previous is not None:
            annotations[ANNOTATION_PREVIOUS_HOLDER] = previous
        spec = old.get("spec") or {}
        now = micro_time()
        spec = spec | {
            "holderIdentity": holder,
            "leaseDurationSeconds": WRITER_LEASE_SECONDS,
            "leaseTransitions": (spec.get("leaseTransitions") or 0) + 1,
            "acquireTime": now,
            "renewTime": now,
        }
        new = old | {"metadata": old["metadata"] | {"annotations": annotations}, "spec": spec}
        return state_of(await self._kube.replace(LEASE, new))


def state_of(lease: Object) -> WriterState:
    """What a Lease object says, however it was come by (read, listed, watched)."""
    metadata = lease["metadata"]
    annotations = metadata.get("annotations") or {}
    return WriterState(
        holder=(lease.get("spec") or {}).get("holderIdentity") or "",
        previous_holder=annotations.get(ANNOTATION_PREVIOUS_HOLDER),
        sync_enabled_at=_moment(annotations.get(ANNOTATION_SYNC_ENABLED_AT)),
        held_since=_moment((lease.get("spec") or {}).get("acquireTime")),
        transitions=int((lease.get("spec") or {}).get("leaseTransitions") or 0),
        resource_version=metadata["resourceVersion"],
        obj=lease,
    )


def _moment(text: str | None) -> datetime | None:
    """An RFC 3339 time; None for anything else, since anybody may have edited the annotation."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
