"""The list of log records, on the real engine: what a query finds, order, pages, and that any query runs."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs import insert_logs
from tests.spans import T0
from tracestore.clickhouse.client import Store
from tracestore.language import QueryError, parse_log_query, parse_query
from tracestore.language.fields import LOG_FIELDS, FieldType
from tracestore.model import LogRecord, Page
from tracestore.queries import logs
from tracestore.queries.logs import count_log_values, find_logs, get_log
from tracestore.queries.paging import CursorError
from tracestore.timerange import DAY_NS, TimeRange

A, ROOT = "a" * 32, "1" * 16
RANGE = TimeRange(T0 - DAY_NS, T0 + DAY_NS)
_VALUES = ("*", "a*", "'%_", "é*", ">5", "error", "ab*")


def found(store: Store, text: str = "", **options: Any) -> Page[LogRecord]:
    return find_logs(store, project_id=1, time_range=RANGE, query=parse_log_query(text), **options)


def bodies(page: Page[LogRecord]) -> list[Any]:
    return [record.body for record in page.items]


def test_query_finds_what_a_record_says(store: Store) -> None:
    insert_logs(
        store, {}, time_ns=T0, trace_id=A, span_id=ROOT, severity=17, event_name="claude_code.tool_decision",
        body="The user refused",
        attributes={"decision": "reject", "wait_ms": 900, "session.id": "s-1"},
    )  # fmt: skip
    insert_logs(store, {"time_ns": T0, "body": "of another project, refused"}, project_id=2)
    expected = {
        "": True, "severity:error": True, "severity:warn": False, "level:error": True, "-severity:error": False,
        "event:claude_code.*": True, "event:other": False, "service:support-bot": True, "session:s-1": True,
        f"trace:{A}": True, "trace:b*": False, "text:REFUSED": True, "refused": True, "nowhere": False,
        "attr.decision:reject": True, "attr.decision:accept": False, "attr.wait_ms:>500": True,
        "attr.service.name:support-bot": True, "severity:(warn OR error) -service:x": True, "scope:*": False,
    }  # fmt: skip

    assert {text: bodies(found(store, text)) for text in expected} == {
        text: ["The user refused"] if is_found else [] for text, is_found in expected.items()
    }


def test_record_names_its_step_and_trace_or_none(store: Store) -> None:
    insert_logs(store, {"time_ns": T0 + 1, "trace_id": A, "span_id": ROOT}, {"time_ns": T0, "body": "of no trace"})

    of_step, of_none = found(store).items

    assert (of_step.trace_id, of_step.span_id, of_step.joined_by) == (A, ROOT, "trace_id")
    assert (of_none.trace_id, of_none.span_id, of_none.joined_by) == ("", "", "")


def test_pages_run_newest_first_over_the_whole_range_without_gap_or_repetition(store: Store) -> None:
    times = [T0 - hours * 3600 * 10**9 for hours in (0, 0, 0, 1, 5, 23)]
    insert_logs(store, *({"time_ns": time_ns, "body": f"b{number}"} for number, time_ns in enumerate(times)))
    insert_logs(store, {"time_ns": times[3], "body": "b3"})  # sent twice

    seen, cursor = [], ""
    for _ in range(10):
        page = found(store, limit=2, cursor=cursor)
        seen += bodies(page)
        cursor = page.next_cursor
        if not cursor:
            break

    assert sorted(seen[:3]) == ["b0", "b1", "b2"]
    assert seen[3:] == ["b3", "b4", "b5"]


def test_page_of_large_records_ends_early(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_PAGE_BYTES", 3000)
    insert_logs(store, *({"time_ns": T0 - number, "body": f"{number}" * 1000} for number in range(5)))

    first = found(store)
    rest = found(store, cursor=first.next_cursor)

    assert 0 < len(first.items) < 5
    assert [body[0] for body in bodies(first) + bodies(rest)][:4] == ["0", "1", "2", "3"]


def test_foreign_cursor_is_refused(store: Store) -> None:
    with pytest.raises(CursorError):
        found(store, cursor="bm90IG91cnM")


def test_one_record_is_found_by_its_time_and_id(store: Store) -> None:
    insert_logs(store, {"time_ns": T0, "body": "this"}, {"time_ns": T0, "body": "that"})
    wanted = next(record for record in found(store).items if record.body == "this")
    get = partial(get_log, store, project_id=1)

    record = get(time_ns=T0, record_id=wanted.record_id)

    assert record is not None
    assert record.body == "this"
    assert get(time_ns=T0 + 1, record_id=wanted.record_id) is None
    assert get(time_ns=T0, record_id="no id") is None
    assert get(time_ns=10**40, record_id=wanted.record_id) is None


def test_values_that_occur_are_counted_for_the_search_bar(store: Store) -> None:
    insert_logs(store, {"event_name": "a"}, {"event_name": "a", "body": "2"}, {"event_name": "b"}, {}, time_ns=T0)

    counted = count_log_values(store, project_id=1, time_range=RANGE, field="event", limit=10)

    assert [(value.value, value.count) for value in counted] == [("a", 2), ("b", 1)]


def test_fields_of_traces_are_none_of_log_records_and_the_other_way_round() -> None:
    with pytest.raises(QueryError, match="There is no field “tool”"):
        parse_log_query("tool:refund")
    with pytest.raises(QueryError, match="There is no field “event”"):
        parse_query("event:x")
    with pytest.raises(QueryError) as raised:
        parse_log_query("sevrity:error")
    assert raised.value.suggestion == "severity"


def test_every_example_asks_for_its_field() -> None:
    for field in LOG_FIELDS:
        if field.type is not FieldType.PRESENCE:  # which asks for another one
            (term,) = parse_log_query(field.example).terms()
            assert term.field == field.name


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LOG_FIELDS), st.sampled_from(_VALUES)), max_size=4))
def test_every_query_that_parses_runs(store: Store, terms: list[tuple[Any, str]]) -> None:
    names = [f"attr.k y:{value}" if field.type is FieldType.ATTRIBUTE else f"{field.name}:{value}" for field, value in terms]
    try:
        query = parse_log_query(" OR ".join(names))
    except QueryError:
        return

    assert find_logs(store, project_id=1, time_range=TimeRange(1, 2), query=query).items == []
