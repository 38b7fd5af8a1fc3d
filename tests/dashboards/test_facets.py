from __future__ import annotations

from urllib.parse import parse_qs

from dashboards.search.query_string import parse_search
from dashboards.trace_list.facets import build_condition_chips, build_facet_rows, build_preset_chips
from tracestore.model import FacetValue


def _query_of(href: str) -> str:
    return parse_qs(href.removeprefix("?")).get("q", [""])[0]


def test_value_adds_itself_and_widens_a_filter_that_is_there() -> None:
    search = parse_search({"q": "status:error version:v3"})

    rows = build_facet_rows(search, "version", [FacetValue("v2", 10, 1), FacetValue("v3", 5, 5)])

    assert [_query_of(row.href) for row in rows] == ["status:error version:(v3 OR v2)", "status:error"]
    assert [row.is_on for row in rows] == [False, True]
    assert [row.share for row in rows] == [100, 50]


def test_excluded_value_stays_so_that_it_can_be_included_again() -> None:
    search = parse_search({"q": "-version:v1"})

    rows = build_facet_rows(search, "version", [FacetValue("v2", 10, 1)])

    assert [(row.value, row.is_excluded) for row in rows] == [("v2", False), ("v1", True)]
    assert _query_of(rows[1].exclude_href) == ""


def test_value_with_spaces_and_quotes_makes_a_query_that_parses_back() -> None:
    value = 'a "b" (c) OR d'
    row = build_facet_rows(parse_search({}), "tool", [FacetValue(value, 1, 0)])[0]

    again = build_facet_rows(parse_search({"q": _query_of(row.href)}), "tool", [FacetValue(value, 1, 0)])[0]

    assert again.is_on


def test_preset_chip_toggles_its_condition() -> None:
    failed = build_preset_chips(parse_search({"q": "tool:refund"}))[0]
    on = build_preset_chips(parse_search({"q": _query_of(failed.href)}))[0]

    assert _query_of(failed.href) == "tool:refund status:error"
    assert (failed.is_on, on.is_on) == (False, True)
    assert _query_of(on.href) == "tool:refund"


def test_condition_chip_drops_its_condition_alone() -> None:
    chips = build_condition_chips(parse_search({"q": 'status:error (tool:a OR tool:b) "order 123"'}))

    assert [chip.label for chip in chips] == ["status:error", "(tool:a OR tool:b)", '"order 123"']
    assert _query_of(chips[1].href) == 'status:error "order 123"'


def test_preset_added_to_an_either_or_keeps_its_meaning() -> None:
    failed = build_preset_chips(parse_search({"q": "tool:a OR tool:b"}))[0]

    assert _query_of(failed.href) == "(tool:a OR tool:b) status:error"
