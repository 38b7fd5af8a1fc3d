"""Numbers over time: one metric of the traces that match a query, by step and group.

Read from `traces`, or from minute `rollups` when those hold the same answer (see `rollup_dimension`). Percentiles come from a
t-digest on both ways, so they are approximate: within about 1% of rank (https://arxiv.org/abs/1902.04023).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.language.fields import find_field
from tracestore.model import Series
from tracestore.queries.predicates import IN_RANGE, Params, trace_predicate
from tracestore.queries.rollups import MINUTE_S
from tracestore.queries.terms import exact_demands, value_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import NS_PER_S, TimeRange

MAX_POINTS = 5000
ROLLUPS_FROM_S = 6 * 3600  # below this the raw read is as fast, and sees a trace before its minute is rolled up


class MetricError(ValueError):
    """A request for a number that does not exist. `parameter` names the bad argument; `suggestion` may be ""."""

    def __init__(self, parameter: str, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.parameter, self.message, self.suggestion = parameter, message, suggestion


@dataclass(frozen=True)
class Metric:
    """One number that can be asked for. `unit`: traces, ratio (0 to 1), s, USD, tokens, calls or spans.

    `formula` is SQL over the names of `_RAW` and `_ROLLED` in braces; `additive` metrics are 0 where there are no traces,
    the others have no value there.
    """

    name: str
    label: str
    unit: str
    help: str
    formula: str
    additive: bool


def _count(name: str, label: str, unit: str, help: str) -> Metric:
    return Metric(name, label, unit, help, f"{{{name}}}", additive=True)


def _ratio(name: str, label: str, unit: str, help: str, formula: str) -> Metric:
    return Metric(name, label, unit, help, formula, additive=False)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _count("requests", "Requests", "traces", "Traces that started."),
        _count("failures", "Failures", "traces", "Traces whose outcome is error."),
        _ratio("failure_rate", "Failure rate", "ratio", "Failures per request.", "{failures} / {requests}"),
        _count("errors", "Traces with errors", "traces", "Traces in which some step has an error, failed or not."),
        _ratio("error_rate", "Rate of traces with errors", "ratio", "Traces with errors per request.", "{errors} / {requests}"),
        _count("escalations", "Escalations", "traces", "Traces that handed over to a human."),
        _ratio("escalation_rate", "Escalation rate", "ratio", "Escalations per request.", "{escalations} / {requests}"),
        _ratio("duration_p50", "Duration p50", "s", "Half of the finished traces took no longer. Approximate.", "{p50}"),
        _ratio("duration_p95", "Duration p95", "s", "95% of the finished traces took no longer. Approximate.", "{p95}"),
        _ratio("duration_p99", "Duration p99", "s", "99% of the finished traces took no longer. Approximate.", "{p99}"),
        _count("cost", "Cost", "USD", "Cost of all model calls that have a price; those without one add nothing."),
        _ratio("cost_per_trace", "Cost per trace", "USD", "Cost per request.", "{cost} / {requests}"),
        _count("input_tokens", "Input tokens", "tokens", "Tokens sent to models, cached ones included."),
        _count("output_tokens", "Output tokens", "tokens", "Tokens written by models, reasoning included."),
        _count("cached_input_tokens", "Cached input tokens", "tokens", "Input tokens that were read from a prompt cache."),
        _count("reasoning_tokens", "Reasoning tokens", "tokens", "Output tokens spent on reasoning."),
        _count("tool_calls", "Tool calls", "calls", "Tool calls; with tool:X in the query, calls of X alone."),
        _count("tool_errors", "Tool errors", "calls", "Tool calls that raised; with tool:X in the query, those of X alone."),
        _ratio("tool_success_rate", "Tool success rate", "ratio", "Tool calls that did not raise, per tool call.",
               "1 - {tool_errors} / {tool_calls}"),
        _count("llm_calls", "Model calls", "calls", "Calls of language models."),
        _count("spans", "Spans", "spans", "Steps of all traces."),
    )
}  # fmt: skip

# The values by which one trace counts. A trace with two tools counts in both groups; one without any tool, agent, model,
# workflow or error type counts in no group of that kind, while a trace without a version counts in the group "".
GROUPINGS: dict[str, str] = {
    "version": "if(empty(versions), [''], arrayMap(x -> toString(x), versions))",
    "tool": "arrayMap(x -> toString(x), tools.name)",
    "error": "arrayMap(x -> toString(x), error_types)",
    "agent": "arrayMap(x -> toString(x), agents)",
    "model": "arrayMap(x -> toString(x), models.model)",
    "service": "if(empty(services), [''], arrayMap(x -> toString(x), services))",
    "environment": "[toString(environment)]",
    "outcome": "[toString(outcome)]",
    "workflow": "arrayMap(x -> toString(x), workflows)",
    "user": "[toString(user_id)]",
}

_RAW = {
    "requests": "count()",
    "failures": "countIf(outcome = 'error')",
    "errors": "countIf(has_errors)",
    "escalations": "countIf(escalated)",
    "p50": "quantileTDigestIf(0.5)(duration_ns, outcome != 'running') / 1e9",
    "p95": "quantileTDigestIf(0.95)(duration_ns, outcome != 'running') / 1e9",
    "p99": "quantileTDigestIf(0.99)(duration_ns, outcome != 'running') / 1e9",
    "cost": "sum(ifNull(cost_usd, 0))",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cached_input_tokens": "sum(cached_input_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "llm_calls": "sum(llm_calls)",
    "spans": "sum(span_count)",
}
# What one model used, for groups by model.
_RAW_OF_MODEL = {
    "cost": "sum(arraySum((name, usd) -> if(name = group_value, ifNull(usd, 0), 0), models.model, models.cost_usd))",
    "llm_calls": "sum(arraySum((name, n) -> if(name = group_value, n, 0), models.model, models.calls))",
} | {
    tokens: f"sum(arraySum((name, n) -> if(name = group_value, n, 0), models.model, models.{tokens}))"
    for tokens in ("input_tokens", "output_tokens", "cached_input_tokens")
}
_ROLLED = {
    "requests": "sum(requests)",
    "failures": "sum(failures)",
    "errors": "sum(error_traces)",
    "escalations": "sum(escalations)",
    "p50": "arrayElement(quantilesTDigestMerge(0.5, 0.95, 0.99)(duration_ns), 1) / 1e9",
    "p95": "arrayElement(quantilesTDigestMerge(0.5, 0.95, 0.99)(duration_ns), 2) / 1e9",
    "p99": "arrayElement(quantilesTDigestMerge(0.5, 0.95, 0.99)(duration_ns), 3) / 1e9",
    "cost": "sum(cost_usd)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cached_input_tokens": "sum(cached_input_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "llm_calls": "sum(calls)",
    "tool_calls": "sum(calls)",
    "tool_errors": "sum(call_errors)",
    "spans": "sum(spans)",
}
_OF_TOOL = {"tool_calls", "tool_errors", "tool_success_rate"}
_KEYS = {"service": "service", "version": "version", "environment": "env"}  # grouping -> field of the language
_DIMENSIONS = {"agent", "model", "tool", "error"}


@dataclass(frozen=True)
class UnpricedModel:
    """A model without a price, and in how many traces its calls are missing from the cost."""

    model: str
    trace_count: int


@dataclass(frozen=True)
class _Source:
    """Rows to aggregate: `rows` is a subquery that yields group_value and what the `parts` of a formula read."""

    rows: str
    parts: dict[str, str]
    time_ns: str


def metric_series(
    store: Store,
    *,
    project_id: int,
    time_range: TimeRange,
    query: Query,
    metric: str,
    group_by: str = "",
    step_s: int,
    max_groups: int = 10,
) -> list[Series]:
    """Return one series per group, those with most traces first, each with a point for every step of the range.

    Steps are aligned to multiples of `step_s` since the Unix epoch, so the first may begin before the range. Without
    `group_by` there is always exactly one series, with group "". Raises MetricError, QueryTooExpensive, StoreUnavailable.
    """
    definition = find_metric(metric)
    _check_request(metric, group_by, time_range, step_s)
    params = Params()
    source = _build_source(time_range, query, (metric,), group_by, step_s, params)
    step = params.bind(step_s * NS_PER_S, "Int64")
    sql = f"""
SELECT group_value, groupArray((bucket_ns, value)) AS points
FROM
(
    SELECT group_value, intDiv({source.time_ns}, {step}) * {step} AS bucket_ns,
        toFloat64({definition.formula.format(**source.parts)}) AS value, {source.parts["requests"]} AS weight
    FROM ({source.rows})
    GROUP BY group_value, bucket_ns
)
GROUP BY group_value
HAVING sum(weight) > 0
ORDER BY sum(weight) DESC, group_value
LIMIT {params.bind(max_groups, "UInt32")}
{FINAL_SETTINGS}
"""
    rows = _run(store, sql, project_id, time_range, params)
    if not rows and not group_by:
        rows = [("", [])]
    empty = 0.0 if definition.additive else None
    return [_fill(group, points, time_range, step_s, empty) for group, points in rows]


def metric_value(store: Store, *, project_id: int, time_range: TimeRange, query: Query, metric: str) -> float | None:
    """Return one number over the whole range: None when it has no meaning, such as a rate of no traces.

    Raises MetricError, QueryTooExpensive, StoreUnavailable.
    """
    return metric_values(store, project_id=project_id, time_range=time_range, query=query, metrics=(metric,))[metric]


def metric_values(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, metrics: Sequence[str]
) -> dict[str, float | None]:
    """Return several metrics over the whole range, read at once; see `metric_value`."""
    definitions = [find_metric(name) for name in metrics]
    params = Params()
    source = _build_source(time_range, query, metrics, "", MINUTE_S, params)
    values = ", ".join(f"toFloat64({definition.formula.format(**source.parts)})" for definition in definitions)
    row = _run(store, f"SELECT {values} FROM ({source.rows}) {FINAL_SETTINGS}", project_id, time_range, params)[0]
    return {name: _number(value) for name, value in zip(metrics, row, strict=True)}


COUNT_UNPRICED = """
SELECT arrayJoin(unpriced_models) AS model, count() AS trace_count
FROM traces FINAL
WHERE {in_range} AND {matching}
GROUP BY model ORDER BY trace_count DESC, model LIMIT {{limit:UInt32}}
"""


def find_unpriced_models(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, limit: int = 20
) -> list[UnpricedModel]:
    """Return the models that used tokens and have no known price, the most used first."""
    params = Params()
    sql = COUNT_UNPRICED.format(in_range=IN_RANGE, matching=trace_predicate(query, params))
    rows = _run(store, sql, project_id, time_range, params, limit=limit)
    return [UnpricedModel(model, trace_count) for model, trace_count in rows]


def find_metric(name: str) -> Metric:
    """Return the metric of that name. Raises MetricError with a suggestion."""
    if name in METRICS:
        return METRICS[name]
    near = difflib.get_close_matches(name, METRICS, 1, 0.5)
    raise MetricError("metric", f"There is no metric {name!r}; there are {', '.join(METRICS)}.", near[0] if near else "")


def rollup_dimension(time_range: TimeRange, query: Query, metric: str, group_by: str, step_s: int) -> str | None:
    """Say which dimension of `rollups` holds exactly the answer that `traces` would give; None when none does.

    That takes whole minutes, a long range, and a query that only requires services, versions and environments to equal
    something, plus at most one agent, tool or error type. (`model:X` also asks the spans, so rollups cannot answer it.)
    """
    minute_ns = MINUTE_S * NS_PER_S
    whole_minutes = time_range.start_ns % minute_ns == 0 and time_range.end_ns % minute_ns == 0 and step_s % MINUTE_S == 0
    if not whole_minutes or time_range.duration_s < ROLLUPS_FROM_S or group_by not in {"", *_KEYS, *_DIMENSIONS}:
        return None
    demands = exact_demands(query)
    if demands is None or any(demand.field not in {*_KEYS.values(), *_DIMENSIONS} - {"model"} for demand in demands):
        return None
    demanded = [demand.field for demand in demands if demand.field in _DIMENSIONS]
    needed = {*demanded, *({group_by} & _DIMENSIONS), *({"tool"} if metric in _OF_TOOL else ())}
    if len(demanded) > 1 or len(needed) > 1 or (metric == "llm_calls" and needed - {"model"}):
        return None  # rows of one dimension know nothing of another; `calls` are calls of a model only in two of them
    if metric in _OF_TOOL and not demanded and group_by in _KEYS:
        return None  # a trace stands in the rows of each of its tools, so these cannot order groups by number of traces
    return next(iter(needed), "")


def _check_request(metric: str, group_by: str, time_range: TimeRange, step_s: int) -> None:
    if group_by and group_by not in GROUPINGS:
        field = find_field(group_by)  # `env` and `status` are names that queries use
        near = [name for name in GROUPINGS if field and find_field(name) == field]
        near = near or difflib.get_close_matches(group_by, GROUPINGS, 1, 0.5)
        raise MetricError(
            "group_by", f"Nothing is grouped by {group_by!r}; possible are {', '.join(GROUPINGS)}.", near[0] if near else ""
        )
    if metric == "reasoning_tokens" and group_by == "model":
        raise MetricError("group_by", "Reasoning tokens are known per trace, not per model.", "output_tokens")
    if step_s < 1:
        raise MetricError("step", "The step must be at least one second.")
    if time_range.duration_s / step_s > MAX_POINTS:
        raise MetricError(
            "step", f"A step of {step_s} s cuts this range into more than {MAX_POINTS} points.", f"{time_range.step_s()}"
        )


def _build_source(
    time_range: TimeRange, query: Query, metrics: Sequence[str], group_by: str, step_s: int, params: Params
) -> _Source:
    dimensions = {rollup_dimension(time_range, query, metric, group_by, step_s) for metric in metrics}
    dimension = dimensions.pop()
    if dimension is None or dimensions:
        return _raw_source(query, group_by, params)
    return _rolled_source(query, group_by, dimension, params)


def _raw_source(query: Query, group_by: str, params: Params) -> _Source:
    group_value = "''"
    if group_by:
        values = f"arrayDistinct({GROUPINGS[group_by]})"
        # `model:X` also finds traces that asked for X and were answered by another: their groups are not cut down to X.
        demanded = "" if group_by == "model" else value_predicate(query, _KEYS.get(group_by, group_by), "x", params)
        group_value = f"arrayJoin(arrayFilter(x -> {demanded}, {values}))" if demanded else f"arrayJoin({values})"
    tool = "name = group_value" if group_by == "tool" else value_predicate(query, "tool", "name", params) or "true"
    parts = _RAW | {
        "tool_calls": f"sum(arraySum((name, n) -> if({tool}, n, 0), tools.name, tools.calls))",
        "tool_errors": f"sum(arraySum((name, n) -> if({tool}, n, 0), tools.name, tools.errors))",
    }
    rows = f"""
    SELECT start_time, outcome, has_errors, escalated, duration_ns, cost_usd, input_tokens, output_tokens, cached_input_tokens,
        reasoning_tokens, llm_calls, span_count, tools.name, tools.calls, tools.errors, models.model, models.calls,
        models.input_tokens, models.output_tokens, models.cached_input_tokens, models.cost_usd, {group_value} AS group_value
    FROM traces FINAL
    WHERE {IN_RANGE} AND {trace_predicate(query, params)}
    """
    return _Source(rows, parts | (_RAW_OF_MODEL if group_by == "model" else {}), "toUnixTimestamp64Nano(start_time)")


def _rolled_source(query: Query, group_by: str, dimension: str, params: Params) -> _Source:
    conditions = [f"dimension = {params.bind(dimension, 'String')}"]
    for demand in exact_demands(query) or ():
        value = params.bind(demand.value, "String")
        if demand.field in ("service", "version"):
            conditions.append(f"has(splitByChar('\\x1f', {demand.field}), {value})")
        else:
            conditions.append(f"{'environment' if demand.field == 'env' else 'value'} = {value}")
    group_value = {"": "''", "environment": "toString(environment)"}.get(group_by, "toString(value)")
    if group_by in ("service", "version"):
        demanded = value_predicate(query, group_by, "x", params) or "true"
        group_value = f"arrayJoin(arrayFilter(x -> {demanded}, splitByChar('\\x1f', {group_by})))"
    rows = f"""
    SELECT bucket_start, requests, failures, escalations, error_traces, spans, input_tokens, output_tokens, cached_input_tokens,
        reasoning_tokens, cost_usd, calls, call_errors, duration_ns, {group_value} AS group_value
    FROM rollups FINAL
    WHERE project_id = {{project_id:UInt32}}
      AND bucket_start >= toDateTime(intDiv({{start_ns:Int64}}, {NS_PER_S}), 'UTC')
      AND bucket_start < toDateTime(intDiv({{end_ns:Int64}}, {NS_PER_S}), 'UTC')
      AND requests > 0 AND {" AND ".join(conditions)}
    """
    return _Source(rows, _ROLLED, f"toInt64(toUnixTimestamp(bucket_start)) * {NS_PER_S}")


def _run(store: Store, sql: str, project_id: int, time_range: TimeRange, params: Params, **more: int) -> list[tuple[Any, ...]]:
    times = {"start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    return store.query_rows(sql, project_id=project_id, **times, **more, **params.values)


def _fill(group: str, points: list[tuple[int, float | None]], time_range: TimeRange, step_s: int, empty: float | None) -> Series:
    step_ns = step_s * NS_PER_S
    found = {int(bucket_ns): _number(value) for bucket_ns, value in points}
    first_ns = time_range.start_ns - time_range.start_ns % step_ns
    return Series(group, [(at, found.get(at, empty)) for at in range(first_ns, time_range.end_ns, step_ns)])


def _number(value: float | None) -> float | None:
    """ClickHouse answers 0 / 0 and the percentile of nothing with NaN."""
    return None if value is None or math.isnan(value) else value
