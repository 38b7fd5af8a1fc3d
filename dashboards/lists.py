"""What the lists of errors, sessions and users share: parameters beside query and range, trend bars, paths with any text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.http import QueryDict

from dashboards.forms import Search, parse_search
from tracestore.timerange import NS_PER_S, TimeRange

TREND_BUCKETS, TREND_HEIGHT = 24, 20
_LEAST_HEIGHT = 2.0
PAGE_SIZE = 50
_MAX_OFFSET_DIGITS = 5


@dataclass(frozen=True)
class ListSearch(Search):
    """A search whose links keep further parameters, such as the order of the list. They can be changed as the others can."""

    kept: Mapping[str, str] = field(default_factory=dict)

    def querystring(self, **changes: str) -> str:
        return super().querystring(**{**self.kept, **changes})


def parse_list_search(params: QueryDict, **choices: Sequence[str]) -> ListSearch:
    """Read query, range and, of each further parameter, one of its choices: the first, kept as "", where it has none of them.

    Raises SearchRefused.
    """
    search = parse_search(params)
    kept = {name: params.get(name, "") for name in choices}
    kept = {name: value if value in choices[name][1:] else "" for name, value in kept.items()}
    return ListSearch(**vars(search), kept=kept)


def read_offset(params: QueryDict) -> int:
    """Return how many rows of the list the page has already; 0 for what is no number."""
    text = params.get("offset", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_OFFSET_DIGITS else 0


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


class AnyText:
    """Path converter: whatever a sender may call a session or a user, slashes and line breaks included."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
