"""Numbers on both sides: how their distributions differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tracestore.queries.why.fields import NUMBERS, Number
from tracestore.statistics.histogram import Bar, Histogram, align, draw_bars
from tracestore.statistics.samples import find_discoveries, kolmogorov_smirnov


@dataclass(frozen=True)
class Quantiles:
    """Of one side, in the unit of the number and off by 1.6 % at most; None without a trace that has the number."""

    count: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True)
class Shift:
    """How a number is distributed on both sides. `distance` (0 to 1) is that of Kolmogorov and Smirnov."""

    number: Number
    selected: Quantiles
    others: Quantiles
    distance: float
    is_significant: bool
    bars: list[Bar]


def build_shifts(numbers: Sequence[Number], histograms: Mapping[str, tuple[Histogram, Histogram]]) -> list[Shift]:
    """Return the distributions of the numbers that both sides have, the most different first."""
    measured = [
        (number, *histograms[number.name], *kolmogorov_smirnov(*align(*histograms[number.name])))
        for number in numbers
        if histograms[number.name][0].total and histograms[number.name][1].total
    ]
    stands = find_discoveries([p_value for *_, p_value in measured])
    shifts = [
        Shift(
            number, _quantiles(number, one), _quantiles(number, other), distance, is_significant, _scale_bars(number, one, other)
        )
        for (number, one, other, distance, _), is_significant in zip(measured, stands, strict=True)
    ]
    return sorted(shifts, key=lambda shift: -shift.distance)


def _quantiles(number: Number, histogram: Histogram) -> Quantiles:
    return Quantiles(histogram.total, *(_amount(number, histogram.quantile(part)) for part in (0.5, 0.95)))


def _amount(number: Number, value: float | None) -> float | None:
    """What was counted in whole pieces stays whole."""
    return value if value is None else value / number.scale if number.scale > 1 else float(round(value))


def _scale_bars(number: Number, one: Histogram, other: Histogram) -> list[Bar]:
    return [replace(bar, low=bar.low / number.scale, high=bar.high / number.scale) for bar in draw_bars(one, other)]


def upper_quantiles(histograms: Mapping[str, tuple[Histogram, Histogram]]) -> dict[str, float]:
    """Return the 95th percentile of both sides together of each number that is not 0 there, in its unit, by its name."""
    found = {}
    for number in NUMBERS:
        if number.name in histograms:
            one, other = align(*histograms[number.name])
            keys = sorted(histograms[number.name][0].counts.keys() | histograms[number.name][1].counts.keys())
            both = Histogram({key: a + b for key, a, b in zip(keys, one, other, strict=True)})
            value = _amount(number, both.quantile(0.95))
            if value:
                found[number.name] = value
    return found
