"""The converter from pydantic to structural schemas, and the generator's command line."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
import yaml
from bcp_operator.api import crdgen
from bcp_operator.api.common import Model, PatternSays, Rule, checked_by
from bcp_operator.api.schema import SchemaError, structural
from pydantic import Field

ROOT = Path(__file__).parents[2]


class Inner(Model):
    """An inner object."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (Rule("self.size < 3", "make it smaller", ".size"),)

    size: int = Field(1, gt=0, lt=10, description="Size.")


class Quiet(Model):
    """An object whose defaults stay out of the cluster."""

    server_defaults: ClassVar[bool] = False

    word: str = Field("x", max_length=3, description="Word.")
    inner: Inner = Field(default_factory=Inner, description="Below it.")


class Outer(Model):
    """An outer object."""

    must_be: str = Field(max_length=5, alias="mustBE", description="Needed.")
    may_be: Inner | None = Field(None, description="Absent is fine.")
    always: Inner = Field(
        default_factory=Inner, description="There anyhow.", json_schema_extra=checked_by(Rule("true", "never said"))
    )
    quiet: Quiet | None = Field(None, description="Quiet.")
    fixed: Literal["One"] = Field("One", description="One word.")
    when: datetime | None = Field(None, description="A time.")
    amount: Annotated[int, Field(ge=0)] | Annotated[str, Field(max_length=4)] = Field(1, description="Either.")
    spoken: Annotated[str, Field(max_length=9, pattern="^a+$"), PatternSays("only a")] = Field("a", description="Said.")
    counts: dict[str, int] = Field(default_factory=dict, max_length=2, description="A map.")
    words: list[Literal["a", "b"]] = Field(
        default_factory=list, max_length=2, description="A list.", json_schema_extra={"x-kubernetes-list-type": "set"}
    )


def bad(**fields: Any) -> str:
    """The converter's complaint about a model with these fields."""
    model = type(
        "Bad",
        (Model,),
        {"__doc__": "Bad.", "__annotations__": {k: v for k, (v, _) in fields.items()}}
        | {k: f for k, (_, f) in fields.items()},
    )
    with pytest.raises(SchemaError) as caught:
        structural(model)
    return str(caught.value)


def test_the_schema_is_what_the_api_server_takes() -> None:
    inner = {
        "type": "object",
        "x-kubernetes-validations": [{"rule": "self.size < 3", "message": "make it smaller", "fieldPath": ".size"}],
        "properties": {"size": {"description": "Size.", "type": "integer", "minimum": 1, "maximum": 9, "default": 1}},
    }
    without_default = inner | {
        "properties": {"size": {"description": "Size.", "type": "integer", "minimum": 1, "maximum": 9}}
    }
    both = [*inner["x-kubernetes-validations"], {"rule": "true", "message": "never said"}]
    assert structural(Outer) == {
        "description": "An outer object.",
        "type": "object",
        "required": ["mustBE"],
        "properties": {
            "mustBE": {"description": "Needed.", "type": "string", "maxLength": 5},
            "mayBe": {"description": "Absent is fine."} | inner,
            "always": {"description": "There anyhow.", "default": {}} | inner | {"x-kubernetes-validations": both},
            "quiet": {
                "description": "Quiet.",
                "type": "object",
                "properties": {
                    "word": {"description": "Word.", "type": "string", "maxLength": 3},
                    "inner": {"description": "Below it."} | without_default,
                },
            },
            "fixed": {"description": "One word.", "type": "string", "enum": ["One"], "default": "One"},
            "when": {"description": "A time.", "type": "string", "format": "date-time"},
            "amount": {
                "description": "Either.",
                "minimum": 0,
                "maxLength": 4,
                "default": 1,
                "x-kubernetes-int-or-string": True,
            },
            "spoken": {
                "description": "Said.",
                "type": "string",
                "maxLength": 9,
                "default": "a",
                "x-kubernetes-validations": [{"rule": "self.matches(r'^a+$')", "message": "only a"}],
            },
            "counts": {
                "description": "A map.",
                "type": "object",
                "maxProperties": 2,
                "additionalProperties": {"type": "integer"},
            },
            "words": {
                "description": "A list.",
                "type": "array",
                "maxItems": 2,
                "x-kubernetes-list-type": "set",
                "items": {"type": "string", "enum": ["a", "b"]},
            },
        },
    }


@pytest.mark.parametrize(
    ("kind", "field", "complaint"),
    [
        (str, Field(description="x"), "Bad.x: needs an upper bound: maxLength"),
        (
            list[int],
            Field(description="x", json_schema_extra={"x-kubernetes-list-type": "set"}),
            "Bad.x: needs maxItems",
        ),
        (list[int], Field(description="x", max_length=2), "Bad.x: needs x-kubernetes-list-type"),
        (dict[str, int], Field(description="x"), "Bad.x: needs maxProperties"),
        (dict[str, Any], Field(description="x", max_length=2), "Bad.x: additionalProperties: True is not structural"),
        (int | bool, Field(description="x"), "Bad.x: no structural schema for anyOf"),
        (Any, Field(description="x"), "Bad.x: needs a type"),
        (int, Field(description="x", multiple_of=2), "Bad.x: no structural schema for multipleOf"),
        (float, Field(description="x", gt=2), "exclusiveMinimum 2: use ge or le, or an integer"),
        (int, Field(), "Bad.x: needs a description"),
        (int | str, Field(description="x"), "Bad.x: needs an upper bound: maxLength"),
        (
            Annotated[str, Field(max_length=9, pattern="^'$"), PatternSays("a quote")],
            Field(description="x"),
            "Bad.x: a pattern with a quote",
        ),
    ],
)
def test_what_no_structural_schema_can_say_is_an_error_that_names_the_field(
    kind: Any, field: Any, complaint: str
) -> None:
    assert bad(x=(kind, field)).startswith(complaint)


def test_nothing_under_failover_or_status_has_a_default() -> None:
    def defaults(schema: Any) -> bool:
        if isinstance(schema, dict):
            return ("default" in schema and "type" in schema) or any(defaults(child) for child in schema.values())
        return isinstance(schema, list) and any(defaults(child) for child in schema)

    tenant, policy = (crdgen.object_schema(resource)["properties"] for resource in crdgen.RESOURCES)
    assert not defaults(tenant["spec"]["properties"]["failover"])
    assert "default" not in tenant["spec"]
    assert not defaults(tenant["status"])
    assert not defaults(policy["status"])
    assert tenant["spec"]["properties"]["sync"]["default"] == {}


def test_printer_columns_find_conditions_by_type() -> None:
    for resource in crdgen.RESOURCES:
        for column in resource.columns:
            assert "conditions[0]" not in column.path
            assert ".conditions[?(@.type==" in column.path or "conditions" not in column.path


def test_generated_files_are_current() -> None:
    assert crdgen.stale_files(ROOT, crdgen.generated_files()) == []


def test_the_chart_copies_are_the_crds_kept_on_uninstall() -> None:
    for resource in crdgen.RESOURCES:
        files = crdgen.generated_files()
        chart = files[f"helm/bcp-operator/templates/crds/{resource.plural}.yaml"].splitlines()
        assert chart[1] == "{{- if .Values.crds.install }}"
        assert chart[-1] == "{{- end }}"
        copied = yaml.safe_load("\n".join(chart[2:-1]))
        assert copied["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert copied == yaml.safe_load(files[f"crds/{resource.plural}.yaml"])


def test_the_reference_page_names_every_field_and_every_rule() -> None:
    page = crdgen.generated_files()["docs/reference.md"]

    def check(schema: Any) -> None:
        for rule in schema.get("x-kubernetes-validations", []):
            assert rule["message"] in page
        for name, child in schema.get("properties", {}).items():
            assert f"| `{name}` |" in page
            check(child)
        for child in (schema.get("items"), schema.get("additionalProperties")):
            if child:
                check(child)

    for resource in crdgen.RESOURCES:
        schema = crdgen.object_schema(resource)
        for part in ("spec", "status"):
            check(schema["properties"][part])


def test_check_names_what_is_stale_and_generate_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "crds").mkdir()
    assert crdgen.main(["--root", str(tmp_path)]) == 0
    assert crdgen.main(["--root", str(tmp_path), "--check"]) == 0
    (tmp_path / "crds" / "bcptenants.yaml").write_text("old")
    (tmp_path / "docs" / "reference.md").unlink()
    capsys.readouterr()
    assert crdgen.main(["--root", str(tmp_path), "--check"]) == 1
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "crds/bcptenants.yaml is stale: run `make generate` and commit the result",
        "docs/reference.md is stale: run `make generate` and commit the result",
    ]
    assert (tmp_path / "crds" / "bcptenants.yaml").read_text() == "old"
    assert crdgen.main(["--root", str(tmp_path)]) == 0
    assert crdgen.stale_files(tmp_path, crdgen.generated_files()) == []


def test_outside_the_repository_it_says_where_to_run_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crdgen.main(["--root", str(tmp_path)]) == 2
    assert "run this in the repository" in capsys.readouterr().err


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bcp_operator.api.crdgen", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
