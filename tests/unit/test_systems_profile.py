"""The profile language: strict, with messages that name the place and what to do."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from bcp_operator.api.run import RunLimits
from bcp_operator.sync.connect import pace_of
from bcp_operator.systems import profilegen
from bcp_operator.systems.auth import CredentialsError, fixed_headers, read_credentials
from bcp_operator.systems.catalog import ProfileError, load, parse
from bcp_operator.systems.profile import BasicAuth, BearerAuth, NoAuth, Profile

GOOD: dict[str, Any] = {
    "auth": {"kind": "bearer"},
    "types": {
        "user": {
            "list": {"path": "/users", "paging": {"kind": "nextLink", "header": "Link"}},
            "key": {"path": "name"},
            "create": {"method": "POST", "path": "/users"},
            "update": {"method": "PUT", "path": "/users/{id}"},
        }
    },
}


def changed(*steps: Any, to: Any) -> str:
    document = copy.deepcopy(GOOD)
    place: Any = document
    for step in steps[:-1]:
        place = place.setdefault(step, {})
    place[steps[-1]] = to
    return yaml.safe_dump(document)


def test_a_good_one_is_read_and_fills_in_the_rest() -> None:
    user = parse(yaml.safe_dump(GOOD), "p.yaml").types["user"]
    assert user.id == "id"
    assert user.update is not None
    assert user.update.encoding == "replace"
    assert user.deactivate is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed("auth", "kind", to="oauth3"), "auth.kind"),
        (changed("typo", to=1), "typo: no such field; take it out, or check its spelling"),
        (changed("types", "user", "lists", to={}), "types.user.lists: no such field"),
        (changed("types", "user", "list", "path", to="users"), "types.user.list.path: 'users' must start with a slash"),
        (
            changed("types", "user", "update", "path", to="/u/{u-id}"),
            "may use {tenantID}, {id} and names of ids, and no other braces",
        ),
        (changed("types", "user", "list", "items", to="a["), "types.user.list.items: 'a[' is not JMESPath"),
        (changed("types", "user", "ignore", to=["a["]), "'a[' is not a field path"),
        (
            changed("types", "user", "references", to=[{"path": "x", "to": ["team"]}]),
            "'team' is no type of this profile",
        ),
        (changed("types", "user", "marker", to="a[].b"), "marker: it must be one field"),
        (changed("types", "user", "create", "method", to="DELETE"), "types.user.create.method"),
        (changed("types", "user", "list", "method", to="PUT"), "types.user.list.method"),
        (changed("paging", to={"kind": "nextLink"}), "nextLink paging needs header or path, and not both"),
        (changed("types", "9", to=GOOD["types"]["user"]), "types.9"),
        (changed("types", to={}), "types"),
        ("auth: [", "line 1, column 8: not YAML"),
        ("just text", "a profile is a YAML mapping"),
        (yaml.safe_dump({"types": GOOD["types"]}), "auth: is missing; add it"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("p.yaml")


def test_built_in_and_own_profiles(tmp_path: Path) -> None:
    assert load("scim", tmp_path).types.keys() == {"user", "group"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(GOOD))
    assert load("mine", tmp_path).types.keys() == {"user"}
    with pytest.raises(ProfileError, match=r"ConfigMap labelled bcp-operator.io/profile"):
        load("none", tmp_path)


def test_the_password_is_no_part_of_a_scim_user() -> None:
    assert "password" in load("scim").types["user"].ignore


def test_credentials(tmp_path: Path) -> None:
    assert read_credentials(NoAuth(kind="none"), tmp_path) == {}
    (tmp_path / "token").write_text("abc\n")
    bearer, basic = BearerAuth(kind="bearer"), BasicAuth(kind="basic")
    assert fixed_headers(bearer, read_credentials(bearer, tmp_path)) == {"Authorization": "Bearer abc"}
    with pytest.raises(CredentialsError, match="'username' is missing"):
        read_credentials(basic, tmp_path)
    (tmp_path / "username").write_text("bcp")
    (tmp_path / "password").write_text("pässword")
    assert fixed_headers(basic, read_credentials(basic, tmp_path))["Authorization"].startswith("Basic ")
    for bad in ("", "a\nb", "tökén"):
        (tmp_path / "token").write_text(bad)
        with pytest.raises(CredentialsError) as caught:
            read_credentials(bearer, tmp_path)
        assert bad == "" or bad not in str(caught.value)


def test_each_mistake_is_a_line_with_its_number() -> None:
    text = yaml.safe_dump(GOOD) + "lmits: {}\n"
    lines = text.splitlines()
    text = text.replace("path: /users/{id}", "path: users").replace("name", "a[", 1)
    with pytest.raises(ProfileError) as caught:
        parse(text, "p.yaml")
    said = str(caught.value).splitlines()
    for place, found in (
        ("lmits", "lmits"),
        ("types.user.key.path", "name"),
        ("types.user.update.path", "/users/{id}"),
    ):
        number = next(n for n, line in enumerate(lines, 1) if found in line)
        assert any(line.startswith(f"p.yaml line {number}: {place}: ") for line in said)
    assert len(said) == 3


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"p.yaml line 2: auth: is there twice; keep one"):
        parse("auth: {kind: none}\nauth: {kind: bearer}\ntypes: {}\n", "p.yaml")
    with pytest.raises(ProfileError):
        parse("types: &a [*a]\n", "p.yaml")


@pytest.mark.parametrize(
    ("limits", "rate", "slots"),
    [
        ({}, 50, 8),
        ({"requestsPerSecond": 2.5, "concurrency": 3}, 2.5, 3),
        ({"requestsPerSecond": 900, "concurrency": 60}, 50, 8),
    ],
)
def test_the_lower_of_profile_and_policy_limits_counts(limits: Any, rate: float, slots: int) -> None:
    pace = pace_of(RunLimits(), parse(changed("limits", to=limits), "p.yaml"))
    assert pace._interval == 1 / rate
    assert pace._slots._value == slots


def test_the_generated_schema_takes_the_built_in_profiles_and_knows_every_field() -> None:
    files = profilegen.generated_files()
    schema = json.loads(files["docs/profile.schema.json"])
    assert schema["additionalProperties"] is False
    assert schema["properties"].keys() == {field.alias for field in Profile.model_fields.values()}
    page = files["docs/profile-reference.md"]
    for name in schema["$defs"]:
        assert f"\n## {name}\n" in page
    assert "| `emptyIsAbsent` | true or false | `false` |" in page


def test_stale_generated_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profilegen.main(["--root", str(tmp_path)]) == 2
    (tmp_path / "docs").mkdir()
    assert profilegen.main(["--check", "--root", str(tmp_path)]) == 1
    assert "docs/profile.schema.json is stale" in capsys.readouterr().err
    assert profilegen.main(["--root", str(tmp_path)]) == 0
    assert profilegen.main(["--check", "--root", str(tmp_path)]) == 0
