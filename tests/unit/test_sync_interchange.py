"""Correlations as JSON lines: what goes out comes in, and nothing that is not whole does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from bcp_operator.sync.__main__ import main
from bcp_operator.sync.correlations.sqlite import open_sqlite
from bcp_operator.sync.correlations.store import Row, Store, correlation_id
from bcp_operator.sync.interchange import ImportRefused, export_lines, import_lines
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stores import Opener

PAIR, OTHER = "ab" * 32, "cd" * 32
HASH = "0123456789abcdef"


def row(number: int) -> Row:
    primary_id = f"p{number}"
    shared_id = correlation_id(PAIR, "user", primary_id)
    fields = {"a": (HASH, HASH), "b": (None, HASH)}
    return Row("user", primary_id, shared_id, f"s{number}", f"k{number}", HASH, HASH, fields, "ACTIVE")


ROWS = [
    row(1),
    replace(row(2), status="INACTIVE", secondary_id=None, fields={}),
    replace(row(3), status="PENDING", secondary_id=None),
]


def known(store: Store) -> list[Row]:
    return [replace(found, version=0) for found in store.rows()]


def exported(store: Store) -> list[str]:
    return list(export_lines(store, PAIR))


def test_what_goes_out_of_one_kind_of_store_comes_into_any(opener: Opener, tmp_path: Path) -> None:
    source = open_sqlite(tmp_path / "source.db", PAIR)
    source.save(ROWS)
    source.set_copied(["user"])
    lines = exported(source)
    source.close()
    target = opener(PAIR)
    assert import_lines(lines, target, PAIR) == 3
    assert known(target) == ROWS
    assert target.copied("user")
    assert exported(opener(PAIR, read_only=True)) == lines


def test_a_store_that_holds_rows_is_left_alone_unless_it_is_to_be_replaced(opener: Opener) -> None:
    store = opener(PAIR)
    store.save(ROWS[:1])
    lines = exported(store)
    store.save([row(9)])
    with pytest.raises(ImportRefused, match="--replace"):
        import_lines(lines, store, PAIR)
    assert import_lines(lines, store, PAIR, replace=True) == 1
    assert known(store) == ROWS[:1]


def without(number: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: lines[:number] + lines[number + 1 :]


def changed(number: int, **parts: object) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        return [*lines[:number], json.dumps(json.loads(lines[number]) | parts), *lines[number + 1 :]]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [], "line 1: not the head"),
        (without(0), "line 1: not the head"),
        (changed(0, version=2), "line 1: not the head"),
        (changed(0, pair=OTHER), "another pair of systems"),
        (without(4), "the file was cut off"),
        (without(2), "3 rows were exported, 2 are here"),
        (lambda lines: [*lines, lines[1]], "nothing may follow the last line"),
        (lambda lines: [*lines[:-1], lines[-1][:5]], "line 5"),
        (lambda lines: changed(5, rows=4)([lines[0], lines[1], lines[1], *lines[2:]]), "in the file twice"),
        (changed(2, secondaryID="s1"), "in the file twice"),
        (changed(1, correlationID="x"), "correlationID doesn't belong"),
        (changed(1, secondaryID=None), "an ACTIVE row needs a secondaryID"),
        (changed(1, status="DONE"), "line 2: "),
        (changed(1, primaryID=7), "line 2: "),
        (changed(1, extra="field"), "line 2: "),
        (changed(1, fields={"a": [HASH]}), "line 2: "),
    ],
)
def test_what_is_no_whole_export_changes_nothing(
    opener: Opener, change: Callable[[list[str]], list[str]], said: str
) -> None:
    store = opener(PAIR)
    store.save(ROWS)
    lines = change(exported(store))
    store.load([row(9)], ["user"])
    with pytest.raises(ImportRefused, match=said):
        import_lines(lines, store, PAIR, replace=True)
    assert known(store) == [row(9)]
    assert store.copied("user")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@given(ids=st.lists(texts, unique=True, max_size=8), keys=st.lists(texts | st.none(), min_size=8, max_size=8))
def test_any_text_survives_the_way(ids: list[str], keys: list[str | None]) -> None:
    store, again = open_sqlite(Path(":memory:"), PAIR), open_sqlite(Path(":memory:"), PAIR)
    store.save(
        [
            replace(
                row(0), primary_id=name, secondary_id=name, key=key, correlation_id=correlation_id(PAIR, "user", name)
            )
            for name, key in zip(ids, keys, strict=False)
        ]
    )
    lines = "\n".join(exported(store))
    assert import_lines(lines.splitlines(), again, PAIR) == len(ids)
    assert known(again) == known(store)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = {"profile": "scim", "tenantID": "t", "endpoint": "https://x.test", "credentialsDir": "/none"}

    def config(name: str) -> str:
        document = {
            "tenant": {"namespace": "n", "name": "t"},
            "pair": PAIR,
            "primary": system,
            "secondary": system,
            "store": {"sqlite": {"path": str(tmp_path / f"{name}.db")}},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document))
        return str(path)

    store = open_sqlite(tmp_path / "one.db", PAIR)
    store.save([*ROWS, replace(row(4), type="group", correlation_id=correlation_id(PAIR, "group", "p4"))])
    store.close()
    file = str(tmp_path / "all.jsonl")
    assert main(["export", "--config", config("one"), file]) == 0
    assert main(["import", "--config", config("two"), file]) == 0
    assert "4 rows imported" in capsys.readouterr().out
    assert main(["import", "--config", config("two"), file]) == 2
    assert "--replace" in capsys.readouterr().err
    assert main(["import", "--config", config("two"), "--replace", str(tmp_path / "none")]) == 2
    capsys.readouterr()
    for text in ("p1", "s1", "k1", row(1).correlation_id):
        assert main(["ids", "--config", config("two"), "-o", "json", text]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert json.loads(line) == {
            "type": "user",
            "primaryID": "p1",
            "secondaryID": "s1",
            "key": "k1",
            "status": "ACTIVE",
            "correlationID": row(1).correlation_id,
        }
    assert main(["ids", "--config", config("two"), "--type", "group"]) == 0
    assert capsys.readouterr().out.split()[:3] == ["group", "p4", "s4"]
    assert main(["ids", "--config", config("two"), "nobody"]) == 1
    assert main(["export", "--config", config("two")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
