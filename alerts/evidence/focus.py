"""Which traces stand behind a breach: the query text that narrows a rule's traces to the ones to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from alerts.rules.evaluation import Comparison
from tracestore.language import Query, format_filter, join_queries
from tracestore.language.parser import MAX_LENGTH
from tracestore.language.tree import Pattern, Term
from tracestore.queries.metrics.definitions import group_field
from tracestore.timerange import TimeRange, format_time_ns


@dataclass(frozen=True)
class Focus:
    """`query` is a clause of the query language, "" for all traces of the rule; `noun` names the traces it selects."""

    query: str
    noun: str


_ROOM = 200  # for what narrows the query further

ALL_TRACES = Focus("", "traces")
_FAILED = Focus("status:error", "failing traces")
_WITH_ERRORS = Focus("has_errors:true", "traces with errors")
ESCALATED = Focus("escalated:true", "escalated traces")
LOOPING = Focus("loops:>0", "traces with a loop")
SLOWER = Focus("", "slower traces")
_WASTEFUL = Focus("wasted_tokens:>0", "traces with retries or loops")
_WHEN_ABOVE = {
    "retried_calls": Focus("retries:>0", "traces with retried calls"),
    "looping_calls": LOOPING,
    "looping_traces": LOOPING,
    "wasted_tokens": _WASTEFUL,
    "wasted_cost": _WASTEFUL,
    "wasted_cost_share": _WASTEFUL,
    "failures": _FAILED,
    "failure_rate": _FAILED,
    "errors": _WITH_ERRORS,
    "error_rate": _WITH_ERRORS,
    "escalations": ESCALATED,
    "escalation_rate": ESCALATED,
}


def find_focus(metric: str, query: Query, *, comparison: str, threshold: float) -> Focus:
    """Return what to look at when `metric` of `query` is on the bad side of `threshold` (in the metric's unit)."""
    if metric in (("tool_errors",) if comparison == Comparison.ABOVE else ("tool_success_rate", "tool_run_success_rate")):
        return Focus(_failed_tool(query), "traces with a failed tool call")
    if comparison == Comparison.BELOW:
        return ALL_TRACES
    if metric in ("model_errors", "model_error_rate"):
        return Focus(_failed_model_call(query), "traces with a failed model call")
    if metric.startswith(("model_duration_", "tool_duration_", "time_to_first_token_")):
        return _slower_calls(metric, query, threshold) if threshold >= 0 else ALL_TRACES
    if metric.startswith("duration_"):
        # Durations are of finished traces only.
        return Focus(f"duration:>{_decimal(threshold)}s -status:running", SLOWER.noun) if threshold >= 0 else ALL_TRACES
    if metric in ("cost_per_trace", "run_cost"):
        return Focus(f"cost:>{_decimal(threshold)}", "dearer traces") if threshold >= 0 else ALL_TRACES
    if metric == "run_duration":
        return Focus(f"duration:>{_decimal(threshold)}s", SLOWER.noun)
    if metric in ("run_tokens", "run_spans"):
        return Focus(f"{metric.removeprefix('run_')}:>{_decimal(threshold)}", "larger traces")
    return _WHEN_ABOVE.get(metric, ALL_TRACES)


def is_about_time(metric: str) -> bool:
    """Tell whether a metric is the duration of runs, or of calls of models or tools."""
    return "duration" in metric or metric.startswith("time_to_first_token_")


def is_about_cost(metric: str) -> bool:
    """Tell whether a metric is what traces cost; what of it was wasted is not seen on their whole cost."""
    return "cost" in metric and not metric.startswith("wasted_")


def worst_first(metric: str, query: str) -> str:
    """Return the order in which the traces of a focus tell most: the slowest, dearest or largest first, "" for the newest."""
    if is_about_cost(metric):
        return "-cost"
    if metric in ("run_tokens", "run_spans"):
        return f"-{metric.removeprefix('run_')}"
    # Durations are in the language what they are in the list.
    return "-duration" if "duration:" in query else ""


def narrow(query: str, labels: Mapping[str, str]) -> str:
    """Return the query of one group of a rule: that of the rule with the group's values demanded.

    Traces are not asked for by their scores: of such a group all traces of the rule are looked at. Neither are they by a value
    that no query can hold, which a sender may write: its group must be told all the same.
    """
    for name, value in labels.items():
        demanded = format_filter(group_field(name), value)
        if name != "score" and len(query) + len(demanded) <= MAX_LENGTH - _ROOM:
            query = join_queries(query, demanded)
    return query


def _failed_tool(query: Query) -> str:
    """Calls of tool X alone count when the query asks for tool:X, so only failures of X are behind the number."""
    tool = next((value for name, value in _exact_terms(query) if name == "tool"), None)
    return "tool_error:*" if tool is None else format_filter("tool_error", tool)


def _failed_model_call(query: Query) -> str:
    return f"llm{{{_sellers(query)}status:error}}"


def _slower_calls(metric: str, query: Query, threshold_s: float) -> Focus:
    """One call above the threshold is enough: a p95 above it says that more than a twentieth of the calls are."""
    slower = f"duration:>{_decimal(threshold_s)}s"
    if metric.startswith("tool_"):
        tools = [format_filter(name, value) + " " for name, value in _exact_terms(query) if name == "tool"]
        return Focus(f"tool{{{''.join(tools)}{slower}}}", "traces with a slower tool call")
    if metric.startswith("time_to_first_token_"):
        slower = f"ttft:>{_decimal(threshold_s)}s"
    return Focus(f"llm{{{_sellers(query)}{slower}}}", "traces with a slower model call")


def _sellers(query: Query) -> str:
    """Calls of model or provider X alone count when the query asks for it."""
    return "".join(format_filter(name, value) + " " for name, value in _exact_terms(query) if name in ("model", "provider"))


def _exact_terms(query: Query) -> Iterator[tuple[str, str]]:
    """Yield the field and value of each condition that demands one value."""
    for node in query.conditions:
        if isinstance(node, Term) and isinstance(node.value, Pattern) and node.value.is_exact:
            yield node.field, node.value.text


def _decimal(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def traces_path(query: str, time_range: TimeRange) -> str:
    """Return the address of exactly these traces, with absolute times so that it shows the same ones tomorrow."""
    return "/traces?" + urlencode({"q": query} | _times(time_range))


def why_path(query: str, among: str, time_range: TimeRange) -> str:
    """Return the address of what sets these traces apart from the rest of those of `among`."""
    return "/why?" + urlencode({"q": query, "against": among} | _times(time_range))


def _times(time_range: TimeRange) -> dict[str, str]:
    return {"start": format_time_ns(time_range.start_ns), "end": format_time_ns(time_range.end_ns)}
