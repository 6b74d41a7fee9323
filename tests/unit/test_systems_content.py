"""Paths, contents, differences and encodings: the pure half of systems/."""

import copy
from typing import Any

import pytest
from bcp_operator.systems import encode, paths
from bcp_operator.systems.content import REMOVED, content_hash, diff, field_hashes, ordered, strip
from bcp_operator.systems.expressions import compile_expression
from hypothesis import given
from hypothesis import strategies as st

URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("name", [("name", False)]),
        ("a.b", [("a", False), ("b", False)]),
        ("members[].value", [("members", True), ("value", False)]),
        ("ids[]", [("ids", True)]),
        (f'"{URN}".manager."$ref"', [(URN, False), ("manager", False), ("$ref", False)]),
    ],
)
def test_paths_are_read(text: str, steps: list[tuple[str, bool]]) -> None:
    assert [(step.name, step.each) for step in paths.parse(text)] == steps


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a[0]", "a[*].b", 'a."b', "a b", "a[].[]"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a field path"):
        paths.parse(text)


def test_values_and_removal() -> None:
    body: dict[str, Any] = {"members": [{"value": "1", "$ref": "x"}, {"value": "2"}, "odd"], "meta": {"a": 1}}
    assert list(paths.values(body, paths.parse("members[].value"))) == ["1", "2"]
    assert paths.first(body, paths.parse("nothing.there")) is None
    for text in ("members[].$ref", "meta", "absent.field", "members.value"):
        body = paths.without(body, paths.parse(text))
    assert body == {"members": [{"value": "1"}, {"value": "2"}, "odd"]}


def test_rewriting_drops_the_element_or_the_field() -> None:
    def change(value: object) -> object:
        return {"1": "one", "2": "two"}.get(str(value), paths.DROPPED)

    def rewritten(body: dict[str, Any], text: str) -> dict[str, Any]:
        before = copy.deepcopy(body)
        result = paths.rewrite(body, paths.parse(text), change)
        assert body == before  # a copy
        return result

    people = {"members": [{"value": "1"}, {"value": "9"}, {"value": "2", "type": "User"}]}
    assert rewritten(people, "members[].value") == {"members": [{"value": "one"}, {"value": "two", "type": "User"}]}
    assert rewritten({"ids": ["1", "9"]}, "ids[]") == {"ids": ["one"]}
    assert rewritten({"boss": "9", "x": 1}, "boss") == {"x": 1}
    assert rewritten({URN: {"manager": {"value": "9"}, "department": "d"}}, f'"{URN}".manager.value') == {
        URN: {"department": "d"}
    }
    assert rewritten({URN: {"manager": {"value": "9"}}}, f'"{URN}".manager.value') == {}
    deep = {"a": [{"b": [{"c": "1"}, {"c": "9"}]}, {"b": []}]}
    assert rewritten(deep, "a[].b[].c") == {"a": [{"b": [{"c": "one"}]}, {"b": []}]}
    assert rewritten({"boss": None}, "other") == {"boss": None}


def test_ignored_and_empty_fields_go_and_the_original_stays() -> None:
    raw: dict[str, Any] = {
        "id": "1",
        "a": None,
        "b": [],
        "c": {"d": []},
        "e": [None, {"f": 1, "g": None}],
        "h": False,
        "i": 0,
        "j": "",
    }
    kept = copy.deepcopy(raw)
    assert strip(raw, [paths.parse("id")], empty_is_absent=True) == {"e": [{"f": 1}], "h": False, "i": 0, "j": ""}
    assert strip(raw, [paths.parse("id")], empty_is_absent=False).keys() == raw.keys() - {"id"}
    assert raw == kept


def test_sets_are_put_in_order_without_repeats() -> None:
    body = {"tags": ["b", "a", "b"], "list": ["b", "a"], "deep": [{"tags": [2, 1]}]}
    unordered = [paths.parse("tags"), paths.parse("deep[].tags"), paths.parse("none")]
    assert ordered(body, unordered) == {"tags": ["a", "b"], "list": ["b", "a"], "deep": [{"tags": [1, 2]}]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
contents = st.dictionaries(st.sampled_from("abcdef"), json_values, max_size=6)


@given(contents)
def test_equal_contents_have_equal_hashes_whatever_their_order(content: dict[str, Any]) -> None:
    turned = dict(reversed(list(content.items())))
    assert content_hash(content) == content_hash(turned)
    assert diff(content, turned, {}) == {}


@given(contents, contents)
def test_a_difference_carried_out_leaves_none(desired: dict[str, Any], current: dict[str, Any]) -> None:
    changes = diff(desired, current, {})
    after = {name: value for name, value in (current | changes).items() if value is not REMOVED}
    assert content_hash(after) == content_hash(desired)
    assert (changes == {}) == (content_hash(desired) == content_hash(current))


def test_what_the_secondary_makes_of_a_field_is_no_change_until_either_side_moves() -> None:
    desired, stored = {"mail": "Ada@X.test", "title": "a"}, {"mail": "ada@x.test", "title": "a", "kind": "default"}
    ours, theirs = field_hashes(desired), field_hashes(stored)
    written = {name: (ours.get(name), theirs.get(name)) for name in ours | theirs}
    assert diff(desired, stored, written) == {}
    assert diff(desired | {"mail": "new@x.test"}, stored, written) == {"mail": "new@x.test"}
    assert diff(desired, stored | {"mail": "edited@x.test"}, written) == {"mail": "Ada@X.test"}
    assert diff(desired, stored | {"kind": "edited"}, written) == {"kind": REMOVED}
    assert diff(desired, stored | {"extra": 1}, written) == {"extra": REMOVED}
    assert diff(desired, stored, {}) == {"mail": "Ada@X.test", "kind": REMOVED}  # adopted: the primary counts


def test_changes_are_put_into_words() -> None:
    current = {
        "name": {"givenName": "A", "familyName": "B"},
        URN: {"department": "x", "manager": {"value": "1"}},
        "t": 1,
    }
    changes = {
        "name": {"givenName": "C"},
        URN: {"department": "x", "manager": {"value": "2"}},
        "t": REMOVED,
        "emails": [{"value": "a"}],
    }
    assert encode.merge(changes)["t"] is None
    patch = encode.scim_patch(changes, current)
    assert patch["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
    assert patch["Operations"] == [
        {"op": "replace", "path": "name.givenName", "value": "C"},
        {"op": "remove", "path": "name.familyName"},
        {"op": "replace", "path": f"{URN}:manager", "value": {"value": "2"}},
        {"op": "remove", "path": "t"},
        {"op": "replace", "path": "emails", "value": [{"value": "a"}]},
    ]
    gone = encode.scim_patch({URN: REMOVED}, current)["Operations"]
    assert [operation["path"] for operation in gone] == [f"{URN}:department", f"{URN}:manager"]
    fresh = encode.scim_patch({"name": {"givenName": "C"}}, {})["Operations"]
    assert fresh == [{"op": "replace", "path": "name", "value": {"givenName": "C"}}]


def test_expressions() -> None:
    assert compile_expression("id")({"id": 3}) == 3
    assert compile_expression("id")([]) is None
    assert compile_expression("a.b")({"a": {"b": 1}}) == 1
    with pytest.raises(ValueError, match="is not JMESPath"):
        compile_expression("a[")
    with pytest.raises(ValueError, match="can't be applied"):
        compile_expression("keys(a)")({"a": 1})
