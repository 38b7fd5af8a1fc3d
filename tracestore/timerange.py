"""Half-open time ranges in nanoseconds since the Unix epoch, their parser, and the bucket step that a range implies."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NS_PER_S = 1_000_000_000
DAY_NS = 86_400 * NS_PER_S
MAX_NS = 2**63 - 1
# Steps that divide a day evenly, so that buckets of neighbouring ranges share their borders.
STEPS_S = (1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_RELATIVE = re.compile(r"now(?:-(\d{1,6})(s|m|h|d|w))?")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2})?)(?:(\.\d{1,9})\d*)?(Z|z|[+ -]\d{2}:?\d{2})?)?")


class TimeError(ValueError):
    """A time that cannot be read; the message says which forms can."""


@dataclass(frozen=True)
class TimeRange:
    """[start_ns, end_ns): nanoseconds since the Unix epoch, start included, end not."""

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_ns < self.end_ns <= MAX_NS:
            raise TimeError("the start of a time range must lie before its end")

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.start_ns) / NS_PER_S

    def step_s(self, buckets: int = 120) -> int:
        """Return the smallest standard step, or number of whole days, in seconds, that makes at most `buckets` pieces."""
        whole_days_s = math.ceil(self.duration_s / buckets / STEPS_S[-1]) * STEPS_S[-1]
        return next((step for step in STEPS_S if self.duration_s / step <= buckets), whole_days_s)


def parse_time_ns(text: str, now_ns: int | None = None) -> int:
    """Read RFC 3339 (UTC when no zone is given), Unix nanoseconds, or `now`, `now-15m` (s, m, h, d, w).

    Returns nanoseconds since the Unix epoch. Raises TimeError.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        # Far longer numbers are refused by int() itself.
        if len(text) > 19 or int(text) > MAX_NS:
            raise TimeError(f"{text[:40]!r} lies beyond the year 2262")
        return int(text)
    if relative := _RELATIVE.fullmatch(text):
        now_ns = time.time_ns() if now_ns is None else now_ns
        return max(0, now_ns - int(relative[1] or 0) * _UNIT_S[relative[2] or "s"] * NS_PER_S)
    if absolute := _RFC3339.fullmatch(text):
        try:
            moment = datetime.fromisoformat(absolute[1] + "T" + (absolute[2] or "00:00") + _read_zone(absolute[4]))
        except ValueError:
            raise TimeError(f"{text!r} is not a date and time that exists") from None
        seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
        fraction_ns = int((absolute[3] or ".0")[1:].ljust(9, "0"))
        nanoseconds = seconds * NS_PER_S + fraction_ns
        if not 0 <= nanoseconds <= MAX_NS:
            raise TimeError(f"{text!r} lies outside the years 1970 to 2262")
        return nanoseconds
    raise TimeError(f"{text!r} is not a time: use 2026-11-20T08:30:00Z, Unix nanoseconds, or now-1h")


def _read_zone(zone: str | None) -> str:
    # A + that was put into an address as it is arrives as a space.
    return (zone or "Z").upper().replace(" ", "+")


def parse_time_range(start: str, end: str, now_ns: int | None = None, default_ns: int = DAY_NS) -> TimeRange:
    """Read a range from two texts. An empty end means now, an empty start means `default_ns` before the end. Raises TimeError."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    end_ns = parse_time_ns(end, now_ns) if end.strip() else now_ns
    start_ns = parse_time_ns(start, now_ns) if start.strip() else max(0, end_ns - default_ns)
    return TimeRange(start_ns, end_ns)


def ns_of(moment: datetime) -> int:
    """Return an aware datetime as nanoseconds since the Unix epoch."""
    return int(moment.timestamp()) * NS_PER_S + moment.microsecond * 1000


def moment_of(time_ns: int) -> datetime:
    """Return nanoseconds since the Unix epoch as a datetime in UTC, cut to its microsecond."""
    seconds, nanoseconds = divmod(time_ns, NS_PER_S)
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=nanoseconds // 1000)


def format_time_ns(time_ns: int) -> str:
    """Return RFC 3339 in UTC with nine decimals, for example 2026-11-20T08:30:00.000000001Z."""
    seconds, nanoseconds = divmod(time_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
