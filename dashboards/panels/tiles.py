"""The numbers on top of a dashboard and its tables: values over the whole range, each with its change and its traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dashboards.panels.measures import MEASURES, Trend, describe_change, find_measure, format_value, read_values, rise_means
from dashboards.panels.panel import Panel, ReadMetric, Scope, find_traces_query, measure
from tracestore.language import Query, join_queries, parse_query
from tracestore.timerange import TimeRange

# (metrics, query, range) -> values
ReadValues = Callable[[Sequence[str], Query, TimeRange], Mapping[str, float | None]]


@dataclass(frozen=True)
class Tile:
    """One number with its change against the period of equal length before. `trend` colours the change.

    `query` finds the traces that it counts.
    """

    label: str
    help: str
    value: str
    change: str
    trend: Trend
    previous: str
    query: str


def build_tiles(panels: Sequence[Panel], scope: Scope, read: ReadValues) -> list[Tile]:
    """Return a tile for each number panel, in their order; panels of one query are read at once.

    A measure that no longer exists is a tile that says so. Raises QueryError, StoreError.
    """
    before = scope.before()
    wanted: dict[str, list[str]] = {}
    for panel in panels:
        if panel.metrics[0] in MEASURES:
            wanted.setdefault(join_queries(scope.text, panel.query), []).append(panel.metrics[0])
    queries = {text: parse_query(text) for text in wanted}

    def read_all(period: Scope) -> dict[str, dict[str, float | None]]:
        return {
            text: read_values(names, lambda metrics, text=text: read(metrics, queries[text], period.time_range))  # type: ignore[misc]
            for text, names in wanted.items()
        }

    now = read_all(scope)
    then = read_all(before) if before else {text: {} for text in wanted}
    return [_build_tile(panel, join_queries(scope.text, panel.query), now, then) for panel in panels]


def _build_tile(
    panel: Panel, text: str, now: Mapping[str, Mapping[str, float | None]], then: Mapping[str, Mapping[str, float | None]]
) -> Tile:
    name = panel.metrics[0]
    if name not in MEASURES:
        return Tile(panel.title, f"There is no metric {name} any more. Edit the dashboard.", "–", "", "neutral", "–", text)
    shown = find_measure(name)
    value, previous = now[text][name], then[text].get(name)
    change, trend = describe_change(value, previous, shown.unit, rise_means(name))
    return Tile(
        label=panel.title or shown.label,
        help=shown.help,
        value=format_value(value, shown.unit),
        change=change,
        trend=trend,
        previous=format_value(previous, shown.unit),
        query=find_traces_query(name, text, parse_query(text), "", ""),
    )


@dataclass(frozen=True)
class Cell:
    """A value of a table; `share` is its part of the greatest in its column (0 to 100, steps of 5), for a bar behind it."""

    value: str
    change: str
    trend: Trend
    share: int


@dataclass(frozen=True)
class Row:
    """A group with a cell for each metric; `query` finds its traces."""

    label: str
    is_group: bool
    query: str
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """`heads` are (label, help) of the metrics."""

    heads: list[tuple[str, str]]
    rows: list[Row]


def build_table(panel: Panel, scope: Scope, read: ReadMetric) -> Table:
    """Return the rows of a table, those with the greatest first value on top. Raises MetricError, QueryError, StoreError."""
    group_by = panel.grouping(scope.chosen)
    now = _by_group(panel, scope, read)
    before = scope.before() if scope.compares else None
    then = _by_group(panel, before, read) if before else {}
    first = panel.metrics[0]
    most = {name: max((values.get(name) or 0.0 for values in now.values()), default=0.0) for name in panel.metrics}
    text = join_queries(scope.text, panel.query)
    field_query = parse_query(text)
    rows = []
    for group in sorted(now, key=lambda group: -(now[group].get(first) or 0.0)):
        cells = []
        for name in panel.metrics:
            shown, value = find_measure(name), now[group].get(name)
            change, trend = describe_change(value, then.get(group, {}).get(name), shown.unit, rise_means(name))
            share = round((value or 0.0) / most[name] * 20) * 5 if shown.additive and most[name] else 0
            cells.append(Cell(format_value(value, shown.unit), change, trend, share))
        # The traces of a row are those of the group: no single metric speaks for all of its cells.
        rows.append(
            Row(
                group or (f"no {group_by}" if group_by else "All traces"),
                bool(group),
                find_traces_query("requests", text, field_query, group_by, group),
                cells,
            )
        )
    return Table([(find_measure(name).label, find_measure(name).help) for name in panel.metrics], rows)


def _by_group(panel: Panel, scope: Scope, read: ReadMetric) -> dict[str, dict[str, float | None]]:
    values: dict[str, dict[str, float | None]] = {}
    for one in measure(panel, scope, read):
        values.setdefault(one.group, {})[one.measure.name] = one.points[0][1]
    return values
