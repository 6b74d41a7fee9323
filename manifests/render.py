"""Render manifests/ from the Helm chart: `python -m manifests.render [--check]`.

cluster.yaml holds what only a cluster administrator may apply, operator.yaml everything that lives in a namespace.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

from tests.cluster.tools import helm

FOLDER = Path(__file__).parent
CHART = FOLDER.parent / "helm" / "bcp-operator"
RELEASE = "bcp-operator"
NAMESPACE = "bcp-system"
HEADER = "# Generated from helm/bcp-operator with manifests/values.yaml by `make generate`; do not edit.\n"


def render(values: Path) -> str:
    """Return what the chart renders with a values file.

    Raises SystemExit with Helm's own message when it refuses.
    """
    command = [str(helm()), "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", str(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"helm template failed:\n{done.stderr}")
    return done.stdout


def split(rendered: str) -> dict[str, str]:
    """Sort the rendered documents into the two files; text is kept as it is, comments included."""
    files = {"cluster.yaml": HEADER, "operator.yaml": HEADER}
    for document in rendered.split("\n---\n"):
        text = document.removeprefix("---\n").strip("\n")
        parsed = yaml.safe_load(text)
        if parsed is not None:
            name = "operator.yaml" if "namespace" in parsed["metadata"] else "cluster.yaml"
            files[name] += f"---\n{text}\n"
    return files


def main() -> int:
    """Write the files, or with --check only say which of them are stale; 1 when some are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    check = parser.parse_args().check
    stale = []
    for name, text in split(render(FOLDER / "values.yaml")).items():
        path = FOLDER / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text)
    if check and stale:
        print(f"stale: manifests/{', manifests/'.join(stale)}; run `make generate`", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
