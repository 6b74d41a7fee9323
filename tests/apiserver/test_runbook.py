"""The commands of status.runbook, word for word, by somebody who holds nothing but the ClusterRole bcp-runbook."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bcp_operator.api import names
from bcp_operator.api.tenant import BCPTenantSpec
from bcp_operator.continuity import runbook
from bcp_operator.continuity.observed import Observed

from tests.apiserver import admission
from tests.apiserver.admission import People
from tests.apiserver.api import Api, Object
from tests.apiserver.manifests import DROP, edited, tenant
from tests.cluster.access import Cluster
from tests.waiting import until

pytestmark = pytest.mark.cluster

REDIRECT = "nginx.ingress.kubernetes.io/temporal-redirect"
# The Gateway API is not part of a control plane alone; test_httproute_route.py runs the command for an HTTPRoute.
MANIFEST = edited(tenant("acme"), {"spec.failover": DROP})
MANIFEST["spec"]["login"]["routes"] = MANIFEST["spec"]["login"]["routes"][:2]


@pytest.fixture(scope="module")
def people(resources: Cluster) -> Iterator[People]:
    """Everybody, in one namespace, under the policies with the stamp."""
    with resources.namespace("runbook") as namespace, admission.installed(resources, namespace, stamp=True):
        made = People(resources, namespace)
        admission.in_force(made, stamp=True)
        yield made
        made.close()


def pod() -> Object:
    """A pod template that the namespace's Pod Security takes."""
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "metadata": {"labels": names.labels("acme")},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "bcp-sync", "image": "none", "securityContext": secure}],
        },
    }


@pytest.fixture(scope="module")
def world(people: People) -> Iterator[Api]:
    """Everything that the operator would have made for the tenant, and the administrator who looks at it."""
    admin = Api(people.cluster.kubeconfig)
    job = {"template": pod(), "suspend": True}  # no pod: the control plane alone has nobody to run it
    meta = {"labels": names.labels("acme")}
    rules = [{"host": "login.acme.example"}]
    objects: list[tuple[str, Object]] = [
        (people.path(), MANIFEST),
        (
            f"/apis/coordination.k8s.io/v1/namespaces/{people.namespace}/leases",
            {"metadata": {"name": "acme-writer"}, "spec": {"holderIdentity": "", "leaseDurationSeconds": 15}},
        ),
        (
            f"/apis/batch/v1/namespaces/{people.namespace}/cronjobs",
            {
                "metadata": {"name": "acme-sync", **meta},
                "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"metadata": meta, "spec": job}},
            },
        ),
        (
            f"/apis/batch/v1/namespaces/{people.namespace}/jobs",
            {"metadata": {"name": "acme-sync-1", **meta}, "spec": job},
        ),
        (
            f"/apis/networking.k8s.io/v1/namespaces/{people.namespace}/ingresses",
            {"metadata": {"name": "acme-login", **meta}, "spec": {"ingressClassName": "nginx", "rules": rules}},
        ),
        (
            f"/api/v1/namespaces/{people.namespace}/secrets",
            {
                "metadata": {"name": "tsig"},
                "stringData": {"keyName": "key.example", "algorithm": "hmac-sha256", "secret": "c2VjcmV0"},
            },
        ),
    ]
    for path, body in objects:
        answer = admin.create(path, body)
        assert answer.ok, answer.message
    yield admin
    admin.close()


def run(people: People, folder: Path, side: str) -> str:
    """Run every step away from `side` as the user `run`; return what nsupdate was given."""
    stubs = folder / "bin"
    stubs.mkdir()
    (stubs / "sleep").write_text("#!/bin/sh\n")
    (stubs / "nsupdate").write_text(f'#!/bin/sh\necho "$@" > {folder}/nsupdate\ncat >> {folder}/nsupdate\n')
    for stub in stubs.iterdir():
        stub.chmod(0o755)
    kubeconfig = people.cluster.client_kubeconfig("run", ())
    path = f"{stubs}:{people.cluster.environment()['PATH']}"
    spec = BCPTenantSpec.model_validate(MANIFEST["spec"])
    seen = SimpleNamespace(namespace=people.namespace, name="acme", spec=spec, routes=(), four_eyes=False)
    for step in runbook.steps(cast(Observed, seen), cast(Any, side)):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step.command],
            env={**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{step.title}: {done.stderr}"
    return (folder / "nsupdate").read_text()


def test_the_role_suffices_for_the_way_out_and_back(people: People, world: Api, tmp_path: Path) -> None:
    space = f"namespaces/{people.namespace}"
    ingress = f"/apis/networking.k8s.io/v1/{space}/ingresses/acme-login"

    (tmp_path / "out").mkdir()
    dns = run(people, tmp_path / "out", "Primary")

    found = world.get(people.path("acme")).body
    assert found["spec"]["failover"]["activeSystem"] == "Secondary"
    assert found["metadata"]["annotations"]["bcp-operator.io/requested-by"] == "run"
    lease = world.get(f"/apis/coordination.k8s.io/v1/{space}/leases/acme-writer").body
    assert lease["spec"]["holderIdentity"].startswith("fence/")
    for path in (f"/apis/batch/v1/{space}/cronjobs/acme-sync", f"/apis/batch/v1/{space}/jobs/acme-sync-1"):
        until(lambda path=path: world.get(path).status == 404, f"{path} is gone")  # type: ignore[misc]
    annotations = world.get(ingress).body["metadata"]["annotations"]
    assert annotations[REDIRECT] == "https://secondary.example/login"
    assert "hmac-sha256:key.example:c2VjcmV0" in dns
    assert "update add login.acme.example. 30 CNAME secondary.example." in dns

    later = {"spec": {"failover": {"requestedAt": "2026-11-24T00:00:00Z"}}}
    assert world.merge(people.path("acme"), later, dry=True).status == 422  # the runbook set the time of now
    until(lambda: _seconds_have_passed(people, world), "a newer second has begun")
    (tmp_path / "back").mkdir()
    dns = run(people, tmp_path / "back", "Secondary")
    assert world.get(people.path("acme")).body["spec"]["failover"]["activeSystem"] == "Primary"
    assert world.get(ingress).body["metadata"]["annotations"][REDIRECT] == "https://primary.example/login"
    assert "CNAME primary.example." in dns


def _seconds_have_passed(people: People, world: Api) -> bool:
    """requestedAt has whole seconds, and the way back needs a newer one."""
    now = subprocess.run(["date", "-u", "+%FT%TZ"], capture_output=True, text=True, check=True).stdout.strip()
    return now > str(world.get(people.path("acme")).body["spec"]["failover"]["requestedAt"])
