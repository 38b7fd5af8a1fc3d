from __future__ import annotations

import pytest

from dashboards.search.query_string import Search, SearchRefused, parse_search, time_range_querystring
from tracestore.timerange import DAY_NS, NS_PER_S

NOW_NS = 1_795_163_400 * NS_PER_S  # 2026-11-20T08:30:00Z


def _search(**params: str) -> Search:
    return parse_search(params, NOW_NS)


def test_no_parameters_mean_everything_of_the_last_day() -> None:
    search = _search()

    assert search.time_range.end_ns == NOW_NS
    assert search.time_range.start_ns == NOW_NS - DAY_NS
    assert search.query.root is None
    assert search.is_live
    assert search.preset == "now-24h"
    assert search.href == "?"


def test_unknown_field_is_refused_with_sentence_position_and_suggestion() -> None:
    with pytest.raises(SearchRefused) as refused:
        _search(q="status:error verson:v3")

    draft = refused.value.draft
    assert draft.query_problem is not None
    assert "verson" in draft.query_problem.message
    assert draft.marked_text == ("status:error ", "verson", ":v3")
    assert draft.suggestion_href == "?q=status%3Aerror+version%3Av3"


def test_every_wrong_text_is_named_not_only_the_first() -> None:
    with pytest.raises(SearchRefused) as refused:
        _search(q="verson:v3", start="yesterday")

    assert [problem.field for problem in refused.value.draft.problems] == ["q", "start"]
    assert "'yesterday' is not a time" in str(refused.value)


def test_start_after_end_is_refused() -> None:
    with pytest.raises(SearchRefused, match="before its end"):
        _search(start="now-1h", end="now-2h")


def test_overlong_query_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(SearchRefused, match="longer than 4,000"):
        _search(q="(" * 100_000)


def test_querystring_changes_one_text_and_keeps_the_others() -> None:
    search = _search(q="tool:refund", start="now-7d")

    assert search.querystring(q="") == "?start=now-7d"
    assert search.querystring(start="now-24h", end="") == "?q=tool%3Arefund"


@pytest.mark.parametrize(
    ("start", "end", "label"),
    [
        ("2026-11-20T06:00:00.000000000Z", "2026-11-20T07:00:30.000000000Z", "2026-11-20 06:00 to 07:00:30"),
        ("2026-11-20T06:00:00.000000000Z", "2026-11-21T06:00:00.000000000Z", "2026-11-20 06:00 to 11-21 06:00"),
        ("2025-12-31T06:00:00.000000000Z", "2026-01-01T06:00:00.000000000Z", "2025-12-31 06:00 to 2026-01-01 06:00"),
        ("2026-11-20 06:00", "now-2m", "2026-11-20 06:00 to now-2m"),
        ("now-2h", "now-1h", "now-2h to now-1h"),
        ("now-2h", "", "Last 2 hours"),
        ("now-1d", "now", "Last day"),
    ],
)
def test_other_ranges_are_labelled_shortly(start: str, end: str, label: str) -> None:
    assert _search(start=start, end=end).range_label == label


def test_absolute_range_is_not_live() -> None:
    assert not _search(start="2026-11-20T06:00:00.000000000Z", end="2026-11-20T07:00:00.000000000Z").is_live


def test_bar_of_a_chart_links_to_its_nanoseconds() -> None:
    search = _search(q="tool:refund")

    assert time_range_querystring(search, NOW_NS, NOW_NS + 1) == (
        "?q=tool%3Arefund&start=2026-11-20T08%3A30%3A00.000000000Z&end=2026-11-20T08%3A30%3A00.000000001Z"
    )
