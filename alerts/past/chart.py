"""A rule's metric, its threshold and its firing episodes as a Plotly figure. Pure: no store, no request.

Colours are style sheet variables by name; the script that draws puts the theme's values in their place.
"""

from __future__ import annotations

from typing import Any

from alerts.evidence.focus import find_focus, narrow
from alerts.messages.wording import format_value, metric_label, metric_unit
from alerts.models import AlertRule
from alerts.past.backtest import Backtest
from alerts.past.observations import Group
from alerts.past.preview import Preview
from alerts.rules.evaluation import Comparison
from tracestore.language import join_queries, parse_query
from tracestore.timerange import NS_PER_S, TimeRange

_NS_PER_MS = 1_000_000
# d3 formats of the value axis and of the hover text, by unit (https://github.com/d3/d3-format).
_FORMATS = {
    "ratio": {"tickformat": ".3~%", "hoverformat": ".3~%"},
    "s": {"tickformat": ",.3~r", "ticksuffix": " s", "hoverformat": ",.4~r"},
    "USD": {"tickformat": ",.3~r", "tickprefix": "$", "hoverformat": ",.4~r"},
    "tokens": {"tickformat": ".3~s", "hoverformat": ",d"},
}
_COUNTS = {"tickformat": ",.3~r", "hoverformat": ",d"}
# As many groups of a backtest are drawn.
_GROUP_COLORS = ("var(--accent)", *(f"var(--series-{number})" for number in range(2, 9)))
_MARKED = 60  # with more windows than this, markers run into each other


def build_rule_chart(preview: Preview) -> dict[str, Any]:
    """Return what the chart script shows: {"figure": {data, layout}, "queries", "step_s"}.

    A point is a window, at its middle; its custom data is the window's start, from which on a click looks for traces.
    The windows at whose end the rule fired are shaded.
    """
    window_ns = preview.rule.window_s * NS_PER_S
    bands = [
        (episode.start_ns - window_ns, (episode.end_ns or preview.time_range.end_ns + window_ns) - window_ns)
        for episode in preview.episodes
    ]
    return _build(preview, [_line(preview)], bands, preview.time_range.end_ns)


def build_alert_chart(preview: Preview, *, window: TimeRange, value: float | None, end_ns: int) -> dict[str, Any]:
    """As `build_rule_chart`, with the alert as it happened: its value marks the window it judged, shaded until `end_ns`."""
    mark = {
        "type": "scatter",
        "mode": "markers",
        "name": "Alert",
        "x": [_ms((window.start_ns + window.end_ns) // 2)],
        "customdata": [_ms(window.start_ns)],
        "y": [value],
        "marker": {"color": "var(--error)", "size": 10, "symbol": "diamond"},
    }
    return _build(preview, [_line(preview), mark], [(window.start_ns, end_ns)], max(preview.time_range.end_ns, end_ns))


def _build(preview: Preview, data: list[dict[str, Any]], bands: list[tuple[int, int]], end_ns: int) -> dict[str, Any]:
    rule = preview.rule
    focus = find_focus(rule.metric, parse_query(rule.query), comparison=rule.comparison, threshold=rule.threshold)
    known = [value for line in data for value in line["y"] if value is not None]
    layout = {
        "showlegend": False,
        "shapes": [
            _breach_band(rule.comparison, rule.threshold),
            _threshold_line(rule.threshold),
            *(_firing_band(first_ns, last_ns) for first_ns, last_ns in bands),
        ],
        "annotations": [_threshold_label(rule.metric, rule.comparison, rule.threshold)],
        "xaxis": {"type": "date", "range": [_ms(preview.time_range.start_ns), _ms(end_ns)]},
        "yaxis": {
            "range": [0, (max([rule.threshold, *known]) or 1) * 1.15],
            **_FORMATS.get(metric_unit(rule.metric), _COUNTS),
        },
    }
    queries = [join_queries(rule.query, focus.query)] * len(data)
    return {"figure": {"data": data, "layout": layout}, "queries": queries, "step_s": rule.window_s}


def _line(preview: Preview) -> dict[str, Any]:
    half_ns = preview.rule.window_s * NS_PER_S // 2
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(preview.points) <= _MARKED else "lines",
        "name": metric_label(preview.rule.metric),
        "x": [_ms(start_ns + half_ns) for start_ns, _ in preview.points],
        "customdata": [_ms(start_ns) for start_ns, _ in preview.points],
        "y": [value for _, value in preview.points],
        "line": {"color": "var(--accent)", "width": 1.75},
        "marker": {"color": "var(--accent)", "size": 4},
        "connectgaps": False,
    }


def _ms(time_ns: int) -> float:
    return time_ns / _NS_PER_MS


def _threshold_line(threshold: float) -> dict[str, Any]:
    line = {"color": "var(--error)", "width": 1.5, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": threshold, "y1": threshold, "line": line}


def _breach_band(comparison: str, threshold: float) -> dict[str, Any]:
    # Upwards it ends far beyond the axis, which cuts it off.
    edges = {"y0": threshold, "y1": max(threshold, 1e-9) * 1e6} if comparison == Comparison.ABOVE else {"y0": 0, "y1": threshold}
    band = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "fillcolor": "var(--error, 6%)", "line": {"width": 0}}
    return band | edges | {"layer": "below"}


def _firing_band(start_ns: int, end_ns: int) -> dict[str, Any]:
    band = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "fillcolor": "var(--error, 18%)", "line": {"width": 0}}
    return band | {"x0": _ms(start_ns), "x1": _ms(end_ns), "layer": "below", "name": "firing"}


def _threshold_label(metric: str, comparison: str, threshold: float) -> dict[str, Any]:
    return {
        "text": f"{comparison} {format_value(metric, threshold)}",
        "xref": "paper",
        "x": 0,  # the breach, which is what one looks at, stands at the other end
        "xanchor": "left",
        "y": threshold,
        "yanchor": "bottom",
        "yshift": 2,  # clear of the line itself
        "showarrow": False,
        "font": {"color": "var(--error)", "size": 11},
        "bgcolor": "var(--surface, 70%)",
    }


def build_backtest_chart(backtest: Backtest) -> dict[str, Any]:
    """As `build_rule_chart`, a line for each group: a point is an evaluation, its custom data its window's start.

    What fired is shaded, and so is, in another colour, what is marked.
    """
    rule, end_ns = backtest.rule, backtest.time_range.end_ns
    lines = [_group_line(rule, group, color) for group, color in zip(backtest.groups, _GROUP_COLORS, strict=False)]
    known = [value for line in lines for value in line["y"] if value is not None]
    thresholds = [] if rule.is_relative else [level.threshold for level in rule.condition().levels]
    layout = {
        "showlegend": len(lines) > 1,
        "shapes": [
            *(_threshold_line(threshold) for threshold in thresholds),
            *(_firing_band(page.episode.start_ns, page.episode.end_ns or end_ns) for page in backtest.pages),
            *(_mark_band(detection.mark.start_ns, detection.mark.end_ns) for detection in backtest.detections),
        ],
        "xaxis": {"type": "date", "range": [_ms(backtest.time_range.start_ns), _ms(end_ns)]},
        "yaxis": {
            "range": [0, (max([*thresholds, *known], default=0) or 1) * 1.15],
            **_FORMATS.get(metric_unit(rule.metric), _COUNTS),
        },
    }
    shown = backtest.groups[: len(lines)]
    return {
        "figure": {"data": lines, "layout": layout},
        "queries": [_query_of_group(rule, group) for group in shown],
        "labels": [_label_of(rule, group) for group in shown],
        "step_s": rule.window_s,
    }


def _label_of(rule: AlertRule, group: Group) -> str:
    return ", ".join(value or "none" for value in group.labels.values()) or metric_label(rule.metric)


def _as_text(label: str) -> str:
    """Write a label so that Plotly, which reads some HTML in names, links among it, shows it as it is."""
    return label.replace("&", "&amp;").replace("<", "&lt;")


def _group_line(rule: AlertRule, group: Group, color: str) -> dict[str, Any]:
    window_ns = (rule.window_s + rule.grace_s) * NS_PER_S
    return {
        "type": "scatter",
        "mode": "lines",
        "name": _as_text(_label_of(rule, group)),
        "x": [_ms(seen.at_ns) for seen in group.observations],
        "customdata": [_ms(seen.at_ns - window_ns) for seen in group.observations],
        "y": [seen.value for seen in group.observations],
        "line": {"color": color, "width": 1.5},
        "marker": {"color": color},
        "connectgaps": False,
    }


def _query_of_group(rule: AlertRule, group: Group) -> str:
    among = narrow(rule.query, group.labels)
    focus = find_focus(rule.metric, parse_query(among), comparison=rule.comparison, threshold=rule.threshold)
    return join_queries(among, focus.query)


def _mark_band(start_ns: int, end_ns: int) -> dict[str, Any]:
    band = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "fillcolor": "var(--warn, 14%)", "line": {"width": 0}}
    return band | {"x0": _ms(start_ns), "x1": _ms(end_ns), "layer": "below", "name": "marked"}
