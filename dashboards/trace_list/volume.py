"""The strips above the trace list: requests and failures, the slowest and the dearest traces per bucket, as bars of an SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dashboards.search.query_string import Search, time_range_querystring
from tracestore.queries.outliers import OutlierBucket
from tracestore.timerange import NS_PER_S, format_time_ns

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


@dataclass(frozen=True)
class OutlierBar:
    """One bucket: the greatest value, and the median inside its bar. Units of x, y, widths and heights are those of VolumeBar.

    `href` lists the traces of the bucket, the greatest first.
    """

    start_ns: int
    greatest: float
    median: float
    x: float
    width: float
    y: float
    height: float
    median_y: float
    median_height: float
    href: str


@dataclass(frozen=True)
class OutlierStrip:
    """The bars of one quantity, `kind` "duration" (values in ns) or "cost" (US dollars); `greatest` fills the height."""

    kind: str
    bars: list[OutlierBar]
    buckets: int
    greatest: float


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


def find_strip_ends(search: Search) -> tuple[int, int]:
    """When the first bucket of the strips begins and the last one ends, in ns: somewhat outside the range that was asked for."""
    step_ns = search.time_range.step_s(BUCKETS) * NS_PER_S
    start_ns, end_ns = search.time_range.start_ns, search.time_range.end_ns
    return start_ns - start_ns % step_ns, end_ns + -end_ns % step_ns


def wider_href(search: Search, now_ns: int) -> str:
    """The same search over three times the range, as much more on either side, but not beyond now."""
    start_ns, end_ns = search.time_range.start_ns, search.time_range.end_ns
    length_ns = end_ns - start_ns
    return time_range_querystring(search, max(0, start_ns - length_ns), max(end_ns, min(end_ns + length_ns, now_ns)))


def build_outliers(search: Search, step_s: int, buckets: list[OutlierBucket]) -> list[OutlierStrip]:
    """Return the strips of duration and of cost; `buckets` are aligned to `step_s`, those without traces are absent."""
    step_ns = step_s * NS_PER_S
    first_ns = search.time_range.start_ns - search.time_range.start_ns % step_ns
    count = -(-(search.time_range.end_ns - first_ns) // step_ns)
    values = {
        "duration": [(bucket.start_ns, float(bucket.max_duration_ns), float(bucket.median_duration_ns)) for bucket in buckets],
        "cost": [(bucket.start_ns, bucket.max_cost_usd, bucket.median_cost_usd) for bucket in buckets],
    }
    strips = []
    for kind, points in values.items():
        greatest = max((value for _, value, _ in points), default=0.0)
        bars = [
            _build_outlier(search, kind, (start_ns - first_ns) // step_ns, start_ns, step_ns, value, median, greatest)
            for start_ns, value, median in points
            if value
        ]
        strips.append(OutlierStrip(kind, bars, count, greatest))
    return strips


def _build_outlier(
    search: Search, kind: str, index: int, start_ns: int, step_ns: int, value: float, median: float, greatest: float
) -> OutlierBar:
    height = max(_LEAST, HEIGHT * math.sqrt(value / greatest))
    median_height = HEIGHT * math.sqrt(min(median, value) / greatest)
    first = max(start_ns, search.time_range.start_ns)
    last = min(start_ns + step_ns, search.time_range.end_ns)
    return OutlierBar(
        start_ns=first,
        greatest=value,
        median=median,
        x=index + _GAP / 2,
        width=1 - _GAP,
        y=round(HEIGHT - height, 2),
        height=round(height, 2),
        median_y=round(HEIGHT - median_height, 2),
        median_height=round(median_height, 2),
        href=search.querystring(start=format_time_ns(first), end=format_time_ns(last), sort=f"-{kind}", live=""),
    )
