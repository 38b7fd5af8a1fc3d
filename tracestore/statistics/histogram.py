"""Distributions counted in bins that grow with the value, so that one bin width suits microseconds and hours.

The bin of a number is the leading bits of its floating-point form (IEEE 754): 32 to each doubling, so that the middle of a bin is
off by 1.6 % at most. Numbers are not below 0; 0 is bin 0.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

# Of the 52 bits of the fraction the first five stay.
_BITS = 47
# As many bins as whole numbers of 64 bits can fall into.
MOST_BINS = 64 * 32 + 1
_BARS = 32
# What is drawn leaves this much out at either end: one outlier would squeeze all the rest into one bar.
_CUT = 0.005


def bin_sql(amount: str) -> str:
    """Return SQL for the bin of `amount`, a number not below 0: a UInt16. A logarithm would take ten times as long."""
    return f"toUInt16(bitShiftRight(reinterpretAsUInt64(toFloat64({amount})), {_BITS}))"


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
    shown = _middle(one, other, numbers)
    # Zero lies infinitely far from all else on a logarithmic scale, so it has a bar of its own.
    zeros = 1 if shown[0] == 0 else 0
    above = shown[zeros:]
    width = max(1, math.ceil((above[-1] - above[0] + 1) / (_BARS - zeros))) if above else 1
    starts = [0] * zeros + list(range(above[0], above[-1] + 1, width) if above else ())
    first, last = starts[0], shown[-1]
    return [
        Bar(
            _bounds(start)[0],
            _bounds(min(start + width - 1, last) if start else 0)[1],
            _share(one, start, end, first, last),
            _share(other, start, end, first, last),
        )
        for start, end in zip(starts, [*starts[1:], starts[-1] + width], strict=True)
    ]


def _middle(one: Histogram, other: Histogram, numbers: list[int]) -> list[int]:
    """The bins, in order of value, between which all but a few values of both lie."""
    kept = {
        number
        for sample in (one, other)
        for number, below in _cumulative(sample)
        if below + sample.counts[number] > _CUT * sample.total and below < (1 - _CUT) * sample.total
    }
    return sorted(kept) or numbers


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
    low, high = struct.unpack("<2d", struct.pack("<2Q", number << _BITS, (number + 1) << _BITS))
    return (0.0, 0.0) if number == 0 else (low, high)
