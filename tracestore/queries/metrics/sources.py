"""Rows that a metric is made of: traces, or rollups where those hold the same answer, or sessions, or scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.metrics.definitions import (
    GROUPINGS,
    KEYS,
    METRICS,
    OF_SCORE,
    OF_SESSION,
    READ_APART,
    MetricError,
    check_grouped,
    check_grouping,
    find_metric,
)
from tracestore.queries.metrics.parts import COUNTED_BY_GROUP, ROLLED, SCORE_PARTS, SESSION_PARTS, Source, raw_parts
from tracestore.queries.metrics.rollups import IN_ROLLED_RANGE, find_hours, rolled_conditions, rolled_source, rollup_dimension
from tracestore.queries.predicates import REACH_DAYS, trace_predicate
from tracestore.queries.rollups import MINUTE_S
from tracestore.queries.scores import EFFECTIVE_SCORES
from tracestore.queries.terms import value_predicate
from tracestore.timerange import TimeRange

# Groupings that may have as many groups as there are traces -> their column.
_MANY = {"user": "user_id", "session": "session_id"}
_TRACE_TIME = "toUnixTimestamp64Nano(start_time)"
# `model:X` also finds traces that asked for X and were answered by another, and `prompt:X` any version of X: their groups are not
# cut down to X.
_NOT_CUT_DOWN = {"model", "prompt"}
# Evaluations often tell their result days after the run. One that names a session instead of a trace is about the session's last
# run by then.
_SCORES = f"""
SELECT if(told_trace_id != toFixedString('', 16), told_trace_id, session_trace_id) AS trace_id, score_name, score
FROM
(
    SELECT trace_id AS told_trace_id, session_id, time AS told_at, name AS score_name, value AS score
    FROM ({EFFECTIVE_SCORES})
    WHERE isNotNull(value)
) AS told
ASOF LEFT JOIN
(
    SELECT session_id, start_time, trace_id AS session_trace_id FROM traces FINAL
    WHERE project_id = {{project_id:UInt32}} AND session_id != ''
        AND start_time >= fromUnixTimestamp64Nano({{start_ns:Int64}})
        AND start_time < fromUnixTimestamp64Nano({{end_ns:Int64}}) + toIntervalDay({REACH_DAYS})
) AS run
ON told.session_id = run.session_id AND told.told_at >= run.start_time
"""


@dataclass(frozen=True)
class Reading:
    """How one metric of a query is read: rows of `table` within `in_range` that meet `condition`, added up by `parts`."""

    table: str
    in_range: str
    condition: str
    parts: dict[str, str]


def find_reading(time_range: TimeRange, query: Query, metric: str, params: Params) -> Reading:
    """Return how `metric` without groups is read, so that several may share one read. Raises MetricError."""
    if find_metric(metric).name in READ_APART:
        raise MetricError(
            "metric", f"{METRICS[metric].label} is made of sessions or scores: it cannot be read with other metrics."
        )
    dimension = rollup_dimension(time_range, query, metric, "", MINUTE_S)
    if dimension is None:
        return Reading("traces", IN_RANGE, trace_predicate(query, params), raw_parts(query, "", params))
    return Reading("rollups", f"{IN_ROLLED_RANGE} AND requests > 0", rolled_conditions(query, dimension, params), ROLLED)


def grouped_reading(query: Query, group_by: Sequence[str], params: Params) -> tuple[str, list[str], dict[str, str]]:
    """Return the condition on traces, an array of the values of each field, and the parts over `group0`, `group1`, ...

    Raises MetricError for a field by which traces are not grouped.
    """
    condition = trace_predicate(query, params)
    parts, values = raw_parts(query, "", params), []
    for index, field in enumerate(group_by):
        check_grouping(field)
        if field == "score":
            raise MetricError("group_by", "Only scores are grouped by the name of their evaluation.")
        array = f"arrayDistinct({GROUPINGS[field]})"
        demanded = "" if field in _NOT_CUT_DOWN else value_predicate(query, KEYS.get(field, field), "x", params)
        values.append(f"arrayFilter(x -> {demanded}, {array})" if demanded else array)
        if field in COUNTED_BY_GROUP:
            of_group = raw_parts(query, field, params)
            parts |= {
                name: part.replace("group_value", f"group{index}") for name, part in of_group.items() if "group_value" in part
            }
    return condition, values, parts


def build_source(
    store: Store, project_id: int, time_range: TimeRange, query: Query, metrics: Sequence[str], group_by: str, step_s: int,
    max_groups: int, params: Params,
) -> Source:  # fmt: skip
    """Return the rows that all of these metrics are made of: either of sessions, or of scores, or of whole traces."""
    if metrics[0] in OF_SESSION:
        return _session_source(query, group_by, params)
    if metrics[0] in OF_SCORE:
        return _score_source(query, group_by, params)
    dimensions = {rollup_dimension(time_range, query, metric, group_by, step_s) for metric in metrics}
    dimension = dimensions.pop()
    if dimension is None or dimensions:
        return _raw_source(query, group_by, max_groups, params)
    hours = find_hours(store, project_id=project_id, time_range=time_range, step_s=step_s)
    return rolled_source(query, group_by, dimension, hours, params)


def apart_by_moment(query: Query, metric: str, group_by: str, moments: str, params: Params) -> tuple[str, dict[str, str]]:
    """Return rows and parts of one of READ_APART, each trace counted at every of `moments`, SQL for an array over start_time.

    The rows are a subquery over a range, with `moment` and `group_value`. A session is what lies in one moment's window alone.
    Raises MetricError.
    """
    if group_by:
        check_grouped(metric, group_by)
    build = _session_source if metric in OF_SESSION else _score_source
    source = build(query, group_by, params, f"arrayJoin({moments})")
    return source.rows, source.parts


def _session_source(query: Query, group_by: str, params: Params, moment: str = "0") -> Source:
    """Read sessions: of each what lies in the range and matches."""
    rows = f"""
    SELECT moment, began, lasted_ns, resolved, {"arrayJoin(group_values)" if group_by else "''"} AS group_value
    FROM
    (
        SELECT {moment} AS moment, min(start_time) AS began,
            toUInt64(max(toUnixTimestamp64Nano(start_time) + toInt64(duration_ns)) - min(toUnixTimestamp64Nano(start_time)))
                AS lasted_ns,
            NOT max(escalated) AND argMax(outcome, start_time) = 'ok' AS resolved,
            arrayDistinct(arrayFlatten(groupArray({GROUPINGS.get(group_by, "['']")}))) AS group_values
        FROM traces FINAL
        WHERE {IN_RANGE} AND {trace_predicate(query, params)} AND session_id != ''
        GROUP BY session_id, moment
    )
    """
    return Source(rows, SESSION_PARTS, "toUnixTimestamp64Nano(began)")


def _score_source(query: Query, group_by: str, params: Params, moment: str = "0") -> Source:
    """Read scores, each at the start of the trace that it is about."""
    group_value = f"arrayJoin({GROUPINGS[group_by]})" if group_by else "''"
    rows = f"""
    SELECT {moment} AS moment, start_time, score, {group_value if group_by == "score" else "of_trace"} AS group_value
    FROM
    (
        SELECT trace_id, start_time, {"''" if group_by == "score" else group_value} AS of_trace
        FROM traces FINAL WHERE {IN_RANGE} AND {trace_predicate(query, params)}
    ) AS matching
    INNER JOIN ({_SCORES}) AS told USING (trace_id)
    """
    return Source(rows, SCORE_PARTS, _TRACE_TIME)


def _raw_source(query: Query, group_by: str, max_groups: int, params: Params) -> Source:
    group_value = "''"
    matching = trace_predicate(query, params)
    if group_by:
        values = f"arrayDistinct({GROUPINGS[group_by]})"
        demanded = "" if group_by in _NOT_CUT_DOWN else value_predicate(query, KEYS.get(group_by, group_by), "x", params)
        group_value = f"arrayJoin(arrayFilter(x -> {demanded}, {values}))" if demanded else f"arrayJoin({values})"
    if column := _MANY.get(group_by):
        # Of thousands of groups only those are followed through time that will be shown.
        matching += f""" AND {column} IN (
            SELECT {column} FROM traces FINAL WHERE {IN_RANGE} AND {matching} AND {column} != ''
            GROUP BY {column} ORDER BY count() DESC, {column} LIMIT {params.bind(max_groups, "UInt32")})"""
    rows = f"""
    SELECT start_time, outcome, has_errors, escalated, handed_over, handoff_reasons, escalation_reasons, duration_ns, cost_usd,
        input_tokens, output_tokens,
        cached_input_tokens, cache_creation_input_tokens, reasoning_tokens, input_audio_tokens, output_audio_tokens, llm_calls,
        llm_errors, retried_calls, loops, looping_calls, wasted_tokens, wasted_cost_usd, span_count, session_id, user_id,
        unpriced_models, unpriced_calls, tools.name, tools.calls, tools.errors,
        tools.durations, models.model, models.provider, models.calls, models.errors, models.durations, models.first_tokens,
        models.input_tokens, models.output_tokens, models.cached_input_tokens, models.cost_usd, steps.kind, steps.durations,
        {group_value} AS group_value
    FROM traces FINAL
    WHERE {IN_RANGE} AND {matching}
    """
    return Source(rows, raw_parts(query, group_by, params), _TRACE_TIME)
