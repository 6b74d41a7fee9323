"""The correlation store: one suite for every kind of store."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bcp_operator.sync.correlations.sqlite import open_sqlite
from bcp_operator.sync.correlations.store import Row, RowRefused, StoreError, correlation_id

from tests.unit.stores import Opener
from tests.unit.sync_worlds import Pair

PAIR, OTHER = "aa" * 32, "bb" * 32
ROW = Row("user", "p1", "c1", "s1", "ada", "h1", "h2", {"a": ("x", "x"), "b": ("x", None)}, "ACTIVE", 1)


def test_rows_come_back_as_they_were_saved(opener: Opener) -> None:
    store = opener(PAIR)
    pending = Row("user", "p0", "c0", key="bo")
    store.save([ROW, pending])
    assert store.by_primary("user", "p1") == ROW
    assert store.by_secondary("user", "s1") == ROW
    assert store.by_primary("user", "p0") == replace(pending, version=1)
    assert store.by_primary("group", "p1") is None
    assert [row.primary_id for row in store.rows()] == ["p0", "p1"]
    assert [row.primary_id for row in store.rows("user", "PENDING")] == ["p0"]
    assert store.count("user", "ACTIVE") == 1


def test_they_outlive_the_process_and_count_their_versions(opener: Opener) -> None:
    opener(PAIR).save([ROW])
    store = opener(PAIR)
    store.save([replace(ROW, status="INACTIVE")])
    found = store.by_primary("user", "p1")
    assert found is not None
    assert (found.status, found.version) == ("INACTIVE", 2)


def test_pairs_never_see_each_others_rows(opener: Opener) -> None:
    opener(PAIR).save([ROW])
    store = opener(OTHER)
    assert store.by_primary("user", "p1") is None
    assert store.by_secondary("user", "s1") is None
    assert list(store.rows()) == []
    assert list(store.find("s1")) == []
    store.save([replace(ROW, key="other")])
    store.forget([ROW])
    mine = opener(PAIR).by_primary("user", "p1")
    assert mine is not None
    assert mine.key == "ada"


def test_a_secondary_id_belongs_to_the_last_row_that_names_it(opener: Opener) -> None:
    store = opener(PAIR)
    store.save([ROW, replace(ROW, primary_id="p2")])
    old, new = store.by_primary("user", "p1"), store.by_secondary("user", "s1")
    assert old is not None
    assert (old.secondary_id, old.status) == (None, "INACTIVE")
    assert new is not None
    assert new.primary_id == "p2"


def test_a_failed_transaction_leaves_nothing(opener: Opener) -> None:
    store = opener(PAIR)
    with pytest.raises(StoreError):
        store.save([ROW, replace(ROW, primary_id="p3", secondary_id="s3", status="WRONG")])  # type: ignore[arg-type]
    assert list(store.rows()) == []


def test_many_rows_may_be_changed_while_they_are_read(opener: Opener) -> None:
    store = opener(PAIR)
    store.save([replace(ROW, primary_id=f"p{n:05d}", secondary_id=f"s{n}") for n in range(2500)])
    seen = 0
    for row in store.rows("user"):
        seen += 1
        if seen % 100 == 0:
            store.save([replace(row, key="seen")])
    assert seen == 2500


@pytest.mark.parametrize("text", ["p1", "s1", "c1", "ada", "Ada"])
def test_find_knows_every_name_of_a_pair(opener: Opener, text: str) -> None:
    store = opener(PAIR)
    store.save([ROW, Row("user", "zz", "yy")])
    assert [row.primary_id for row in store.find(text)] == ["p1"]


def test_what_the_secondary_alone_had_is_remembered(opener: Opener) -> None:
    store = opener(PAIR)
    assert store.alone("user") == set()
    store.set_alone("user", {"s8", "s9"})
    store.set_alone("user", {"s9", "s10"})
    store.set_alone("group", {"g"})
    assert opener(PAIR, read_only=True).alone("user") == {"s9", "s10"}
    assert opener(OTHER).alone("user") == set()


def test_loading_replaces_everything_of_the_pair_or_nothing(opener: Opener) -> None:
    opener(OTHER).save([replace(ROW, key="theirs")])
    store = opener(PAIR)
    store.save([replace(ROW, primary_id="old", secondary_id="so")])
    store.set_copied(["old"])
    with pytest.raises(RowRefused):
        store.load([ROW, replace(ROW, primary_id="p2")], ["user"])  # one entity of the secondary, twice
    assert [row.primary_id for row in store.rows()] == ["old"]
    assert store.copied("old")
    store.load([ROW, replace(ROW, primary_id="p2", secondary_id="s2")], ["user"])
    assert [row.primary_id for row in store.rows()] == ["p1", "p2"]
    assert (store.copied("user"), store.copied("old")) == (True, False)
    assert [row.key for row in opener(OTHER).rows()] == ["theirs"]


def test_rows_come_in_one_order_whatever_the_alphabet(opener: Opener) -> None:
    store = opener(PAIR)
    ids = ["B", "a", "Z", "\u00e4", "z", "1", "10", "9", "_", "\U0001f600"]
    store.save([replace(ROW, primary_id=name, secondary_id=f"s{name}") for name in ids])
    assert [row.primary_id for row in store.rows()] == sorted(ids)


def test_a_plan_sees_an_empty_store_where_no_run_has_been_and_makes_none(opener: Opener) -> None:
    store = opener(PAIR, read_only=True)
    assert list(store.rows()) == []
    assert not store.copied("user")
    opener(PAIR).save([ROW])
    store = opener(PAIR, read_only=True)
    assert store.by_primary("user", "p1") == ROW


def test_the_correlation_id_needs_no_store() -> None:
    assert correlation_id(PAIR, "user", "1") == correlation_id(PAIR, "user", "1")
    assert len({correlation_id(p, t, i) for p in (PAIR, OTHER) for t in ("a", "b") for i in ("1", "2")}) == 8


# --- SQLite's own faults


def test_a_second_writer_is_told_that_the_first_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcp_operator.sync.correlations.sqlite.BUSY_SECONDS", 0.1)
    first = open_sqlite(tmp_path / "c.db", PAIR)
    with pytest.raises(StoreError, match="another run has the correlation store open"):
        open_sqlite(tmp_path / "c.db", PAIR)
    with pytest.raises(StoreError, match="another run"):
        open_sqlite(tmp_path / "c.db", PAIR, read_only=True)
    first.close()
    open_sqlite(tmp_path / "c.db", PAIR).close()


def test_a_killed_writer_leaves_the_store_usable(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from tests.unit.test_sync_store import *\n"
        "open_sqlite(Path(sys.argv[1]), PAIR).save([ROW]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "c.db")], check=False, timeout=30)
    store = open_sqlite(tmp_path / "c.db", PAIR)
    assert store.by_primary("user", "p1") == ROW
    store.close()


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    store = open_sqlite(path, PAIR)
    store.save([replace(ROW, primary_id=f"p{n}", secondary_id=f"s{n}", key="k" * 200) for n in range(500)])
    store.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 6] = b"\xff" * 4096 * 4
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged; restore the file from a backup"):
        open_sqlite(path, PAIR)
    path.write_text("not a database at all, but long enough to look like one" * 50)
    with pytest.raises(StoreError, match="damaged"):
        open_sqlite(path, PAIR)


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer bcp-sync"):
        open_sqlite(path, PAIR)


def test_a_missing_folder_and_a_missing_file_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be made"):
        open_sqlite(tmp_path / "file" / "c.db", PAIR)
    with pytest.raises(StoreError, match="can't be opened"):
        open_sqlite(tmp_path / "none.db", PAIR, read_only=True)


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "c.db", PAIR)
    store._db.execute("PRAGMA max_page_count = 8")
    with pytest.raises(StoreError, match="no space is left"):
        store.save([replace(ROW, primary_id=f"p{n}", secondary_id=f"s{n}", key="k" * 999) for n in range(100)])
    assert list(store.rows()) == []
    store.close()


def test_approvals_are_kept_apart_per_pair_and_used_up_once(opener: Opener) -> None:
    store = opener(PAIR)
    store.withhold("sha256:a", ["f1", "f2"])
    assert store.withheld("sha256:a")
    assert (store.withheld("sha256:a", "f2"), store.withheld("sha256:a", "f3")) == (True, False)
    assert not store.approval_used("sha256:a")
    assert not opener(OTHER).withheld("sha256:a")
    store = opener(PAIR)
    store.use_approval("sha256:a")
    assert store.approval_used("sha256:a")
    assert not store.withheld("sha256:a")
    store.use_approval("sha256:a")
    assert opener(PAIR).approval_used("sha256:a")
    assert not opener(OTHER).approval_used("sha256:a")


def test_the_last_few_withheld_sets_stay_and_one_that_returns_is_the_newest(opener: Opener) -> None:
    store = opener(PAIR)
    store.use_approval("sha256:used")
    for name in ("a", "b", "c", "a", "d", "e", "f"):
        store.withhold(f"sha256:{name}", [name])
    assert [name for name in "abcdef" if store.withheld(f"sha256:{name}")] == ["a", "c", "d", "e", "f"]
    assert store.approval_used("sha256:used")  # whatever its age


def test_types_that_were_copied_once_are_remembered(opener: Opener) -> None:
    opener(PAIR).set_copied(["user"])
    store = opener(PAIR)
    store.set_copied(["user", "group"])
    assert [store.copied(name) for name in ("user", "group", "team")] == [True, True, False]
    assert not opener(OTHER).copied("user")


def test_a_store_of_the_first_schema_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    store = open_sqlite(path, PAIR)
    store.save([ROW])
    store.close()
    db = sqlite3.connect(path)
    db.executescript(
        "DROP TABLE alone; DROP TABLE copied; DROP TABLE withheld; DROP TABLE approval; PRAGMA user_version = 1;"
    )
    db.close()
    reading = open_sqlite(path, PAIR, read_only=True)
    assert (reading.copied("user"), reading.withheld("sha256:a"), reading.approval_used("sha256:a")) == (False,) * 3
    reading.close()
    store = open_sqlite(path, PAIR)
    assert store.by_primary("user", "p1") == ROW
    store.withhold("sha256:a", ["f"])
    assert store.withheld("sha256:a", "f")
    store.close()


def test_on_a_full_disk_nothing_reaches_the_secondary(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "c.db", PAIR)
    made = Pair(store=store)
    made.primary.entities["person"] = {f"p{n:03d}": {"login": f"{n}-" + "l" * 900, "on": True} for n in range(200)}
    store._db.execute("PRAGMA max_page_count = 20")
    with pytest.raises(StoreError, match="no space is left"):
        made.run()
    known = {row.key for row in store.rows("person", "PENDING")} | {row.key for row in store.rows("person", "ACTIVE")}
    sent = {body["login"] for body in made.secondary.entities["person"].values()}
    assert sent <= known
    store.close()
    again = Pair(made.primary, made.secondary, open_sqlite(tmp_path / "c.db", PAIR))  # the volume was enlarged
    assert again.run().total("failed") == 0
    assert len(made.secondary.entities["person"]) == 200
    again.store.close()
