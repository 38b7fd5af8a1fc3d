"""Two cohorts of traces in numbers: rates, means and quantiles of both, and what is certain about their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.terms import value_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.queries.why.comparison import Comparison, find_differences
from tracestore.queries.why.sides import Selection
from tracestore.statistics.samples import (
    CONFIDENCE,
    Interval,
    clustered_share_interval,
    combine,
    mean_difference,
    mean_interval,
    quantile_ranks,
    share_interval,
)
from tracestore.timerange import TimeRange

Rise = Literal["better", "worse", "neutral"]

# `other` is the predicate of the other cohort; the sums over `calls` and `failed` are of the tool calls of one trace.
COUNT_COHORT = f"""
SELECT count() AS traces, countIf(is_shared) AS shared, countIf(outcome = 'error') AS failures,
    countIf(has_errors) AS with_errors,
    countIf(escalated) AS escalations, countIf(outcome != 'running') AS finished, countIf(isNotNull(cost_usd)) AS priced,
    avg(tokens) AS token_mean, varSamp(tokens) AS token_variance,
    avgIf(ifNull(cost_usd, 0), isNotNull(cost_usd)) AS cost_mean,
    varSampIf(ifNull(cost_usd, 0), isNotNull(cost_usd)) AS cost_variance,
    avg(llm_calls) AS llm_call_mean, varSamp(llm_calls) AS llm_call_variance,
    avg(span_count) AS span_mean, varSamp(span_count) AS span_variance,
    countIf(calls > 0) AS tool_traces, sum(calls) AS tool_calls, sum(calls - failed) AS tool_successes,
    sum(calls * calls) AS tool_calls_squared,
    sum((calls - failed) * (calls - failed)) AS tool_successes_squared,
    sum(calls * (calls - failed)) AS tool_products
FROM
(
    SELECT outcome, has_errors, escalated, cost_usd, llm_calls, span_count, %(other)s AS is_shared,
        toFloat64(input_tokens + output_tokens) AS tokens,
        toFloat64(arraySum((name, n) -> if(%(tool)s, n, 0), `tools.name`, `tools.calls`)) AS calls,
        toFloat64(arraySum((name, n) -> if(%(tool)s, n, 0), `tools.name`, `tools.errors`)) AS failed
    FROM traces FINAL
    WHERE {IN_RANGE} AND %(cohort)s
)
{FINAL_SETTINGS}
"""
# Levels are numbers of ours; an aggregate function takes its parameters as literals.
RANK_DURATIONS = f"""
SELECT quantilesExactIf(%(levels)s)(duration_ns, outcome != 'running')
FROM traces FINAL
WHERE {IN_RANGE} AND %(cohort)s
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class _Counts:
    """A row of COUNT_COHORT. Means and variances of nothing are NaN."""

    traces: int
    shared: int
    failures: int
    with_errors: int
    escalations: int
    finished: int
    priced: int
    token_mean: float
    token_variance: float
    cost_mean: float
    cost_variance: float
    llm_call_mean: float
    llm_call_variance: float
    span_mean: float
    span_variance: float
    tool_traces: int
    tool_calls: float
    tool_successes: float
    tool_calls_squared: float
    tool_successes_squared: float
    tool_products: float


@dataclass(frozen=True)
class CohortMetric:
    """One number of cohorts A and B with 95 % intervals, None where a cohort has no such number; `difference` is B - A.

    `certain` is the difference at a level divided by the number of metrics (Bonferroni's inequality); `is_significant` says that
    it leaves out zero. `rise` says what it means that B has more. `unit`: ratio (0 to 1), ns, USD, tokens, calls or spans.
    `a_samples` and `b_samples` are the traces that have such a number.
    """

    name: str
    label: str
    unit: str
    rise: Rise
    a: Interval | None
    b: Interval | None
    difference: Interval | None
    certain: Interval | None
    a_samples: int
    b_samples: int

    @property
    def is_significant(self) -> bool:
        return bool(self.certain and self.certain.excludes_zero)


@dataclass(frozen=True)
class CohortComparison:
    """How many traces each cohort has, how many belong to both, and their metrics."""

    a_traces: int
    b_traces: int
    shared: int
    metrics: list[CohortMetric]


@dataclass(frozen=True)
class _Cohort:
    """What is known of one cohort: its counts, and its durations in ns by rank."""

    counts: _Counts
    durations: dict[int, int]

    def quantile(self, part: float, confidence: float) -> Interval | None:
        """The duration below which that part of the finished traces lies, bounded by order statistics."""
        if not self.counts.finished:
            return None
        low, high = quantile_ranks(self.counts.finished, part, confidence)
        return Interval(
            float(self.durations[_middle_rank(self.counts.finished, part)]),
            None if low is None else float(self.durations[low]),
            None if high is None else float(self.durations[high]),
        )


_QUANTILES = (("duration_p50", "Duration p50", 0.5), ("duration_p95", "Duration p95", 0.95))
_SHARES = (
    ("failure_rate", "Failure rate", "failures"),
    ("error_rate", "Traces with errors", "with_errors"),
    ("escalation_rate", "Escalation rate", "escalations"),
)
_MEANS: tuple[tuple[str, str, str, Rise, str, str], ...] = (
    ("cost_per_trace", "Cost per trace", "USD", "worse", "cost", "priced"),
    ("tokens_per_trace", "Tokens per trace", "tokens", "neutral", "token", "traces"),
    ("llm_calls_per_trace", "Model calls per trace", "calls", "neutral", "llm_call", "traces"),
    ("spans_per_trace", "Spans per trace", "spans", "neutral", "span", "traces"),
)
_COMPARED_FIELDS = ("error", "tool_error", "tool", "model", "agent", "prompt", "workflow", "provider", "rule", "env", "service")
# Metric -> column of COUNT_COHORT that counts the traces which have it.
_SAMPLES = {
    **{name: "traces" for name, _, _ in _SHARES},
    "tool_success_rate": "tool_traces",
    **{name: "finished" for name, _, _ in _QUANTILES},
    **{name: number for name, _, _, _, _, number in _MEANS},
}
COHORT_METRICS = tuple(_SAMPLES)


def strict_confidence(metrics: int) -> float:
    """Return the level of each interval when so many are looked at together (Bonferroni's inequality)."""
    return 1 - (1 - CONFIDENCE) / metrics


def compare_cohorts(
    store: Store, *, project_id: int, time_range: TimeRange, a: Query, b: Query, only: Sequence[str] = COHORT_METRICS
) -> CohortComparison:
    """Compare the traces of the range that match `a` with those that match `b`, which may overlap, in the metrics `only`.

    Intervals take the two as independent. Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    confidence = strict_confidence(len(only))
    one = _read_cohort(store, project_id, time_range, a, b, confidence)
    other = _read_cohort(store, project_id, time_range, b, a, confidence)
    usual, strict = (_build_metrics(one, other, level) for level in (CONFIDENCE, confidence))
    metrics = [
        CohortMetric(
            *metric,
            certain=sure[-1],
            a_samples=getattr(one.counts, _SAMPLES[metric[0]]),
            b_samples=getattr(other.counts, _SAMPLES[metric[0]]),
        )
        for metric, sure in zip(usual, strict, strict=True)
        if metric[0] in only
    ]
    return CohortComparison(one.counts.traces, other.counts.traces, one.counts.shared, metrics)


def find_cohort_differences(store: Store, *, project_id: int, time_range: TimeRange, a: Query, b: Query) -> Comparison:
    """Compare what cohort B, as the selection, and cohort A use and how they fail. Raises as `compare_cohorts`."""
    return find_differences(
        store, project_id=project_id, time_range=time_range, selection=Selection(b), against=a, fields=_COMPARED_FIELDS,
        numbers=False, pairs=False, min_support=1,
    )  # fmt: skip


def _read_cohort(store: Store, project_id: int, time_range: TimeRange, query: Query, other: Query, confidence: float) -> _Cohort:
    params = Params()
    tool = value_predicate(query, "tool", "name", params) or "true"
    cohort = trace_predicate(query, params)
    sql = COUNT_COHORT % {"cohort": cohort, "other": trace_predicate(other, params), "tool": tool}
    scope = {"project_id": project_id, "start_ns": time_range.start_ns, "end_ns": time_range.end_ns}
    [counts] = store.query(sql, _Counts, **scope, **params.values)
    ranks = sorted(_wanted_ranks(counts.finished, confidence))
    durations: list[int] = []
    if ranks:
        # The function takes the value at the whole part of level x number.
        levels = ", ".join(f"{(rank - 0.5) / counts.finished:.12f}" for rank in ranks)
        [(durations,)] = store.query_rows(RANK_DURATIONS % {"cohort": cohort, "levels": levels}, **scope, **params.values)
    return _Cohort(counts, dict(zip(ranks, durations, strict=True)))


def _wanted_ranks(finished: int, confidence: float) -> set[int]:
    ranks: set[int] = set()
    if finished:
        for _, _, part in _QUANTILES:
            bounds = (*quantile_ranks(finished, part), *quantile_ranks(finished, part, confidence))
            ranks |= {_middle_rank(finished, part), *(rank for rank in bounds if rank is not None)}
    return ranks


def _middle_rank(total: int, part: float) -> int:
    return min(total, int(total * part) + 1)


_Metric = tuple[str, str, str, Rise, Interval | None, Interval | None, Interval | None]


def _build_metrics(one: _Cohort, other: _Cohort, confidence: float) -> list[_Metric]:
    metrics: list[_Metric] = []
    for name, label, column in _SHARES:
        a, b = (_share(cohort.counts, column, confidence) for cohort in (one, other))
        metrics.append((name, label, "ratio", "worse", a, b, _subtract(b, a)))
    a, b = (_tool_success(cohort.counts, confidence) for cohort in (one, other))
    metrics.append(("tool_success_rate", "Tool success rate", "ratio", "better", a, b, _subtract(b, a)))
    for name, label, part in _QUANTILES:
        a, b = one.quantile(part, confidence), other.quantile(part, confidence)
        metrics.append((name, label, "ns", "worse", a, b, _subtract(b, a)))
    for name, label, unit, rise, prefix, number in _MEANS:
        a, b = (_mean(cohort.counts, prefix, number, confidence) for cohort in (one, other))
        metrics.append((name, label, unit, rise, a, b, _mean_change(one.counts, other.counts, prefix, number, confidence)))
    return metrics


def _subtract(b: Interval | None, a: Interval | None) -> Interval | None:
    return combine([(1.0, b), (-1.0, a)]) if a and b else None


def _share(counts: _Counts, column: str, confidence: float) -> Interval | None:
    return share_interval(getattr(counts, column), counts.traces, confidence) if counts.traces else None


def _tool_success(counts: _Counts, confidence: float) -> Interval | None:
    if not counts.tool_calls:
        return None
    return clustered_share_interval(
        counts.tool_traces, counts.tool_successes, counts.tool_calls, counts.tool_successes_squared, counts.tool_calls_squared,
        counts.tool_products, confidence,
    )  # fmt: skip


def _moments(counts: _Counts, prefix: str, number: str) -> tuple[float, float, int]:
    return getattr(counts, f"{prefix}_mean"), getattr(counts, f"{prefix}_variance"), getattr(counts, number)


def _mean(counts: _Counts, prefix: str, number: str, confidence: float) -> Interval | None:
    mean, variance, total = _moments(counts, prefix, number)
    return mean_interval(mean, variance, total, confidence) if total else None


def _mean_change(one: _Counts, other: _Counts, prefix: str, number: str, confidence: float) -> Interval | None:
    (mean, variance, total), (other_mean, other_variance, other_total) = (
        _moments(counts, prefix, number) for counts in (other, one)
    )
    if not total or not other_total:
        return None
    return mean_difference(mean, variance, total, other_mean, other_variance, other_total, confidence)
