"""Takes each constraint out of the CRDs in turn: `python -m tests.apiserver.mutants` (minutes, so not part of the suite).

Without its constraint the manifest of a case must no longer be refused for that reason; otherwise the case would pass
although nobody checks what it is about. Uses the cluster of BCP_CLUSTER_INSTANCE, whose CRDs it puts back at the end.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator

import yaml

from tests.apiserver.api import Answer, Api, collection
from tests.apiserver.cases import Case
from tests.apiserver.conftest import CRDS
from tests.apiserver.manifests import Object, edited
from tests.apiserver.test_constraints import SPEC, STATUS
from tests.cluster.access import Cluster
from tests.waiting import until

DEADLINE_SECONDS = 10.0


def without(schema: Object, case: Case, path: str = "") -> bool:
    """Take the case's constraint out of a schema; whether it was there."""
    for rule in schema.get("x-kubernetes-validations", []):
        if (f"{path}{rule.get('fieldPath', '')}", f"rule:{rule['message']}") == case.key:
            schema["x-kubernetes-validations"].remove(rule)
            return True
    if path == case.path and _remove(schema, case.constraint):
        return True
    keys = schema.get("x-kubernetes-list-map-keys", [])
    if f"{path}[]" == case.path and case.constraint in [f"required:{key}" for key in keys]:
        _remove(schema, "unique")  # the key of a list can't be optional
    below = [(f"{path}.{name}".removeprefix("."), child) for name, child in schema.get("properties", {}).items()]
    below += [(f"{path}[]", schema["items"])] if "items" in schema else []
    below += [(f"{path}.*", schema["additionalProperties"])] if "additionalProperties" in schema else []
    return any(without(child, case, child_path) for child_path, child in below)


def _remove(schema: Object, constraint: str) -> bool:
    word, _, name = constraint.partition(":")
    if word == "required" and name in schema.get("required", []):
        schema["required"].remove(name)
        return True
    if word == "unique":
        schema.pop("x-kubernetes-list-map-keys", None)
        schema["x-kubernetes-list-type"] = "atomic"
        return True
    if word in ("maxLength", "maxItems", "maxProperties") and word in schema:
        schema[word] += 1  # unbounded, the CRD itself would be refused for the cost of its rules
        return True
    return schema.pop(word, None) is not None


class Trial:
    """One namespace in which cases are tried against one CRD after the other."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._crds = {plural: yaml.safe_load((CRDS / f"{plural}.yaml").read_text()) for plural in SPEC}
        self._stored = 0

    def install(self, plural: str, case: Case | None) -> None:
        """Put the CRD in place, without the case's constraint."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.bcp-operator.io"
        crd = copy.deepcopy(self._crds[plural])
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        if case is not None and not without(schema, case):
            raise SystemExit(f"{case.key}: not found in the CRD")
        crd["metadata"]["resourceVersion"] = self._api.get(path).body["metadata"]["resourceVersion"]
        answer = self._api.replace(path, crd)
        if not answer.ok:
            raise SystemExit(f"{case.key if case else plural}: the mutant is no CRD: {answer.message}")

    def store(self, plural: str, manifest: Object) -> Object:
        """Make an object that is there."""
        self._stored += 1
        manifest["metadata"] = {"name": f"stored-{self._stored}"}
        answer = self._api.create(collection(self._namespace, plural), manifest)
        if not answer.ok:
            raise SystemExit(answer.message)
        return answer.body

    def send(self, plural: str, case: Case, before: Object | None) -> Answer:
        """The case's bad manifest, in a dry run."""
        path = collection(self._namespace, plural)
        if case.path.startswith("status"):
            assert before is not None
            body = edited(before | {"status": STATUS[plural][0]()}, case.edits)
            return self._api.replace(f"{path}/{before['metadata']['name']}/status", body, dry=True)
        bad = edited(SPEC[plural][0]("acme"), case.edits)
        if before is None:
            return self._api.create(path, bad, dry=True)
        return self._api.replace(
            f"{path}/{before['metadata']['name']}", bad | {"metadata": before["metadata"]}, dry=True
        )

    def survives(self, plural: str, case: Case) -> str:
        """Why the case does not notice that its constraint is gone; empty when it does."""
        needs_object = case.stored is not None or case.path.startswith("status")
        before = self.store(plural, edited(SPEC[plural][0]("acme"), case.stored or {})) if needs_object else None
        self.install(plural, case)
        answer = self.send(plural, case, before)

        def noticed() -> bool:
            nonlocal answer
            answer = self.send(plural, case, before)
            causes = [(cause.field, cause.reason) for cause in answer.causes if case.message in cause.message]
            return answer.ok or (case.field, case.reason) not in causes

        try:
            until(noticed, "the API server forgets the constraint", DEADLINE_SECONDS)
        except AssertionError:
            return answer.message
        return ""


def cases() -> Iterator[tuple[str, Case]]:
    """Every case of both CRDs."""
    for table in (SPEC, STATUS):
        for plural, (_, found) in table.items():
            yield from ((plural, case) for case in found)


def main() -> int:
    """Try them all; 1 when a case doesn't notice the loss of its constraint."""
    cluster = Cluster()
    api = Api(cluster.kubeconfig)
    survivors = tried = 0
    with cluster.namespace("mutants") as namespace:
        trial = Trial(api, namespace)
        try:
            for plural, case in cases():
                tried += 1
                if why := trial.survives(plural, case):
                    survivors += 1
                    print(f"{plural} {case.key}: still refused: {why}")
        finally:
            for plural in SPEC:
                trial.install(plural, None)
    print(f"{tried} constraints taken out, {survivors} not noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
