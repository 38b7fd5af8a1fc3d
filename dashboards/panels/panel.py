"""Panels of a dashboard: a metric or several, of which traces, grouped by what, drawn how; and the traces behind each point.

A panel of ours and one that somebody made are the same thing (dashboards/panels/builtin.py, dashboards/panels/own_dashboards.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from dashboards.panels.charts import (
    ACCENT,
    ERROR,
    FAULTS,
    PALETTE,
    WARN,
    Line,
    build_figure,
    build_ranking,
    duration_unit,
    find_unit,
    per_minute,
)
from dashboards.panels.measures import Measure, find_measure, narrowing, read_measure, short_labels
from tracestore.language import Query, add_condition, format_filter, join_queries, parse_query
from tracestore.language.fields import find_field
from tracestore.model import Series
from tracestore.queries.metrics.definitions import GROUPINGS, group_field
from tracestore.timerange import NS_PER_S, TimeRange

Kind = Literal["line", "stacked", "bar", "number", "table"]
KINDS: dict[Kind, str] = {
    "line": "Lines over time",
    "stacked": "Stacked bars over time",
    "bar": "Bars by group",
    "number": "Number",
    "table": "Table",
}
OVER_TIME = ("line", "stacked")
MAX_GROUPS, MAX_ROWS = 8, 50
_BUCKETS = 96
# One bucket from the epoch until long after the last possible moment; whole days, as rollups may want.
WHOLE_RANGE_S = 86_400 * 100_000
_COUNTS = ("traces", "calls", "spans")
_ALWAYS_GROUPED = ("version", "service", "environment", "outcome")  # every trace is in one of these groups, if in that of none
_MINUTE_NS = 60 * NS_PER_S
_PERCENTILE = re.compile(r"p\d\d")
# What a measure that fills its axis only in part is about.
_EMPTY = {"USD": "No priced model call in this range", "tokens": "No model call with token counts in this range"}


@dataclass(frozen=True)
class Panel:
    """One frame of a dashboard. A panel with `group_by` keeps it; the others follow what the reader groups by.

    Over time and as bars a grouping leaves the first of several metrics. `query` is asked for beside that of the page.
    """

    title: str
    metrics: tuple[str, ...]
    kind: Kind = "line"
    group_by: str = ""
    query: str = ""

    def grouping(self, chosen: str) -> str:
        return "" if self.kind == "number" else self.group_by or chosen

    def shown_metrics(self, group_by: str) -> tuple[str, ...]:
        return self.metrics[:1] if group_by and self.kind != "table" else self.metrics

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"metrics": list(self.metrics)}


def read_panel(stored: Mapping[str, Any]) -> Panel:
    """Return the panel of `Panel.to_json`. What has become wrong with it since then shows when it is drawn."""
    return Panel(stored["title"], tuple(stored["metrics"]), stored["kind"], stored["group_by"], stored["query"])


@dataclass(frozen=True)
class Scope:
    """What the reader of a dashboard looks at: `text` is the query of the page, `chosen` a grouping or ""."""

    text: str
    time_range: TimeRange
    step_s: int
    chosen: str = ""
    compares: bool = False

    @property
    def length_ns(self) -> int:
        """How far the period before lies back: whole steps, so that its buckets stand at the same places."""
        step_ns = self.step_s * NS_PER_S
        return -(-(self.time_range.end_ns - self.time_range.start_ns) // step_ns) * step_ns

    def before(self) -> Scope | None:
        """The period of equal length before; None where time begins."""
        if self.time_range.start_ns < self.length_ns:
            return None
        earlier = TimeRange(self.time_range.start_ns - self.length_ns, self.time_range.end_ns - self.length_ns)
        return replace(self, time_range=earlier)


# (metric, group_by, query, range, step, most groups) -> series, those of most traces first
ReadMetric = Callable[[str, str, Query, TimeRange, int, int], list[Series]]


@dataclass(frozen=True)
class Measured:
    """One measure of one group over a scope. `query` finds the traces behind its points."""

    measure: Measure
    group: str
    label: str
    points: list[tuple[int, float | None]]
    query: str


def measure(panel: Panel, scope: Scope, read: ReadMetric) -> list[Measured]:
    """Read all that a panel shows: points per step over time, one point for other kinds. Groups of most traces come first.

    Raises MetricError, QueryError, StoreError.
    """
    group_by = panel.grouping(scope.chosen)
    names = panel.shown_metrics(group_by)
    text = join_queries(scope.text, panel.query)
    query = parse_query(text)
    step_s = scope.step_s if panel.kind in OVER_TIME else WHOLE_RANGE_S
    most = MAX_ROWS if panel.kind == "table" else MAX_GROUPS

    def read_one(metric: str, grouping: str) -> list[Series]:
        return read(metric, grouping, query, scope.time_range, step_s, most)

    found = []
    for name, label in zip(names, short_labels(names), strict=True):
        for series in read_measure(name, group_by, read_one):
            found.append(
                Measured(
                    find_measure(name),
                    series.group,
                    (series.group or f"no {group_by}") if group_by else label,
                    series.points,
                    find_traces_query(name, text, query, group_by, series.group),
                )
            )
    return found


# Only scores are grouped by their name.
OFFERED_GROUPINGS = tuple(name for name in GROUPINGS if name != "score" and find_field(group_field(name)))


def find_traces_query(metric: str, text: str, query: Query, group_by: str, group: str) -> str:
    """Return the query of the traces that make one point what it is."""
    condition = narrowing(metric, query, group_by, group)
    field = group_field(group_by)
    if group_by and not (group_by == "tool" and condition.startswith("tool")):
        text = add_condition(text, format_filter(field, group) if group else f"-has:{field}")
    return add_condition(text, condition)


def build_chart(panel: Panel, scope: Scope, read: ReadMetric) -> dict[str, Any]:
    """Return what dashboards/charts.js draws: the figure, its unit, and per line the query and times that find its traces.

    Raises MetricError, QueryError, StoreError.
    """
    found = measure(panel, scope, read)
    before = scope.before() if scope.compares else None
    earlier = measure(panel, before, read) if before else []
    first = find_measure(panel.metrics[0])
    build = _build_bars if panel.kind == "bar" else _build_lines
    has_values = any(_says_something(value, first.unit) for one in found for _, value in one.points)
    answer = build(panel, scope, first, found, before, earlier)
    return answer | {"empty": "" if has_values else empty_sentence(panel, scope)}


def _build_lines(
    panel: Panel, scope: Scope, first: Measure, found: list[Measured], before: Scope | None, earlier: list[Measured]
) -> dict[str, Any]:
    """Lines, or stacked bars; those of the period before lie under today's times, of stacks only their heights."""
    is_rate = panel.kind == "line" and first.additive and first.unit in _COUNTS
    palette = choose_colors(panel, scope)
    colors = {one.label: palette[index % len(palette)] for index, one in enumerate(found)}

    def line(one: Measured, period: Scope, shift_ns: int = 0) -> Line:
        points = per_minute(one.points, period.time_range, scope.step_s) if is_rate else one.points
        return Line(one.label, points, colors[one.label], one.query, period.time_range.end_ns, shift_ns)

    # A group without a value, such as an embedding model among those with a first token, would only lengthen the legend.
    shown = [one for one in found if any(_says_something(value, first.unit) for _, value in one.points)] or found
    # From the middle to the tail, whichever percentile the panel is about when it is grouped.
    if all(_PERCENTILE.fullmatch(one.label) for one in shown):
        shown = sorted(shown, key=lambda one: one.label)
    lines = [line(one, scope) for one in shown]
    if before and panel.kind == "line":
        labels = {one.label for one in shown}
        lines += [line(one, before, scope.length_ns) for one in earlier if one.label in labels]
    elif before and earlier:
        text = join_queries(scope.text, panel.query)
        lines.append(Line("All", _add_up(earlier), "var(--text-muted)", text, before.time_range.end_ns, scope.length_ns))
    unit, scale = find_unit("per_minute") if is_rate else duration_unit(lines) if first.unit == "s" else find_unit(first.unit)
    figure = build_figure(
        lines, kind=panel.kind, unit=unit, time_range=scope.time_range, step_s=scope.step_s, scale=scale,
        from_zero=not first.name.endswith("success_rate"),
    )  # fmt: skip
    # A sum is one over the width of its bucket, which is half of what its height means.
    per_step = f"per {step_name(scope.step_s)}" if first.additive and not is_rate else ""
    return _answer(figure, lines, f"{unit.name} {per_step}".strip(), scope.step_s, over_time=True)


def _add_up(measured: list[Measured]) -> list[tuple[int, float | None]]:
    totals: dict[int, float | None] = {}
    for one in measured:
        for at, value in one.points:
            totals[at] = (totals.get(at) or 0.0) + (value or 0.0)
    return sorted(totals.items())


def _build_bars(
    panel: Panel, scope: Scope, first: Measure, found: list[Measured], before: Scope | None, earlier: list[Measured]
) -> dict[str, Any]:
    """One bar for each group, the longest on top, with a tick where it ended in the period before."""
    palette = choose_colors(panel, scope)
    color = palette[0] if len(palette) == 1 else ACCENT
    valued = [one for one in found if one.points[0][1] is not None]
    valued.sort(key=lambda one: -(one.points[0][1] or 0.0))
    start_ns, end_ns = scope.time_range.start_ns, scope.time_range.end_ns
    bars = [Line(one.label, [(start_ns, one.points[0][1])], color, one.query, end_ns) for one in valued]
    places = {bar.label: place for place, bar in enumerate(bars)}
    ticks = [
        (places[one.label], Line(one.label, [(before.time_range.start_ns, value)], color, one.query, before.time_range.end_ns))
        for one in earlier
        if before and one.label in places and (value := one.points[0][1]) is not None
    ]
    unit, scale = duration_unit(bars) if first.unit == "s" else find_unit(first.unit)
    figure = build_ranking(bars, ticks, unit=unit, scale=scale)
    return _answer(
        figure, [*bars, *(tick for _, tick in ticks)], unit.name, math.ceil(scope.time_range.duration_s), over_time=False
    )


def _answer(figure: dict[str, Any], lines: Sequence[Line], unit: str, step_s: int, *, over_time: bool) -> dict[str, Any]:
    return {
        "figure": figure,
        "unit": unit,
        "queries": [line.query for line in lines],
        "labels": [line.label for line in lines],
        "ends": [line.end_ns / 1e6 for line in lines],
        "step_s": step_s,
        "over_time": over_time,
    }


def choose_colors(panel: Panel, scope: Scope) -> Sequence[str]:
    """Red is for errors alone: the one line of failures, and the groups of their types."""
    group_by = panel.grouping(scope.chosen)
    if group_by == "error":
        return FAULTS
    if group_by or len(panel.metrics) > 1:
        return PALETTE
    name = panel.metrics[0]
    if name.startswith(("fail", "error", "tool_error", "model_error")):
        return (ERROR,)
    return (WARN,) if name.startswith("escalation") else (ACCENT,)


def empty_sentence(panel: Panel, scope: Scope) -> str:
    """Say what there is none of."""
    group_by = panel.grouping(scope.chosen)
    if group_by == "error":
        return "No errors in this range"
    name = panel.metrics[0]
    if name.startswith(("wasted_", "looping_", "retried_")):
        return "No retry or loop in this range"
    if name.startswith("tool_") or group_by == "tool":
        return "No tool call in this range"
    if group_by and group_by not in _ALWAYS_GROUPED:
        return f"No trace of this range names its {group_by.replace('_', ' ').replace('handoff', 'hand-off')}"
    return _EMPTY.get(find_measure(name).unit, "No traces in this range")


def build_csv(panel: Panel, scope: Scope, read: ReadMetric) -> Iterator[list[Any]]:
    """Yield a header and rows: a bucket and group each over time, else a group each. Values are not scaled; None is no value.

    Raises MetricError, QueryError, StoreError before the first row.
    """
    found = measure(panel, scope, read)
    group_by = panel.grouping(scope.chosen)
    names = panel.shown_metrics(group_by)
    values: dict[tuple[int, str], dict[str, float | None]] = {}
    for one in found:
        for at, value in one.points:
            values.setdefault((at, one.group), {})[one.measure.name] = value
    columns = [f"{name} ({find_measure(name).unit})" for name in names]
    over_time = panel.kind in OVER_TIME
    groups = {group: place for place, group in enumerate(dict.fromkeys(one.group for one in found))}

    def rows() -> Iterator[list[Any]]:
        yield ["start_time", "end_time", *([group_by] if group_by else []), *columns]
        for (at, group), numbers in sorted(values.items(), key=lambda item: (item[0][0], groups[item[0][1]])):
            start_ns = at if over_time else scope.time_range.start_ns
            end_ns = min(at + scope.step_s * NS_PER_S, scope.time_range.end_ns) if over_time else scope.time_range.end_ns
            yield [start_ns, end_ns, *([group] if group_by else []), *(numbers.get(name) for name in names)]

    return rows()


def step_name(step_s: int) -> str:
    """30 s, minute, 15 m, hour, 2 h, day."""
    named = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}
    if step_s in named:
        return named[step_s]
    return f"{step_s} s" if step_s < 60 else f"{step_s // 60} m" if step_s < 3600 else f"{step_s // 3600} h"


def _says_something(value: float | None, unit: str) -> bool:
    """A failure rate of 0 is an answer; a cost of 0 means that nothing was priced."""
    return value is not None and (unit == "ratio" or value > 0)


def chart_range(time_range: TimeRange) -> tuple[TimeRange, int]:
    """Widen a range so that its first bucket is whole and rollups can serve it when it is long. Returns the step in seconds."""
    step_s = time_range.step_s(_BUCKETS)
    step_ns = step_s * NS_PER_S
    grain_ns = min(step_ns, _MINUTE_NS)
    start_ns = time_range.start_ns // step_ns * step_ns
    end_ns = -(-time_range.end_ns // grain_ns) * grain_ns
    return TimeRange(start_ns, end_ns), step_s


def whole_range(time_range: TimeRange) -> TimeRange:
    """Widen a range to whole minutes, so that rollups can serve it when it is long."""
    return TimeRange(time_range.start_ns // _MINUTE_NS * _MINUTE_NS, -(-time_range.end_ns // _MINUTE_NS) * _MINUTE_NS)
