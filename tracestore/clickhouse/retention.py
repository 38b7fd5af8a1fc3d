"""The job that deletes what started more than `TRACESTORE_RETENTION_DAYS` days ago, or fewer that a project says, whole days at a
time.

Everything of a day goes together: spans, logs, scores, summaries, rollups and the counts of what arrived. Partitions that hold
nothing younger are dropped, which is free; of tables by month the rest is deleted by a mutation, which has the priority and the
places of merges and writes the oldest month again, once a day. So does what one project no longer keeps: of the partitions in
which it lies, that is of one day of spans once a day. All may be broken off, repeated, and run by several processes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tracestore.clickhouse.client import Store

log = logging.getLogger(__name__)

# By when it started, was recorded, or arrived.
TIMES = {
    "spans": "start_time",
    "logs": "time",
    "scores": "time",
    "traces": "start_time",
    "rollups": "bucket_start",
    "rollups_hourly": "bucket_start",
    "intake": "bucket_start",
    "log_intake": "bucket_start",
    "trace_previews": "start_time",
    "trace_index": "max_start_time",
    "log_index": "max_time",
}
# These have no partitions, and nobody sees their rows without those of the others: they are written again when it is worth it.
_BEHIND = {"trace_previews", "trace_index", "log_index"}
_LEAST_SHARE = 0.1

_PARTITIONS = """
SELECT DISTINCT partition_id FROM system.parts
WHERE active AND database = currentDatabase() AND table = {table:String} AND partition_id != 'all' ORDER BY partition_id
"""
_DELETING = """
SELECT count() FROM system.mutations
WHERE database = currentDatabase() AND table = {table:String} AND command LIKE '%DELETE %' AND NOT is_done
"""


class Retention:
    """Deletes what is too old; one call of `tend` is one look."""

    def __init__(self) -> None:
        self._noted: datetime | None = None

    def tend(self, store: Store, *, days: int, now: datetime, by_project: Mapping[int, int] | None = None) -> datetime | None:
        """Delete what was too old at the look before as well: a clock that is wrong between two looks deletes nothing.

        0 `days` keep everything. `by_project` has the days of projects that keep less, by project id; more than `days` count for
        nothing. Returns the midnight (UTC) before which nothing is kept, None at the first look or where there is none. The
        mutations go on after it has returned. Raises StoreError.
        """
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        before, self._noted = self._noted, midnight
        if before is None:
            return None
        today, cutoff = min(before, midnight), None
        if days:
            cutoff = today - timedelta(days=days)
            for table, column in TIMES.items():
                _drop_partitions(store, table, cutoff)
                _delete_rest(store, table, column, cutoff)
        own = {project_id: kept for project_id, kept in (by_project or {}).items() if not days or kept < days}
        if own:
            cutoffs = {project_id: today - timedelta(days=kept) for project_id, kept in own.items()}
            for table, column in TIMES.items():
                _delete_of_projects(store, table, column, cutoffs)
        return cutoff


def _drop_partitions(store: Store, table: str, cutoff: datetime) -> None:
    for (partition,) in store.query_rows(_PARTITIONS, table=table):
        if find_end(partition) <= cutoff:
            store.command(f"ALTER TABLE {table} DROP PARTITION ID '{int(partition)}' SETTINGS max_partition_size_to_drop = 0")
            log.info("clickhouse: deleted %s of %s, which is older than what is kept", partition, table)


def find_end(partition: str) -> datetime:
    """Return when the day or month of a partition is over, by its id: YYYYMMDD or YYYYMM."""
    start = datetime.strptime(partition if len(partition) == 8 else f"{partition}01", "%Y%m%d").replace(tzinfo=UTC)
    return start + timedelta(days=1) if len(partition) == 8 else (start + timedelta(days=31)).replace(day=1)


def _delete_rest(store: Store, table: str, column: str, cutoff: datetime) -> None:
    """Delete old rows of the month that the cutoff lies in, or of a table without partitions once they are many."""
    if is_deleting(store, table):
        return
    scope = {"cutoff_s": int(cutoff.timestamp()), "partition": "all" if table in _BEHIND else f"{cutoff:%Y%m}"}
    rows = f"FROM {table} WHERE _partition_id = {{partition:String}}"
    is_old = f"{column} < toDateTime({{cutoff_s:Int64}}, 'UTC')"
    old = _count(store, f"SELECT count() {rows} AND {is_old}", **scope)
    if old and (table not in _BEHIND or old >= _LEAST_SHARE * _count(store, f"SELECT count() {rows}", **scope)):
        store.command(
            f"ALTER TABLE {table} DELETE IN PARTITION ID {{partition:String}} WHERE {is_old} SETTINGS mutations_sync = 0", **scope
        )


def _delete_of_projects(store: Store, table: str, column: str, cutoffs: Mapping[int, datetime]) -> None:
    """Delete old rows of projects, of a table without partitions once they are many of a project's: one mutation a partition.

    The cutoff is within the table's partitions, which other projects share, so none can be dropped.
    """
    if is_deleting(store, table):
        return
    rows = f"FROM {table} WHERE project_id = {{project_id:UInt64}}"
    is_old = f"{column} < toDateTime({{cutoff_s:Int64}}, 'UTC')"
    doomed: dict[str, list[int]] = {}
    for project_id, cutoff in cutoffs.items():
        scope = {"project_id": project_id, "cutoff_s": int(cutoff.timestamp())}
        found = store.query_rows(f"SELECT _partition_id, count() {rows} AND {is_old} GROUP BY 1 ORDER BY 1", **scope)
        old = sum(int(str(count)) for _, count in found)
        if table in _BEHIND and old < _LEAST_SHARE * _count(store, f"SELECT count() {rows}", project_id=project_id):
            continue
        for partition, _ in found:
            doomed.setdefault(str(partition), []).append(project_id)
    for partition, project_ids in doomed.items():
        values: dict[str, Any] = {"partition": partition}
        conditions = []
        for number, project_id in enumerate(project_ids):
            values |= {f"project_{number}": project_id, f"cutoff_{number}": int(cutoffs[project_id].timestamp())}
            conditions.append(
                f"(project_id = {{project_{number}:UInt64}} AND {column} < toDateTime({{cutoff_{number}:Int64}}, 'UTC'))"
            )
        store.command(
            f"ALTER TABLE {table} DELETE IN PARTITION ID {{partition:String}} WHERE {' OR '.join(conditions)} "
            "SETTINGS mutations_sync = 0",
            **values,
        )
        log.info("clickhouse: deleting of %s in %s what %d projects no longer keep", table, partition, len(project_ids))


def is_deleting(store: Store, table: str) -> bool:
    """Tell whether rows of the table are being deleted. Raises StoreError."""
    return bool(_count(store, _DELETING, table=table))


def _count(store: Store, sql: str, **params: Any) -> int:
    ((count,),) = store.query_rows(sql, **params)
    return int(count)
