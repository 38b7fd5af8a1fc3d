"""The generated views `spans` -> `intake` and `logs` -> `log_intake`: what arrives, by minute, key and SDK."""

from __future__ import annotations

from tracestore.clickhouse.views.anyvalue import MAX_TIME_NS
from tracestore.clickhouse.views.lookups import literal
from tracestore.semconv.sources import TRUNCATION_MARK

# A span that arrives this long after its end is late: by then a trace without its root has been judged without it (the
# default of TRACESTORE_RUNNING_TIMEOUT_S). One that ends this far after its arrival comes from a clock that is ahead.
LATE_NS, AHEAD_NS = 600 * 10**9, 10**9


def is_truncated(attributes: str) -> str:
    """Return the condition that some value of a map of attributes ends in a mark of having been cut."""
    # One pass over the text decides nearly always; the expression alone costs five times as much.
    mentioned = "multiSearchAny(x, ['truncated', 'TRUNCATED'])"
    marked = f"match(substring(x, -64), {literal(TRUNCATION_MARK)})"
    return f"arrayExists(x -> {mentioned} AND {marked}, mapValues({attributes}))"


def spans_to_intake() -> str:
    """Return the SELECT of the view that counts what arrives (migrations/0011_intake.sql says what each column means)."""
    return f"""
SELECT project_id, toStartOfMinute(received_at) AS bucket_start, ingest_key, sdk,
    count() AS spans,
    countIf(is_late) AS late, countIf(is_ahead) AS ahead, countIf(is_clamped) AS clamped,
    countIf(is_truncated) AS truncated, countIf(is_dropping) AS dropping,
    sum(dropped) AS dropped_attributes,
    sum(dropped_events_count) AS dropped_events, sum(dropped_links_count) AS dropped_links,
    min(lag_ns) AS min_lag_ns, max(lag_ns) AS max_lag_ns,
    maxIf(trace_id, is_late) AS late_trace_id, maxIf(trace_id, is_ahead OR is_clamped) AS clock_trace_id,
    maxIf(trace_id, is_truncated) AS truncated_trace_id, maxIf(trace_id, is_dropping) AS dropping_trace_id
FROM
(
    SELECT project_id, received_at, ingest_key, sdk, trace_id, dropped_events_count, dropped_links_count,
        reported_start_ns != toUInt64(toUnixTimestamp64Nano(start_time)) OR reported_end_ns < reported_start_ns
            OR reported_end_ns >= {MAX_TIME_NS} AS is_clamped,
        toUnixTimestamp64Nano(received_at) - toUnixTimestamp64Nano(start_time) - toInt64(duration_ns) AS lag_ns,
        NOT is_clamped AND lag_ns > {LATE_NS} AS is_late,
        NOT is_clamped AND lag_ns < -{AHEAD_NS} AS is_ahead,
        dropped_attributes_count + arraySum(event_dropped_attributes_counts) AS dropped,
        dropped + dropped_events_count + dropped_links_count > 0 AS is_dropping,
        {is_truncated("attributes")} AS is_truncated
    FROM spans
)
GROUP BY project_id, bucket_start, ingest_key, sdk
"""


def logs_to_intake() -> str:
    """Return the SELECT of the view that counts the log records that arrive (migrations/0024_log_intake.sql)."""
    return """
SELECT project_id, toStartOfMinute(received_at) AS bucket_start, ingest_key, sdk,
    count() AS records, countIf(dropped_attributes_count > 0) AS dropping, sum(dropped_attributes_count) AS dropped_attributes
FROM logs
GROUP BY project_id, bucket_start, ingest_key, sdk
"""
