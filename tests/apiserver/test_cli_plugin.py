"""kubectl bcp status as people call it: found by the real kubectl, against the real apiserver."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster.access import Cluster
from tests.cluster.tools import kubectl
from tests.unit.charts import ROOT
from tests.unit.test_docs_examples import blocks

pytestmark = pytest.mark.cluster

STATUS = {
    "observedGeneration": 1,
    "phase": "Primary",
    "activeSystem": "Primary",
    "activeLoginURL": "https://primary.saas.example/login",
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Healthy",
            "message": "users are sent to the primary",
            "lastTransitionTime": "2026-11-24T10:00:00Z",
        }
    ],
}


def plugin(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the plugin through kubectl; it lies beside this interpreter."""
    environment = os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [str(kubectl()), "bcp", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)


@pytest.fixture(scope="module")
def tenant(resources: Cluster, namespace: str) -> str:
    """A tenant that nobody has looked at yet."""
    block = next(b for b in blocks(ROOT / "README.md", "yaml") if "kind: BCPTenant" in b)
    manifest = yaml.safe_load(block)
    manifest["metadata"]["namespace"] = namespace
    resources.kubectl("apply", "-f", "-", input=yaml.safe_dump(manifest))
    return str(manifest["metadata"]["name"])


def test_from_nothing_known_to_all_is_fine(resources: Cluster, namespace: str, tenant: str) -> None:
    done = plugin(resources.kubeconfig, "status", tenant, "-n", namespace)
    assert done.returncode == 1
    assert "the operator has not looked at this tenant yet" in done.stdout
    patch = json.dumps({"status": STATUS})
    resources.kubectl(
        "-n", namespace, "patch", "bcptenant", tenant, "--subresource=status", "--type=merge", "-p", patch
    )
    done = plugin(resources.kubeconfig, "status", tenant, "-n", namespace)
    assert (done.returncode, done.stderr) == (0, "")
    assert "https://login.acme.example/ -> https://primary.saas.example/login" in done.stdout
    done = plugin(resources.kubeconfig, "status", "-A", "-o", "json")
    assert [item["activeSystem"] for item in json.loads(done.stdout) if item["namespace"] == namespace] == ["Primary"]


def test_what_is_not_there_and_what_is_not_allowed(resources: Cluster, namespace: str) -> None:
    done = plugin(resources.kubeconfig, "status", "nobody", "-n", namespace)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"kubectl bcp: BCPTenant nobody in namespace {namespace} does not exist\n"
    done = plugin(resources.client_kubeconfig("mallory"), "status", "-n", namespace)
    assert done.returncode == 2
    assert 'User "mallory" cannot list resource "bcptenants"' in done.stderr
