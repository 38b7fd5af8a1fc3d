"""Rollups: `traces` summed by minute, service, versions, environment and one further dimension, and minutes summed by hour.

A minute is always computed as a whole, so computing it twice changes nothing and a late span only means computing its minute
and hour once more. A trace may have several versions and services: the `service` and `version` columns hold the whole sorted set,
joined by U+001F, so that "traces that have version v3" has the same answer here as in `traces`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.statistics.buckets import BUCKET_SQL
from tracestore.timerange import NS_PER_S

log = logging.getLogger(__name__)

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
# first token, then input, output, cached, cache creation, reasoning, input audio and output audio tokens, cost, and whether the
# trace is counted here.
# A 'model' entry carries what that model used; all others carry what the whole trace used.
_USED = """input_tokens, output_tokens, cached_input_tokens, cache_creation_input_tokens, reasoning_tokens, input_audio_tokens,
    output_audio_tokens, cost"""
_NONE = "CAST([], 'Array(UInt16)')"


# Each list is walked once: what it costs to look for each name in the whole list grows with the square of a trace's names, and a
# sender may give every span of a trace a tool of its own. Names of tools are distinct. A model that two providers answered for
# stands there twice: its first entry alone is `counted`, as a trace with that model.
_PLAIN = f"""arrayMap(x -> ('{{dimension}}', x, toUInt64(0), toUInt64(0), {_NONE}, {_NONE}, {_USED}, true),
        arrayDistinct(arrayMap(x -> toString(x), {{values}})))"""
_MODEL_USED = """arrayZip(models.input_tokens, models.output_tokens, models.cached_input_tokens,
            arrayMap(usd -> ifNull(usd, 0.), models.cost_usd))"""

_ENTRIES = f"""
arrayConcat(
    [('', '', toUInt64(llm_calls), toUInt64(llm_errors), arrayFlatten(models.durations), arrayFlatten(models.first_tokens),
      {_USED}, true)],
    {_PLAIN.format(dimension="agent", values="agents")},
    {_PLAIN.format(dimension="error", values="error_types")},
    {_PLAIN.format(dimension="workflow", values="workflows")},
    arrayMap((x, calls, errors, durations) -> ('tool', toString(x), toUInt64(calls), toUInt64(errors), durations, {_NONE},
            {_USED}, true),
        tools.name, tools.calls, tools.errors, tools.durations),
    arrayMap((x, calls, errors, durations, first_tokens, used, nth) -> ('model', toString(x), toUInt64(calls), toUInt64(errors),
            durations, first_tokens, toUInt64(used.1), toUInt64(used.2), toUInt64(used.3), toUInt64(0), toUInt64(0), toUInt64(0),
            toUInt64(0), used.4, nth = 1),
        models.model, models.calls, models.errors, models.durations, models.first_tokens, {_MODEL_USED},
        arrayEnumerateUniq(models.model))
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
    "unpriced_calls": "sumIf(unpriced_calls, live)",
    "retried_calls": "sumIf(retried_calls, live)",
    "looping_calls": "sumIf(looping_calls, live)",
    "looping_traces": "countIf(live AND loops > 0)",
    "wasted_tokens": "sumIf(wasted_tokens, live)",
    "wasted_cost_usd": "sumIf(wasted_cost_usd, live)",
    "spans": "sumIf(span_count, live)",
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

# What was computed last counts, also when it was by a clock that has been set back since.
_COMPUTED_AT = """greatest(now64(6), toDateTime64(ifNull((
    SELECT max(computed_at) FROM {table} WHERE project_id = {{project_id:UInt32}}
        AND bucket_start BETWEEN toDateTime({{first_s:UInt32}}, 'UTC') AND toDateTime({{last_s:UInt32}}, 'UTC')
), 0), 6, 'UTC') + INTERVAL 1 MICROSECOND)"""
# The second half of the union finds combinations written earlier; those without a trace of their own end up as zeros.
RECOMPUTE = f"""
INSERT INTO rollups (project_id, bucket_start, {_KEY}, {ROLLUP_COLUMNS}, computed_at)
SELECT {{project_id:UInt32}}, minute, service_set, version_set, environment, entry.1, entry.2,
    {", ".join(_SUMS.values())},
    {", ".join(_STATES.values())}, {_COMPUTED_AT.format(table="rollups")}
FROM
(
    SELECT entry.15 AS live, toStartOfMinute(start_time) AS minute,
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
      AND toUnixTimestamp(toStartOfMinute(start_time)) IN {{buckets_s:Array(UInt32)}}
    UNION ALL
    SELECT false AS live, bucket_start AS minute, toString(service) AS service_set, toString(version) AS version_set,
        toString(environment) AS environment, '' AS outcome, false AS escalated, false AS handed_over, false AS has_errors,
        false AS unpriced, toUInt64(0) AS unpriced_calls, toUInt64(0) AS retried_calls, toUInt64(0) AS looping_calls,
        toUInt64(0) AS loops, toUInt64(0) AS wasted_tokens, 0. AS wasted_cost_usd, toUInt64(0) AS span_count,
        toUInt16(0) AS duration, 0. AS cost,
        (toString(dimension), toString(value), toUInt64(0), toUInt64(0), {_NONE}, {_NONE},
         toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), 0., false) AS entry
    FROM rollups FINAL
    WHERE project_id = {{project_id:UInt32}}
      AND bucket_start BETWEEN toDateTime({{first_s:UInt32}}, 'UTC') AND toDateTime({{last_s:UInt32}}, 'UTC')
      AND toUnixTimestamp(bucket_start) IN {{buckets_s:Array(UInt32)}}
)
GROUP BY minute, service_set, version_set, environment, entry.1, entry.2
"""

# A minute's zeros keep their hour's row, so that it, too, is written again when nothing of it is left.
RECOMPUTE_HOURS = f"""
INSERT INTO rollups_hourly (project_id, bucket_start, {_KEY}, {ROLLUP_COLUMNS}, computed_at)
SELECT {{project_id:UInt32}}, toStartOfHour(bucket_start) AS hour, {_KEY},
    {", ".join(f"sum(rollups.{name})" for name in _SUMS)},
    {", ".join(f"quantilesExactWeightedMergeState({_LEVELS})(rollups.{name})" for name in _STATES)},
    {_COMPUTED_AT.format(table="rollups_hourly")}
FROM rollups FINAL
WHERE project_id = {{project_id:UInt32}}
  AND bucket_start >= toDateTime({{first_s:UInt32}}, 'UTC')
  AND bucket_start < toDateTime({{last_s:UInt32}}, 'UTC') + INTERVAL 1 HOUR
  AND toUnixTimestamp(toStartOfHour(bucket_start)) IN {{buckets_s:Array(UInt32)}}
GROUP BY hour, {_KEY}
"""


def recompute_rollups(
    store: Store, *, project_id: int, bucket_starts_s: Iterable[int], note_part: Callable[[], None] = lambda: None
) -> int:
    """Compute these minutes anew from `traces` and return how many they were; `note_part` is called after each statement.

    `bucket_starts_s` are Unix seconds; each stands for the minute it lies in. Raises StoreUnavailable when a retry may pass.
    """
    minutes = sorted({second - second % MINUTE_S for second in bucket_starts_s if 0 <= second <= _LAST_BUCKET_S})
    for chunk in _split(minutes):
        _compute(store, RECOMPUTE, project_id, chunk)
        note_part()
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


def recompute_hours(
    store: Store, *, project_id: int, hour_starts_s: Iterable[int], note_part: Callable[[], None] = lambda: None
) -> int:
    """Compute these hours anew from their minutes, and otherwise as recompute_rollups does."""
    hours = sorted({second - second % HOUR_S for second in hour_starts_s if 0 <= second <= _LAST_BUCKET_S})
    for chunk in _split(hours):
        _compute(store, RECOMPUTE_HOURS, project_id, chunk)
        note_part()
    return len(hours)


def _compute(store: Store, sql: str, project_id: int, buckets_s: list[int]) -> None:
    """Compute in halves what is too much for one statement; a single bucket that is too much keeps what it had.

    It must not keep all others from theirs.
    """
    try:
        store.compute(sql, project_id=project_id, first_s=buckets_s[0], last_s=buckets_s[-1], buckets_s=buckets_s)
    except QueryTooExpensive as error:
        if len(buckets_s) == 1:
            log.error("the bucket at %d of project %d is too large to roll up: %s", buckets_s[0], project_id, error)
            return
        half = len(buckets_s) // 2
        for part in (buckets_s[:half], buckets_s[half:]):
            _compute(store, sql, project_id, part)


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
