"""SQL for the names in the formulas of metrics, over rows of traces, rollups, sessions or scores."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.language import Query
from tracestore.queries.conditions import Params
from tracestore.queries.rollups import PERCENTILES
from tracestore.queries.terms import value_predicate
from tracestore.statistics.buckets import BUCKET_SQL

_LEVELS = ", ".join(map(str, PERCENTILES))

# Columns that `traces` and rollups have under one name.
_SUMS = {
    name: f"sum({name})"
    for name in (
        "retried_calls", "looping_calls", "wasted_tokens", "unpriced_calls", "input_tokens", "output_tokens",
        "cached_input_tokens", "cache_creation_input_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens",
    )
} | {"tokens": "sum(input_tokens + output_tokens)", "wasted_cost": "sum(wasted_cost_usd)"}  # fmt: skip
RAW = _SUMS | {
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
    "looping_traces": "countIf(loops > 0)",
    "unpriced_traces": "countIf(notEmpty(unpriced_models))",
    "llm_calls": "sum(llm_calls)",
    "model_calls": "sum(llm_calls)",
    "model_errors": "sum(llm_errors)",
    "spans": "sum(span_count)",
}
ROLLED = _SUMS | {
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
    "looping_traces": "sum(looping_traces)",
    "unpriced_traces": "sum(unpriced_traces)",
    "llm_calls": "sum(calls)",
    "model_calls": "sum(calls)",
    "model_errors": "sum(call_errors)",
    "tool_calls": "sum(calls)",
    "tool_errors": "sum(call_errors)",
    "spans": "sum(spans)",
}
_SELLERS = {"model": "model", "provider": "provider"}  # grouping and field of the language -> name in _call_parts
COUNTED_BY_GROUP = {"tool", "kind", "model", "provider"}  # of what a trace counted, such a group counts its own part alone

SESSION_PARTS = {
    "requests": "count()",
    "resolved": "countIf(resolved)",
    "resolution_time": f"quantilesExactWeightedIf({_LEVELS})({BUCKET_SQL.format('lasted_ns')}, toUInt64(1), resolved)",
}
SCORE_PARTS = {"requests": "count()", "scores": "count()", "score_sum": "sum(score)"}


@dataclass(frozen=True)
class Source:
    """Rows to aggregate: `rows` is a subquery that yields group_value and what the `parts` of a formula read."""

    rows: str
    parts: dict[str, str]
    time_ns: str


def raw_parts(query: Query, group_by: str, params: Params) -> dict[str, str]:
    """Return the parts of formulas over `traces`, of the group alone where such a group counts its own part."""
    parts = RAW | _call_parts(query, group_by, params)
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
