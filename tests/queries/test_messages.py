"""What spans say that are named by a template, on the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.jobs.summarize import summarize_pending
from tracestore.language import parse_query
from tracestore.queries.messages import find_messages, name_of, name_traces
from tracestore.queries.spans import get_span
from tracestore.queries.traces import find_traces
from tracestore.timerange import TimeRange

A, ROOT, STEP, OTHER = "a" * 32, "1" * 16, "2" * 16, "3" * 16
TEMPLATE = "handle ticket {user_id}"


def _send(send_spans: SendSpans) -> None:
    said = {"logfire.msg_template": TEMPLATE, "logfire.msg": "handle ticket u-17"}
    send_spans(
        {"span_id": ROOT, "name": TEMPLATE, "attributes": said},
        {"span_id": STEP, "parent": ROOT, "name": "GET /users/{id}", "attributes": {"logfire.msg": "fetched"}},
        {
            "span_id": OTHER,
            "parent": ROOT,
            "name": "chat",
            "attributes": {"logfire.msg_template": "chat", "logfire.msg": "chat 1"},
        },
    )


def test_only_names_that_are_templates_have_a_message(store: Store, send_spans: SendSpans) -> None:
    _send(send_spans)

    found = find_messages(store, project_id=1, trace_id=A, names=[TEMPLATE])

    assert found == {ROOT: "handle ticket u-17"}
    assert [name_of(get_span(store, project_id=1, trace_id=A, span_id=span_id)) for span_id in (ROOT, STEP, OTHER)] == [
        "handle ticket u-17", "GET /users/{id}", "chat",
    ]  # fmt: skip


@pytest.mark.django_db
def test_traces_named_by_a_template_are_told_apart_by_what_they_say(
    store: Store, send_spans: SendSpans, monkeypatch: pytest.MonkeyPatch
) -> None:
    template: dict[str, Any] = {"span_id": ROOT, "name": TEMPLATE, "start_ns": T0}
    for digit, who in (("a", "u-17"), ("b", "u-18")):
        said = {"logfire.msg_template": TEMPLATE, "logfire.msg": f"handle ticket {who}"}
        send_spans(template | {"trace_id": digit * 32, "attributes": said})
    send_spans(template | {"trace_id": "c" * 32, "name": "GET /users/{id}", "attributes": {"logfire.msg": "fetched"}})
    summarize_pending()
    range_ns = TimeRange(T0, T0 + 1)
    traces = find_traces(store, project_id=1, time_range=range_ns, query=parse_query("")).items

    named = name_traces(store, project_id=1, traces=traces)

    assert {trace.trace_id[0]: trace.name for trace in named} == {
        "a": "handle ticket u-17", "b": "handle ticket u-18", "c": "GET /users/{id}",
    }  # fmt: skip
    assert [trace.trace_id for trace in named] == [trace.trace_id for trace in traces]

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("ClickHouse is away.")

    monkeypatch.setattr(Store, "query_rows", refuse)
    assert name_traces(store, project_id=1, traces=traces) == traces


def test_nothing_is_read_for_plain_names(store: Store, send_spans: SendSpans) -> None:
    _send(send_spans)

    assert find_messages(store, project_id=1, trace_id=A, names=["chat"]) == {}
