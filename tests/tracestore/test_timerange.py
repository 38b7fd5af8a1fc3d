"""Times as people and scripts write them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracestore.timerange import (
    DAY_NS,
    MAX_NS,
    NS_PER_S,
    TimeError,
    TimeRange,
    format_time_ns,
    moment_of,
    ns_of,
    parse_time_ns,
    parse_time_range,
)

NOW_NS = 1_790_000_000 * NS_PER_S
AUGUST_NS = 1_786_000_000 * NS_PER_S  # 2026-08-06T07:06:40Z


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2026-08-06T07:06:40Z", AUGUST_NS),
        ("2026-08-06t07:06:40z", AUGUST_NS),
        ("2026-08-06 07:06:40", AUGUST_NS),
        ("2026-08-06T09:06:40+02:00", AUGUST_NS),
        ("2026-08-06T09:06:40+0200", AUGUST_NS),
        ("2026-08-06T09:06:40 02:00", AUGUST_NS),  # a + that nobody encoded
        ("2026-08-06T07:06:40.000000001Z", AUGUST_NS + 1),
        ("2026-08-06T07:06:40.5Z", AUGUST_NS + NS_PER_S // 2),
        ("2026-08-06T07:06:40.0000000019999Z", AUGUST_NS + 1),
        ("2026-08-06T07:06", AUGUST_NS - 40 * NS_PER_S),
        ("2026-08-06", AUGUST_NS - (7 * 3600 + 6 * 60 + 40) * NS_PER_S),
        (str(AUGUST_NS), AUGUST_NS),
        ("0", 0),
        (str(MAX_NS), MAX_NS),
        ("now", NOW_NS),
        ("now-15m", NOW_NS - 900 * NS_PER_S),
        (" now-2w ", NOW_NS - 14 * DAY_NS),
        ("now-999999w", 0),
    ],
)
def test_time_is_read_to_the_nanosecond(text: str, expected_ns: int) -> None:
    assert parse_time_ns(text, NOW_NS) == expected_ns


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "now-", "now+1h", "now-1y", "-5", "1e9", "2026-13-01", "2026-02-30T00:00:00Z", "2026-08-06T25:00:00Z",
        "2026-08-06T07:0640", "2026-08-06T07:06:40123", "1969-12-31T23:59:59Z", "2300-01-01", str(MAX_NS + 1), "9" * 5000, "١٢٣",
        "2026-08-06T07:06:60Z", "2026-08-06T07:06:40+99:99", "0001-01-01T00:00:00+23:59",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(TimeError) as refusal:
        parse_time_ns(text, NOW_NS)

    assert len(str(refusal.value)) > 20


def test_empty_range_is_the_last_day() -> None:
    assert parse_time_range("", "", NOW_NS) == TimeRange(NOW_NS - DAY_NS, NOW_NS)


def test_empty_start_counts_from_the_given_end() -> None:
    assert parse_time_range("", str(AUGUST_NS), NOW_NS) == TimeRange(AUGUST_NS - DAY_NS, AUGUST_NS)


@pytest.mark.parametrize(("start", "end"), [("now", "now-1h"), ("now", "now"), ("0", "0")])
def test_range_that_ends_before_it_starts_is_refused(start: str, end: str) -> None:
    with pytest.raises(TimeError, match="before its end"):
        parse_time_range(start, end, NOW_NS)


@pytest.mark.parametrize(
    ("duration_s", "step_s"),
    [(1, 1), (120, 1), (121, 5), (3600, 30), (86_400, 900), (7 * 86_400, 7200), (365 * 86_400, 4 * 86_400)],
)
def test_step_keeps_the_number_of_buckets_readable(duration_s: int, step_s: int) -> None:
    assert TimeRange(NOW_NS, NOW_NS + duration_s * NS_PER_S).step_s() == step_s


@given(st.integers(0, MAX_NS))
def test_formatted_time_reads_back_as_itself(time_ns: int) -> None:
    assert parse_time_ns(format_time_ns(time_ns)) == time_ns


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with contextlib.suppress(TimeError):
        assert 0 <= parse_time_ns(text, NOW_NS) <= MAX_NS


@given(st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1), timezones=st.just(UTC)))
def test_moment_keeps_its_microsecond_as_nanoseconds_and_back(moment: datetime) -> None:
    assert moment_of(ns_of(moment)) == moment
    assert ns_of(moment) == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def test_moment_of_nanoseconds_is_cut_to_its_microsecond() -> None:
    assert moment_of(1_763_628_600_000_001_999) == datetime(2025, 11, 20, 8, 50, 0, 1, tzinfo=UTC)
