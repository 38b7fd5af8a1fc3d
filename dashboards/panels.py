"""The charts of the dashboard: which metrics each shows, how a grouping changes it, and the traces behind its points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from dashboards.charts import ACCENT, ERROR, FAULTS, PALETTE, UNITS, WARN, Line, build_figure, duration_unit, per_minute
from tracestore.language import format_filter, parse_query
from tracestore.language.tree import Or
from tracestore.model import Series
from tracestore.timerange import NS_PER_S, TimeRange

# Grouping -> field of the query language, where the names differ.
_FIELDS = {"environment": "env", "outcome": "status"}
_NONE = {"version": "no version", "service": "no service", "environment": "no environment", "outcome": "no outcome"}
MAX_GROUPS = 8

ReadSeries = Callable[[str, str], list[Series]]


@dataclass(frozen=True)
class Panel:
    """One chart. `metrics` pairs a label with a metric; several are drawn side by side, until a grouping leaves only `main`.

    `group_by` is what it is grouped by when the reader chose nothing; `always_grouped` panels keep it whatever they choose.
    `narrowed` is added to the query of a click: the traces that make the value what it is.
    """

    name: str
    title: str
    unit: str
    metrics: tuple[tuple[str, str], ...]
    colors: tuple[str, ...] = (ACCENT,)
    kind: Literal["line", "bar"] = "line"
    main: str = ""
    main_label: str = ""
    group_by: str = ""
    always_grouped: bool = False
    narrowed: str = ""
    from_zero: bool = True
    empty: str = "No traces in this range"

    def grouping(self, chosen: str) -> str:
        return self.group_by if self.always_grouped or not chosen else chosen


PANELS = {
    panel.name: panel
    for panel in (
        Panel("requests", "Requests", "per_minute", (("Requests", "requests"),)),
        Panel("failure-rate", "Failure rate", "ratio", (("Failure rate", "failure_rate"),), (ERROR,), narrowed="status:error"),
        Panel("errors", "Error types", "traces", (("Traces", "requests"),), FAULTS, "bar", group_by="error", always_grouped=True,
              empty="No errors in this range"),
        Panel(
            "duration", "Duration", "s",
            (("p99", "duration_p99"), ("p95", "duration_p95"), ("p50", "duration_p50")),
            ("var(--series-3)", "var(--series-1)", "var(--series-2)"), main="duration_p95", main_label="p95",
        ),
        Panel("cost", "Cost", "USD", (("Cost", "cost"),), kind="bar", empty="No priced model call in this range"),
        Panel(
            "tokens", "Tokens", "tokens",
            (("Input", "uncached_input_tokens"), ("Cached input", "cached_input_tokens"), ("Output", "output_tokens")),
            ("var(--series-1)", "var(--series-5)", "var(--series-3)"), "bar", main="total_tokens",
            empty="No model call with token counts in this range",
        ),
        Panel("escalation-rate", "Escalation rate", "ratio", (("Escalation rate", "escalation_rate"),), (WARN,),
              narrowed="escalated:true"),
        Panel("tool-success-rate", "Tool success rate", "ratio", (("Tool success rate", "tool_success_rate"),),
              group_by="tool", narrowed="tool_error:*", from_zero=False, empty="No tool call in this range"),
    )
}  # fmt: skip

# What no metric holds by itself: (plus, minus).
_DERIVED = {
    "uncached_input_tokens": ("input_tokens", "cached_input_tokens", -1),
    "total_tokens": ("input_tokens", "output_tokens", 1),
}


def build_panel(
    panel: Panel, *, query_text: str, chosen: str, time_range: TimeRange, step_s: int, read: ReadSeries
) -> dict[str, Any]:
    """Return what dashboards/charts.js draws: the figure, its unit, and per line the query that finds the traces behind it.

    `read(metric, group_by)` reads series; `chosen` is the reader's grouping or "".
    """
    group_by = panel.grouping(chosen)
    lines = _grouped_lines(panel, group_by, query_text, read) if group_by else _plain_lines(panel, query_text, read)
    unit, scale = (duration_unit(lines)) if panel.unit == "s" else (UNITS[panel.unit], 1.0)
    if panel.unit == "per_minute":
        lines = [Line(line.label, per_minute(line.points, time_range, step_s), line.color, line.query) for line in lines]
    return {
        "figure": build_figure(
            lines, kind=panel.kind, unit=unit, time_range=time_range, step_s=step_s, scale=scale, from_zero=panel.from_zero
        ),
        # A bar is a sum over its width, which is half of what its height means.
        "unit": f"{unit.name} per {step_name(step_s)}".strip() if panel.kind == "bar" else unit.name,
        "queries": [line.query for line in lines],
        "step_s": step_s,
        "empty": not any(_says_something(value, panel.unit) for line in lines for _, value in line.points),
    }


def step_name(step_s: int) -> str:
    """30 s, minute, 15 m, hour, 2 h, day."""
    named = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}
    if step_s in named:
        return named[step_s]
    return f"{step_s} s" if step_s < 60 else f"{step_s // 60} m" if step_s < 3600 else f"{step_s // 3600} h"


def _says_something(value: float | None, unit: str) -> bool:
    """A failure rate of 0 is an answer; a cost of 0 means that nothing was priced."""
    return value is not None and (unit == "ratio" or value > 0)


def _plain_lines(panel: Panel, query_text: str, read: ReadSeries) -> list[Line]:
    query = narrow(query_text, panel.narrowed)
    return [
        Line(label, _read(read, metric, "")[0].points, color, query)
        for (label, metric), color in zip(panel.metrics, panel.colors, strict=True)
    ]


def _grouped_lines(panel: Panel, group_by: str, query_text: str, read: ReadSeries) -> list[Line]:
    colors = panel.colors if len(panel.colors) >= MAX_GROUPS else PALETTE
    field = _FIELDS.get(group_by, group_by)
    series = _read(read, panel.main or panel.metrics[0][1], group_by)
    return [
        Line(
            label=one.group or _NONE.get(group_by, "none"),
            points=one.points,
            color=colors[index % len(colors)],
            query=_narrow_to_group(panel, query_text, field, one.group),
        )
        for index, one in enumerate(series)
    ]


def _narrow_to_group(panel: Panel, query_text: str, field: str, group: str) -> str:
    if not group:
        return narrow(narrow(query_text, panel.narrowed), f"-{field}:*")
    if field == "tool" and panel.narrowed == "tool_error:*":
        return narrow(query_text, format_filter("tool_error", group))
    return narrow(narrow(query_text, panel.narrowed), format_filter(field, group))


def narrow(query_text: str, condition: str) -> str:
    """Return a query that asks for `condition` too. `query_text` must be valid."""
    text = query_text.strip()
    if not condition or condition in text.split():
        return text
    if isinstance(parse_query(text).root, Or):
        text = f"({text})"
    return f"{text} {condition}".strip()


def _read(read: ReadSeries, metric: str, group_by: str) -> list[Series]:
    if metric not in _DERIVED:
        return read(metric, group_by)
    first, second, sign = _DERIVED[metric]
    others = {series.group: dict(series.points) for series in read(second, group_by)}

    def combine(series: Series) -> Series:
        other = others.get(series.group, {})
        return Series(series.group, [(at, (value or 0) + sign * (other.get(at) or 0)) for at, value in series.points])

    return [combine(series) for series in read(first, group_by)]


def chart_range(time_range: TimeRange, buckets: int = 96) -> tuple[TimeRange, int]:
    """Widen a range so that its first bucket is whole and rollups can serve it when it is long. Returns the step in seconds."""
    step_s = time_range.step_s(buckets)
    step_ns = step_s * NS_PER_S
    minute_ns = 60 * NS_PER_S
    grain_ns = step_ns if step_ns < minute_ns else minute_ns
    start_ns = time_range.start_ns // step_ns * step_ns
    end_ns = -(-time_range.end_ns // grain_ns) * grain_ns
    return TimeRange(start_ns, end_ns), step_s
