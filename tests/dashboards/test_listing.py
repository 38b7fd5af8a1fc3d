from __future__ import annotations

from urllib.parse import parse_qs

from dashboards.search.query_string import parse_search
from dashboards.trace_list.columns import COLUMNS, build_heads, keep_listing, read_listing, sort_links
from tracestore.queries.traces import SORTS

USUAL = tuple(column.name for column in COLUMNS if column.is_default)


def names(listing: object) -> tuple[str, ...]:
    return tuple(column.name for column in listing.columns)  # type: ignore[attr-defined]


def test_columns_come_from_the_address_before_the_last_choice() -> None:
    assert names(read_listing({}, {})) == USUAL
    assert names(read_listing({}, {"columns": "cost|status"})) == ("name", "cost", "status")
    assert names(read_listing({"cols": "duration,user"}, {"columns": "cost"})) == ("name", "duration", "user")


def test_columns_keep_the_order_they_are_named_in() -> None:
    turned = ",".join(reversed(USUAL))
    listing = read_listing({"cols": turned}, {})

    assert names(listing) == USUAL[::-1]
    assert listing.extra == {"cols": turned}
    assert [column.name for column in listing.offered[: len(USUAL)]] == list(USUAL[::-1])
    assert set(listing.offered) == set(COLUMNS)


def test_unknown_columns_and_orders_are_left_out() -> None:
    listing = read_listing({"cols": "nothing", "sort": "-; DROP TABLE traces"}, {"columns": "<script>|"})

    assert names(listing) == USUAL
    assert listing.sort == "-start"


def test_links_keep_a_choice_and_say_nothing_of_none() -> None:
    assert read_listing({}, {}).extra == {}
    assert read_listing({"sort": "-cost", "cols": "cost,name,cost"}, {}).extra == {"sort": "-cost", "cols": "cost,name"}
    # A link of somebody whose last choice was another must show the columns that it was made with.
    assert read_listing({"cols": ",".join(USUAL)}, {"columns": "cost"}).extra == {"cols": ",".join(USUAL)}


def test_widths_of_shown_columns_are_kept_within_bounds() -> None:
    def widths(cookie: str) -> dict[str, int]:
        listing = read_listing({"cols": "name,tools,cost"}, {"widths": cookie})
        return {head.column.name: head.width for head in build_heads(parse_search({}), listing)}

    assert widths("") == {"name": 0, "tools": 0, "cost": 0}
    # What the others leave is the name's, and at least so much.
    assert widths("tools.300-error.420") == {"name": 200, "tools": 300, "cost": 0}
    assert widths("name.420-cost.5-tools.9999") == {"name": 420, "tools": 960, "cost": 48}
    assert widths("tools.-3-cost.<b>-nothing.100-tools.12345") == {"name": 0, "tools": 0, "cost": 0}


def test_live_list_is_newest_first_and_ends_now() -> None:
    assert read_listing({"live": "1"}, {}).is_live
    assert not read_listing({"live": "1", "sort": "-cost"}, {}).is_live
    assert not read_listing({"live": "1", "end": "now-1h"}, {}).is_live


def test_header_sorts_by_the_largest_first_and_then_turns_around() -> None:
    def heads(**params: str) -> dict[str, tuple[str, str]]:
        listing = read_listing(params, {})
        search = keep_listing(parse_search({"q": "tool:refund"}), listing)
        return {
            head.column.name: (parse_qs(head.href.removeprefix("?")).get("sort", [""])[0], head.order)
            for head in build_heads(search, listing)
        }

    assert heads()["cost"] == ("-cost", "")
    assert heads()["start"] == ("start", "descending")
    assert heads(sort="-cost")["cost"] == ("cost", "descending")
    assert heads(sort="cost")["cost"] == ("-cost", "ascending")
    assert heads(sort="cost")["start"] == ("", "")
    assert heads()["version"] == ("", "")


def test_every_order_of_the_store_is_offered() -> None:
    listing = read_listing({"sort": "-spans"}, {})

    links = sort_links(keep_listing(parse_search({}), listing), listing)

    assert len(links) == len(SORTS)
    assert [label for label, _, is_on in links if is_on] == ["Spans"]
