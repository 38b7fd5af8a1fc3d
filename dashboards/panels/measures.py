"""What a panel can show: every metric of the store, sums that the store does not keep, and how each is drawn and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dashboards.templatetags import formatting
from tracestore.language import Query, format_filter
from tracestore.model import Series
from tracestore.queries.metrics.definitions import METRICS, find_metric
from tracestore.queries.terms import exact_demands

Trend = Literal["better", "worse", "neutral"]
ReadSeries = Callable[[str, str], list[Series]]


@dataclass(frozen=True)
class Measure:
    """As tracestore.queries.metrics.definitions.Metric, without its SQL."""

    name: str
    label: str
    unit: str
    help: str
    additive: bool


# Computed from two metrics: (first, second, sign). A metric of the store goes before one of the same name here.
_COMPUTED = {"uncached_input_tokens": ("input_tokens", "cached_input_tokens", -1)}
_MEASURES_OF_OUR_OWN = (
    Measure("uncached_input_tokens", "Uncached input tokens", "tokens", "Input tokens that no prompt cache held.", additive=True),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _MEASURES_OF_OUR_OWN} | {
    metric.name: Measure(metric.name, metric.label, metric.unit, metric.help, metric.additive) for metric in METRICS.values()
}
# Unit -> heading of its measures in a menu; a unit without one is its own heading.
HEADINGS = {"traces": "Traces", "ratio": "Rates", "s": "Durations", "USD": "Cost", "tokens": "Tokens", "calls": "Calls"}
_ERRONEOUS = {"status:error": ("failures", "failure_rate"), "has_errors:true": ("errors", "error_rate")}
_NARROWED = {name: condition for condition, names in _ERRONEOUS.items() for name in names} | {
    "escalations": "escalated:true",
    "escalation_rate": "escalated:true",
    "handoffs": "handed_over:true",
    "handoff_rate": "handed_over:true",
    "failed_cost": "status:error",
    "unpriced_traces": "unpriced_model:*",
    "unpriced_calls": "unpriced_model:*",
    "sessions": "has:session",
    "cost_per_session": "has:session",
    "resolution_rate": "has:session",
    "users": "has:user",
    "cost_per_user": "has:user",
    "tool_errors": "tool_error:*",
    "tool_success_rate": "tool_error:*",
    "tool_run_success_rate": "tool_error:*",
    "tool_calls": "tool:*",
    "cost": "cost:>0",
    "retried_calls": "retries:>0",
    "looping_calls": "loops:>0",
    "looping_traces": "loops:>0",
    "wasted_tokens": "wasted_tokens:>0",
    "wasted_cost": "wasted_cost:>0",
    "wasted_cost_share": "wasted_cost:>0",
}
_RISE_IS_WORSE = ("fail", "error", "escalation", "tool_error", "model_error", "unpriced", "loop", "wasted", "retr")


def find_measure(name: str) -> Measure:
    """Return the measure of that name. Raises MetricError with a suggestion."""
    if name not in MEASURES:
        find_metric(name)  # raises, and knows what is near
    return MEASURES[name]


def read_measure(name: str, group_by: str, read: ReadSeries) -> list[Series]:
    """Return the series of a measure by `read(metric, group_by)`."""
    if name in METRICS or name not in _COMPUTED:
        return read(name, group_by)
    first, second, sign = _COMPUTED[name]
    others = {series.group: dict(series.points) for series in read(second, group_by)}

    def combine(series: Series) -> Series:
        other = others.get(series.group, {})
        return Series(series.group, [(at, (value or 0) + sign * (other.get(at) or 0)) for at, value in series.points])

    return [combine(series) for series in read(first, group_by)]


def read_values(names: Iterable[str], read: Callable[[list[str]], Mapping[str, float | None]]) -> dict[str, float | None]:
    """Return one value for each measure; `read` answers for metrics of the store, all at once."""
    stored = {part for name in names for part in (_COMPUTED[name][:2] if name not in METRICS else (name,))}
    found = dict(read(sorted(stored)))
    for name in names:
        if name not in METRICS:
            first, second, sign = _COMPUTED[name]
            found[name] = (found[first] or 0.0) + sign * (found[second] or 0.0)
    return found


def narrowing(name: str, query: Query, group_by: str, group: str) -> str:
    """Return the condition that finds the traces which make a measure what it is: the failed ones behind a failure rate.

    Of tools only those count that the query, or the group, names.
    """
    if name in ("model_errors", "model_error_rate"):
        seller = f"{format_filter(group_by, group)} " if group_by in ("model", "provider") and group else ""
        return f"llm{{{seller}status:error}}"
    condition = _NARROWED.get(name, "")
    field = condition.partition(":")[0] if condition.startswith("tool") else ""
    if not field:
        return condition
    if group_by == "tool" and group:
        return format_filter(field, group)
    tools = [demand.value for demand in exact_demands(query) or () if demand.field == "tool"]
    return format_filter(field, tools[0]) if len(tools) == 1 else condition


def rise_means(name: str) -> Trend:
    """Say whether it is good when this grows. How much is asked, and at what cost, is neither good nor bad in itself."""
    if name.endswith(("success_rate", "resolution_rate", "score_mean")):
        return "better"
    if name.startswith(_RISE_IS_WORSE) or find_measure(name).unit == "s":
        return "worse"
    return "neutral"


def short_labels(names: Sequence[str]) -> list[str]:
    """Return the labels of measures that stand together, without the words that all of them share: p50, p95, p99."""
    labels = [find_measure(name).label.split() for name in names]
    if len(labels) < 2:
        return [" ".join(words) for words in labels]
    first = _count_shared(labels)
    last = _count_shared([words[first:][::-1] for words in labels])
    shortened = [words[first : len(words) - last] for words in labels]
    if not all(shortened):
        return [" ".join(words) for words in labels]
    return [text[:1].upper() + text[1:] if last else text for text in (" ".join(words) for words in shortened)]


def _count_shared(texts: Sequence[Sequence[str]]) -> int:
    """How many words all of them begin with."""
    return next((at for at, words in enumerate(zip(*texts, strict=False)) if len(set(words)) > 1), min(map(len, texts)))


def format_value(value: float | None, unit: str) -> str:
    """A number with its unit, where the label does not say it: 4.2%, 1.3 s, $0.42, 3.1k, 2,500."""
    formats = {"ratio": formatting.ratio, "s": formatting.duration_s, "USD": formatting.cost_usd, "tokens": formatting.tokens}
    return formats.get(unit, formatting.count)(value)


def describe_change(value: float | None, previous: float | None, unit: str, rise: Trend) -> tuple[str, Trend]:
    """Say how a value changed: ratios in points, all else in percent; "" when there is nothing to compare with."""
    if value is None or previous is None or (unit != "ratio" and previous == 0):
        return "", "neutral"
    difference = value - previous if unit == "ratio" else value / previous - 1
    text = f"{difference * 100:+.1f}{' pts' if unit == 'ratio' else '%'}" if abs(difference) < 10 else f"×{value / previous:.0f}"
    if abs(difference) < 0.0005:
        return "no change", "neutral"
    if rise == "neutral":
        return text, "neutral"
    return text, rise if difference > 0 else "worse" if rise == "better" else "better"
