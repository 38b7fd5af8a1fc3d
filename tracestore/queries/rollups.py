"""Minute rollups: `traces` summed by minute, service, versions, environment and one further dimension.

A minute is always computed as a whole, so computing it twice changes nothing and a late span only means computing its minute
once more. A trace may have several versions and services: the `service` and `version` columns hold the whole sorted set,
joined by U+001F, so that "traces that have version v3" has the same answer here as in `traces`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracestore.clickhouse.client import Store

MINUTE_S = 60
# More minutes than this, or a gap longer than a day, start a new statement: a time range prunes only when it is narrow,
# and one insert may touch at most 100 monthly partitions.
_MINUTES_PER_STATEMENT = 2000
_GAP_S = 86_400
_LAST_BUCKET_S = 2**32 - MINUTE_S  # bucket_start is a DateTime

# One entry per value of each dimension: dimension, value, calls, errors of calls, then input, output, cached and reasoning
# tokens, and cost.
# A 'model' entry carries what that model used; all others carry what the whole trace used.
_ENTRIES = """
arrayConcat(
    [('', '', toUInt64(llm_calls), toUInt64(0), input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, cost)],
    arrayMap(x -> ('agent', x, toUInt64(0), toUInt64(0),
                   input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, cost),
             arrayDistinct(arrayMap(x -> toString(x), agents))),
    arrayMap(x -> ('error', x, toUInt64(0), toUInt64(0),
                   input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, cost),
             arrayDistinct(arrayMap(x -> toString(x), error_types))),
    arrayMap(x -> ('tool', x,
                   toUInt64(arraySum((name, calls) -> if(name = x, calls, 0), tools.name, tools.calls)),
                   toUInt64(arraySum((name, errors) -> if(name = x, errors, 0), tools.name, tools.errors)),
                   input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, cost),
             arrayDistinct(arrayMap(x -> toString(x), tools.name))),
    arrayMap(x -> ('model', x,
                   toUInt64(arraySum((name, calls) -> if(name = x, calls, 0), models.model, models.calls)),
                   toUInt64(arraySum((name, errors) -> if(name = x, errors, 0), models.model, models.errors)),
                   toUInt64(arraySum((name, tokens) -> if(name = x, tokens, 0), models.model, models.input_tokens)),
                   toUInt64(arraySum((name, tokens) -> if(name = x, tokens, 0), models.model, models.output_tokens)),
                   toUInt64(arraySum((name, tokens) -> if(name = x, tokens, 0), models.model, models.cached_input_tokens)),
                   toUInt64(0),
                   arraySum((name, usd) -> if(name = x, ifNull(usd, 0.), 0.), models.model, models.cost_usd)),
             arrayDistinct(arrayMap(x -> toString(x), models.model)))
)
"""

# The second half of the union finds combinations written earlier; those without a trace of their own end up as zeros.
RECOMPUTE = f"""
INSERT INTO rollups (project_id, bucket_start, service, version, environment, dimension, value, requests, failures, escalations,
    error_traces, spans, input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, cost_usd, calls, call_errors,
    duration_ns, computed_at)
SELECT {{project_id:UInt32}}, minute, service_set, version_set, environment, entry.1, entry.2, countIf(live),
    countIf(live AND outcome = 'error'), countIf(live AND escalated), countIf(live AND has_errors), sum(span_count),
    sum(entry.5), sum(entry.6), sum(entry.7), sum(entry.8), sum(entry.9), sum(entry.3), sum(entry.4),
    quantilesTDigestStateIf(0.5, 0.95, 0.99)(duration_ns, live AND outcome != 'running'), now64(6)
FROM
(
    SELECT 1 AS live, toStartOfMinute(start_time) AS minute,
        arrayStringConcat(arraySort(arrayDistinct(arrayMap(x -> toString(x), services))), '\\x1f') AS service_set,
        arrayStringConcat(arraySort(arrayDistinct(arrayMap(x -> toString(x), versions))), '\\x1f') AS version_set,
        toString(environment) AS environment, toString(outcome) AS outcome, escalated, has_errors,
        toUInt64(span_count) AS span_count, duration_ns, ifNull(cost_usd, 0.) AS cost,
        arrayJoin({_ENTRIES}) AS entry
    FROM traces FINAL
    WHERE project_id = {{project_id:UInt32}}
      AND start_time >= toDateTime64({{first_s:UInt32}}, 9, 'UTC')
      AND start_time < toDateTime64({{last_s:UInt32}}, 9, 'UTC') + INTERVAL 1 MINUTE
      AND toUnixTimestamp(toStartOfMinute(start_time)) IN {{minutes_s:Array(UInt32)}}
    UNION ALL
    SELECT 0 AS live, bucket_start AS minute, toString(service) AS service_set, toString(version) AS version_set,
        toString(environment) AS environment, '' AS outcome, false AS escalated, false AS has_errors,
        toUInt64(0) AS span_count, toUInt64(0) AS duration_ns, 0. AS cost,
        (toString(dimension), toString(value),
         toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), toUInt64(0), 0.) AS entry
    FROM rollups FINAL
    WHERE project_id = {{project_id:UInt32}}
      AND bucket_start BETWEEN toDateTime({{first_s:UInt32}}, 'UTC') AND toDateTime({{last_s:UInt32}}, 'UTC')
      AND toUnixTimestamp(bucket_start) IN {{minutes_s:Array(UInt32)}}
)
GROUP BY minute, service_set, version_set, environment, entry.1, entry.2
"""


def recompute_rollups(store: Store, *, project_id: int, bucket_starts_s: Iterable[int]) -> int:
    """Compute these minutes anew from `traces` and return how many they were.

    `bucket_starts_s` are Unix seconds; each stands for the minute it lies in. Raises StoreUnavailable when a retry may pass.
    """
    minutes = sorted({second - second % MINUTE_S for second in bucket_starts_s if 0 <= second <= _LAST_BUCKET_S})
    for chunk in _split(minutes):
        store.command(RECOMPUTE, project_id=project_id, first_s=chunk[0], last_s=chunk[-1], minutes_s=chunk)
    return len(minutes)


def _split(minutes: list[int]) -> Iterator[list[int]]:
    chunk: list[int] = []
    for minute in minutes:
        if chunk and (minute - chunk[-1] > _GAP_S or len(chunk) == _MINUTES_PER_STATEMENT):
            yield chunk
            chunk = []
        chunk.append(minute)
    if chunk:
        yield chunk
