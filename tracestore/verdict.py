"""Is a version worse than another? One answer for machines, such as a deploy pipeline, out of two cohorts of traces."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tracestore.clickhouse.client import Store
from tracestore.language import Query, format_filter, join_queries, parse_query
from tracestore.queries.cohorts import CohortMetric, compare_cohorts, strict_confidence
from tracestore.queries.metrics.definitions import MetricError
from tracestore.statistics.samples import Interval
from tracestore.timerange import TimeRange, format_time_ns

# What can be judged: metrics of which it is plain whether more is worse. The first four are, unless others are named.
JUDGED = (
    "failure_rate", "escalation_rate", "cost_per_trace", "duration_p95", "duration_p50", "error_rate", "tool_success_rate",
)  # fmt: skip
DEFAULT_METRICS = JUDGED[:4]
# Below this an interval of a 95th percentile corrected for four metrics has no upper bound.
MINIMUM_SAMPLES = 100


class Decision(StrEnum):
    """On one metric. Not measured: neither version has such a number, as where no model has a price."""

    WORSE = "worse"
    BETTER = "better"
    NO_DIFFERENCE = "no_difference"
    NOT_ENOUGH_DATA = "not_enough_data"
    NOT_MEASURED = "not_measured"


class Outcome(StrEnum):
    """On all metrics together."""

    PASS = "pass"
    WORSE = "worse"
    NOT_ENOUGH_DATA = "not_enough_data"


@dataclass(frozen=True)
class MetricVerdict:
    """One metric of both versions. `difference` is that of the version less the other, at the verdict's `confidence`.

    `unit`: ratio (0 to 1), ns or USD. `value` and `difference` are None where a version has no such number. Samples are traces.
    """

    name: str
    label: str
    unit: str
    value: float | None
    against_value: float | None
    difference: Interval | None
    samples: int
    against_samples: int
    decision: Decision


@dataclass(frozen=True)
class Verdict:
    """What is certain about `version` against the version `against` in the traces of `time_range` that match `query`.

    `shared` traces ran both and count on both sides. `confidence` holds for each difference, so that all of them hold together
    at 95 %.
    """

    version: str
    against: str
    query: str
    time_range: TimeRange
    traces: int
    against_traces: int
    shared: int
    minimum_samples: int
    tolerance: float
    confidence: float
    metrics: list[MetricVerdict]

    @property
    def decision(self) -> Outcome:
        """Worse in one metric is worse; a metric that cannot be told yet is no pass."""
        decisions = {metric.decision for metric in self.metrics}
        if Decision.WORSE in decisions:
            return Outcome.WORSE
        undecided = Decision.NOT_ENOUGH_DATA in decisions or decisions <= {Decision.NOT_MEASURED}
        return Outcome.NOT_ENOUGH_DATA if undecided else Outcome.PASS

    def to_json(self) -> dict[str, Any]:
        """The answer of the API: times as RFC 3339, metrics as `results`."""
        values = asdict(self)
        metrics, time_range = values.pop("metrics"), values.pop("time_range")
        times = {name: format_time_ns(time_range[f"{name}_ns"]) for name in ("start", "end")}
        return {"decision": self.decision.value} | values | times | {"results": metrics, "next": None}


def find_judged(names: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics of these names, each once. Raises MetricError."""
    chosen = tuple(dict.fromkeys(name.strip() for name in names))
    for name in chosen:
        if name not in JUDGED:
            near = difflib.get_close_matches(name, JUDGED, 1, 0.5)
            message = f"There is no verdict on {name!r}; there are {', '.join(JUDGED)}."
            raise MetricError("metrics", message, near[0] if near else "")
    return chosen


def judge_version(
    store: Store, *, project_id: int, time_range: TimeRange, version: str, against: str, query: Query,
    metrics: Sequence[str] = DEFAULT_METRICS, minimum_samples: int = MINIMUM_SAMPLES, tolerance: float = 0.0,
) -> Verdict:  # fmt: skip
    """Compare the traces of the range that match `query` and ran `version` with those that ran `against`.

    `metrics` are some of JUDGED. A version is worse only beyond `tolerance`, a part (0.1 is a tenth) of the other's value. Raises
    QueryTooExpensive, StoreUnavailable or StoreError.
    """
    one, other = (_narrow(query, name) for name in (against, version))
    cohorts = compare_cohorts(store, project_id=project_id, time_range=time_range, a=one, b=other, only=metrics)
    found = {metric.name: metric for metric in cohorts.metrics}
    return Verdict(
        version=version,
        against=against,
        query=query.text,
        time_range=time_range,
        traces=cohorts.b_traces,
        against_traces=cohorts.a_traces,
        shared=cohorts.shared,
        minimum_samples=minimum_samples,
        tolerance=tolerance,
        confidence=strict_confidence(len(metrics)),
        metrics=[_judge(found[name], cohorts.a_traces, cohorts.b_traces, minimum_samples, tolerance) for name in metrics],
    )


def _narrow(query: Query, version: str) -> Query:
    return parse_query(join_queries(query.text, format_filter("version", version)))


def _judge(metric: CohortMetric, a_traces: int, b_traces: int, minimum_samples: int, tolerance: float) -> MetricVerdict:
    return MetricVerdict(
        name=metric.name,
        label=metric.label,
        unit=metric.unit,
        value=metric.b.value if metric.b else None,
        against_value=metric.a.value if metric.a else None,
        difference=metric.certain,
        samples=metric.b_samples,
        against_samples=metric.a_samples,
        decision=_decide(metric, min(a_traces, b_traces), minimum_samples, tolerance),
    )


def _decide(metric: CohortMetric, traces: int, minimum_samples: int, tolerance: float) -> Decision:
    if not metric.a_samples and not metric.b_samples and traces >= minimum_samples:
        return Decision.NOT_MEASURED
    if min(metric.a_samples, metric.b_samples) < minimum_samples or metric.certain is None or metric.a is None:
        return Decision.NOT_ENOUGH_DATA
    sign = 1 if metric.rise == "worse" else -1
    bounds = [None if bound is None else sign * bound for bound in (metric.certain.low, metric.certain.high)]
    least, most = bounds if sign == 1 else reversed(bounds)
    if least is not None and least > tolerance * metric.a.value:
        return Decision.WORSE
    if most is not None and most < 0:
        return Decision.BETTER
    return Decision.NOT_ENOUGH_DATA if least is None or most is None else Decision.NO_DIFFERENCE
