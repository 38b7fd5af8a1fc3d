"""Trends in rows of lists: bars of what came when, a few pixels high."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tracestore.timerange import NS_PER_S, TimeRange

TREND_BUCKETS, TREND_HEIGHT = 24, 20
_LEAST_HEIGHT = 2.0


@dataclass(frozen=True)
class TrendBar:
    """A bucket that has something in it: x counts buckets, y and height are px of TREND_HEIGHT from the top."""

    start_ns: int
    count: int
    x: int
    y: float
    height: float


def trend_step_s(time_range: TimeRange) -> int:
    """Return the width of a trend's bucket in seconds."""
    return time_range.step_s(TREND_BUCKETS)


def build_trend(points: Sequence[tuple[int, int]], time_range: TimeRange) -> list[TrendBar]:
    """Draw (bucket start in ns, count) over the range; heights grow with the square root, so that a burst hides nothing."""
    step_ns = trend_step_s(time_range) * NS_PER_S
    first_ns = time_range.start_ns - time_range.start_ns % step_ns
    most = max((count for _, count in points), default=0)
    bars = []
    for start_ns, count in points:
        height = round(max(_LEAST_HEIGHT, TREND_HEIGHT * math.sqrt(count / most)), 1)
        bars.append(TrendBar(start_ns, count, (start_ns - first_ns) // step_ns, round(TREND_HEIGHT - height, 1), height))
    return bars


def trend_buckets(time_range: TimeRange) -> int:
    """Return how many buckets wide a trend of the range is; the first and the last may stick out of it."""
    step_ns = trend_step_s(time_range) * NS_PER_S
    return (time_range.end_ns - 1) // step_ns - time_range.start_ns // step_ns + 1
