"""What only a PostgreSQL store can meet: a server that is away, refuses, is full or damaged, and many runs at once."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bcp_operator.api.run import RunPostgresql
from bcp_operator.sync.correlations import postgresql as module
from bcp_operator.sync.correlations.postgresql import SCHEMA, connection_parameters, open_postgresql
from bcp_operator.sync.correlations.sql import SCHEMA_VERSION
from bcp_operator.sync.correlations.store import Row, StoreError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.systems.postgresql import Postgresql, start_postgresql
from tests.unit.sync_worlds import PAIR, Pair
from tests.unit.test_sync_process import gone

OTHER = "cd" * 32
ROW = Row("user", "p1", "c1", "s1", "ada", "h1", "h2", {"a": ("x", "x")}, "ACTIVE", 1)
PASSWORD = "s3cret-canary"


@pytest.fixture(autouse=True)
def in_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.3)


@pytest.fixture
def place(postgresql: Postgresql, tmp_path: Path) -> RunPostgresql:
    """A database of the test's own."""
    return written(tmp_path, postgresql.dsn(postgresql.database()))


def written(folder: Path, dsn: str, ca_file: Path | None = None) -> RunPostgresql:
    file = folder / "dsn"
    file.write_text(dsn + "\n")
    return RunPostgresql(dsn_file=str(file), ca_file=str(ca_file) if ca_file else None)


def name_of(place: RunPostgresql) -> str:
    found = re.search(r"dbname=(\w+)", Path(place.dsn_file).read_text())
    assert found
    return found[1]


# --- who may have it open


def test_a_second_run_of_the_pair_waits_outside_and_other_pairs_and_readers_do_not(place: RunPostgresql) -> None:
    first = open_postgresql(place, PAIR)
    first.save([ROW])
    with pytest.raises(StoreError, match="another run has the correlation store open"):
        open_postgresql(place, PAIR)
    other = open_postgresql(place, OTHER)
    other.save([ROW])
    reader = open_postgresql(place, PAIR, read_only=True)
    assert reader.by_primary("user", "p1") == ROW
    with pytest.raises(StoreError, match="may only be read"):
        reader.save([ROW])
    for store in (first, other, reader):
        store.close()
    open_postgresql(place, PAIR).close()


def test_a_killed_run_gives_the_lock_back_and_leaves_what_it_saved(
    place: RunPostgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import os, sys; from tests.systems.test_postgresql_store import *\n"
        "open_postgresql(RunPostgresql(dsn_file=sys.argv[1]), PAIR).save([ROW]); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, place.dsn_file], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    monkeypatch.setattr(module, "BUSY_SECONDS", 10.0)
    store = open_postgresql(place, PAIR)
    assert store.by_primary("user", "p1") == ROW
    store.close()


def test_first_runs_of_many_pairs_at_once_make_one_schema(
    place: RunPostgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 20.0)

    def first_run(number: int) -> int:
        store = open_postgresql(place, f"{number:02x}" * 32)
        store.save([ROW])
        found = len(list(store.rows()))
        store.close()
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first_run, range(8))) == [1] * 8


# --- reading ahead


asked = st.tuples(st.sampled_from(["user", "group"]), st.sampled_from([f"p{n}" for n in range(12)]))
steps = st.lists(st.tuples(st.sampled_from(["ask", "ask", "walk", "save", "forget"]), asked), max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_reading_ahead_gives_what_a_look_at_each_row_gives(place: RunPostgresql, steps: list[Any]) -> None:
    store = open_postgresql(place, PAIR)
    store.load([], [])
    model: dict[tuple[str, str], int] = {}
    for number, (step, key) in enumerate(steps):
        row = replace(ROW, type=key[0], primary_id=key[1], secondary_id=f"{key[1]}-s", key=str(number))
        if step == "save":
            store.save([row])
            model[key] = number
        elif step == "forget":
            store.forget([row])
            model.pop(key, None)
        for name in [f"p{n}" for n in range(12)] if step == "walk" else [key[1]]:
            found = store.by_primary(key[0], name)
            expected = model.get((key[0], name))
            assert (None if found is None else found.key) == (None if expected is None else str(expected))
    store.close()


def test_a_walk_through_all_rows_takes_few_questions(place: RunPostgresql, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_postgresql(place, PAIR)
    store.load([replace(ROW, primary_id=f"p{n:04d}", secondary_id=f"s{n}") for n in range(5000)], [])
    questions = 0
    plainly = store._all

    def counted(query: str, values: Any) -> list[Any]:
        nonlocal questions
        questions += 1
        return plainly(query, values)

    monkeypatch.setattr(store, "_all", counted)
    assert all(store.by_primary("user", f"p{n:04d}") for n in range(5000))
    assert questions <= 12
    store.close()


# --- the schema


def test_a_store_of_the_first_schema_is_taken_over(postgresql: Postgresql, place: RunPostgresql) -> None:
    open_postgresql(place, PAIR).close()
    tables = ", ".join(f"{SCHEMA}.{name}" for name in ("alone", "withheld", "approval", "copied"))
    postgresql.ask(name_of(place), f"DROP TABLE {tables}")
    postgresql.ask(name_of(place), f"UPDATE {SCHEMA}.version SET number = 1")
    reading = open_postgresql(place, PAIR, read_only=True)
    assert (reading.copied("user"), reading.withheld("sha256:a"), reading.approval_used("sha256:a")) == (False,) * 3
    reading.close()
    store = open_postgresql(place, PAIR)
    store.withhold("sha256:a", ["f"])
    assert store.withheld("sha256:a", "f")
    store.close()
    assert postgresql.ask(name_of(place), f"SELECT number FROM {SCHEMA}.version") == [(SCHEMA_VERSION,)]


def test_a_newer_schema_is_left_alone(postgresql: Postgresql, place: RunPostgresql) -> None:
    open_postgresql(place, PAIR).close()
    postgresql.ask(name_of(place), f"UPDATE {SCHEMA}.version SET number = 99")
    with pytest.raises(StoreError, match="newer bcp-sync"):
        open_postgresql(place, PAIR)


def test_a_user_with_no_more_than_its_own_schema_is_enough(postgresql: Postgresql, tmp_path: Path) -> None:
    database = postgresql.database()
    postgresql.ask(database, f"CREATE USER plain_{database} LOGIN")
    place = written(tmp_path, postgresql.dsn(database, user=f"plain_{database}"))
    with pytest.raises(StoreError, match="grant it CREATE on the database"):
        open_postgresql(place, PAIR)
    postgresql.ask(database, f"CREATE SCHEMA {SCHEMA} AUTHORIZATION plain_{database}")
    store = open_postgresql(place, PAIR)
    store.save([ROW])
    store.close()


# --- reaching it


def test_the_network_needs_a_proven_server_and_a_password(
    postgresql: Postgresql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOPBACK", frozenset[str]())
    database = postgresql.database()
    postgresql.ask(database, f"CREATE USER net_{database} LOGIN PASSWORD '{PASSWORD}'")
    postgresql.ask(database, f"GRANT CREATE ON DATABASE {database} TO net_{database}")
    dsn = postgresql.network_dsn(database, f"net_{database}", PASSWORD)
    open_postgresql(written(tmp_path, dsn, postgresql.ca_file), PAIR).close()
    refused: dict[str, tuple[str, Path | None]] = {
        "its authority under the key ca.crt": (dsn, None),
        "refused the user or the password": (dsn.replace(PASSWORD, "wrong-" + PASSWORD), postgresql.ca_file),
        "no such database": (dsn.replace(f"/{database}", "/elsewhere"), postgresql.ca_file),
        "pg_hba.conf": (dsn + "?sslmode=disable", None),
        "for another host": (dsn.replace("@127.0.0.1", "@localhost"), postgresql.ca_file),
    }
    for said, (bad, authority) in refused.items():
        with pytest.raises(StoreError, match=re.escape(said)) as caught:
            open_postgresql(written(tmp_path, bad, authority), PAIR)
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("text", ["", "://" + PASSWORD, PASSWORD, "user=a " + PASSWORD])
def test_what_is_no_dsn_is_said_without_quoting_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(StoreError, match="is no DSN; write postgresql://") as caught:
        connection_parameters(written(tmp_path, text))
    assert PASSWORD not in str(caught.value)


def test_a_missing_dsn_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the store's Secret needs the key dsn"):
        connection_parameters(RunPostgresql(dsn_file=str(tmp_path / "none")))


def test_what_the_dsn_says_itself_counts(tmp_path: Path) -> None:
    found = connection_parameters(written(tmp_path, "host=db.example sslmode=require connect_timeout=3"))
    assert (found["sslmode"], found["connect_timeout"]) == ("require", "3")
    assert connection_parameters(written(tmp_path, "host=db.example"))["sslmode"] == "verify-full"
    assert "sslmode" not in connection_parameters(written(tmp_path, "host=/run/postgresql"))


def test_a_database_that_may_only_be_read_is_said(postgresql: Postgresql, place: RunPostgresql) -> None:
    postgresql.ask("postgres", f"ALTER DATABASE {name_of(place)} SET default_transaction_read_only = on")
    with pytest.raises(StoreError, match="does the DSN lead to a standby"):
        open_postgresql(place, PAIR)


# --- when it fails


def test_a_full_disk_is_said_and_leaves_nothing(postgresql: Postgresql, place: RunPostgresql) -> None:
    """The server's own code for it; a disk can't be filled here."""
    store = open_postgresql(place, PAIR)
    function = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE USING ERRCODE = '53100'; END$$"
    )
    postgresql.ask(name_of(place), f"SET search_path = {SCHEMA}; {function}")
    trigger = "CREATE TRIGGER refuse BEFORE INSERT ON correlation FOR EACH ROW WHEN (NEW.primary_id = 'p2')"
    postgresql.ask(name_of(place), f"SET search_path = {SCHEMA}; {trigger} EXECUTE FUNCTION refuse()")
    with pytest.raises(StoreError, match="no space is left for the correlation store"):
        store.save([ROW, replace(ROW, primary_id="p2", secondary_id="s2")])
    assert list(store.rows()) == []
    store.close()


def test_nothing_reaches_the_secondary_that_could_not_be_noted(postgresql: Postgresql, place: RunPostgresql) -> None:
    made = Pair(store=open_postgresql(place, PAIR))
    made.primary.entities["person"] = {f"p{n}": {"login": f"l{n}", "on": True} for n in range(30)}
    postgresql.ask(name_of(place), f"ALTER TABLE {SCHEMA}.correlation ADD CHECK (status <> 'PENDING')")
    with pytest.raises(StoreError, match="a row was refused"):
        made.run()
    assert made.secondary.writes == []
    made.store.close()


@pytest.fixture
def fragile() -> Iterator[Postgresql]:
    """A server that this test alone may stop and damage."""
    with start_postgresql() as server:
        yield server


def test_a_damaged_table_is_named_with_what_to_do(fragile: Postgresql, tmp_path: Path) -> None:
    place = written(tmp_path, fragile.dsn(fragile.database()))
    store = open_postgresql(place, PAIR)
    store.save([replace(ROW, primary_id=f"p{n}", secondary_id=f"s{n}", key="k" * 200) for n in range(500)])
    store.close()
    table = fragile.ask(name_of(place), f"SELECT pg_relation_filepath('{SCHEMA}.correlation')")[0][0]
    fragile.stop()
    with (fragile.folder / "data" / table).open("r+b") as file:
        for page in range(1, 8):
            file.seek(8192 * page)
            file.write(b"\xff" * 8192)
    fragile.start()
    store = open_postgresql(place, PAIR)
    with pytest.raises(StoreError, match="damaged; restore the database from a backup"):
        list(store.rows())
    store.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_ends_in_the_middle_ends_the_run_and_the_next_finishes_it(
    fragile: Postgresql, tmp_path: Path, how: signal.Signals
) -> None:
    place = written(tmp_path, fragile.dsn(fragile.database()))
    made = Pair(store=open_postgresql(place, PAIR))
    people = {f"p{n}": {"login": f"l{n}", "on": True} for n in range(200)}
    made.primary.entities["person"] = people
    seen = 0

    def fail(verb: str, _type: str, _body: Any) -> None:
        nonlocal seen
        seen += verb == "create"
        if seen == 20 and fragile.process is not None:
            fragile.stop(how)

    made.secondary.fail = fail
    with pytest.raises(StoreError, match="the next run goes on"):
        made.run()
    written_then = len(made.secondary.entities["person"])
    assert 0 < written_then < 200  # nothing is sent for which no row could be written ahead
    with pytest.raises(StoreError):
        made.store.by_primary("person", "p1")
    with pytest.raises(StoreError, match="can't be reached"):
        open_postgresql(place, PAIR)
    fragile.start()
    again = Pair(made.primary, made.secondary, open_postgresql(place, PAIR))
    assert again.run().total("failed") == 0
    assert len(made.secondary.entities["person"]) == 200
    assert set(again.secondary.entities["person"]) == {row.secondary_id for row in again.store.rows("person")}
    again.store.close()


# --- the test's own server


def test_the_server_ends_with_the_process_that_started_it() -> None:
    script = (
        "import os; from tests.systems.postgresql import start_postgresql\n"
        "with start_postgresql() as server:\n"
        "    print(server.process.pid, server.folder, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    pid, folder = done.stdout.split()
    end = time.monotonic() + 20
    while not gone(int(pid)):
        assert time.monotonic() < end, "the server outlived its test"
        time.sleep(0.02)
    with start_postgresql():
        assert not Path(folder).exists()  # what a killed test left is cleared away by the next
