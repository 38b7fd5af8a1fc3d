"""Durations as numbers of buckets that grow by 1 %, so that counts of many add up and percentiles of them stay bounded.

Bucket b > 0 holds what is nearest to 1.01 ** (b - 1) ns on a logarithmic scale. A percentile is the duration of that rank, off
by at most MAX_RELATIVE_ERROR, however its parts were added up: minute by minute, by hour, or all at once (the idea of DDSketch,
https://arxiv.org/abs/1908.10693). A t-digest is nearer in the middle but has no bound, and another answer for each way.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

GROWTH = 1.01
MAX_RELATIVE_ERROR = math.sqrt(GROWTH) - 1  # half a bucket: 0.5 %
# By ClickHouse of a number of ns, and back; 0 is the bucket of no duration at all.
BUCKET_SQL = f"toUInt16(1 + round(log(greatest({{}}, 1)) / {math.log(GROWTH)!r}))"
SECONDS_SQL = f"if({{0}} = 0, nan, exp(({{0}} - 1) * {math.log(GROWTH)!r}) / 1e9)"


def bucket_of(duration_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    """Return the number of the bucket of each duration."""
    return (1 + np.rint(np.log(np.maximum(duration_ns, 1)) / math.log(GROWTH))).astype(np.uint16)


def seconds_of(bucket: int) -> float:
    """Return the duration that stands for a bucket, in seconds."""
    return math.exp((bucket - 1) * math.log(GROWTH)) / 1e9
