"""What spans say that are named by a template, on the real engine."""

from __future__ import annotations

from tests.queries.conftest import SendSpans
from tracestore.clickhouse.client import Store
from tracestore.queries.messages import find_messages, name_of
from tracestore.queries.spans import get_span

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


def test_nothing_is_read_for_plain_names(store: Store, send_spans: SendSpans) -> None:
    _send(send_spans)

    assert find_messages(store, project_id=1, trace_id=A, names=["chat"]) == {}
