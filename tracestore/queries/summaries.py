"""What the summary job reads and writes: work lists, spans of whole traces, earlier summaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracestore.clickhouse.client import Store

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class TouchedTrace:
    """A trace to summarise, with the time range of the spans it has so far (ns, both ends included)."""

    project_id: int
    trace_id: bytes
    min_start_ns: int
    max_start_ns: int


@dataclass(frozen=True)
class TouchedBatch:
    """An inserted batch: how many traces it brought spans of so far, and seconds since the last of them arrived."""

    seq: int
    traces: int
    age_s: int


# The next ingest process by name that wrote lately; a batch that is long done is no longer in the table (TTL). The table is
# sorted by writer, so one granule answers: DISTINCT would read a fortnight of rows, every two seconds.
NEXT_WRITER = "SELECT writer FROM trace_touches WHERE writer > {after:String} ORDER BY writer LIMIT 1"

TOUCHED_IN_BATCHES = """
SELECT project_id, trace_id,
    toUnixTimestamp64Nano(min(min_start_time)) AS min_start_ns, toUnixTimestamp64Nano(max(max_start_time)) AS max_start_ns
FROM trace_index
WHERE (project_id, trace_id) IN (
    SELECT project_id, trace_id FROM trace_touches
    WHERE writer = {writer:String} AND batch_seq > {after:UInt64} AND batch_seq <= {until:UInt64})
GROUP BY project_id, trace_id
"""

TOUCH_COUNTS = """
SELECT batch_seq, count() AS traces, toUInt32(greatest(0, dateDiff('second', max(inserted_at), now()))) AS age_s
FROM trace_touches
WHERE writer = {writer:String} AND batch_seq > {after:UInt64}
GROUP BY batch_seq ORDER BY batch_seq LIMIT 1000
"""

# Running traces whose newest span is old enough for a verdict.
SILENT_RUNNING = """
SELECT project_id, trace_id,
    toUnixTimestamp64Nano(min(min_start_time)) AS min_start_ns, toUnixTimestamp64Nano(max(max_start_time)) AS max_start_ns
FROM trace_index
WHERE (project_id, trace_id) IN (
    SELECT project_id, trace_id FROM traces FINAL
    WHERE outcome = 'running' AND start_time >= fromUnixTimestamp64Nano({start_ns:Int64})
        AND toUnixTimestamp64Nano(start_time) + duration_ns < {silent_since_ns:Int64}
    LIMIT {limit:UInt32})
GROUP BY project_id, trace_id
"""

SPANS_OF_TRACES = """
SELECT trace_id, span_id, parent_span_id, toUnixTimestamp64Nano(start_time) AS start_ns, duration_ns, name, span_kind, kind,
    status, flags, is_error, error_type, substringUTF8(error_message, 1, 2000) AS error_message, service, environment, scope_name,
    agent, version, workflow, request_model, response_model, provider, response_id, tool, tool_call_id,
    prompt_name, prompt_version, session_id, user_id, signal,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, supplied_cost_usd,
    cache_write_1h_tokens, input_audio_tokens, output_audio_tokens
FROM
(
    SELECT * EXCEPT (attributes, resource_attributes, scope_attributes, event_attributes, link_attributes)
    FROM spans
    WHERE project_id = {project_id:UInt32}
        AND start_time >= fromUnixTimestamp64Nano({min_start_ns:Int64})
        AND start_time <= fromUnixTimestamp64Nano({max_start_ns:Int64})
        AND trace_id IN (SELECT toFixedString(unhex(arrayJoin({trace_ids:Array(String)})), 16))
    ORDER BY trace_id, span_id, received_at DESC
    LIMIT 1 BY trace_id, span_id
)
ORDER BY trace_id, start_ns, span_id
"""

# Earlier summaries under another start, which the new ones must delete.
EARLIER_STARTS = """
SELECT trace_id, toUnixTimestamp64Nano(start_time) AS start_ns
FROM traces FINAL
WHERE project_id = {project_id:UInt32}
    AND start_time >= fromUnixTimestamp64Nano({min_start_ns:Int64})
        AND start_time <= fromUnixTimestamp64Nano({max_start_ns:Int64})
    AND trace_id IN (SELECT toFixedString(unhex(arrayJoin({trace_ids:Array(String)})), 16))
"""

# Minutes with a summary written (or deleted) since then.
CHANGED_MINUTES = """
SELECT DISTINCT project_id, toUnixTimestamp(toStartOfMinute(start_time)) AS minute_s
FROM traces
WHERE summarized_at >= fromUnixTimestamp64Nano({since_ns:Int64})
ORDER BY project_id, minute_s
LIMIT 100000
"""


def find_writers(store: Store) -> list[str]:
    """Return the name of every ingest process that inserted batches, by name."""
    writers: list[str] = []
    while rows := store.query_rows(NEXT_WRITER, after=writers[-1] if writers else ""):
        writers.append(str(rows[0][0]))
    return writers


def find_batches(store: Store, *, writer: str, after: int) -> list[TouchedBatch]:
    """Return the writer's batches after that one, oldest first, at most 1000."""
    return [
        TouchedBatch(int(seq), int(traces), int(age_s))
        for seq, traces, age_s in store.query_rows(TOUCH_COUNTS, writer=writer, after=after)
    ]


def find_touched(store: Store, *, writer: str, after: int, until: int) -> list[TouchedTrace]:
    """Return the traces that batches in (after, until] brought spans of."""
    return _touched(store.query_rows(TOUCHED_IN_BATCHES, writer=writer, after=after, until=until))


def find_silent_running(store: Store, *, start_ns: int, silent_since_ns: int, limit: int) -> list[TouchedTrace]:
    """Return running traces that started since `start_ns` and whose last span ended before `silent_since_ns`."""
    return _touched(store.query_rows(SILENT_RUNNING, start_ns=start_ns, silent_since_ns=silent_since_ns, limit=limit))


def _touched(rows: list[tuple[int, bytes, int, int]]) -> list[TouchedTrace]:
    return [TouchedTrace(int(project), bytes(trace), int(low), int(high)) for project, trace, low, high in rows]


def read_spans(store: Store, *, project_id: int, trace_ids: list[str], min_start_ns: int, max_start_ns: int) -> pyarrow.Table:
    """Return the narrow columns of all spans of these traces, each span once, by trace and start."""
    return store.query_arrow(
        SPANS_OF_TRACES, project_id=project_id, trace_ids=trace_ids, min_start_ns=min_start_ns, max_start_ns=max_start_ns
    )


def find_earlier_starts(
    store: Store, *, project_id: int, trace_ids: list[str], min_start_ns: int, max_start_ns: int
) -> list[tuple[bytes, int]]:
    """Return (trace id, start in ns) of the summaries that exist for these traces."""
    rows = store.query_rows(
        EARLIER_STARTS, project_id=project_id, trace_ids=trace_ids, min_start_ns=min_start_ns, max_start_ns=max_start_ns
    )
    return [(bytes(trace_id), int(start_ns)) for trace_id, start_ns in rows]


def find_changed_minutes(store: Store, *, since_ns: int) -> dict[int, list[int]]:
    """Return project id -> minutes (Unix seconds) whose traces changed since then."""
    minutes: dict[int, list[int]] = {}
    for project_id, minute_s in store.query_rows(CHANGED_MINUTES, since_ns=since_ns):
        minutes.setdefault(int(project_id), []).append(int(minute_s))
    return minutes
