"""Every rule, enum, pattern, bound and required field of both CRDs, on the real apiserver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.apiserver import manifests
from tests.apiserver.api import Api, Cause, collection
from tests.apiserver.cases import Case
from tests.apiserver.conftest import CRDS
from tests.apiserver.manifests import Object, edited
from tests.apiserver.policy_cases import policy_cases
from tests.apiserver.status_cases import policy_status_cases, tenant_status_cases
from tests.apiserver.tenant_cases import tenant_cases

pytestmark = pytest.mark.cluster

SPEC = {"bcptenants": (manifests.tenant, tenant_cases()), "syncpolicies": (manifests.policy, policy_cases())}
STATUS = {
    "bcptenants": (manifests.tenant_status, tenant_status_cases()),
    "syncpolicies": (manifests.policy_status, policy_status_cases()),
}
COUNTED = ("enum", "pattern", "format", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")


def constraints(schema: Object, path: str = "") -> Iterator[tuple[str, str]]:
    """Everything in a schema that can refuse a manifest, types aside, as (where, what)."""
    for name in schema.get("required", []):
        yield path, f"required:{name}"
    for word in (*COUNTED, "maxProperties", "minProperties", "uniqueItems", "multipleOf", "not", "oneOf", "anyOf"):
        if word in schema:
            yield path, word
    if schema.get("x-kubernetes-list-type") in ("map", "set"):
        yield path, "unique"
    for rule in schema.get("x-kubernetes-validations", []):
        yield f"{path}{rule.get('fieldPath', '')}", f"rule:{rule['message']}"
    for name, child in schema.get("properties", {}).items():
        yield from constraints(child, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from constraints(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from constraints(schema["additionalProperties"], f"{path}.*")


def params(table: dict[str, tuple[Callable[..., Object], list[Case]]]) -> list[Any]:
    """One parameter set per case, with a readable name."""
    return [
        pytest.param(plural, case, id=f"{plural}-{case.path or 'object'}-{case.constraint}")
        for plural, (_, cases) in table.items()
        for case in cases
    ]


@pytest.mark.parametrize("plural", SPEC)
def test_every_constraint_has_exactly_one_case(plural: str) -> None:
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    found = Counter(constraints(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
    tested = Counter(case.key for case in (*SPEC[plural][1], *STATUS[plural][1]))
    assert sorted((found - tested).elements()) == [], "constraints without a case"
    assert sorted((tested - found).elements()) == [], "cases without a constraint"


@pytest.mark.parametrize("plural", SPEC)
def test_the_complete_manifest_is_accepted(admin: Api, namespace: str, plural: str) -> None:
    answer = admin.send(
        "POST", collection(namespace, plural), SPEC[plural][0]("good"), dry=True, fieldValidation="Strict"
    )
    assert answer.ok, answer.message


@pytest.fixture(scope="module")
def stored(admin: Api, namespace: str) -> Callable[[str, Object], Object]:
    """Make an object that is really there, once per content, and return it as the API server does."""
    made: dict[str, Object] = {}

    def make(plural: str, manifest: Object) -> Object:
        key = f"{plural} {manifest}"
        if key not in made:
            manifest["metadata"] = {"name": f"stored-{len(made)}"}
            answer = admin.create(collection(namespace, plural), manifest)
            assert answer.ok, answer.message
            made[key] = answer.body
        return made[key]

    return make


def expect(case: Case, causes: list[Cause]) -> None:
    """One cause, and it is the case's."""
    assert len(causes) == 1, causes
    assert (causes[0].reason, causes[0].field) == (case.reason, case.field)
    assert case.message in causes[0].message
    if case.constraint.startswith("rule:"):
        assert causes[0].message.endswith(f": {case.message}")


@pytest.mark.parametrize(("plural", "case"), params(SPEC))
def test_only_this_constraint_refuses(
    admin: Api, namespace: str, stored: Callable[[str, Object], Object], plural: str, case: Case
) -> None:
    complete = SPEC[plural][0]("acme")
    if case.stored is None:
        answer = admin.create(collection(namespace, plural), edited(complete, case.edits), dry=True)
    else:
        before = stored(plural, edited(complete, case.stored))
        changed = edited(complete, case.edits) | {"metadata": before["metadata"]}
        answer = admin.replace(f"{collection(namespace, plural)}/{before['metadata']['name']}", changed, dry=True)
    assert answer.status == 422, answer.body
    expect(case, answer.causes)


@pytest.mark.parametrize("plural", STATUS)
def test_the_complete_status_is_accepted(
    admin: Api, namespace: str, stored: Callable[[str, Object], Object], plural: str
) -> None:
    before = stored(plural, SPEC[plural][0]("acme"))
    path = f"{collection(namespace, plural)}/{before['metadata']['name']}/status"
    answer = admin.send("PUT", path, before | {"status": STATUS[plural][0]()}, dry=True, fieldValidation="Strict")
    assert answer.ok, answer.message


@pytest.mark.parametrize(("plural", "case"), params(STATUS))
def test_only_this_constraint_refuses_a_status(
    admin: Api, namespace: str, stored: Callable[[str, Object], Object], plural: str, case: Case
) -> None:
    before = stored(plural, SPEC[plural][0]("acme"))
    body = edited(before | {"status": STATUS[plural][0]()}, case.edits)
    answer = admin.replace(f"{collection(namespace, plural)}/{before['metadata']['name']}/status", body, dry=True)
    assert answer.status == 422, answer.body
    expect(case, answer.causes)
