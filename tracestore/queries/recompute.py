"""Which traces of the past are to be computed again (tracestore/jobs/recompute.py)."""

from __future__ import annotations

from tracestore.clickhouse.client import Store
from tracestore.queries.conditions import IN_RANGE
from tracestore.queries.summaries import TouchedTraces, touched_traces
from tracestore.timerange import TimeRange

_HOURS = f"""
SELECT toUnixTimestamp(toStartOfHour(start_time)) AS hour_s, uniqExact(trace_id)
FROM traces
WHERE {IN_RANGE}
GROUP BY hour_s ORDER BY hour_s LIMIT {{limit:UInt32}}
"""
_COUNT = f"SELECT uniqExact(trace_id) FROM traces WHERE {IN_RANGE}"
_TRACES = f"""
SELECT project_id, trace_id, toUnixTimestamp64Nano(min(min_start_time)) AS min_start_ns,
    toUnixTimestamp64Nano(max(max_start_time)) AS max_start_ns, sum(received_spans) AS spans
FROM trace_index
WHERE project_id = {{project_id:UInt32}} AND (project_id, trace_id) IN (SELECT project_id, trace_id FROM traces WHERE {IN_RANGE})
GROUP BY project_id, trace_id
"""


def find_hours(store: Store, *, project_id: int, time_range: TimeRange, limit: int) -> list[tuple[int, int]]:
    """Return (start in Unix seconds, number of traces) of the first hours of the range in which traces started."""
    rows = store.query_rows(_HOURS, project_id=project_id, limit=limit, **vars(time_range))
    return [(int(hour_s), int(traces)) for hour_s, traces in rows]


def count_traces(store: Store, *, project_id: int, time_range: TimeRange) -> int:
    """Return how many traces have a summary that starts in the range."""
    return int(store.query_rows(_COUNT, project_id=project_id, **vars(time_range))[0][0])


def find_traces_of(store: Store, *, project_id: int, time_range: TimeRange) -> TouchedTraces:
    """Return the traces with a summary that starts in the range, as the summary job takes them."""
    return touched_traces(store.query_arrow(_TRACES, project_id=project_id, **vars(time_range)))
