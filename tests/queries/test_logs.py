"""The log records of a trace, on the real engine: what joins them, their order and their pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.logs import insert_logs
from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.model import LogRecord, Page
from tracestore.queries import logs
from tracestore.queries.logs import find_logs_of_no_step, find_logs_of_step, find_logs_of_trace, get_log_record, locate_logs
from tracestore.queries.paging import CursorError

A, B, ROOT, TOOL = "a" * 32, "b" * 32, "1" * 16, "2" * 16
SECOND_NS, DAY_NS = 10**9, 86_400 * 10**9
SendLogs = Callable[..., None]


@pytest.fixture
def send_logs(store: Store) -> SendLogs:
    """Store records of trace A at T0, unless they say otherwise."""
    return partial(insert_logs, store, trace_id=A, time_ns=T0)


def of_trace(store: Store, trace_id: str = A, **options: Any) -> Page[LogRecord]:
    return find_logs_of_trace(store, project_id=1, trace_id=trace_id, **options)


def bodies(page: Page[LogRecord]) -> list[Any]:
    return [record.body for record in page.items]


def test_records_of_a_trace_come_oldest_first_with_all_they_hold(
    store: Store, send_spans: SendSpans, send_logs: SendLogs
) -> None:
    send_spans({"trace_id": A, "span_id": ROOT})
    attributes = {"flag": True, "list": ["x", 1], "map": {"k": 0.5}, "none": None}
    send_logs(
        {"span_id": ROOT, "time_ns": T0 + 2, "body": {"role": "user", "parts": ["hi"]}, "attributes": attributes, "severity": 9},
        {"time_ns": T0 + 1, "body": "first", "event_name": "exception"},
        {"trace_id": B, "body": "of another trace"},
    )
    send_logs({"body": "of another project"}, project_id=2)

    first, second = of_trace(store).items

    assert (first.body, first.event_name, first.span_id, first.joined_by) == ("first", "exception", "", "trace_id")
    assert (second.body, second.span_id, second.severity_number) == ({"role": "user", "parts": ["hi"]}, ROOT, 9)
    assert second.attributes == attributes
    assert (second.trace_id, second.service, second.reported_time_ns, second.time_ns) == (A, "support-bot", T0 + 2, T0 + 2)
    assert get_log_record(store, project_id=1, trace_id=A, record_id=second.record_id) == second


def test_evaluation_of_a_response_joins_its_step_however_late(store: Store, send_spans: SendSpans, send_logs: SendLogs) -> None:
    send_spans(
        {"trace_id": A, "span_id": ROOT, "attributes": {"gen_ai.response.id": "r-1"}},
        {"trace_id": A, "span_id": TOOL, "parent": ROOT, "start_ns": T0 + 5, "attributes": {"gen_ai.response.id": "r-1"}},
        {"trace_id": B, "span_id": "3" * 16, "attributes": {"gen_ai.response.id": "r-2"}},
    )
    late = {"trace_id": "", "time_ns": T0 + 9 * DAY_NS}
    send_logs(
        {**late, "body": "mine", "attributes": {"gen_ai.response.id": "r-1"}},
        {**late, "body": "of B", "attributes": {"gen_ai.response.id": "r-2"}},
        {**late, "body": "of nothing"},
    )

    [record] = of_trace(store).items

    assert (record.body, record.span_id, record.joined_by, record.trace_id) == ("mine", TOOL, "response_id", "")
    assert bodies(of_trace(store, B)) == ["of B"]


def test_record_of_the_session_joins_the_trace_that_ran_then(store: Store, send_spans: SendSpans, send_logs: SendLogs) -> None:
    session = {"session.id": "s-1"}
    send_spans(
        {"trace_id": A, "span_id": ROOT, "duration_ns": 60 * SECOND_NS, "attributes": session},
        {"trace_id": B, "span_id": TOOL, "start_ns": T0 + 3600 * SECOND_NS, "attributes": session},
    )
    for seconds in (-11, -9, 30, 61):
        send_logs({"trace_id": "", "time_ns": T0 + seconds * SECOND_NS, "body": seconds, "attributes": session})
    send_logs({"trace_id": "", "body": "other session", "attributes": {"session.id": "s-2"}}, {"trace_id": "", "body": "none"})

    assert bodies(of_trace(store)) == [-9, 30]
    assert {record.joined_by for record in of_trace(store).items} == {"session_id"}
    assert bodies(of_trace(store, B)) == []


def test_step_has_its_own_records_and_those_of_its_tool_call(store: Store, send_spans: SendSpans, send_logs: SendLogs) -> None:
    send_spans(
        {"trace_id": A, "span_id": ROOT},
        {"trace_id": A, "span_id": TOOL, "parent": ROOT, "attributes": {"gen_ai.tool.call.id": "call-1"}},
    )
    send_logs(
        {"span_id": ROOT, "time_ns": T0 + 1, "body": "result", "attributes": {"tool_use_id": "call-1"}},
        {"span_id": TOOL, "time_ns": T0 + 2, "body": "own"},
        {"span_id": ROOT, "time_ns": T0 + 3, "body": "root"},
        {"time_ns": T0 + 4, "body": "no step"},
        {"span_id": "f" * 16, "time_ns": T0 + 5, "body": "step that never came"},
    )

    located = locate_logs(store, project_id=1, trace_id=A)

    def of_step(span_id: str, tool_call_id: str = "") -> list[Any]:
        return bodies(find_logs_of_step(store, located, span_id=span_id, tool_call_id=tool_call_id, limit=9))

    assert of_step(TOOL, "call-1") == ["result", "own"]
    assert of_step(ROOT) == ["result", "root"]
    assert bodies(find_logs_of_no_step(store, located, limit=9)) == ["no step", "step that never came"]


def test_records_without_their_spans_are_found(store: Store, send_logs: SendLogs) -> None:
    send_logs({"body": "alone"})

    assert bodies(of_trace(store)) == ["alone"]
    for unknown in (B, "", "nonsense", "A" * 32):
        with pytest.raises(TraceNotFound):
            of_trace(store, unknown)
    with pytest.raises(TraceNotFound):
        get_log_record(store, project_id=1, trace_id=A, record_id="f" * 16)


def test_repeated_export_shows_once_on_one_page_and_over_pages(store: Store, send_spans: SendSpans, send_logs: SendLogs) -> None:
    """The records without a time are filed at two times of receipt."""
    records = [{"body": number, "time_ns": 0} for number in range(5)]
    for received_ns in (T0, T0 + 3600 * SECOND_NS):
        send_logs(*records, received_ns=received_ns)

    assert sorted(bodies(of_trace(store))) == [0, 1, 2, 3, 4]
    assert sorted(_walk(store, limit=2)) == [0, 1, 2, 3, 4]


def test_pages_have_no_gap_and_no_duplicate_when_times_are_equal(store: Store, send_logs: SendLogs) -> None:
    send_logs(*({"body": number, "time_ns": T0 + number // 4} for number in range(11)))

    assert sorted(_walk(store, limit=3)) == list(range(11))
    with pytest.raises(CursorError):
        of_trace(store, cursor="nonsense")


def test_page_of_large_records_ends_early(store: Store, send_logs: SendLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_PAGE_BYTES", 50_000)
    send_logs(
        *({"body": str(number) * 20_000, "time_ns": T0 + number} for number in range(5)),
        {"body": "x" * 90_000, "time_ns": T0 - 1},
    )

    sizes = []
    cursor = ""
    while True:
        page = of_trace(store, cursor=cursor)
        sizes.append(len(page.items))
        cursor = page.next_cursor
        if not cursor:
            break

    assert sizes == [1, 2, 2, 1]


def _walk(store: Store, limit: int) -> list[Any]:
    found: list[Any] = []
    cursor = ""
    for _ in range(20):
        page = of_trace(store, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += bodies(page)
        cursor = page.next_cursor
        if not cursor:
            return found
    raise AssertionError("the list does not end")
