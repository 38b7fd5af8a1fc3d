"""Distributions counted in bins that grow with the value, so that one bin width suits microseconds and hours.

Bin 0 holds the value 0, bin b from 1 on the values from 2^((b-1)/16) to 2^(b/16): a quantile is off by 2.2 % at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

BINS_PER_DOUBLING = 16
# Above this no 64-bit number has a bin.
MOST_BINS = 64 * BINS_PER_DOUBLING + 1
_BARS = 32
# What is drawn leaves this much out at either end: one outlier would squeeze all the rest into one bar.
_CUT = 0.005


def bin_sql(amount: str) -> str:
    """Return SQL for the bin of `amount`, a whole number not below 0."""
    return f"if({amount} = 0, 0, 1 + toUInt64(floor(log2({amount}) * {BINS_PER_DOUBLING})))"


@dataclass(frozen=True)
class Bar:
    """The values from `low` to `high` as shares (0 to 1) of two samples."""

    low: float
    high: float
    share: float
    other_share: float


class Histogram:
    """How many values lie in each bin."""

    def __init__(self, counts: Mapping[int, int]) -> None:
        self.counts = {number: count for number, count in sorted(counts.items()) if count}
        self.total = sum(self.counts.values())

    def quantile(self, quantile: float) -> float | None:
        """Return the value below which that part of all values lies, as the middle of its bin, None without values."""
        wanted, below = quantile * self.total, 0
        for number, count in self.counts.items():
            if below + count >= wanted:
                low, high = _bounds(number)
                return math.sqrt(low * high)
            below += count
        return None


def align(one: Histogram, other: Histogram) -> tuple[list[int], list[int]]:
    """Return the counts of both over the same bins, in order of value."""
    numbers = sorted(one.counts.keys() | other.counts.keys())
    return [one.counts.get(number, 0) for number in numbers], [other.counts.get(number, 0) for number in numbers]


def draw_bars(one: Histogram, other: Histogram) -> list[Bar]:
    """Return both as at most 32 bars of equal width on a logarithmic scale; a bar of zeros comes first where there are any."""
    numbers = sorted(one.counts.keys() | other.counts.keys())
    if not numbers:
        return []
    first, last = _middle(one, other, numbers)
    width = max(1, math.ceil((last - first + 1) / _BARS))
    return [
        Bar(
            _bounds(start)[0],
            _bounds(min(start + width - 1, last))[1],
            _share(one, start, start + width, first, last),
            _share(other, start, start + width, first, last),
        )
        for start in range(first, last + 1, width)
    ]


def _middle(one: Histogram, other: Histogram, numbers: list[int]) -> tuple[int, int]:
    """The bins between which all but a few values of both lie."""
    kept = [
        number
        for sample in (one, other)
        for number, below in _cumulative(sample)
        if below + sample.counts[number] > _CUT * sample.total and below < (1 - _CUT) * sample.total
    ]
    return (min(kept), max(kept)) if kept else (numbers[0], numbers[-1])


def _cumulative(sample: Histogram) -> list[tuple[int, int]]:
    below, sums = 0, []
    for number, count in sample.counts.items():
        sums.append((number, below))
        below += count
    return sums


def _share(sample: Histogram, start: int, end: int, first: int, last: int) -> float:
    """Of the values in bins from `start` to `end`; the outermost bars take what was cut off beyond them."""
    count = sum(
        count
        for number, count in sample.counts.items()
        if (start <= number < end) or (start == first and number < first) or (end > last and number >= end)
    )
    return count / sample.total if sample.total else 0.0


def _bounds(number: int) -> tuple[float, float]:
    return (0.0, 0.0) if number == 0 else (2 ** ((number - 1) / BINS_PER_DOUBLING), 2 ** (number / BINS_PER_DOUBLING))
