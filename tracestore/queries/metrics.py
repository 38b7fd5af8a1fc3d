"""Numbers over time: one metric of the traces that match a query, by step and group.

Read from `traces`, or from `rollups` when those hold the same answer (see `rollup_dimension`). Percentiles are taken of numbers
of buckets on both ways (tracestore/buckets.py), so both give the same one, at most 0.5 % off.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracestore.buckets import BUCKET_SQL, SECONDS_SQL
from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.language.fields import find_field
from tracestore.model import Series
from tracestore.queries.predicates import IN_RANGE, REACH_DAYS, Params, trace_predicate
from tracestore.queries.rollups import HOUR_S, MINUTE_S, PERCENTILES, ROLLUP_COLUMNS, find_hours_end_ns
from tracestore.queries.scores import EFFECTIVE_SCORES
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
    """One number that can be asked for. `unit`: traces, ratio (0 to 1), s, USD, tokens, calls, sessions, users, spans, score(s).

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


def _percentiles(stem: str, label: str, what: str) -> list[Metric]:
    """Return a metric for each of PERCENTILES; {stem} is SQL for their buckets."""
    return [
        _ratio(f"{stem}_p{round(level * 100)}", f"{label} p{round(level * 100)}", "s",
               f"{'Half' if level == 0.5 else f'{level:.0%}'} of {what} Within 0.5%.",
               SECONDS_SQL.format(f"{{{stem}}}[{place}]"))
        for place, level in enumerate(PERCENTILES, 1)
    ]  # fmt: skip


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _count("requests", "Requests", "traces", "Traces that started."),
        _count("failures", "Failures", "traces", "Traces whose outcome is error."),
        _ratio("failure_rate", "Failure rate", "ratio", "Failures per request.", "{failures} / {requests}"),
        _ratio("success_rate", "Success rate", "ratio", "Traces whose outcome is ok, per trace that has ended.",
               "{successes} / ({successes} + {failures})"),
        _count("errors", "Traces with errors", "traces", "Traces in which some step has an error, failed or not."),
        _ratio("error_rate", "Rate of traces with errors", "ratio", "Traces with errors per request.", "{errors} / {requests}"),
        _count("escalations", "Escalations", "traces", "Traces that handed over to a human."),
        _ratio("escalation_rate", "Escalation rate", "ratio", "Escalations per request.", "{escalations} / {requests}"),
        _count("handoffs", "Hand-offs", "traces", "Traces in which an agent handed over to another agent."),
        _ratio("handoff_rate", "Hand-off rate", "ratio", "Hand-offs per request.", "{handoffs} / {requests}"),
        *_percentiles("duration", "Duration", "the finished traces took no longer."),
        *_percentiles("step_duration", "Step duration",
                      "the steps of any kind took no longer; with kind:X in the query, of steps of kind X alone."),
        *_percentiles("tool_duration", "Tool duration",
                      "the tool calls took no longer; with tool:X in the query, of calls of X alone."),
        *_percentiles("model_duration", "Model duration",
                      "the calls of models took no longer; with model:X or provider:X in the query, of calls of X alone."),
        *_percentiles("time_to_first_token", "Time to first token",
                      "the calls of models that tell of it had a first token by then; of X alone as above."),
        _count("cost", "Cost", "USD", "Cost of all model calls that have a price; those without one add nothing."),
        _ratio("cost_per_trace", "Cost per trace", "USD", "Cost per request.", "{cost} / {requests}"),
        _ratio("cost_per_session", "Cost per session", "USD", "Cost of traces that name a session, per session.",
               "{session_cost} / {sessions}"),
        _ratio("cost_per_user", "Cost per user", "USD", "Cost of traces that name a user, per user.", "{user_cost} / {users}"),
        _count("failed_cost", "Cost of failures", "USD", "Cost of the traces whose outcome is error."),
        _count("retried_calls", "Retried calls", "calls",
               "Calls of a tool or model that repeat one that had failed: the same arguments, or the same model."),
        _count("looping_calls", "Looping calls", "calls",
               "Calls of a tool with the same arguments as one before, in a loop of three and more."),
        _count("looping_traces", "Traces with a loop", "traces", "Traces in which an agent called a tool over and over."),
        _count("wasted_tokens", "Wasted tokens", "tokens", "Tokens that retries and loops used."),
        _count("wasted_cost", "Wasted cost", "USD", "Cost of retries and loops; calls without a price add nothing."),
        _ratio("wasted_cost_share", "Share of wasted cost", "ratio", "Wasted cost per cost.", "{wasted_cost} / {cost}"),
        _count("unpriced_traces", "Traces with unpriced calls", "traces", "Traces in which tokens were used that have no price."),
        _count("unpriced_calls", "Unpriced model calls", "calls", "Model calls that used tokens and have no price."),
        _count("tokens", "Tokens", "tokens", "Input and output tokens."),
        _count("input_tokens", "Input tokens", "tokens", "Tokens sent to models, cached ones included."),
        _count("output_tokens", "Output tokens", "tokens", "Tokens written by models, reasoning included."),
        _count("cached_input_tokens", "Cached input tokens", "tokens", "Input tokens that were read from a prompt cache."),
        _count("cache_creation_input_tokens", "Cache creation tokens", "tokens", "Input tokens written to a prompt cache."),
        _count("reasoning_tokens", "Reasoning tokens", "tokens", "Output tokens spent on reasoning."),
        _count("input_audio_tokens", "Audio input tokens", "tokens", "Input tokens that are audio."),
        _count("output_audio_tokens", "Audio output tokens", "tokens", "Output tokens that are audio."),
        _count("tool_calls", "Tool calls", "calls", "Tool calls; with tool:X in the query, calls of X alone."),
        _count("tool_errors", "Tool errors", "calls", "Tool calls that raised; with tool:X in the query, those of X alone."),
        _ratio("tool_success_rate", "Tool success rate", "ratio", "Tool calls that did not raise, per tool call.",
               "1 - {tool_errors} / {tool_calls}"),
        _ratio("tool_run_success_rate", "Runs without a failed tool call", "ratio",
               "Traces in which no tool call raised, per trace that called one; with tool:X in the query, of calls of X alone.",
               "1 - {failed_tool_runs} / {tool_runs}"),
        _count("llm_calls", "Model calls", "calls", "Calls of language models."),
        _count("model_errors", "Failed model calls", "calls",
               "Calls of language models that failed; with model:X or provider:X in the query, calls of X alone."),
        _ratio("model_error_rate", "Model error rate", "ratio",
               "Failed model calls per model call; 1 when the model's API fails entirely.", "{model_errors} / {model_calls}"),
        _count("sessions", "Sessions", "sessions", "Different sessions."),
        _count("users", "Users", "users", "Different users."),
        _ratio("resolution_rate", "Resolution rate", "ratio",
               "Sessions that never went to a person and whose last trace is ok, per session.", "{resolved} / {requests}"),
        *_percentiles("resolution_time", "Time to resolution",
                      "such sessions took no longer from their first trace's start to their last one's end."),
        _count("scores", "Scores", "scores", "Evaluation results with a number, by people or machines."),
        _ratio("score_mean", "Mean score", "score", "Mean of the scores; group by score to tell evaluations apart.",
               "{score_sum} / {scores}"),
        _count("spans", "Spans", "spans", "Steps of all traces."),
    )
}  # fmt: skip

# The values by which one trace counts. A trace with two tools counts in both groups; one without any tool, agent, model,
# workflow or error type counts in no group of that kind, while one without a version, or escalated for no reason, is in group "".
GROUPINGS: dict[str, str] = {
    "version": "if(empty(versions), [''], arrayMap(x -> toString(x), versions))",
    "tool": "arrayMap(x -> toString(x), tools.name)",
    "error": "arrayMap(x -> toString(x), error_types)",
    "agent": "arrayMap(x -> toString(x), agents)",
    "model": "arrayMap(x -> toString(x), models.model)",
    "provider": "arrayMap(x -> toString(x), arrayFilter(x -> x != '', models.provider))",
    "kind": "arrayMap(x -> toString(x), steps.kind)",
    "service": "if(empty(services), [''], arrayMap(x -> toString(x), services))",
    "environment": "[toString(environment)]",
    "outcome": "[toString(outcome)]",
    "workflow": "arrayMap(x -> toString(x), workflows)",
    "prompt": "arrayMap(x -> toString(x), prompts)",
    "user": "if(user_id = '', [], [user_id])",
    "session": "if(session_id = '', [], [session_id])",
    "escalation_reason": "if(escalated AND empty(escalation_reasons), [''], arrayMap(x -> toString(x), escalation_reasons))",
    "handoff_reason": "if(handed_over AND empty(handoff_reasons), [''], arrayMap(x -> toString(x), handoff_reasons))",
    "unpriced_model": "arrayMap(x -> toString(x), unpriced_models)",
    "score": "[score_name]",  # of scores alone
}
# Groupings that may have as many groups as there are traces -> their column.
_MANY = {"user": "user_id", "session": "session_id"}

_LEVELS = ", ".join(map(str, PERCENTILES))


_RAW = {
    "requests": "count()",
    "failures": "countIf(outcome = 'error')",
    "successes": "countIf(outcome = 'ok')",
    "errors": "countIf(has_errors)",
    "escalations": "countIf(escalated)",
    "handoffs": "countIf(handed_over)",
    "duration": f"quantilesExactWeightedIf({_LEVELS})({BUCKET_SQL.format('duration_ns')}, toUInt64(1), outcome != 'running')",
    "cost": "sum(ifNull(cost_usd, 0))",
    "failed_cost": "sumIf(ifNull(cost_usd, 0), outcome = 'error')",
    "session_cost": "sumIf(ifNull(cost_usd, 0), session_id != '')",
    "user_cost": "sumIf(ifNull(cost_usd, 0), user_id != '')",
    "sessions": "uniqExactIf(session_id, session_id != '')",
    "users": "uniqExactIf(user_id, user_id != '')",
    "retried_calls": "sum(retried_calls)",
    "looping_calls": "sum(looping_calls)",
    "looping_traces": "countIf(loops > 0)",
    "wasted_tokens": "sum(wasted_tokens)",
    "wasted_cost": "sum(wasted_cost_usd)",
    "unpriced_traces": "countIf(notEmpty(unpriced_models))",
    "unpriced_calls": "sum(unpriced_calls)",
    "tokens": "sum(input_tokens + output_tokens)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cached_input_tokens": "sum(cached_input_tokens)",
    "cache_creation_input_tokens": "sum(cache_creation_input_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "input_audio_tokens": "sum(input_audio_tokens)",
    "output_audio_tokens": "sum(output_audio_tokens)",
    "llm_calls": "sum(llm_calls)",
    "model_calls": "sum(llm_calls)",
    "model_errors": "sum(llm_errors)",
    "spans": "sum(span_count)",
}
_ROLLED = {
    "requests": "sum(requests)",
    "failures": "sum(failures)",
    "successes": "sum(successes)",
    "errors": "sum(error_traces)",
    "escalations": "sum(escalations)",
    "handoffs": "sum(handovers)",
    "duration": f"quantilesExactWeightedMerge({_LEVELS})(durations)",
    "tool_duration": f"quantilesExactWeightedMerge({_LEVELS})(call_durations)",
    "model_duration": f"quantilesExactWeightedMerge({_LEVELS})(call_durations)",
    "time_to_first_token": f"quantilesExactWeightedMerge({_LEVELS})(first_tokens)",
    "cost": "sum(cost_usd)",
    "failed_cost": "sum(failed_cost_usd)",
    "retried_calls": "sum(retried_calls)",
    "looping_calls": "sum(looping_calls)",
    "looping_traces": "sum(looping_traces)",
    "wasted_tokens": "sum(wasted_tokens)",
    "wasted_cost": "sum(wasted_cost_usd)",
    "unpriced_traces": "sum(unpriced_traces)",
    "unpriced_calls": "sum(unpriced_calls)",
    "tokens": "sum(input_tokens + output_tokens)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cached_input_tokens": "sum(cached_input_tokens)",
    "cache_creation_input_tokens": "sum(cache_creation_input_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "input_audio_tokens": "sum(input_audio_tokens)",
    "output_audio_tokens": "sum(output_audio_tokens)",
    "llm_calls": "sum(calls)",
    "model_calls": "sum(calls)",
    "model_errors": "sum(call_errors)",
    "tool_calls": "sum(calls)",
    "tool_errors": "sum(call_errors)",
    "spans": "sum(spans)",
}
_OF_TOOL = {name for name in METRICS if name.startswith("tool_")}
_OF_MODEL = {name for name in METRICS if name.startswith(("model_", "time_to_first_token_"))} | {"llm_calls"}
# Rollups know no steps, and different sessions and users do not add up.
_OF_SESSION = {name for name in METRICS if name.startswith("resolution_")}
_OF_SCORE = {"scores", "score_mean"}
READ_APART = frozenset(_OF_SESSION | _OF_SCORE)  # made of sessions or scores instead of traces, by reads of their own
_ONLY_RAW = {
    *(name for name in METRICS if name.startswith("step_")), "sessions", "users", "cost_per_session", "cost_per_user",
    "tool_run_success_rate", *_OF_SESSION, *_OF_SCORE,
}  # fmt: skip
_OF_WHOLE_TRACE = {
    "reasoning_tokens", "cache_creation_input_tokens", "input_audio_tokens", "output_audio_tokens", "unpriced_calls",
    "retried_calls", "looping_calls", "wasted_tokens", "wasted_cost", "wasted_cost_share",
}  # fmt: skip
# What to ask for instead of what is known of whole traces alone.
_KNOWN_BY_MODEL = {
    "unpriced_calls": "unpriced_model", "retried_calls": "model_errors", "looping_calls": "llm_calls", "wasted_cost": "cost",
    "wasted_cost_share": "cost",
}  # fmt: skip
_SELLERS = {"model": "model", "provider": "provider"}  # grouping and field of the language -> name in _call_parts
_TRACE_TIME = "toUnixTimestamp64Nano(start_time)"
_KEYS = {"service": "service", "version": "version", "environment": "env"}  # grouping -> field of the language
_DIMENSIONS = {"agent", "model", "tool", "error", "workflow"}
# `model:X` also finds traces that asked for X and were answered by another, and `prompt:X` any version of X: their groups are not
# cut down to X.
_NOT_CUT_DOWN = {"model", "prompt"}
_COUNTED_BY_GROUP = {"tool", "kind", "model", "provider"}  # of what a trace counted, such a group counts its own part alone
_IN_ROLLED_RANGE = (
    f"project_id = {{project_id:UInt32}} AND bucket_start >= toDateTime(intDiv({{start_ns:Int64}}, {NS_PER_S}), 'UTC')"
    f" AND bucket_start < toDateTime(intDiv({{end_ns:Int64}}, {NS_PER_S}), 'UTC')"
)

_SESSION_PARTS = {
    "requests": "count()",
    "resolved": "countIf(resolved)",
    "resolution_time": f"quantilesExactWeightedIf({_LEVELS})({BUCKET_SQL.format('lasted_ns')}, toUInt64(1), resolved)",
}
_SCORE_PARTS = {"requests": "count()", "scores": "count()", "score_sum": "sum(score)"}
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

HOURS_FROM_S = 36 * 3600  # below this there are few minutes enough


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
    source = _build_source(store, project_id, time_range, query, (metric,), group_by, step_s, max_groups, params)
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
    found: dict[str, float | None] = {}
    for together in _split_by_source(metrics):
        params = Params()
        source = _build_source(store, project_id, time_range, query, together, "", 0, 1, params)
        values = ", ".join(f"toFloat64({find_metric(name).formula.format(**source.parts)})" for name in together)
        row = _run(store, f"SELECT {values} FROM ({source.rows}) {FINAL_SETTINGS}", project_id, time_range, params)[0]
        found |= {name: number(value) for name, value in zip(together, row, strict=True)}
    return {name: found[name] for name in metrics}


def _split_by_source(metrics: Sequence[str]) -> list[list[str]]:
    """Return the metrics in groups that one statement can read. Raises MetricError."""
    names = [find_metric(name).name for name in metrics]
    together = (
        [name for name in names if name not in _OF_SESSION | _OF_SCORE],
        [name for name in names if name in _OF_SESSION],
        [name for name in names if name in _OF_SCORE],
    )
    return [group for group in together if group]


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
    if metric in _ONLY_RAW:
        return None
    demands = exact_demands(query)
    if demands is None or any(demand.field not in {*_KEYS.values(), *_DIMENSIONS} - {"model"} for demand in demands):
        return None
    demanded = [demand.field for demand in demands if demand.field in _DIMENSIONS]
    needed = {*demanded, *({group_by} & _DIMENSIONS), *({"tool"} if metric in _OF_TOOL else ())}
    if len(demanded) > 1 or len(needed) > 1 or (metric in _OF_MODEL and needed - {"model"}):
        return None  # rows of one dimension know nothing of another; `calls` are calls of a model only in two of them
    if metric in _OF_TOOL and not demanded and group_by in _KEYS:
        return None  # a trace stands in the rows of each of its tools, so these cannot order groups by number of traces
    return next(iter(needed), "")


@dataclass(frozen=True)
class Reading:
    """How one metric of a query is read: rows of `table` within `in_range` that meet `condition`, added up by `parts`."""

    table: str
    in_range: str
    condition: str
    parts: dict[str, str]


def measure_apart(store: Store, *, project_id: int, time_range: TimeRange, query: Query, metric: str) -> tuple[float | None, int]:
    """Return one of READ_APART over the whole range, and how many sessions or scores it is made of."""
    params = Params()
    source = _build_source(store, project_id, time_range, query, (metric,), "", 0, 1, params)
    value = find_metric(metric).formula.format(**source.parts)
    sql = f"SELECT toFloat64({value}), toUInt64({source.parts['requests']}) FROM ({source.rows}) {FINAL_SETTINGS}"
    found, samples = _run(store, sql, project_id, time_range, params)[0]
    return number(found), int(samples)


def group_apart(
    store: Store,
    *,
    project_id: int,
    time_range: TimeRange,
    query: Query,
    metric: str,
    group_by: str,
    descending: bool,
    limit: int,
) -> list[tuple[str, float | None, int]]:
    """Return (group, value, samples) of one of READ_APART by one field, the greatest values first (or the least)."""
    params = Params()
    source = _build_source(store, project_id, time_range, query, (metric,), group_by, 0, limit, params)
    sql = f"""
SELECT group_value, toFloat64({find_metric(metric).formula.format(**source.parts)}) AS value,
    toUInt64({source.parts["requests"]}) AS samples
FROM ({source.rows})
GROUP BY group_value
ORDER BY value {"DESC" if descending else "ASC"} NULLS LAST, samples DESC, group_value
LIMIT {params.bind(limit, "UInt32")}
{FINAL_SETTINGS}
"""
    rows = _run(store, sql, project_id, time_range, params)
    return [(str(group), number(value), int(samples)) for group, value, samples in rows]


def find_reading(time_range: TimeRange, query: Query, metric: str, params: Params) -> Reading:
    """Return how `metric` without groups is read, so that several may share one read. Raises MetricError."""
    if find_metric(metric).name in READ_APART:
        raise MetricError(
            "metric", f"{METRICS[metric].label} is made of sessions or scores: it cannot be read with other metrics."
        )
    dimension = rollup_dimension(time_range, query, metric, "", MINUTE_S)
    if dimension is None:
        return Reading("traces", IN_RANGE, trace_predicate(query, params), _raw_parts(query, "", params))
    return Reading("rollups", f"{_IN_ROLLED_RANGE} AND requests > 0", _rolled_conditions(query, dimension, params), _ROLLED)


def grouped_reading(query: Query, group_by: Sequence[str], params: Params) -> tuple[str, list[str], dict[str, str]]:
    """Return the condition on traces, an array of the values of each field, and the parts over `group0`, `group1`, ...

    Raises MetricError for a field by which traces are not grouped.
    """
    condition = trace_predicate(query, params)
    parts, values = _raw_parts(query, "", params), []
    for index, field in enumerate(group_by):
        check_grouping(field)
        if field == "score":
            raise MetricError("group_by", "Only scores are grouped by the name of their evaluation.")
        array = f"arrayDistinct({GROUPINGS[field]})"
        demanded = "" if field in _NOT_CUT_DOWN else value_predicate(query, _KEYS.get(field, field), "x", params)
        values.append(f"arrayFilter(x -> {demanded}, {array})" if demanded else array)
        if field in _COUNTED_BY_GROUP:
            of_group = _raw_parts(query, field, params)
            parts |= {
                name: part.replace("group_value", f"group{index}") for name, part in of_group.items() if "group_value" in part
            }
    return condition, values, parts


def check_grouped(metric: str, group_by: str) -> None:
    """Raises MetricError, with a suggestion, when this metric is not grouped by that field."""
    check_grouping(group_by)
    if group_by == "score" and metric not in _OF_SCORE:
        raise MetricError("group_by", "Only scores are grouped by the name of their evaluation.")
    if metric in _OF_WHOLE_TRACE and group_by in ("model", "provider"):
        suggestion = _KNOWN_BY_MODEL.get(metric, "output_tokens")
        raise MetricError("group_by", f"{METRICS[metric].label} are known per trace, not per {group_by}.", suggestion)


def _check_request(metric: str, group_by: str, time_range: TimeRange, step_s: int) -> None:
    if group_by:
        check_grouped(metric, group_by)
    if step_s < 1:
        raise MetricError("step", "The step must be at least one second.")
    if time_range.duration_s / step_s > MAX_POINTS:
        raise MetricError(
            "step", f"A step of {step_s} s cuts this range into more than {MAX_POINTS} points.", f"{time_range.step_s()}"
        )


def check_grouping(field: str) -> None:
    """Raises MetricError, with a suggestion, when nothing is grouped by that field."""
    if field not in GROUPINGS:
        known = find_field(field)  # `env` and `status` are names that queries use
        near = [name for name in GROUPINGS if known and find_field(name) == known]
        near = near or difflib.get_close_matches(field, GROUPINGS, 1, 0.5)
        raise MetricError(
            "group_by", f"Nothing is grouped by {field!r}; possible are {', '.join(GROUPINGS)}.", near[0] if near else ""
        )


def _build_source(
    store: Store, project_id: int, time_range: TimeRange, query: Query, metrics: Sequence[str], group_by: str, step_s: int,
    max_groups: int, params: Params,
) -> _Source:  # fmt: skip
    if metrics[0] in _OF_SESSION:
        return _session_source(query, group_by, params)
    if metrics[0] in _OF_SCORE:
        return _score_source(query, group_by, params)
    dimensions = {rollup_dimension(time_range, query, metric, group_by, step_s) for metric in metrics}
    dimension = dimensions.pop()
    if dimension is None or dimensions:
        return _raw_source(query, group_by, max_groups, params)
    hours = TimeRange(0, 1)
    if time_range.duration_s >= HOURS_FROM_S and step_s % HOUR_S == 0:
        hours = _whole_hours(time_range, find_hours_end_ns(store, project_id=project_id))
    return _rolled_source(query, group_by, dimension, hours, params)


def _whole_hours(time_range: TimeRange, until_ns: int) -> TimeRange:
    """Return the hours that lie within the range and end by then; one ns of 1970 when there is none."""
    hour_ns = HOUR_S * NS_PER_S
    first_ns, last_ns = -(-time_range.start_ns // hour_ns) * hour_ns, min(time_range.end_ns, until_ns) // hour_ns * hour_ns
    return TimeRange(first_ns, last_ns) if first_ns < last_ns else TimeRange(0, 1)


def apart_by_moment(query: Query, metric: str, group_by: str, moments: str, params: Params) -> tuple[str, dict[str, str]]:
    """Return rows and parts of one of READ_APART, each trace counted at every of `moments`, SQL for an array over start_time.

    The rows are a subquery over a range, with `moment` and `group_value`. A session is what lies in one moment's window alone.
    Raises MetricError.
    """
    if group_by:
        check_grouped(metric, group_by)
    build = _session_source if metric in _OF_SESSION else _score_source
    source = build(query, group_by, params, f"arrayJoin({moments})")
    return source.rows, source.parts


def _session_source(query: Query, group_by: str, params: Params, moment: str = "0") -> _Source:
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
    return _Source(rows, _SESSION_PARTS, "toUnixTimestamp64Nano(began)")


def _score_source(query: Query, group_by: str, params: Params, moment: str = "0") -> _Source:
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
    return _Source(rows, _SCORE_PARTS, _TRACE_TIME)


def _raw_source(query: Query, group_by: str, max_groups: int, params: Params) -> _Source:
    group_value = "''"
    matching = trace_predicate(query, params)
    if group_by:
        values = f"arrayDistinct({GROUPINGS[group_by]})"
        demanded = "" if group_by in _NOT_CUT_DOWN else value_predicate(query, _KEYS.get(group_by, group_by), "x", params)
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
    return _Source(rows, _raw_parts(query, group_by, params), _TRACE_TIME)


def _raw_parts(query: Query, group_by: str, params: Params) -> dict[str, str]:
    parts = _RAW | _call_parts(query, group_by, params)
    return parts | (_parts_of_seller(group_by) if group_by in _SELLERS else {})


def _call_parts(query: Query, group_by: str, params: Params) -> dict[str, str]:
    """Return what is counted of single calls and steps: of all, or of those that the group or the query names."""
    tool = "name = group_value" if group_by == "tool" else value_predicate(query, "tool", "name", params) or "true"
    kind = "name = group_value" if group_by == "kind" else value_predicate(query, "kind", "name", params) or "true"
    parts = {
        "tool_calls": f"sum(arraySum((name, n) -> if({tool}, n, 0), tools.name, tools.calls))",
        "tool_errors": f"sum(arraySum((name, n) -> if({tool}, n, 0), tools.name, tools.errors))",
        "tool_runs": f"countIf(arrayExists((name, n) -> {tool} AND n > 0, tools.name, tools.calls))",
        "failed_tool_runs": f"countIf(arrayExists((name, n) -> {tool} AND n > 0, tools.name, tools.errors))",
        "tool_duration": _percentiles_of(f"arrayFilter((ds, name) -> {tool}, tools.durations, tools.name)"),
        "step_duration": _percentiles_of(f"arrayFilter((ds, name) -> {kind}, steps.durations, steps.kind)"),
        "model_duration": _percentiles_of("models.durations"),
        "time_to_first_token": _percentiles_of("models.first_tokens"),
    }
    conditions = [f"{_SELLERS[group_by]} = group_value"] if group_by in _SELLERS else []
    conditions += [
        f"({condition})" for field, name in _SELLERS.items() if (condition := value_predicate(query, field, name, params))
    ]
    if conditions:
        sold = " AND ".join(conditions)
        arrays = "models.model, models.provider"
        parts |= {
            "model_calls": f"sum(arraySum((n, model, provider) -> if({sold}, n, 0), models.calls, {arrays}))",
            "model_errors": f"sum(arraySum((n, model, provider) -> if({sold}, n, 0), models.errors, {arrays}))",
            "model_duration": _percentiles_of(f"arrayFilter((ds, model, provider) -> {sold}, models.durations, {arrays})"),
            "time_to_first_token": _percentiles_of(
                f"arrayFilter((ds, model, provider) -> {sold}, models.first_tokens, {arrays})"
            ),
        }
    return parts


def _percentiles_of(lists: str) -> str:
    values = f"arrayFlatten({lists})"
    return f"quantilesExactWeightedArray({_LEVELS})({values}, arrayResize([toUInt64(1)], length({values}), 1))"


def _parts_of_seller(group_by: str) -> dict[str, str]:
    """Return what one model or provider used, for groups by it."""
    names = f"models.{group_by}"

    def used(column: str, value: str = "n") -> str:
        return f"arraySum((name, n) -> if(name = group_value, {value}, 0), {names}, models.{column})"

    cost = used("cost_usd", "ifNull(n, 0)")
    return {
        "cost": f"sum({cost})",
        "failed_cost": f"sumIf({cost}, outcome = 'error')",
        "session_cost": f"sumIf({cost}, session_id != '')",
        "user_cost": f"sumIf({cost}, user_id != '')",
        "llm_calls": f"sum({used('calls')})",
        "tokens": f"sum({used('input_tokens')} + {used('output_tokens')})",
        "input_tokens": f"sum({used('input_tokens')})",
        "output_tokens": f"sum({used('output_tokens')})",
        "cached_input_tokens": f"sum({used('cached_input_tokens')})",
    }


def _rolled_conditions(query: Query, dimension: str, params: Params) -> str:
    conditions = [f"dimension = {params.bind(dimension, 'String')}"]
    for demand in exact_demands(query) or ():
        value = params.bind(demand.value, "String")
        if demand.field in ("service", "version"):
            conditions.append(f"has(splitByChar('\\x1f', {demand.field}), {value})")
        else:
            conditions.append(f"{'environment' if demand.field == 'env' else 'value'} = {value}")
    return " AND ".join(conditions)


def _rolled_source(query: Query, group_by: str, dimension: str, hours: TimeRange, params: Params) -> _Source:
    """Read hours where they may be, and minutes for the rest of the range."""
    conditions = _rolled_conditions(query, dimension, params)
    group_value = {"": "''", "environment": "toString(environment)"}.get(group_by, "toString(value)")
    if group_by in ("service", "version"):
        demanded = value_predicate(query, group_by, "x", params) or "true"
        group_value = f"arrayJoin(arrayFilter(x -> {demanded}, splitByChar('\\x1f', {group_by})))"
    ends = [f"toDateTime({params.bind(ns // NS_PER_S, 'UInt32')}, 'UTC')" for ns in (hours.start_ns, hours.end_ns)]
    in_hours = f"bucket_start >= {ends[0]} AND bucket_start < {ends[1]}"
    parts = [("rollups", f"NOT ({in_hours})"), *([("rollups_hourly", in_hours)] if hours.end_ns > 1 else [])]
    rows = " UNION ALL ".join(
        f"""
    SELECT bucket_start, {ROLLUP_COLUMNS}, {group_value} AS group_value
    FROM {table} FINAL
    WHERE {_IN_ROLLED_RANGE} AND {part} AND requests > 0 AND {conditions}
    """
        for table, part in parts
    )
    return _Source(rows, _ROLLED, f"toInt64(toUnixTimestamp(bucket_start)) * {NS_PER_S}")


def _run(store: Store, sql: str, project_id: int, time_range: TimeRange, params: Params, **more: int) -> list[tuple[Any, ...]]:
    times = {"start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    return store.query_rows(sql, project_id=project_id, **times, **more, **params.values)


def _fill(group: str, points: list[tuple[int, float | None]], time_range: TimeRange, step_s: int, empty: float | None) -> Series:
    step_ns = step_s * NS_PER_S
    found = {int(bucket_ns): number(value) for bucket_ns, value in points}
    first_ns = time_range.start_ns - time_range.start_ns % step_ns
    return Series(group, [(at, found.get(at, empty)) for at in range(first_ns, time_range.end_ns, step_ns)])


def number(value: float | None) -> float | None:
    """ClickHouse answers 0 / 0 and the percentile of nothing with NaN."""
    return None if value is None or math.isnan(value) else value
