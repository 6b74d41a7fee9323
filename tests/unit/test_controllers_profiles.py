"""A profile that isn't there, or a type that no profile knows, is a condition before any run fails for it."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
from bcp_operator.api import names
from bcp_operator.api.common import LABEL_PROFILE
from bcp_operator.kube.client import CONFIGMAP, CRONJOB, POLICY, Kind
from bcp_operator.kube.errors import Forbidden

from tests.unit import operator_harness as harness
from tests.unit.operator_harness import NAME, NAMESPACE, Operator

SCIM = (resources.files("bcp_operator.systems") / "profiles" / "scim.yaml").read_text()
MINE = {"primary": harness.system("primary") | {"profile": "mine"}}


async def put(made: Operator, text: str | None, label: str = "true") -> None:
    """Somebody makes the profile, or replaces it."""
    user = made.kube.as_manager("kubectl")
    await user.delete(CONFIGMAP, NAMESPACE, "mine")
    metadata = {"namespace": NAMESPACE, "name": "mine", "labels": {LABEL_PROFILE: label}}
    await user.create(CONFIGMAP, {"metadata": metadata, "data": {} if text is None else {names.PROFILE_KEY: text}})


async def policy(made: Operator, **spec: Any) -> None:
    """A policy that chooses."""
    manifest = {"metadata": {"namespace": NAMESPACE, "name": "chosen"}, "spec": {"mode": "Custom"} | spec}
    await made.kube.as_manager("kubectl").create(POLICY, manifest)


def stalled(made: Operator) -> tuple[str, str]:
    return made.condition("Stalled")["reason"], made.condition("Stalled")["message"]


async def test_a_profile_is_asked_for_and_the_sync_begins_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await harness.started(monkeypatch, "", **MINE)
    reason, message = stalled(made)
    assert reason == "ProfileNotFound"
    assert f'put it in a ConfigMap of that name labelled {LABEL_PROFILE}: "true", key profile.yaml' in message
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is None
    assert await made.reconcile() == 60, "no watch tells of ConfigMaps"

    await put(made, None)
    await made.settle()
    assert "has no key profile.yaml" in stalled(made)[1]
    await put(made, "auth: {kind: nonsense}")
    await made.settle()
    reason, message = stalled(made)
    assert reason == "ProfileInvalid"
    assert message.startswith("ConfigMap mine")
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is None

    await put(made, SCIM)
    await made.settle()
    assert made.condition("Stalled")["status"] == "False"
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is not None


@pytest.mark.parametrize("choice", [{"entities": [{"type": "user"}, {"type": "skill"}]}, {"exclude": ["skill"]}])
async def test_a_type_that_the_profile_does_not_know_is_named(
    monkeypatch: pytest.MonkeyPatch, choice: dict[str, Any]
) -> None:
    made = harness.operator(monkeypatch)
    await policy(made, **choice)
    await harness.create(made, sync={"enabled": True, "policyRef": {"name": "chosen"}})
    await made.settle()
    reason, message = stalled(made)
    assert reason == "UnknownEntityType"
    assert "names skill, which profile scim does not know: name types of group, user" in message
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is None


async def test_what_cannot_be_told_from_here_is_left_to_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made = harness.operator(monkeypatch)
    await put(made, "not a profile", label="false")
    await harness.create(made, "", **MINE)
    await made.settle()
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is not None


async def test_a_missing_right_to_read_a_profile_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = harness.operator(monkeypatch)

    def before(verb: str, kind: Kind, name: str) -> None:
        if (verb, kind, name) == ("get", CONFIGMAP, "mine"):
            raise Forbidden("Forbidden", "no")

    made.kube.world.before = before
    await harness.create(made, "", **MINE)
    await made.settle()
    assert made.condition("Stalled")["status"] == "False"
    assert made.get(CRONJOB, names.sync_cronjob(NAME)) is not None
