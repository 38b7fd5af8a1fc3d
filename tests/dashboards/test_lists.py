"""What lists share."""

from __future__ import annotations

from django.http import QueryDict

from dashboards.search.list_search import parse_list_search, read_offset
from dashboards.trends import TREND_HEIGHT, build_trend, trend_buckets, trend_step_s
from tracestore.timerange import NS_PER_S, TimeRange

HOUR_NS = 3600 * NS_PER_S


def test_links_keep_what_was_chosen_and_drop_what_is_not_a_choice() -> None:
    params = QueryDict("q=status:error&sort=cost&show=nonsense&start=now-7d")

    search = parse_list_search(params, sort=("last", "cost"), show=("open", "all"))

    assert search.kept == {"sort": "cost", "show": ""}
    assert search.querystring() == "?q=status%3Aerror&start=now-7d&sort=cost"
    assert search.querystring(sort="", q="", start="now-24h") == "?"


def test_first_choice_is_the_one_that_needs_no_word() -> None:
    assert parse_list_search(QueryDict("sort=last"), sort=("last", "cost")).kept == {"sort": ""}


def test_offset_is_a_number_or_nothing() -> None:
    offsets = {text: read_offset(QueryDict(f"offset={text}")) for text in ("50", "-1", "x", "", "1000000", "²")}

    assert offsets == {"50": 50, "-1": 0, "x": 0, "": 0, "1000000": 0, "²": 0}


def test_trend_lies_within_its_box_and_the_most_fills_it() -> None:
    time_range = TimeRange(1_790_000_000 * NS_PER_S, 1_790_000_000 * NS_PER_S + 24 * HOUR_NS)
    step_ns = trend_step_s(time_range) * NS_PER_S
    first_ns = time_range.start_ns - time_range.start_ns % step_ns
    last_ns = time_range.end_ns - 1 - (time_range.end_ns - 1) % step_ns

    bars = build_trend([(first_ns, 1), (last_ns, 10_000)], time_range)

    assert [bar.x for bar in bars] == [0, trend_buckets(time_range) - 1]
    assert (bars[1].y, bars[1].height) == (0, TREND_HEIGHT)
    assert 2 <= bars[0].height < TREND_HEIGHT
    assert build_trend([], time_range) == []
