"""Apply the numbered SQL files of migrations/ in order, then settings, the partitions of `spans` and the generated views; each
step is recorded.

Run at start and by `manage.py migrate_clickhouse`. Applied files are never edited: a changed checksum stops the start.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError
from tracestore.clickhouse.partitions import partition_by_day
from tracestore.clickhouse.views.materialized import views

FOLDER = Path(__file__).parent / "migrations"
# What the drain fills. The spool forgets a batch once it is inserted: its rows must be on the disk by then, not in a cache.
# Merges need no sync: the parts that were merged stay for three minutes (_KEEP_MERGED).
SYNCED = ("spans", "trace_touches", "trace_index", "intake", "logs", "log_index", "log_intake", "scores")
_SYNC = "ALTER TABLE {} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1"
# With less than this left an insert is refused at its begin: the spool keeps the batch, and nothing fails half-way.
_FREE_BYTES = 64 * 2**20
_KEEP_FREE = f"ALTER TABLE {{}} MODIFY SETTING min_free_disk_bytes_to_perform_insert = {_FREE_BYTES}"
# Parts that were merged stay for so long: what they became may not be on the disk yet, or not all of it (parts.py looks once a
# minute and after each insert; Linux writes out what is older than 30 s). A server keeps them for eight minutes by itself; the
# embedded engine removes them at its next cleaning.
_MERGED_STAY_S = 180
_KEEP_MERGED = f"ALTER TABLE {{}} MODIFY SETTING old_parts_lifetime = {_MERGED_STAY_S}"
_CREATE_RECORD = """
CREATE TABLE IF NOT EXISTS schema_steps
(
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(applied_at) ORDER BY name
"""


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _apply(store: Store, text: str) -> None:
    try:
        store.command(text)
    except StoreError as error:
        # A process was killed between the statement and its record, or another one starts at this moment.
        if "TABLE_ALREADY_EXISTS" not in str(error):
            raise


def _apply_view(store: Store, name: str, target: str, select: str) -> None:
    """Replace the view in one step: what is inserted between a DROP and a CREATE would be lost."""
    if store.query_rows("SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = {name:String}", name=name):
        store.command(f"ALTER TABLE {name} MODIFY QUERY {select}")
    else:
        store.command(f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name} TO {target} AS {select}")


def migrate(store: Store) -> list[str]:
    """Bring the schema up to date and return the names of the steps that ran. Raises StoreError on an edited migration."""
    store.command(_CREATE_RECORD)
    applied = dict(store.query_rows("SELECT name, checksum FROM schema_steps FINAL"))
    ran: dict[str, str] = {}  # name -> text
    try:
        for path in sorted(FOLDER.glob("[0-9]*.sql")):
            text = path.read_text()
            if path.stem not in applied:
                _apply(store, text)
                ran[path.stem] = text
            elif applied[path.stem] != _checksum(text):
                raise StoreError(f"The migration {path.name} was edited after it had been applied. Restore it and add a new one.")
        settings = [(f"{table}_synced", _SYNC.format(table)) for table in SYNCED]
        for name, statement in (("keeps_free", _KEEP_FREE), ("keeps_merged", _KEEP_MERGED)):
            settings += [(f"{table}_{name}", statement.format(table)) for table in (*SYNCED, "traces", "rollups")]
        for name, statement in settings:
            if name not in applied:
                _apply(store, statement)
                ran[name] = statement
        if "spans_by_day" not in applied:
            partition_by_day(store)
            ran["spans_by_day"] = ""
        for name, (target, select) in views().items():
            if applied.get(name) != _checksum(select):
                _apply_view(store, name, target, select)
                ran[name] = select
    finally:
        # In one insert, which takes longer than most statements; what a crash leaves out of it is applied again.
        if ran:
            checksums = [_checksum(text) for text in ran.values()]
            store.insert_columns("schema_steps", {"name": list(ran), "checksum": checksums})
    return list(ran)
