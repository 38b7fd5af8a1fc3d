"""Bins that grow with the value: what is read back from them."""

from __future__ import annotations

import random
import struct

import pytest

from tracestore.statistics.histogram import MOST_BINS, Histogram, align, draw_bars


def count(values: list[int]) -> Histogram:
    """Bin as `bin_sql` does."""
    counts: dict[int, int] = {}
    for value in values:
        number = struct.unpack("<Q", struct.pack("<d", value))[0] >> 47
        counts[number] = counts.get(number, 0) + 1
    return Histogram(counts)


@pytest.mark.parametrize("part", [0.05, 0.5, 0.95, 0.99])
def test_quantile_is_within_its_bin(part: float) -> None:
    chance = random.Random(3)
    values = sorted(round(10 ** chance.uniform(3, 11)) for _ in range(5000))

    assert count(values).quantile(part) == pytest.approx(values[int(part * 5000)], rel=0.016)


def test_zeros_are_a_bin_of_their_own() -> None:
    assert count([0, 0, 0, 8]).quantile(0.5) == 0
    assert count([]).quantile(0.5) is None


def test_largest_number_has_a_bin() -> None:
    lowest, highest = min(count([1]).counts), max(count([2**64 - 1]).counts)

    assert highest - lowest + 1 <= MOST_BINS
    assert highest < 2**16


def test_both_samples_are_counted_over_the_same_bins() -> None:
    assert align(count([1, 4]), count([4, 4, 16])) == ([1, 1, 0], [0, 2, 1])


def test_bars_hold_all_of_both_samples_and_an_outlier_does_not_squeeze_them() -> None:
    chance = random.Random(5)
    one = count([round(chance.uniform(100, 200)) for _ in range(1000)] + [10**15])
    other = count([round(chance.uniform(300, 400)) for _ in range(1000)])

    bars = draw_bars(one, other)

    assert sum(bar.share for bar in bars) == pytest.approx(1)
    assert sum(bar.other_share for bar in bars) == pytest.approx(1)
    assert bars[-1].high < 1000
    assert all(bar.low < bar.high for bar in bars)
    assert len(bars) <= 32


def test_nothing_has_no_bars() -> None:
    assert draw_bars(count([]), count([])) == []


def test_zeros_have_a_bar_of_their_own_beside_those_of_all_else() -> None:
    bars = draw_bars(count([0] * 50 + list(range(100, 200))), count(list(range(150, 250))))

    assert (bars[0].low, bars[0].high, bars[0].other_share) == (0, 0, 0)
    assert bars[0].share == pytest.approx(1 / 3)
    assert bars[1].low == pytest.approx(100, rel=0.04)
    assert len(bars) > 16
    assert sum(bar.share for bar in bars) == pytest.approx(1)
    assert max(bar.share for bar in bars[1:]) < 0.2


def test_bars_of_nothing_and_of_zeros_alone() -> None:
    assert [(bar.low, bar.high) for bar in draw_bars(count([0]), count([0]))] == [(0, 0)]
