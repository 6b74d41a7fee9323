"""The writer Lease: fenced by compare-and-swap, the writer that may still be alive is never forgotten."""

from datetime import UTC, datetime

import pytest
from bcp_operator.api.common import ANNOTATION_PREVIOUS_HOLDER
from bcp_operator.kube.client import LEASE, Kind, Object
from bcp_operator.kube.errors import Conflict, NotFound
from bcp_operator.kube.lease import WriterLease

from tests.unit.fake_kube import FakeKube

NS, NAME = "team-a", "acme-writer"
OWNER = {"apiVersion": "bcp-operator.io/v1alpha1", "kind": "BCPTenant", "name": "acme", "uid": "u-1"}
LABELS = {"bcp-operator.io/tenant": "acme"}


async def free(kube: FakeKube) -> WriterLease:
    lease = WriterLease(kube, NS, NAME)
    await lease.ensure(fenced_as=None, labels=LABELS, owner=OWNER)
    return lease


async def take(kube: FakeKube, holder: str) -> Object:
    found = await kube.get(LEASE, NS, NAME)
    assert found is not None
    return await kube.as_manager("bcp-sync").replace(
        LEASE, found | {"spec": found["spec"] | {"holderIdentity": holder}}
    )


async def test_ensure_creates_it_once_and_free() -> None:
    kube = FakeKube()
    lease = await free(kube)
    state = await lease.read()
    assert state is not None
    assert (state.holder, state.fenced_by, state.transitions) == ("", None, 0)
    assert state.obj["metadata"]["ownerReferences"] == [OWNER]
    assert state.obj["spec"]["leaseDurationSeconds"] == 15
    await take(kube, "run/pod-1/abcd")
    kept = await lease.ensure(fenced_as="lost-1", labels=LABELS, owner=OWNER)
    assert kept.holder == "run/pod-1/abcd"
    assert [write for write in kube.world.writes if write[0] == "create"] == [("create", "Lease", NAME)]


async def test_a_lost_lease_comes_back_fenced_with_an_unknown_writer() -> None:
    state = await WriterLease(FakeKube(), NS, NAME).ensure(fenced_as="lost-7", labels=LABELS, owner=OWNER)
    assert state.fenced_by == "lost-7"
    assert state.previous_holder is None


async def test_fence_of_a_free_lease_knows_that_nobody_held_it() -> None:
    lease = await free(FakeKube())
    state = await lease.fence("op-1")
    assert (state.holder, state.previous_holder, state.transitions) == ("fence/op-1", "", 1)


async def test_fence_remembers_the_running_writer() -> None:
    kube = FakeKube()
    lease = await free(kube)
    await take(kube, "run/acme-sync-1-xyz/0a1b")
    state = await lease.fence("op-1")
    assert state.previous_holder == "run/acme-sync-1-xyz/0a1b"
    # A crash and a new operation later the writer is still known.
    later = await lease.fence("op-2")
    assert (later.holder, later.previous_holder) == ("fence/op-2", "run/acme-sync-1-xyz/0a1b")


async def test_fence_over_a_lost_lease_keeps_the_writer_unknown() -> None:
    lease = WriterLease(FakeKube(), NS, NAME)
    await lease.ensure(fenced_as="lost-1", labels=LABELS, owner=OWNER)
    state = await lease.fence("op-1")
    assert state.previous_holder is None


async def test_fence_twice_writes_once() -> None:
    kube = FakeKube()
    lease = await free(kube)
    first = await lease.fence("op-1")
    assert await lease.fence("op-1") == first
    assert len([write for write in kube.world.writes if write[0] == "update"]) == 1


async def test_fence_wins_against_a_renewal_that_comes_between() -> None:
    kube = FakeKube()
    lease = await free(kube)
    await take(kube, "run/pod/1")
    renewals = iter(["run/pod/1", "run/pod/1 again"])

    def renew(verb: str, kind: Kind, name: str) -> None:
        if verb == "update" and (holder := next(renewals, None)):
            stored = kube.world.objects[(LEASE, NS, NAME)]
            stored["spec"]["holderIdentity"] = holder
            stored["metadata"]["resourceVersion"] = f"r{holder}"

    kube.world.before = renew
    state = await lease.fence("op-1")
    assert state.previous_holder == "run/pod/1 again"
    assert next(renewals, None) is None


async def test_a_stale_writer_can_not_take_a_fenced_lease() -> None:
    kube = FakeKube()
    lease = await free(kube)
    before = await take(kube, "run/pod/1")
    await lease.fence("op-1")
    with pytest.raises(Conflict):
        await kube.as_manager("bcp-sync").replace(LEASE, before)


async def test_fence_without_a_lease_says_so() -> None:
    with pytest.raises(NotFound):
        await WriterLease(FakeKube(), NS, NAME).fence("op-1")


async def test_unfence_frees_and_forgets() -> None:
    kube = FakeKube()
    lease = await free(kube)
    await take(kube, "run/pod/1")
    fenced = await lease.fence("op-1")
    state = await lease.unfence(fenced)
    assert (state.holder, state.previous_holder) == ("", None)
    assert ANNOTATION_PREVIOUS_HOLDER not in state.obj["metadata"].get("annotations", {})
    assert await lease.unfence(state) == state


async def test_unfence_of_another_fence_is_refused() -> None:
    lease = await free(FakeKube())
    seen = await lease.fence("op-1")
    await lease.fence("op-2")
    with pytest.raises(Conflict):
        await lease.unfence(seen)
    state = await lease.read()
    assert state is not None
    assert state.fenced_by == "op-2"


async def test_enabling_time_survives_fence_and_unfence() -> None:
    lease = await free(FakeKube())
    seen = await lease.read()
    assert seen is not None
    moment = datetime(2026, 11, 24, 10, 17, tzinfo=UTC)
    seen = await lease.set_sync_enabled_at(seen, moment)
    assert seen.sync_enabled_at == moment
    state = await lease.unfence(await lease.fence("op-1"))
    assert state.sync_enabled_at == moment
    assert (await lease.set_sync_enabled_at(state, None)).sync_enabled_at is None
