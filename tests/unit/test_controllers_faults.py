"""Every call of a switch goes wrong once, in several ways: the end is the same, and users are never on two sides."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bcp_operator.kube.client import INGRESS, TENANT, Kind, Object
from bcp_operator.kube.errors import Conflict, Forbidden, Invalid, KubeError, Unavailable
from bcp_operator.routes.base import Verification

from tests.unit import operator_harness as harness
from tests.unit.operator_harness import NAME, NAMESPACE, REDIRECT, Operator
from tests.unit.test_controllers_crash import UID, fail_back, fail_over

READS = ("get", "list", "inventory", "ask")
Fault = Callable[[Operator, str], None]


def silent(made: Operator, verb: str) -> None:
    """The API server doesn't answer: it was restarted, or the network is gone."""
    del made, verb
    raise Unavailable("Timeout", "the Kubernetes API did not answer within 10 s")


def overtaken(made: Operator, verb: str) -> None:
    """Somebody else has just written the object."""
    del made
    if verb not in READS:
        raise Conflict("Conflict", "the object has been modified")


def forbidden(made: Operator, verb: str) -> None:
    """A role is being replaced: deleted, and made anew."""
    del made
    if verb != "ask":
        raise Forbidden("Forbidden", 'cannot get resource "x" in API group ""')


def wiped(made: Operator, verb: str) -> None:
    """Somebody restores the object without its status."""
    del verb
    stored = made.kube.world.objects[TENANT, NAMESPACE, NAME]
    if stored.pop("status", None) is not None:
        stored["metadata"]["resourceVersion"] = made.kube._version()


async def settle(made: Operator) -> int:
    """Event after event; what a pass raises is waited out, as the queue does. The answer is how many calls it took.

    Twice, because the fault may be an event itself.
    """
    calls: list[int] = []
    for _ in range(100):
        try:
            await made.settle()
            calls.append(made.calls)
        except KubeError:
            made.tick(10)
        if len(calls) == 2:
            return calls[0]
    raise AssertionError("not settled")


async def switched(monkeypatch: pytest.MonkeyPatch, way: str, fault: Fault | None, number: int) -> tuple[Operator, int]:
    """A world in which the switch was made, with one fault at the given call of it; and the number of calls."""
    made = await harness.started(monkeypatch, UID)
    made.tick(3600)
    if way == "back":
        await fail_over(made)
        await made.settle()
        made.tick(3600)
    await (fail_back if way == "back" else fail_over)(made)
    made.calls = 0

    def before(verb: str, kind: Kind, name: str) -> None:
        made._before(verb, kind, name)
        if fault is not None and made.calls == number:
            fault(made, verb)

    made.kube.world.before = before
    return made, await settle(made)


@pytest.mark.parametrize("way", ["out", "back"])
@pytest.mark.parametrize("fault", [silent, overtaken, forbidden])
async def test_a_fault_in_any_call_of_a_switch_changes_nothing_in_the_end(
    monkeypatch: pytest.MonkeyPatch, way: str, fault: Fault
) -> None:
    undisturbed, calls = await switched(monkeypatch, way, None, 0)
    wanted = undisturbed.end_state()
    assert calls > 10
    for number in range(1, calls + 1):
        made, _ = await switched(monkeypatch, way, fault, number)
        assert made.end_state() == wanted, f"{fault.__name__} at call {number}"


async def test_a_status_wiped_at_any_call_of_the_way_out_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _, calls = await switched(monkeypatch, "out", None, 0)
    for number in range(1, calls + 1):
        made, _ = await switched(monkeypatch, "out", wiped, number)
        state = made.end_state()
        assert (state["settled"], state["redirect"]) == ("Secondary", "https://secondary.example/login"), number
        assert state["fenced"].startswith("fence/"), number
        assert not state["cronjob"], number


async def test_a_status_wiped_at_any_call_of_the_way_back_moves_nobody_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without status the routes say where users are. Those who are still on the secondary stay there, held and fenced."""
    _, calls = await switched(monkeypatch, "back", None, 0)
    outcomes = set()
    for number in range(1, calls + 1):
        made, _ = await switched(monkeypatch, "back", wiped, number)
        state = made.end_state()
        outcomes.add(state["settled"])
        if state["settled"] == "Primary":
            assert state["redirect"] == "https://primary.example/login", number
            continue
        assert state["redirect"] == "https://secondary.example/login", number
        assert state["fenced"].startswith("fence/"), number
        assert state["conditions"]["IntentConflict"][0] == "True", number
    assert outcomes == {"Primary", "Secondary"}


@pytest.mark.parametrize(
    "refusal",
    [
        Invalid("Invalid", "admission webhook of the ingress controller denied the request"),
        Unavailable("InternalError", "failed calling webhook"),
    ],
)
async def test_a_gateway_that_rejects_the_route_holds_the_switch_and_not_for_good(
    monkeypatch: pytest.MonkeyPatch, refusal: KubeError
) -> None:
    made = await harness.started(monkeypatch, UID)
    made.tick(3600)
    rejecting = True

    def before(verb: str, kind: Kind, name: str) -> None:
        made._before(verb, kind, name)
        if rejecting and kind == INGRESS and verb == "apply":
            raise refusal

    made.kube.world.before = before
    monkeypatch.setattr("bcp_operator.controllers.act.PATIENCE_SECONDS", 0.0)
    await fail_over(made)
    for _ in range(15):
        await made.reconcile()
        made.tick(10)
    assert (made.status["phase"], made.status["operation"]["step"]) == ("FailingOver", "Route")
    assert made.condition("Stalled")["reason"] == "DeadlineExceeded"
    assert refusal.message in made.condition("Stalled")["message"]
    assert redirect(made) == "https://primary.example/login"
    assert made.condition("SyncFenced")["status"] == "True"
    rejecting = False
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"
    assert redirect(made) == "https://secondary.example/login"


async def test_a_login_url_that_nobody_can_ask_is_neither_completed_nor_reversed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The resolver is down, or the edge: users may be there already, nobody can say so."""
    made = await harness.started(monkeypatch, UID)
    made.tick(3600)

    async def unanswered(*_: object) -> Verification:
        return Verification(False, "Unknown", "the resolver did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(harness.SeenRoute, "verify", unanswered)
        patch.setattr("bcp_operator.controllers.act.PATIENCE_SECONDS", 0.0)
        await fail_over(made)
        for _ in range(15):
            await made.reconcile()
            made.tick(10)
        assert made.status["phase"] == "FailingOver"
        assert "the resolver did not answer" in made.condition("Stalled")["message"]
        assert redirect(made) == "https://secondary.example/login"
    await made.settle()
    assert made.status["lastOperation"]["result"] == "Completed"


def redirect(made: Operator) -> str:
    """Where the Ingress leads."""
    found: Object = made.get(INGRESS, f"{NAME}-login") or {}
    return str(found["metadata"]["annotations"][REDIRECT])
