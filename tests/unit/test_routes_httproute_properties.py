"""HTTPRoute routes under any order of events: two leaders (one stale), a pipeline, a hand with kubectl, deletions."""

import contextlib
from typing import Any

from bcp_operator.api.common import System
from bcp_operator.continuity.gateway import redirect_rules, redirect_url
from bcp_operator.kube.client import HTTPROUTE
from bcp_operator.routes.base import Observation, RouteChanged, RouteError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.fake_kube import FakeKube
from tests.unit.httproute_cases import LOGIN, driver, theirs
from tests.unit.routes_world import OTHER, PRIMARY, SECONDARY, context
from tests.unit.test_routes_properties import run

SIDES = st.sampled_from(["Primary", "Secondary"])
WHERE = context()


class HttpRouteMachine(RuleBasedStateMachine):
    """Nothing is there at the start; a pipeline may be first with an object of the same name."""

    def __init__(self) -> None:
        super().__init__()
        self.kube = FakeKube()
        self.git, self.hand = self.kube.as_manager("pipeline"), self.kube.as_manager("kubectl-edit")
        self.stale: Observation | None = None
        self.stale_version: str | None = None

    @property
    def route(self) -> Any:
        return driver(self.kube, WHERE)

    def stored(self) -> dict[str, Any] | None:
        return self.kube.world.objects.get((HTTPROUTE, "team-a", "acme-login"))

    def version(self) -> str | None:
        found = self.stored()
        return None if found is None else str(found["metadata"]["resourceVersion"])

    @property
    def foreign(self) -> bool:
        found = self.stored()
        return found is not None and "owner" in found["metadata"]["labels"]

    @rule(side=SIDES)
    def leader_switches(self, side: System) -> None:
        """With a fresh look a switch works, or says why not and changes nothing."""
        seen = run(self.route.observe())
        before = self.stored(), self.version()
        try:
            run(self.route.apply(WHERE.target(side), seen))
        except RouteChanged as error:
            raise AssertionError("nobody came between") from error
        except RouteError:
            assert self.foreign
            assert (self.stored(), self.version()) == before
        else:
            after = run(self.route.observe())
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
    @rule(url=st.sampled_from([PRIMARY, SECONDARY, OTHER]), code=st.sampled_from([301, 302]))
    def hand_edits(self, url: str, code: int) -> None:
        found = run(self.hand.get(HTTPROUTE, "team-a", "acme-login"))
        found["spec"]["rules"] = redirect_rules(LOGIN, url, code)
        run(self.hand.replace(HTTPROUTE, found))

    @precondition(lambda self: self.stored() is None)
    @rule()
    def pipeline_is_first(self) -> None:
        run(self.git.apply(HTTPROUTE, theirs()))

    @precondition(lambda self: self.stored() is not None)
    @rule()
    def somebody_deletes(self) -> None:
        run(self.hand.delete(HTTPROUTE, "team-a", "acme-login"))

    @rule()
    def tenant_goes(self) -> None:
        """Restore: nobody is left on the secondary by us, what is not ours stays, and nothing is made."""
        seen = run(self.route.observe())
        before = self.stored(), self.version()
        run(self.route.restore(seen))
        found = self.stored()
        if found is None or self.foreign:
            assert (found, self.version()) == before
        else:
            assert redirect_url(found["spec"]) == PRIMARY

    @invariant()
    def what_is_not_ours_carries_nothing_of_ours(self) -> None:
        found = self.stored()
        if found is not None and self.foreign:
            assert "annotations" not in found["metadata"]
            assert set(found["metadata"]["labels"]) == {"owner"}

    @invariant()
    def no_owner_reference_ever(self) -> None:
        found = self.stored()
        assert found is None or "ownerReferences" not in found["metadata"]


TestHttpRoutes = HttpRouteMachine.TestCase
TestHttpRoutes.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
