"""Ingress routes under any order of events: two leaders (one stale), a pipeline, a hand with kubectl, deletions."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any

from bcp_operator.api.common import System
from bcp_operator.kube.client import INGRESS
from bcp_operator.routes.base import Observation, RouteChanged, RouteError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.fake_kube import FakeKube
from tests.unit.routes_world import KEY, OTHER, PRIMARY, SECONDARY, context, driver, theirs

SIDES = st.sampled_from(["Primary", "Secondary"])
URLS = st.sampled_from([None, PRIMARY, SECONDARY, OTHER])
WHERE = context()


def run(call: Awaitable[Any]) -> Any:
    async def wrapped() -> Any:
        return await call

    return asyncio.run(wrapped())


class RouteMachine(RuleBasedStateMachine):
    """Somebody else's object from the start when Adopted, none when Managed."""

    def __init__(self) -> None:
        super().__init__()
        self.kube = FakeKube()
        self.git, self.hand = self.kube.as_manager("pipeline"), self.kube.as_manager("kubectl-annotate")
        self.mode = "Managed"
        self.stale: Observation | None = None
        self.stale_version: str | None = None

    @property
    def route(self) -> Any:
        return driver(self.kube, WHERE, mode=self.mode)

    def stored(self) -> dict[str, Any] | None:
        return self.kube.world.objects.get((INGRESS, "team-a", "acme-login"))

    def version(self) -> str | None:
        found = self.stored()
        return None if found is None else str(found["metadata"]["resourceVersion"])

    def url(self) -> str | None:
        found = self.stored()
        return None if found is None else (found["metadata"].get("annotations") or {}).get(KEY)

    @initialize(mode=st.sampled_from(["Managed", "Adopted"]))
    def start(self, mode: str) -> None:
        self.mode = mode
        if mode == "Adopted":
            run(self.git.apply(INGRESS, theirs()))

    @rule(side=SIDES)
    def leader_switches(self, side: System) -> None:
        """With a fresh look a switch works, or says why not and changes nothing."""
        seen = run(self.route.observe())
        before, url = (self.stored(), self.version()), self.url()
        foreign = self.mode == "Adopted" and self.url() in (OTHER, PRIMARY)
        withdrawing = self.mode == "Adopted" and side == "Primary"
        try:
            run(self.route.apply(WHERE.target(side), seen))
        except RouteChanged as error:
            raise AssertionError("nobody came between") from error
        except RouteError:
            assert seen.error or (seen.conflict and not withdrawing)
            assert (self.stored(), self.version()) == before
        else:
            assert withdrawing or not foreign
            after = run(self.route.observe())
            if foreign:
                assert self.url() == url
                return
            assert (after.shows, after.in_place, after.conflict) == (side, side, None)
            version = self.version()
            run(self.route.apply(WHERE.target(side), after))
            assert self.version() == version

    @rule()
    def stale_leader_looks(self) -> None:
        self.stale, self.stale_version = run(self.route.observe()), self.version()

    @precondition(lambda self: self.stale is not None)
    @rule(side=SIDES, override=st.booleans())
    def stale_leader_writes(self, side: System, override: bool) -> None:
        """What was seen before anybody else's change is worth nothing."""
        assert self.stale is not None
        moved = self.version() != self.stale_version
        before = self.stored(), self.version()
        with contextlib.suppress(RouteError):
            run(self.route.apply(WHERE.target(side), self.stale, override=override))
        if moved:
            assert (self.stored(), self.version()) == before
        self.stale = None

    @precondition(lambda self: self.stored() is not None)
    @rule(url=URLS)
    def hand_annotates(self, url: str | None) -> None:
        version = self.version()
        assert version is not None
        run(self.hand.patch_metadata(INGRESS, "team-a", "acme-login", resource_version=version, annotations={KEY: url}))

    @precondition(lambda self: self.mode == "Adopted")
    @rule(force=st.booleans())
    def pipeline_applies(self, force: bool) -> None:
        """Its manifest never names our key: whatever the key says, it stays so."""
        url = self.url()
        run(self.git.apply(INGRESS, theirs(), force=force))
        assert self.url() == url

    @precondition(lambda self: self.stored() is not None)
    @rule()
    def somebody_deletes(self) -> None:
        run(self.hand.delete(INGRESS, "team-a", "acme-login"))

    @rule()
    def tenant_goes(self) -> None:
        """Restore: nobody is left on the secondary by us, and nothing is made that was not there."""
        seen = run(self.route.observe())
        existed = self.stored() is not None
        try:
            run(self.route.restore(seen))
        except RouteChanged as error:
            raise AssertionError("nobody came between") from error
        assert (self.stored() is not None) == existed
        if existed and not seen.conflict:
            assert self.url() in (None, PRIMARY)

    @invariant()
    def what_is_not_ours_is_never_touched(self) -> None:
        found = self.stored()
        if self.mode == "Adopted" and found is not None:
            assert found["metadata"]["annotations"]["owner"] == "team-a"
            assert found["spec"] == theirs()["spec"]
            assert "labels" not in found["metadata"]

    @invariant()
    def no_owner_reference_ever(self) -> None:
        found = self.stored()
        assert found is None or "ownerReferences" not in found["metadata"]


TestRoutes = RouteMachine.TestCase
TestRoutes.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
