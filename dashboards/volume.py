"""The strip above the trace list: requests and failures per bucket as bars of an SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dashboards.forms import Search, time_range_querystring
from tracestore.timerange import NS_PER_S

HEIGHT = 48
BUCKETS = 120
# A bar that stands for something is never thinner than this, or one failure among thousands would vanish.
_LEAST = 2.0
_GAP = 0.2


@dataclass(frozen=True)
class VolumeBar:
    """One bucket. x and width count buckets, y and heights are in px from the top; the failed part stands at the bottom.

    Heights grow with the square root of the count, so that one burst does not flatten all the rest; within a bar the failed part
    has its true share.
    """

    start_ns: int
    end_ns: int
    requests: int
    failures: int
    x: float
    width: float
    y: float
    height: float
    failed_y: float
    failed_height: float
    href: str


@dataclass(frozen=True)
class Volume:
    """All bars, their total, and the scale: `most` requests fill the height."""

    bars: list[VolumeBar]
    buckets: int
    requests: int
    failures: int
    most: int
    step_s: int

    @property
    def failure_ratio(self) -> float | None:
        return self.failures / self.requests if self.requests else None


def build_volume(search: Search, step_s: int, requests: list[tuple[int, int]], failures: list[tuple[int, int]]) -> Volume:
    """`requests` and `failures` are (bucket start in ns, count) for the same buckets, oldest first; empty buckets get no bar."""
    failed_at = dict(failures)
    most = max((count for _, count in requests), default=0)
    step_ns = step_s * NS_PER_S
    bars = [
        _build_bar(search, index, start_ns, step_ns, count, failed_at.get(start_ns, 0), most)
        for index, (start_ns, count) in enumerate(requests)
        if count
    ]
    total = sum(count for _, count in requests)
    return Volume(bars, max(1, len(requests)), total, sum(failed_at.values()), most, step_s)


def _build_bar(search: Search, index: int, start_ns: int, step_ns: int, requests: int, failures: int, most: int) -> VolumeBar:
    height = max(_LEAST, HEIGHT * math.sqrt(requests / most))
    failed_height = min(height, max(_LEAST, height * failures / requests)) if failures else 0.0
    # Buckets are aligned to the step; the first and last may stick out of the range that was asked for.
    first = max(start_ns, search.time_range.start_ns)
    last = min(start_ns + step_ns, search.time_range.end_ns)
    return VolumeBar(
        start_ns=first,
        end_ns=last,
        requests=requests,
        failures=failures,
        x=index + _GAP / 2,
        width=1 - _GAP,
        y=round(HEIGHT - height, 2),
        height=round(height - failed_height, 2),
        failed_y=round(HEIGHT - failed_height, 2),
        failed_height=round(failed_height, 2),
        href=time_range_querystring(search, first, last),
    )
