"""Rendering the chart with the real helm, for the chart's tests."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.tools import helm

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "bcp-operator"
RELEASE = "bcp-operator"
NAMESPACE = "bcp-system"
REQUIRED: dict[str, Any] = {"watchNamespaces": ["team-a", "team-b"], "allowedHosts": ["*.saas.test"]}

Object = dict[str, Any]


def run(
    verb: str,
    values: Object,
    *,
    namespace: str = NAMESPACE,
    release: str = RELEASE,
    options: tuple[str, ...] = (),
) -> tuple[int, str, str]:
    """Run `helm <verb>` on the chart with exactly these values; return exit code, output and errors."""
    name = [] if verb == "lint" else [release]
    command = [str(helm()), verb, *name, str(CHART), "--namespace", namespace, "--values", "-", *options]
    done = subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def render(values: Object | None = None, **more: Any) -> list[Object]:
    """Render the chart with REQUIRED and these values on top; fail the test when helm refuses."""
    code, out, errors = run("template", REQUIRED | (values or {}), **more)
    assert code == 0, errors
    return [document for document in yaml.safe_load_all(out) if document]


def refusal(values: Object, *, namespace: str = NAMESPACE) -> str:
    """Return helm's message for values that it must refuse."""
    code, _, errors = run("template", values, namespace=namespace)
    assert code != 0, f"helm accepted {values}"
    return errors


def one(documents: list[Object], kind: str, name: str, namespace: str | None = None) -> Object:
    """Return the one object of this kind and name."""
    found = [
        document
        for document in documents
        if document["kind"] == kind
        and document["metadata"]["name"] == name
        and namespace in (None, document["metadata"].get("namespace"))
    ]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def pod_specs(documents: list[Object]) -> list[tuple[str, Object]]:
    """Return every pod template's spec with the name of its owner."""
    return [
        (f"{document['kind']} {document['metadata']['name']}", document["spec"]["template"]["spec"])
        for document in documents
        if "template" in (document.get("spec") or {})
    ]
