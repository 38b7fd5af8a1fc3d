"""A metric around an alert as a picture, for channels that show one. Pure: points in, PNG out.

Pillow draws it: what draws Plotly's figures outside a browser is a browser, and Matplotlib is ten times as large as this needs.
The picture has its own background, so that it reads the same in a light and a dark mail program. No text of a user stands in
it: the font has Latin letters only.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from alerts.messages.notification import Picture
from tracestore.timerange import DAY_NS, TimeRange, moment_of

if TYPE_CHECKING:
    from PIL import ImageDraw

WIDTH, HEIGHT = 600, 220
_SCALE = 2  # pixels for each of the picture's own, for sharp screens
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 34, 28
_TEXT, _MUTED, _GRID, _LINE, _ALERT, _BAND, _PAPER = "#1f2328", "#59636e", "#e4e7eb", "#2459b3", "#c62828", "#fbe5e5", "#ffffff"
_TICKS = 4
_Point = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """What to draw over `time_range`: values at moments (ns), oldest first, None where there is none.

    `firing` is shaded, None for nothing; `mark` is the value that the message is about. `format` writes a value with its unit.
    """

    title: str
    time_range: TimeRange
    points: list[tuple[int, float | None]]
    mark: tuple[int, float] | None
    threshold: float | None
    firing: TimeRange | None
    format: Callable[[float], str]


def draw_chart(chart: Chart) -> Picture:
    """Return the chart as a PNG, with the text that describes it to who does not see it."""
    # Imported where it is used, as few processes ever draw and all start.
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE), _PAPER)
    canvas = _Canvas(ImageDraw.Draw(image), chart)
    canvas.draw_firing()
    canvas.draw_axes()
    canvas.draw_threshold()
    canvas.draw_line()
    canvas.draw_title()
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return Picture(_describe(chart), content.getvalue(), WIDTH, HEIGHT)


def _describe(chart: Chart) -> str:
    """Return what someone reads who does not see the picture."""
    start, end = moment_of(chart.time_range.start_ns), moment_of(chart.time_range.end_ns)
    said = f"{chart.title} from {start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
    known = [value for _, value in chart.points if value is not None]
    if known:
        said += f", between {chart.format(min(known))} and {chart.format(max(known))}"
    return said + (f"; threshold {chart.format(chart.threshold)}" if chart.threshold is not None else "")


class _Canvas:
    """Draws in units of the picture; values and moments become places on it."""

    def __init__(self, draw: ImageDraw.ImageDraw, chart: Chart) -> None:
        self._draw, self._chart = draw, chart
        known = [value for _, value in chart.points if value is not None]
        known += [value for value in (chart.threshold, chart.mark[1] if chart.mark else None) if value is not None]
        self._step = _round_step(max(known, default=0.0) - min([0.0, *known]))
        self._low = self._step * math.floor(min([0.0, *known]) / self._step)
        self._high = self._low + self._step * max(math.ceil((max(known, default=0.0) - self._low) / self._step), 1)
        from PIL import ImageFont

        self._font, self._bold = (ImageFont.load_default(size * _SCALE) for size in (11, 13))

    def _x(self, time_ns: int) -> float:
        start_ns, end_ns = self._chart.time_range.start_ns, self._chart.time_range.end_ns
        share = (time_ns - start_ns) / max(end_ns - start_ns, 1)
        return (_LEFT + min(max(share, 0.0), 1.0) * (WIDTH - _LEFT - _RIGHT)) * _SCALE

    def _y(self, value: float) -> float:
        share = (value - self._low) / ((self._high - self._low) or 1.0)
        return (HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)) * _SCALE

    def draw_title(self) -> None:
        self._draw.text((_LEFT * _SCALE, 8 * _SCALE), self._chart.title, fill=_TEXT, font=self._bold)

    def draw_firing(self) -> None:
        if self._chart.firing is None:
            return
        left, right = self._x(self._chart.firing.start_ns), self._x(self._chart.firing.end_ns)
        self._draw.rectangle((left, _TOP * _SCALE, max(right, left + 1), (HEIGHT - _BOTTOM) * _SCALE), fill=_BAND)

    def draw_axes(self) -> None:
        left, right, bottom = _LEFT * _SCALE, (WIDTH - _RIGHT) * _SCALE, (HEIGHT - _BOTTOM) * _SCALE
        for number in range(round((self._high - self._low) / self._step) + 1):
            value = self._low + self._step * number
            self._draw.line((left, self._y(value), right, self._y(value)), fill=_GRID, width=_SCALE)
            place, text = (left - 6 * _SCALE, self._y(value)), self._chart.format(value)
            self._draw.text(place, text, fill=_MUTED, font=self._font, anchor="rm")
        start_ns, end_ns = self._chart.time_range.start_ns, self._chart.time_range.end_ns
        form = "%H:%M" if end_ns - start_ns <= DAY_NS else "%d %b %H:%M"
        for step in range(_TICKS + 1):
            time_ns = start_ns + (end_ns - start_ns) * step // _TICKS
            anchor = "lt" if step == 0 else "rt" if step == _TICKS else "mt"
            text = f"{moment_of(time_ns):{form}}" + (" UTC" if step == _TICKS else "")
            self._draw.text((self._x(time_ns), bottom + 8 * _SCALE), text, fill=_MUTED, font=self._font, anchor=anchor)

    def draw_threshold(self) -> None:
        if self._chart.threshold is None:
            return
        left, right, y = _LEFT * _SCALE, (WIDTH - _RIGHT) * _SCALE, self._y(self._chart.threshold)
        for x in range(left, right, 10 * _SCALE):
            self._draw.line((x, y, min(x + 6 * _SCALE, right), y), fill=_ALERT, width=_SCALE)
        label = f"threshold {self._chart.format(self._chart.threshold)}"
        # To the left, clear of the newest values.
        self._draw.text((left + 4 * _SCALE, y - 2 * _SCALE), label, fill=_ALERT, font=self._font, anchor="lb")

    def draw_line(self) -> None:
        for run in _runs(self._chart.points):
            places = [(self._x(time_ns), self._y(value)) for time_ns, value in run]
            for first, second in pairwise(places):
                self._draw.line((*first, *second), fill=_LINE, width=2 * _SCALE)
            if len(places) == 1:  # alone between two gaps
                self._dot(places[0], 2, _LINE)
        if self._chart.mark:
            self._dot((self._x(self._chart.mark[0]), self._y(self._chart.mark[1])), 5, _ALERT)

    def _dot(self, place: _Point, radius: float, colour: str) -> None:
        (x, y), reach = place, radius * _SCALE
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)


def _round_step(span: float) -> float:
    """Return the round number, such as 0.05 or 2000, that goes at most _TICKS times into a span."""
    least = span / _TICKS or 1.0
    size = 10.0 ** math.floor(math.log10(least))
    return next(factor * size for factor in (1, 2, 2.5, 5, 10, 20) if factor * size >= least)


def _runs(points: list[tuple[int, float | None]]) -> Iterator[list[tuple[int, float]]]:
    """Yield the stretches without a gap: a line across a gap would claim values that nobody measured."""
    run: list[tuple[int, float]] = []
    for time_ns, value in points:
        if value is not None:
            run.append((time_ns, value))
        elif run:
            yield run
            run = []
    if run:
        yield run
