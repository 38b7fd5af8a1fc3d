"""Rollups: `traces` summed by minute, service, versions, environment and one further dimension, and minutes summed by hour.

A minute is always computed as a whole, so computing it twice changes nothing and a late span only means computing its minute
and hour once more. A trace may have several versions and services: the `service` and `version` columns hold the whole sorted set,
joined by U+001F, so that "traces that have version v3" has the same answer here as in `traces`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from tracestore.buckets import BUCKET_SQL
from tracestore.clickhouse.client import Store
from tracestore.timerange import NS_PER_S

MINUTE_S, HOUR_S = 60, 3600
# More buckets than this, or a gap longer than a day, start a new statement: a time range prunes only when it is narrow. With
# many gaps it is their number that would cost: a sender may date each span of a request years apart from the others, and a
# statement for each would keep the rollups of all projects waiting. One insert may touch at most 100 monthly partitions.
_BUCKETS_PER_STATEMENT = 2000
_GAP_S, _MANY_GAPS = 86_400, 50
_STATEMENT_S = 90 * 28 * 86_400
_LAST_BUCKET_S = 2**32 - MINUTE_S  # bucket_start is a DateTime

PERCENTILES = (0.5, 0.9, 0.95, 0.99)
_LEVELS = ", ".join(map(str, PERCENTILES))
# One entry per value of each dimension: dimension, value, calls, errors of calls, buckets of the calls' durations and times to
# first token, then input, output, cached, cache creation, reasoning, input audio and output audio tokens, and cost.
# A 'model' entry carries what that model used; all others carry what the whole trace used.
_USED = """input_tokens, output_tokens, cached_input_tokens, cache_creation_input_tokens, reasoning_tokens, input_audio_tokens,
    output_audio_tokens, cost"""
_NONE = "CAST([], 'Array(UInt16)')"


def _of_value(values: str, column: str) -> str:
    """Return SQL that adds up those entries of an array whose entry in `values` is x."""
    return f"arraySum((name, n) -> if(name = x, toUInt64(n), toUInt64(0)), {values}, {column})"


def _lists_of_value(values: str, column: str) -> str:
    return f"arrayFlatten(arrayFilter((ds, name) -> name = x, {column}, {values}))"


def _plain_entries(dimension: str, values: str) -> str:
    return f"""arrayMap(x -> ('{dimension}', x, toUInt64(0), toUInt64(0), {_NONE}, {_NONE}, {_USED}),
        arrayDistinct(arrayMap(x -> toString(x), {values})))"""


_ENTRIES = f"""
arrayConcat(
    [('', '', toUInt64(llm_calls), toUInt64(llm_errors), arrayFlatten(models.durations), arrayFlatten(models.first_tokens),
      {_USED})],
    {_plain_entries("agent", "agents")},
    {_plain_entries("error", "error_types")},
    {_plain_entries("workflow", "workflows")},
    arrayMap(x -> ('tool', x, {_of_value("tools.name", "tools.calls")}, {_of_value("tools.name", "tools.errors")},
            {_lists_of_value("tools.name", "tools.durations")}, {_NONE}, {_USED}),
        arrayDistinct(arrayMap(x -> toString(x), tools.name))),
    arrayMap(x -> ('model', x, {_of_value("models.model", "models.calls")}, {_of_value("models.model", "models.errors")},
            {_lists_of_value("models.model", "models.durations")}, {_lists_of_value("models.model", "models.first_tokens")},
            {_of_value("models.model", "models.input_tokens")}, {_of_value("models.model", "models.output_tokens")},
            {_of_value("models.model", "models.cached_input_tokens")}, toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0),
            arraySum((name, usd) -> if(name = x, ifNull(usd, 0.), 0.), models.model, models.cost_usd)),
        arrayDistinct(arrayMap(x -> toString(x), models.model)))
)
"""

# Sums of a rollup, each with what it adds up; `entry` as above.
_SUMS = {
    "requests": "countIf(live)",
    "failures": "countIf(live AND outcome = 'error')",
    "successes": "countIf(live AND outcome = 'ok')",
    "escalations": "countIf(live AND escalated)",
    "handovers": "countIf(live AND handed_over)",
    "error_traces": "countIf(live AND has_errors)",
    "unpriced_traces": "countIf(live AND unpriced)",
    "unpriced_calls": "sum(unpriced_calls)",
    "retried_calls": "sum(retried_calls)",
    "looping_calls": "sum(looping_calls)",
    "looping_traces": "countIf(live AND loops > 0)",
    "wasted_tokens": "sum(wasted_tokens)",
    "wasted_cost_usd": "sum(wasted_cost_usd)",
    "spans": "sum(span_count)",
    "calls": "sum(entry.3)",
    "call_errors": "sum(entry.4)",
    "input_tokens": "sum(entry.7)",
    "output_tokens": "sum(entry.8)",
    "cached_input_tokens": "sum(entry.9)",
    "cache_creation_input_tokens": "sum(entry.10)",
    "reasoning_tokens": "sum(entry.11)",
    "input_audio_tokens": "sum(entry.12)",
    "output_audio_tokens": "sum(entry.13)",
    "cost_usd": "sum(entry.14)",
    "failed_cost_usd": "sumIf(entry.14, outcome = 'error')",
}
_STATES = {
    "durations": f"quantilesExactWeightedStateIf({_LEVELS})(duration, toUInt64(1), live AND outcome != 'running')",
    "call_durations": f"quantilesExactWeightedStateArray({_LEVELS})(entry.5, arrayResize([toUInt64(1)], length(entry.5), 1))",
    "first_tokens": f"quantilesExactWeightedStateArray({_LEVELS})(entry.6, arrayResize([toUInt64(1)], length(entry.6), 1))",
}
_KEY = "service, version, environment, dimension, value"
ROLLUP_COLUMNS = ", ".join((*_SUMS, *_STATES))

# The second half of the union finds combinations written earlier; those without a trace of their own end up as zeros.
RECOMPUTE = f"""
INSERT INTO rollups (project_id, bucket_start, {_KEY}, {ROLLUP_COLUMNS}, computed_at)
SELECT {{project_id:UInt32}}, minute, service_set, version_set, environment, entry.1, entry.2,
    {", ".join(_SUMS.values())},
    {", ".join(_STATES.values())}, now64(6)
FROM
(
    SELECT 1 AS live, toStartOfMinute(start_time) AS minute,
        arrayStringConcat(arraySort(arrayDistinct(arrayMap(x -> toString(x), services))), '\\x1f') AS service_set,
        arrayStringConcat(arraySort(arrayDistinct(arrayMap(x -> toString(x), versions))), '\\x1f') AS version_set,
        toString(environment) AS environment, toString(outcome) AS outcome, escalated, handed_over, has_errors,
        notEmpty(unpriced_models) AS unpriced, toUInt64(unpriced_calls) AS unpriced_calls,
        toUInt64(retried_calls) AS retried_calls, toUInt64(looping_calls) AS looping_calls, toUInt64(loops) AS loops,
        wasted_tokens, wasted_cost_usd, toUInt64(span_count) AS span_count,
        {BUCKET_SQL.format("duration_ns")} AS duration, ifNull(cost_usd, 0.) AS cost, arrayJoin({_ENTRIES}) AS entry
    FROM traces FINAL
    WHERE project_id = {{project_id:UInt32}}
      AND start_time >= toDateTime64({{first_s:UInt32}}, 9, 'UTC')
      AND start_time < toDateTime64({{last_s:UInt32}}, 9, 'UTC') + INTERVAL 1 MINUTE
      AND toUnixTimestamp(toStartOfMinute(start_time)) IN {{minutes_s:Array(UInt32)}}
    UNION ALL
    SELECT 0 AS live, bucket_start AS minute, toString(service) AS service_set, toString(version) AS version_set,
        toString(environment) AS environment, '' AS outcome, false AS escalated, false AS handed_over, false AS has_errors,
        false AS unpriced, toUInt64(0) AS unpriced_calls, toUInt64(0) AS retried_calls, toUInt64(0) AS looping_calls,
        toUInt64(0) AS loops, toUInt64(0) AS wasted_tokens, 0. AS wasted_cost_usd, toUInt64(0) AS span_count,
        toUInt16(0) AS duration, 0. AS cost,
        (toString(dimension), toString(value), toUInt64(0), toUInt64(0), {_NONE}, {_NONE},
         toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), 0.) AS entry
    FROM rollups FINAL
    WHERE project_id = {{project_id:UInt32}}
      AND bucket_start BETWEEN toDateTime({{first_s:UInt32}}, 'UTC') AND toDateTime({{last_s:UInt32}}, 'UTC')
      AND toUnixTimestamp(bucket_start) IN {{minutes_s:Array(UInt32)}}
)
GROUP BY minute, service_set, version_set, environment, entry.1, entry.2
"""

# A minute's zeros keep their hour's row, so that it, too, is written again when nothing of it is left.
RECOMPUTE_HOURS = f"""
INSERT INTO rollups_hourly (project_id, bucket_start, {_KEY}, {ROLLUP_COLUMNS}, computed_at)
SELECT {{project_id:UInt32}}, toStartOfHour(bucket_start) AS hour, {_KEY},
    {", ".join(f"sum(rollups.{name})" for name in _SUMS)},
    {", ".join(f"quantilesExactWeightedMergeState({_LEVELS})(rollups.{name})" for name in _STATES)}, now64(6)
FROM rollups FINAL
WHERE project_id = {{project_id:UInt32}}
  AND bucket_start >= toDateTime({{first_s:UInt32}}, 'UTC')
  AND bucket_start < toDateTime({{last_s:UInt32}}, 'UTC') + INTERVAL 1 HOUR
  AND toUnixTimestamp(toStartOfHour(bucket_start)) IN {{hours_s:Array(UInt32)}}
GROUP BY hour, {_KEY}
"""


def recompute_rollups(store: Store, *, project_id: int, bucket_starts_s: Iterable[int]) -> int:
    """Compute these minutes anew from `traces` and return how many they were.

    `bucket_starts_s` are Unix seconds; each stands for the minute it lies in. Raises StoreUnavailable when a retry may pass.
    """
    minutes = sorted({second - second % MINUTE_S for second in bucket_starts_s if 0 <= second <= _LAST_BUCKET_S})
    for chunk in _split(minutes):
        store.command(RECOMPUTE, project_id=project_id, first_s=chunk[0], last_s=chunk[-1], minutes_s=chunk)
    return len(minutes)


HOURS_END = """
SELECT toUnixTimestamp(max(bucket_start)) + 3600 FROM rollups_hourly WHERE project_id = {project_id:UInt32} AND dimension = ''
HAVING count() > 0
"""

HOURS_WITH_TRACES = """
SELECT toUnixTimestamp(toStartOfHour(start_time)) AS hour_s, project_id
FROM traces
WHERE start_time >= toDateTime64({first_s:UInt32}, 9, 'UTC') AND start_time < toDateTime64({until_s:UInt32}, 9, 'UTC')
GROUP BY hour_s, project_id ORDER BY hour_s, project_id LIMIT 100000
"""


def find_hours_end_ns(store: Store, *, project_id: int) -> int:
    """Return until when (ns) a project's hours are complete: they are computed in the order of time. 0 when there are none."""
    rows = store.query_rows(HOURS_END, project_id=project_id)
    return int(rows[0][0]) * NS_PER_S if rows else 0


def find_hours_with_traces(store: Store, *, first_s: int, until_s: int) -> list[tuple[int, int]]:
    """Return (start in Unix seconds, project id) of the next hours in which traces started, oldest first."""
    return [
        (int(hour_s), int(project_id))
        for hour_s, project_id in store.query_rows(
            HOURS_WITH_TRACES, first_s=max(0, first_s), until_s=min(until_s, _LAST_BUCKET_S)
        )
    ]


def recompute_hours(store: Store, *, project_id: int, hour_starts_s: Iterable[int]) -> int:
    """Compute these hours anew from their minutes and return how many they were. Raises as recompute_rollups does."""
    hours = sorted({second - second % HOUR_S for second in hour_starts_s if 0 <= second <= _LAST_BUCKET_S})
    for chunk in _split(hours):
        store.command(RECOMPUTE_HOURS, project_id=project_id, first_s=chunk[0], last_s=chunk[-1], hours_s=chunk)
    return len(hours)


def _split(buckets: list[int]) -> Iterator[list[int]]:
    gaps = sum(later - earlier > _GAP_S for earlier, later in itertools.pairwise(buckets))
    longest_gap_s = _GAP_S if gaps <= _MANY_GAPS else _STATEMENT_S
    chunk: list[int] = []
    for bucket in buckets:
        is_far = bool(chunk) and (bucket - chunk[-1] > longest_gap_s or bucket - chunk[0] > _STATEMENT_S)
        if is_far or len(chunk) == _BUCKETS_PER_STATEMENT:
            yield chunk
            chunk = []
        chunk.append(bucket)
    if chunk:
        yield chunk
