"""The list in other orders than by start, page by page, and what changed since a moment."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.factories import insert_traces
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import parse_query
from tracestore.model import TraceSummary
from tracestore.queries.outliers import OutlierBucket, find_outliers
from tracestore.queries.paging import CursorError
from tracestore.queries.traces import SORTS, find_neighbours, find_traces, find_updated_traces
from tracestore.timerange import DAY_NS, NS_PER_S, TimeRange

RANGE = TimeRange(T0 - DAY_NS, T0 + DAY_NS)
VALUES = {
    "start": lambda trace: trace.start_ns,
    "duration": lambda trace: trace.duration_ns,
    "cost": lambda trace: trace.cost_usd,
    "tokens": lambda trace: trace.input_tokens + trace.output_tokens,
    "spans": lambda trace: trace.span_count,
    "errors": lambda trace: trace.error_count,
}


def read_all(store: Store, sort: str, limit: int = 3) -> list[TraceSummary]:
    """Every trace of the range, page by page."""
    seen: list[TraceSummary] = []
    cursor = ""
    for _ in range(20):
        page = find_traces(store, project_id=1, time_range=RANGE, query=parse_query(""), limit=limit, cursor=cursor, sort=sort)
        seen += page.items
        cursor = page.next_cursor
        if not cursor:
            return seen
    raise AssertionError("the pages do not end")


def insert_various(store: Store) -> list[str]:
    """Traces with ties in every field, some without a price."""
    rows: list[dict[str, Any]] = [
        {"start_ns": T0 - hour * 3600 * NS_PER_S, "duration_ns": (hour % 4) * NS_PER_S, "input_tokens": hour % 3,
         "cost_usd": (None, 0.0, 0.1, 0.1 + 1e-9)[hour % 4], "output_tokens": hour % 2, "span_count": hour % 5,
         "error_count": hour % 2}
        for hour in (0, 0, 1, 2, 3, 5, 8, 9, 13, 20, 21)
    ]  # fmt: skip
    return insert_traces(store, *rows)


def test_pages_in_any_order_hold_each_trace_once(store: Store) -> None:
    ids = insert_various(store)

    for field in SORTS:
        for sign in ("-", ""):
            found = read_all(store, sign + field)

            values = [VALUES[field](trace) for trace in found]
            known = [value for value in values if value is not None]
            assert sorted(trace.trace_id for trace in found) == sorted(ids), sign + field
            assert known == sorted(known, reverse=bool(sign)), sign + field
            # Without a price comes last, whichever way.
            assert values == known + [None] * (len(values) - len(known)), sign + field


def test_order_does_not_depend_on_where_pages_are_cut(store: Store) -> None:
    insert_various(store)

    whole = [trace.trace_id for trace in read_all(store, "-cost", limit=50)]

    assert [trace.trace_id for trace in read_all(store, "-cost", limit=1)] == whole


@pytest.mark.parametrize("sign", ["-", ""])
@pytest.mark.parametrize("field", SORTS)
def test_neighbours_are_what_stands_beside_a_trace_in_the_list(store: Store, field: str, sign: str) -> None:
    insert_various(store)
    sort = sign + field
    listed = read_all(store, sort, limit=50)

    for place, trace in enumerate(listed):
        before, after = find_neighbours(
            store, project_id=1, time_range=RANGE, query=parse_query(""), sort=sort, start_ns=trace.start_ns,
            trace_id=trace.trace_id,
        )  # fmt: skip

        assert before == (listed[place - 1] if place else None)
        assert after == (listed[place + 1] if place + 1 < len(listed) else None)


def test_neighbours_are_of_the_list_though_the_trace_is_not(store: Store) -> None:
    older, left, newer = insert_traces(
        store, *({"start_ns": T0 + n, "outcome": outcome} for n, outcome in enumerate(("error", "ok", "error")))
    )
    insert_traces(store, {"start_ns": T0 + 2, "outcome": "error"}, project_id=2)
    find = partial(find_neighbours, store, project_id=1, query=parse_query("status:error"), sort="", start_ns=T0 + 1)

    both = find(time_range=RANGE, trace_id=left)
    moved_on = find(time_range=TimeRange(T0 + 2, T0 + 3), trace_id=left)

    assert [trace and trace.trace_id for trace in both] == [newer, older]
    assert [trace and trace.trace_id for trace in moved_on] == [newer, None]


def test_cursor_of_one_order_is_refused_by_another(store: Store) -> None:
    insert_various(store)
    find = partial(find_traces, store, project_id=1, time_range=RANGE, query=parse_query(""), limit=2)
    cursor = find(sort="-cost").next_cursor

    for sort in ("", "-duration", "cost"):
        with pytest.raises(CursorError):
            find(sort=sort, cursor=cursor)


def test_sorted_list_stays_within_query_project_and_range(store: Store) -> None:
    wanted, *_ = insert_traces(
        store,
        {"versions": ["v3"]},
        {"versions": ["v2"]},
        {"versions": ["v3"], "project_id": 2},
        {"versions": ["v3"], "start_ns": T0 - 2 * DAY_NS},
        start_ns=T0,
        duration_ns=9 * NS_PER_S,
    )

    page = find_traces(store, project_id=1, time_range=RANGE, query=parse_query("version:v3"), sort="-duration")

    assert [trace.trace_id for trace in page.items] == [wanted]


def test_trace_that_ends_is_among_what_changed(store: Store) -> None:
    earlier_ns = time.time_ns()
    find = partial(find_updated_traces, store, project_id=1, time_range=RANGE, query=parse_query("version:v3"))
    old, other = insert_traces(store, {"versions": ["v3"]}, {"versions": ["v2"]}, start_ns=T0, summarized_at=earlier_ns // 1_000)

    assert [trace.trace_id for trace in find(since_ns=earlier_ns).items] == [old]
    assert find(since_ns=earlier_ns + NS_PER_S).items == []

    ended = {"trace_id": old, "versions": ["v3"], "outcome": "error", "summarized_at": earlier_ns // 1_000 + 2_000_000}
    insert_traces(store, ended, start_ns=T0)

    (changed,) = find(since_ns=earlier_ns + NS_PER_S).items
    assert (changed.trace_id, changed.outcome) == (old, "error")
    assert other != old


def test_what_changed_is_paged_through_without_a_gap(store: Store) -> None:
    started_ns = [T0 + (number // 2) * NS_PER_S for number in range(5)]  # two begin at once
    insert_traces(store, *({"start_ns": start_ns} for start_ns in started_ns), summarized_at=T0 // 1_000)
    find = partial(find_updated_traces, store, project_id=1, time_range=RANGE, query=parse_query(""), since_ns=0)

    seen: list[str] = []
    cursor = ""
    while len(seen) < 9:
        page = find(limit=2, cursor=cursor)
        seen += [trace.trace_id for trace in page.items]
        if not (cursor := page.next_cursor):
            break

    assert seen == [trace.trace_id for trace in find().items]
    assert len(seen) == 5


def test_outliers_are_told_from_what_is_usual(store: Store) -> None:
    step_s = 3600
    first_ns = T0 - T0 % (step_s * NS_PER_S)
    insert_traces(
        store,
        *({"duration_ns": NS_PER_S, "cost_usd": 0.01} for _ in range(9)),
        {"duration_ns": 40 * NS_PER_S, "cost_usd": 2.0},
        {"duration_ns": 99 * NS_PER_S, "outcome": "running", "cost_usd": None},
        start_ns=first_ns,
    )
    insert_traces(store, start_ns=first_ns + step_s * NS_PER_S, outcome="running", cost_usd=None)

    busy, quiet = find_outliers(store, project_id=1, time_range=RANGE, query=parse_query(""), step_s=step_s)

    assert replace(busy, median_cost_usd=round(busy.median_cost_usd, 6)) == OutlierBucket(
        first_ns, 40 * NS_PER_S, NS_PER_S, 2.0, 0.01
    )
    assert quiet == OutlierBucket(first_ns + step_s * NS_PER_S, 0, 0, 0.0, 0.0)
