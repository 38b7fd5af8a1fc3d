"""Series -> Plotly figure. Colours are CSS variables by name; dashboards/charts.js puts the theme's values in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracestore.timerange import NS_PER_S, TimeRange

_NS_PER_MS = 1_000_000
ERROR, WARN, ACCENT = "var(--error)", "var(--warn)", "var(--accent)"
PALETTE = tuple(f"var(--series-{number})" for number in range(1, 11))
FAULTS = tuple(f"var(--fault-{number})" for number in range(1, 9))


@dataclass(frozen=True)
class Line:
    """One series as drawn: `points` are (bucket start in ns, value). `query` finds the traces behind it, before `end_ns`.

    One of an earlier period is drawn `shift_ns` later than it was, and dashed.
    """

    label: str
    points: Sequence[tuple[int, float | None]]
    color: str
    query: str = ""
    end_ns: int = 0
    shift_ns: int = 0


@dataclass(frozen=True)
class Unit:
    """How numbers of one unit are written: d3 formats for ticks and for hover, and what stands around the number."""

    name: str
    ticks: str
    hover: str
    prefix: str = ""
    suffix: str = ""
    most: float | None = None


UNITS = {
    "ratio": Unit("%", ".3~%", ".2~%", most=1.0),
    "USD": Unit("USD", ",.3~r", ",.4~r", prefix="$"),
    "tokens": Unit("", ".3~s", ".4~s"),
    "per_minute": Unit("per minute", ",.3~r", ",.2~f"),
}
_DURATIONS = ((7200.0, 3600.0, "h"), (120.0, 60.0, "m"), (1.0, 1.0, "s"), (0.0, 0.001, "ms"))


def find_unit(name: str) -> tuple[Unit, float]:
    """Return how numbers of a metric's unit are written, and 1, by which they are divided. A unit unknown here is a count."""
    return UNITS.get(name) or Unit(name, ",.3~r", ",.4~r"), 1.0


def duration_unit(lines: Sequence[Line]) -> tuple[Unit, float]:
    """Return the unit in which these durations (in seconds) read best, and how many seconds it has."""
    longest = max((value for line in lines for _, value in line.points if value is not None), default=1.0)
    seconds, name = next((seconds, name) for least, seconds, name in _DURATIONS if longest >= least)
    return Unit(name, ",.3~r", ",.4~r", suffix=f" {name}"), seconds


def per_minute(points: Sequence[tuple[int, float | None]], time_range: TimeRange, step_s: int) -> list[tuple[int, float | None]]:
    """Turn counts per bucket into a rate. The first and last bucket count with the part of them that lies in the range."""
    step_ns = step_s * NS_PER_S

    def rate(start_ns: int, value: float) -> float:
        covered_ns = min(start_ns + step_ns, time_range.end_ns) - max(start_ns, time_range.start_ns)
        # A bucket that has only just begun would turn one trace into a huge rate.
        return value * 60 * NS_PER_S / max(covered_ns, min(step_ns, 30 * NS_PER_S))

    return [(start_ns, None if value is None else rate(start_ns, value)) for start_ns, value in points]


def build_figure(
    lines: Sequence[Line],
    *,
    kind: str,
    unit: Unit,
    time_range: TimeRange,
    step_s: int,
    scale: float = 1.0,
    from_zero: bool = True,
) -> dict[str, Any]:
    """Return {"data", "layout"} for Plotly: lines with gaps where there is no value, or bars (`kind` "stacked").

    Values are divided by `scale`. Without `from_zero` the axis starts a little below the lowest value.
    """
    draw = _bar if kind == "stacked" else _curve
    only = len(lines) == 1
    # The last bucket may end after the range, in the future.
    ends_ns = [time_range.end_ns, *(line.points[-1][0] + line.shift_ns + step_s * NS_PER_S for line in lines if line.points)]
    return {
        "data": [(_earlier if line.shift_ns else draw)(line, unit, scale, step_s, only) for line in lines],
        "layout": {
            "barmode": "stack",
            "showlegend": sum(not line.shift_ns for line in lines) > 1,
            "xaxis": {"type": "date", "range": [time_range.start_ns / _NS_PER_MS, max(ends_ns) / _NS_PER_MS]},
            "yaxis": {
                "tickformat": unit.ticks,
                "tickprefix": unit.prefix,
                "ticksuffix": unit.suffix,
                **_bounds(lines, unit, kind, scale, from_zero),
            },
        },
    }


def build_ranking(bars: Sequence[Line], ticks: Sequence[tuple[int, Line]], *, unit: Unit, scale: float = 1.0) -> dict[str, Any]:
    """Return a figure of one horizontal bar per line, the first on top; `ticks` are (place, line) of what was before."""
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "orientation": "h", "width": 0.62, "name": as_text(bar.label), "x": _scaled(bar, scale), "y": [place],
            "marker": {"color": bar.color, "line": {"width": 0}}, "customdata": [bar.points[0][0] / _NS_PER_MS],
            "hovertemplate": _hover(unit, "x"),
        }
        for place, bar in enumerate(bars)
    ] + [
        {
            "type": "scatter", "mode": "markers", "name": f"{as_text(tick.label)}, before",
            "x": _scaled(tick, scale), "y": [place],
            "marker": {"symbol": "line-ns-open", "size": 16, "color": "var(--text)", "line": {"width": 2}},
            "customdata": [tick.points[0][0] / _NS_PER_MS], "hovertemplate": _hover(unit, "x"), "meta": "before",
        }
        for place, tick in ticks
    ]  # fmt: skip
    highest = max((value for trace in data for value in trace["x"] if value is not None), default=0.0)
    layout = {
        "showlegend": False,
        "barmode": "overlay",
        "hovermode": "closest",
        "margin": {"l": 136, "b": 24},
        "xaxis": {
            "type": "linear", "range": [0, highest * 1.06 or 1],
            "tickformat": unit.ticks, "tickprefix": unit.prefix, "ticksuffix": unit.suffix,
            "showgrid": True, "showspikes": False, "tickformatstops": [],
        },
        "yaxis": {
            "range": [max(len(bars), 6) - 0.5, -0.5], "showgrid": False, "tickmode": "array",
            "tickvals": list(range(len(bars))), "ticktext": [as_text(_cut(bar.label)) for bar in bars],
        },
    }  # fmt: skip
    return {"data": data, "layout": layout}


def as_text(label: str) -> str:
    """Write a label so that Plotly, which reads some HTML in names, shows it as it is."""
    return label.replace("&", "&amp;").replace("<", "&lt;")


def _cut(label: str, most: int = 18) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def _curve(line: Line, unit: Unit, scale: float, step_s: int, only: bool) -> dict[str, Any]:
    values = _scaled(line, scale)
    trace = _trace(line, values, unit, step_s) | {
        "type": "scatter",
        "mode": "lines+markers",
        "line": {"color": line.color, "width": 1.75, "shape": "linear"},
        # A value between two gaps has no line to be seen by.
        "marker": {
            "color": line.color,
            "size": [5 if _is_alone(values, index) else 0 for index in range(len(values))],
            "opacity": 1,
            "line": {"width": 0},
        },
        "connectgaps": False,
    }
    # Plotly fills across gaps too, and what it fills there looks like values.
    is_whole = only and None not in values
    return trace | {"fill": "tozeroy", "fillcolor": f"{line.color[:-1]}, 10%)"} if is_whole else trace


def _bar(line: Line, unit: Unit, scale: float, step_s: int, only: bool) -> dict[str, Any]:
    return _trace(line, _scaled(line, scale), unit, step_s) | {
        "type": "bar",
        "marker": {"color": line.color, "line": {"width": 0}},
        "width": step_s * 1000 * 0.8,
    }


def _earlier(line: Line, unit: Unit, scale: float, step_s: int, only: bool) -> dict[str, Any]:
    return _trace(line, _scaled(line, scale), unit, step_s) | {
        "type": "scatter",
        "mode": "lines",
        "name": f"{as_text(line.label)}, before",
        "customdata": [start_ns / _NS_PER_MS for start_ns, _ in line.points],
        "line": {"color": line.color, "width": 1.25, "dash": "4px,3px"},
        "opacity": 0.75,
        "connectgaps": False,
        "meta": "before",
    }


def _trace(line: Line, values: list[float | None], unit: Unit, step_s: int) -> dict[str, Any]:
    """What lines and bars over time share. A bucket is named after its start and drawn in its middle."""
    return {
        "x": [(start_ns + line.shift_ns) / _NS_PER_MS for start_ns, _ in line.points],
        "xperiod": step_s * 1000,
        "xperiod0": 0,
        "xperiodalignment": "middle",
        "y": values,
        "name": as_text(line.label),
        "hovertemplate": _hover(unit),
    }


def _hover(unit: Unit, axis: str = "y") -> str:
    return f"{unit.prefix}%{{{axis}:{unit.hover}}}{unit.suffix}"


def _scaled(line: Line, scale: float) -> list[float | None]:
    return [None if value is None else value / scale for _, value in line.points]


def _is_alone(values: Sequence[float | None], index: int) -> bool:
    before = values[index - 1] if index else None
    after = values[index + 1] if index + 1 < len(values) else None
    return values[index] is not None and before is None and after is None


def _bounds(lines: Sequence[Line], unit: Unit, kind: str, scale: float, from_zero: bool) -> dict[str, Any]:
    """Leave room above the highest value, show nothing impossible (120%), and draw an axis even when all is zero."""
    columns: dict[int, list[float]] = {}
    highest = 0.0
    for line in lines:
        for start_ns, value in line.points:
            if line.shift_ns:
                highest = max(highest, (value or 0) / scale)
            else:
                columns.setdefault(start_ns, []).append((value or 0) / scale)
    highest = max([highest, *((sum if kind == "stacked" else max)(values) for values in columns.values())])
    if not highest:
        return {"range": [0, 1], "tickvals": [0]}
    lowest = 0.0 if from_zero else min(value / scale for line in lines for _, value in line.points if value is not None)
    room = (highest - lowest or highest) * 0.08
    top = highest + room if unit.most is None else min(highest + room, unit.most * 1.02)
    return {"range": [max(0.0, lowest - room) if lowest else 0, top]}
