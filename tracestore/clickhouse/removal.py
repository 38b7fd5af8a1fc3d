"""Deletes what the tables hold of a project that is gone."""

from __future__ import annotations

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.retention import TIMES, is_deleting

# First the work list of summaries: what is on it would be written to others again.
TABLES = ("trace_touches", *TIMES)


def count_rows(store: Store, project_id: int) -> dict[str, int]:
    """Return how many rows each table has of the project, copies that are not merged yet included. Raises StoreError."""
    return {table: sum(_count_by_partition(store, table, project_id).values()) for table in TABLES}


def delete_rows(store: Store, project_id: int) -> int:
    """Begin to delete the project's rows in one more partition of each table, and return how many rows there still are.

    To be called until that is 0. A partition is written again without them, with the priority and the places of merges, and of a
    table only one at a time. Raises StoreError.
    """
    left = 0
    for table in TABLES:
        found = _count_by_partition(store, table, project_id)
        left += sum(found.values())
        if found and not is_deleting(store, table):
            store.command(
                f"ALTER TABLE {table} DELETE IN PARTITION ID {{partition:String}} WHERE project_id = {{project_id:UInt64}} "
                "SETTINGS mutations_sync = 0",
                partition=min(found),
                project_id=project_id,
            )
    return left


def _count_by_partition(store: Store, table: str, project_id: int) -> dict[str, int]:
    rows = store.query_rows(
        f"SELECT _partition_id, count() FROM {table} WHERE project_id = {{project_id:UInt64}} GROUP BY 1", project_id=project_id
    )
    return {str(partition): int(str(count)) for partition, count in rows}
