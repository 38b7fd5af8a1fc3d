"""Event marks of a trace, on the real engine."""

from __future__ import annotations

import pytest

from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import TraceNotFound
from tracestore.queries.events import EventMark, find_event_marks

A, ROOT, CHILD = "a" * 32, "1" * 16, "2" * 16


def test_marks_are_found_by_span(store: Store, send_spans: SendSpans) -> None:
    send_spans({"span_id": ROOT, "events": [("exception", {}), ("retry", {})]}, {"span_id": CHILD, "parent": ROOT})

    marks = find_event_marks(store, project_id=1, trace_id=A)

    assert marks == {ROOT: [EventMark(T0 + 5, "exception"), EventMark(T0 + 5, "retry")]}


def test_span_that_was_sent_twice_has_its_marks_once(store: Store, send_spans: SendSpans) -> None:
    for received_ns in (T0, T0 + 1):
        send_spans({"span_id": ROOT, "events": [("exception", {})]}, received_ns=received_ns)

    assert find_event_marks(store, project_id=1, trace_id=A) == {ROOT: [EventMark(T0 + 5, "exception")]}


def test_streamed_chunks_do_not_crowd_the_page(store: Store, send_spans: SendSpans) -> None:
    send_spans({"span_id": ROOT, "events": [("chunk", {})] * 500})

    assert len(find_event_marks(store, project_id=1, trace_id=A)[ROOT]) == 20


def test_trace_of_another_project_is_not_found(store: Store, send_spans: SendSpans) -> None:
    send_spans({"span_id": ROOT}, project_id=2)

    with pytest.raises(TraceNotFound):
        find_event_marks(store, project_id=1, trace_id=A)
