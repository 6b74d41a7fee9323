"""The rules of the house that no linter knows."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "bcp_operator"
FILE_MAX_LINES = 400
HANDLER_MAX_LINES = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found, f"no Python files in {folder}"
    return found


def where(path: Path, line: int = 0) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def nodes(folder: Path) -> Iterator[tuple[Path, ast.AST]]:
    for path in sources(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            yield path, node


def docstrings(tree: ast.AST) -> set[int]:
    """Ids of the string constants that are docstrings or stand alone as text."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def test_the_operator_folder_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    code = "import sys; sys.modules.pop('operator', None); import operator; print(operator.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).is_relative_to(ROOT)


def test_no_kopf_timers_daemons_or_indexes() -> None:
    found = [
        where(path, node.lineno)
        for path, node in nodes(PACKAGE)
        if isinstance(node, ast.Attribute)
        and node.attr in {"timer", "daemon", "index"}
        and ast.unparse(node.value) in {"kopf", "kopf.on", "registry.on", "on"}
    ]
    assert found == []


def read_not_written(tree: ast.AST) -> set[int]:
    """Ids of the constants that an answer's status is compared with: understanding a permanent redirect is allowed."""
    comparisons = [
        node for node in ast.walk(tree) if isinstance(node, ast.Compare) and ast.unparse(node.left).endswith(".status")
    ]
    return {id(inner) for node in comparisons for inner in ast.walk(node)}


def test_no_redirect_that_browsers_keep() -> None:
    found = []
    for path in sources(PACKAGE / "routes"):
        tree = ast.parse(path.read_text())
        exempt = docstrings(tree) | read_not_written(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or id(node) in exempt:
                continue
            permanent = isinstance(node.value, str) and re.search(r"\b30[18]\b", node.value)
            if permanent or node.value in (301, 308):
                found.append(where(path, node.lineno))
    assert found == []


def test_files_stay_small() -> None:
    found = {where(path): len(path.read_text().splitlines()) for path in sources(ROOT / "operator")}
    assert {name: lines for name, lines in found.items() if lines > FILE_MAX_LINES} == {}


def test_handlers_stay_thin() -> None:
    found = {}
    for path, node in nodes(PACKAGE / "controllers"):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > HANDLER_MAX_LINES:
                found[where(path, node.lineno)] = lines
    assert found == {}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("bcp_operator.sync.__main__", {"kopf", "kubernetes", "aiohttp"}),
        ("bcp_operator.cli.__main__", {"kopf", "kubernetes", "aiohttp"}),
        ("bcp_operator.api.tenant", {"kopf", "kubernetes", "aiohttp", "httpx", "yaml"}),
    ],
)
def test_import_paths_are_light(module: str, forbidden: set[str]) -> None:
    code = f"import {module}, sys; print(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert forbidden & set(done.stdout.split()) == set()


def test_no_test_is_skipped() -> None:
    found = [
        where(path, node.lineno)
        for path, node in nodes(ROOT / "tests")
        if isinstance(node, ast.Attribute)
        and node.attr in {"skip", "skipif", "xfail", "importorskip"}
        and ast.unparse(node.value).startswith("pytest")
    ]
    assert found == []


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def prose(page: Path) -> str:
    """Return a page without code blocks and inline code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings of a page get, as code hosts make them."""
    found = set()
    for line in re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S).splitlines():
        if line.startswith("#"):
            title = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            found.add(title.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)", (ROOT / "README.md").read_text()))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= linked
