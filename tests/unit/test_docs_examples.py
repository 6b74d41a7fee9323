"""What the pages show can be used as it stands."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from bcp_operator.api.run import RunConfig
from bcp_operator.systems.catalog import parse

from tests.cluster.tools import kubectl
from tests.unit.charts import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_can_be_parsed(page: Path) -> None:
    for block in blocks(page, "yaml"):
        assert list(yaml.safe_load_all(block))


def test_the_kustomization_of_the_install_page_changes_what_it_says(tmp_path: Path) -> None:
    found = [b for b in blocks(ROOT / "docs" / "install.md", "yaml") if "kind: Kustomization" in b]
    assert len(found) == 1
    base = tmp_path / "bcp-operator" / "manifests"
    base.mkdir(parents=True)
    for path in (ROOT / "manifests").glob("*.yaml"):
        (base / path.name).write_text(path.read_text())
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(found[0].replace("REGISTRY", "registry.example"))
    done = subprocess.run([str(kubectl()), "kustomize", str(mine)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    deployment = next(d for d in yaml.safe_load_all(done.stdout) if d["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example/bcp-operator:0.1.0"
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["ALLOWED_HOSTS"] == "*.vendor.example,login.acme.example"
    assert env["BCP_SYNC_IMAGE"] == "registry.example/bcp-operator:0.1.0"
    assert env["WATCH_NAMESPACES"] == "bcp-tenants", "what is not patched stays"
    assert len(container["env"]) == len(env) == 13


def test_every_stage_of_the_profile_tutorial_is_a_profile() -> None:
    parts = [b for b in blocks(ROOT / "docs" / "profiles.md", "yaml") if "ConfigMap" not in b]
    start, *more, whole = parts
    for number in range(len(more) + 1):
        parse(start + "".join(more[:number]), "tutorial")
    assert parse(start, "tutorial").types["user"].is_lookup
    assert parse(whole, "tutorial").types["user"].create is not None


def test_the_run_yaml_of_the_sync_page_is_one() -> None:
    documents = [yaml.safe_load(b) for b in blocks(ROOT / "docs" / "sync.md", "yaml") if "credentialsDir" in b]
    assert len(documents) == 1
    config = RunConfig.model_validate(documents[0])
    assert config.lease is None
