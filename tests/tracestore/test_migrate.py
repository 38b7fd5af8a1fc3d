"""The schema from nothing, again, and after somebody changed what had been applied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TABLES
from tracestore.clickhouse import migrate as runner
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError
from tracestore.clickhouse.migrate import FOLDER, SYNCED, migrate
from tracestore.clickhouse.views.materialized import views

STEPS = [
    *(path.stem for path in sorted(FOLDER.glob("[0-9]*.sql"))),
    *(f"{table}_synced" for table in SYNCED),
    *(f"{table}_{kept}" for kept in ("keeps_free", "keeps_merged") for table in (*SYNCED, "traces", "rollups")),
    "spans_by_day",
    *views(),
]


@pytest.fixture
def nothing(store: Store) -> Iterator[Store]:
    """A database without any of our tables; the schema is there again afterwards."""
    drop_all(store)
    yield store
    drop_all(store)
    migrate(store)


def drop_all(store: Store) -> None:
    for view in views():
        store.command(f"DROP VIEW IF EXISTS {view} SYNC")
    for table in (*TABLES, "otlp_traces", "schema_steps"):
        store.command(f"DROP TABLE IF EXISTS {table} SYNC")


def test_every_step_runs_once_from_nothing(nothing: Store) -> None:
    assert migrate(nothing) == STEPS
    assert migrate(nothing) == []


def test_merged_parts_stay_until_what_they_became_was_looked_at(store: Store) -> None:
    tables = store.query_rows("SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()")

    kept = {name for name, statement in tables if "old_parts_lifetime = 180" in statement}

    assert kept == {*SYNCED, "traces", "rollups"}


def test_applied_migration_that_was_edited_stops_the_start(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_migrations(tmp_path, "\n-- a second thought\n")
    monkeypatch.setattr(runner, "FOLDER", tmp_path)

    with pytest.raises(StoreError, match=r"0001_spans\.sql was edited after it had been applied"):
        migrate(store)


def copy_migrations(folder: Path, addition: str) -> None:
    for path in FOLDER.glob("*.sql"):
        (folder / path.name).write_text(path.read_text() + addition)


def test_changed_view_is_replaced_without_a_moment_without_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    run = store.command

    def note_and_run(sql: str, **params: Any) -> Any:
        statements.append(sql)
        return run(sql, **params)

    monkeypatch.setattr(store, "command", note_and_run)
    target, select = views()["spans_to_trace_index"]
    monkeypatch.setattr(runner, "views", lambda: {"spans_to_trace_index": (target, select + " HAVING 1")})

    changed = migrate(store)
    monkeypatch.undo()
    restored = migrate(store)

    assert changed == restored == ["spans_to_trace_index"]
    assert not any(statement.startswith("DROP") for statement in statements)


def test_crash_between_a_step_and_its_record_is_made_good(nothing: Store) -> None:
    migrate(nothing)
    nothing.command("TRUNCATE TABLE schema_steps")

    assert migrate(nothing) == STEPS
    assert migrate(nothing) == []


def test_statement_that_fails_otherwise_stops_the_start(nothing: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0001_wrong.sql").write_text("CREATE TABLE t (a Nonsense) ENGINE = Null")

    with monkeypatch.context() as patch:
        patch.setattr(runner, "FOLDER", tmp_path)
        with pytest.raises(StoreError, match="Nonsense"):
            migrate(nothing)
