"""How `spans` is partitioned, and the move of a table that was partitioned by month.

A day has a partition of its own: what is looked for in a day does not read the index of words of a month, both cores look through
that of several days, finished days are left alone by merges, and an old day can be dropped.
"""

from __future__ import annotations

import logging
from uuid import uuid4

from tracestore.clickhouse.client import Store
from tracestore.timerange import moment_of

log = logging.getLogger(__name__)

# Starts come from outside, from 2000 to 2100 (views/anyvalue.py). With a day each for all of that a sender with a wrong clock, or
# a hostile one, could make 36,500 partitions, 17 ms and 35 KB of memory each. What starts outside of these years lies in months.
_FIRST_YEAR, _LAST_YEAR = 2026, 2030
_BY_DAY = (
    f"if((toYear(start_time) >= {_FIRST_YEAR}) AND (toYear(start_time) <= {_LAST_YEAR}), "
    "toYYYYMMDD(start_time), toYYYYMM(start_time))"
)
_BY_MONTH = "toYYYYMM(start_time)"
_STATEMENT = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {name:String}"
_OLD_PARTITIONS = """
SELECT DISTINCT partition_id FROM system.parts
WHERE active AND database = currentDatabase() AND table = 'spans_by_month' ORDER BY partition_id DESC
"""
_COLUMNS = """
SELECT arrayStringConcat(groupArray(name), ', ') FROM system.columns
WHERE database = currentDatabase() AND table = 'spans_by_month' AND default_kind != 'MATERIALIZED'
"""
_STAGING = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, 'spans_of_day_')"
_IN_PARTITION = "FROM spans_by_month WHERE _partition_id = {partition:String}"
_DAYS = f"SELECT {_BY_DAY} AS day, count() {_IN_PARTITION} GROUP BY day ORDER BY day DESC"
# One thread, in the order of the table: little memory, and few parts.
_COPY = f"""
INSERT INTO %(staging)s (%(columns)s) SELECT %(columns)s {_IN_PARTITION} AND {_BY_DAY} = {{day:UInt32}}
SETTINGS max_threads = 1, max_insert_threads = 1, max_block_size = 8192, min_insert_block_size_bytes = 67108864,
    min_insert_block_size_rows = 262144, max_memory_usage = 3221225472,
    exclude_materialize_skip_indexes_on_insert = 'words'
"""


def partition_of(start_ns: int) -> str:
    """Return the id of the partition of `spans` that a start belongs to."""
    start = moment_of(start_ns)
    return start.strftime("%Y%m%d" if _FIRST_YEAR <= start.year <= _LAST_YEAR else "%Y%m")


def partition_by_day(store: Store) -> None:
    """Put a table by day in the place of `spans` by month, if it is, then move what that held, newest first.

    What is inserted meanwhile goes into the new table. It may be broken off anywhere, begun again and run twice at a time: a day
    that was moved twice is there in two copies until merges find them, like spans that were sent twice. Takes the disk of a
    month beside what is stored. Raises StoreError.
    """
    created = _find_statement(store, "spans")
    if f"PARTITION BY {_BY_MONTH}" in created:
        store.command("DROP TABLE IF EXISTS IF EMPTY spans_by_month SYNC")
        columns = created[created.index("(") :]
        store.command("CREATE TABLE spans_by_month " + columns.replace(f"PARTITION BY {_BY_MONTH}", f"PARTITION BY {_BY_DAY}", 1))
        store.command("EXCHANGE TABLES spans AND spans_by_month")
    if _find_statement(store, "spans_by_month"):
        for (partition,) in store.query_rows(_OLD_PARTITIONS):
            _move(store, partition)
        for (left_behind,) in store.query_rows(_STAGING):
            store.command(f"DROP TABLE IF EXISTS {left_behind} SYNC SETTINGS max_table_size_to_drop = 0")
        store.command("DROP TABLE IF EXISTS spans_by_month SYNC")


def _find_statement(store: Store, table: str) -> str:
    """Return the statement that creates a table as it is now, "" where there is none."""
    return "".join(statement for (statement,) in store.query_rows(_STATEMENT, name=table))


def _move(store: Store, partition: str) -> None:
    """Move one partition of the old table by days. They are written apart and then attached: an insert would count as arrival."""
    ((columns,),) = store.query_rows(_COLUMNS)
    staging = f"spans_of_day_{uuid4().hex}"
    for day, spans in store.query_rows(_DAYS, partition=partition):
        log.warning("clickhouse: moving the %d spans of %d into a partition of their own", spans, day)
        store.command(f"CREATE TABLE {staging} AS spans")
        try:
            store.command(_COPY % {"staging": staging, "columns": columns}, partition=partition, day=day)
            store.command(f"ALTER TABLE spans ATTACH PARTITION ID '{int(day)}' FROM {staging}")
        finally:
            store.command(f"DROP TABLE IF EXISTS {staging} SYNC SETTINGS max_table_size_to_drop = 0")
    store.command(f"ALTER TABLE spans_by_month DROP PARTITION ID '{int(partition)}' SETTINGS max_partition_size_to_drop = 0")
