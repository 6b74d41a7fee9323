"""The manifests that the pages show are accepted by the API server, unknown fields and all CEL rules included."""

import pytest
import yaml

from tests.cluster.access import Cluster
from tests.unit.test_docs_examples import PAGES, blocks

pytestmark = pytest.mark.cluster

SHOWN = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "yaml"))
    if "kind: BCPTenant" in block or "kind: SyncPolicy" in block or "kind: ConfigMap\nmetadata" in block
]


@pytest.mark.parametrize("block", SHOWN)
def test_the_api_server_accepts_it(resources: Cluster, namespace: str, block: str) -> None:
    documents = list(yaml.safe_load_all(block))
    for document in documents:
        document["metadata"]["namespace"] = namespace
    text = yaml.safe_dump_all(documents)
    done = resources.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", input=text)
    assert "dry run" in done.stdout


def test_there_are_some() -> None:
    assert len(SHOWN) >= 3
