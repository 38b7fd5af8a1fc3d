from __future__ import annotations

from urllib.parse import quote

from dashboards.search.query_string import parse_search, time_range_querystring
from dashboards.trace_list.volume import HEIGHT, build_outliers, build_volume, find_strip_ends, wider_href
from tracestore.queries.outliers import OutlierBucket
from tracestore.timerange import NS_PER_S, format_time_ns

HOUR_S = 3600
START_NS = 1_795_161_600 * NS_PER_S  # 2026-11-20T08:00:00Z
SEARCH = parse_search({"start": str(START_NS + NS_PER_S), "end": str(START_NS + 2 * HOUR_S * NS_PER_S)})
NEXT_NS = START_NS + HOUR_S * NS_PER_S


def test_bars_fill_the_height_and_failures_stand_at_the_bottom() -> None:
    volume = build_volume(SEARCH, HOUR_S, [(START_NS, 100), (NEXT_NS, 25)], [(START_NS, 25), (NEXT_NS, 0)])

    first, second = volume.bars
    assert (first.y, first.height, first.failed_y, first.failed_height) == (0, HEIGHT * 0.75, HEIGHT * 0.75, HEIGHT * 0.25)
    assert (second.y, second.failed_height) == (HEIGHT / 2, 0)
    assert (volume.requests, volume.failures, volume.failure_ratio) == (125, 25, 25 / 125)


def test_a_burst_leaves_the_other_bars_high_enough_to_read() -> None:
    volume = build_volume(SEARCH, HOUR_S, [(START_NS, 1_600), (NEXT_NS, 40)], [(START_NS, 0), (NEXT_NS, 10)])

    calm = volume.bars[1]
    assert calm.height + calm.failed_height > HEIGHT / 8
    assert calm.failed_height < calm.height


def test_one_failure_among_thousands_is_still_drawn() -> None:
    volume = build_volume(SEARCH, HOUR_S, [(START_NS, 10_000)], [(START_NS, 1)])

    assert volume.bars[0].failed_height == 2


def test_first_bar_links_no_further_back_than_the_range() -> None:
    volume = build_volume(SEARCH, HOUR_S, [(START_NS, 1)], [(START_NS, 0)])

    assert volume.bars[0].start_ns == SEARCH.time_range.start_ns


def test_empty_buckets_have_no_bar_but_keep_their_place() -> None:
    volume = build_volume(SEARCH, HOUR_S, [(START_NS, 0), (NEXT_NS, 1)], [(START_NS, 0), (NEXT_NS, 0)])

    assert volume.buckets == 2
    assert [round(bar.x) for bar in volume.bars] == [1]
    assert build_volume(SEARCH, HOUR_S, [], []).failure_ratio is None


def test_outliers_stand_above_what_is_usual() -> None:
    buckets = [OutlierBucket(START_NS, 16 * NS_PER_S, NS_PER_S, 0.0, 0.0), OutlierBucket(NEXT_NS, NS_PER_S, NS_PER_S, 0.5, 0.5)]

    duration, cost = build_outliers(SEARCH, HOUR_S, buckets)

    first, second = duration.bars
    assert (duration.kind, duration.greatest, duration.buckets) == ("duration", 16 * NS_PER_S, 2)
    assert (first.y, first.height, first.median_height) == (0, HEIGHT, HEIGHT / 4)
    assert (second.y, second.height, second.median_height) == (HEIGHT * 3 / 4, HEIGHT / 4, HEIGHT / 4)
    assert [round(bar.x) for bar in cost.bars] == [1]  # nothing had a price before


def test_outlier_bar_leads_to_its_time_with_the_greatest_first() -> None:
    (strip, _) = build_outliers(SEARCH, HOUR_S, [OutlierBucket(START_NS, NS_PER_S, NS_PER_S, 0.0, 0.0)])

    assert "sort=-duration" in strip.bars[0].href
    assert f"start={quote(format_time_ns(SEARCH.time_range.start_ns))}" in strip.bars[0].href
    assert build_outliers(SEARCH, HOUR_S, [])[0].bars == []


def test_zooming_out_triples_the_range_but_not_into_the_future() -> None:
    start_ns, end_ns = SEARCH.time_range.start_ns, SEARCH.time_range.end_ns
    length_ns = end_ns - start_ns

    past, present = wider_href(SEARCH, end_ns + 10 * length_ns), wider_href(SEARCH, end_ns + NS_PER_S)

    assert past == time_range_querystring(SEARCH, start_ns - length_ns, end_ns + length_ns)
    assert present == time_range_querystring(SEARCH, start_ns - length_ns, end_ns + NS_PER_S)


def test_strips_reach_over_whole_buckets() -> None:
    assert find_strip_ends(SEARCH) == (START_NS, START_NS + 2 * HOUR_S * NS_PER_S)
