"""The statements that read stored spans again with today's view and a project's rules (tracestore/jobs/reread.py)."""

from __future__ import annotations

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.partitions import partition_of
from tracestore.clickhouse.views.span_view import stored_to_spans
from tracestore.timerange import TimeRange

_RANGE = (
    "project_id = {project_id:UInt32} AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64})"
    " AND start_time < fromUnixTimestamp64Nano({end_ns:Int64})"
)
_MINUTES = f"""
SELECT toUnixTimestamp(toStartOfMinute(start_time)) AS minute_s, count() AS spans
FROM spans
WHERE {_RANGE}
GROUP BY minute_s ORDER BY minute_s
LIMIT {{limit:UInt32}}
"""
_TOTAL = f"""
SELECT count(), toUnixTimestamp64Nano(min(start_time)), toUnixTimestamp64Nano(max(start_time))
FROM spans FINAL WHERE {_RANGE}
"""
_TOUCH = f"""
INSERT INTO trace_touches (writer, batch_seq, project_id, trace_id)
SELECT DISTINCT {{writer:String}}, {{batch_seq:UInt64}}, project_id, trace_id FROM spans WHERE {_RANGE}
"""
_COLUMNS = """
SELECT name FROM system.columns
WHERE database = currentDatabase() AND table = 'spans' AND default_kind != 'MATERIALIZED'
ORDER BY position
"""
_PARTITION_BYTES = """
SELECT sum(bytes_on_disk) FROM system.parts
WHERE database = currentDatabase() AND table = 'spans' AND active AND partition_id = {partition:String}
"""
# Spans are wide; a merge reads a block of each part at a time. The index of words is built later (word_index.py).
_SETTINGS = (
    "SETTINGS max_threads = 1, max_insert_threads = 1, max_block_size = 8192, max_memory_usage = 3221225472,"
    " exclude_materialize_skip_indexes_on_insert = 'words'"
)


def count_spans(store: Store, *, project_id: int, time_range: TimeRange) -> tuple[int, int, int]:
    """Return the number of stored spans and the first and last start in ns."""
    ((spans, first_ns, last_ns),) = store.query_rows(
        _TOTAL, project_id=project_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns
    )
    return int(spans), int(first_ns), int(last_ns)


def find_minutes(store: Store, *, project_id: int, time_range: TimeRange, limit: int) -> list[tuple[int, int]]:
    """Return (minute in Unix seconds, stored spans) of the first minutes that have spans."""
    rows = store.query_rows(_MINUTES, project_id=project_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns, limit=limit)
    return [(int(minute_s), int(spans)) for minute_s, spans in rows]


def reread_spans(store: Store, *, project_id: int, time_range: TimeRange, mapping: str) -> int:
    """Put a newer version of each span of the range beside the stored one and return how many; the range lies in one partition.

    They are written apart and then attached as they are: an insert would count them as arrived once more, and readers see
    all of them or none. Doing it again does no harm.
    """
    staging = f"spans_reread_{project_id:d}"
    source = stored_to_spans(f"spans FINAL WHERE {_RANGE}")
    columns = ", ".join(str(name) for (name,) in store.query_rows(_COLUMNS))
    store.command(f"DROP TABLE IF EXISTS {staging} SYNC")
    store.command(f"CREATE TABLE {staging} AS spans")
    try:
        store.command(
            f"INSERT INTO {staging} ({columns}) SELECT {columns} FROM ({source}) {_SETTINGS}",
            project_id=project_id,
            start_ns=time_range.start_ns,
            end_ns=time_range.end_ns,
            mapping=mapping,
        )
        ((spans,),) = store.query_rows(f"SELECT count() FROM {staging}")
        store.command(f"ALTER TABLE spans ATTACH PARTITION ID '{partition_of(time_range.start_ns)}' FROM {staging}")
    finally:
        store.command(f"DROP TABLE IF EXISTS {staging} SYNC")
    return int(spans)


def touch_traces(store: Store, *, project_id: int, time_range: TimeRange, writer: str, batch_seq: int) -> None:
    """Put the traces with spans in the range on the work list of the summary job."""
    store.command(
        _TOUCH,
        project_id=project_id,
        start_ns=time_range.start_ns,
        end_ns=time_range.end_ns,
        writer=writer,
        batch_seq=batch_seq,
    )


def merge_copies(store: Store, *, partition: str, max_bytes: int) -> None:
    """Drop the older versions of one partition's spans now, if it is small enough; merges do it in time anyway."""
    ((size,),) = store.query_rows(_PARTITION_BYTES, partition=partition)
    if int(size) <= max_bytes:
        store.command(f"OPTIMIZE TABLE spans PARTITION ID '{int(partition)}' FINAL")
