"""Session and tags of a span."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tracestore.semconv.conftest import build_span, store_spans
from tracestore.clickhouse.client import Store


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (["vip", "größer, als", "x" * 100], ["vip", "größer, als", "x" * 100]),
        ('["vip", "beta"]', ["vip", "beta"]),
        ("vip, beta,,beta", ["vip", "beta"]),
        ("vip", ["vip"]),
        (["tenletters", "\n"], ["tenletters", "\n"]),
        ('["not closed', []),
        ([f"tag-{number}" for number in range(99)], [f"tag-{number}" for number in range(64)]),
    ],
)
def test_tags_are_read_from_lists_json_and_commas(store: Store, value: Any, tags: list[str]) -> None:
    rows = store_spans(store, [build_span({"tag.tags": value})], ("tags",))

    assert rows[0]["tags"] == tags


def test_session_is_no_answer_that_a_call_continues_from(store: Store) -> None:
    """Microsoft's agent framework 1.23 over the Responses API, in the second call of a run."""
    continued = {"gen_ai.operation.name": "chat", "gen_ai.conversation.id": "resp_68", "gen_ai.response.id": "resp_69"}
    spans = [
        build_span(continued),
        build_span(continued | {"session.id": "s-1"}),
        build_span(continued | {"session.id": "resp_68"}),  # as OpenInference's names beside them
        build_span({"gen_ai.conversation.id": "conv_1"}),
    ]

    rows = store_spans(store, spans, ("session_id", "response_id"))

    assert [tuple(row.values()) for row in rows] == [("", "resp_69"), ("s-1", "resp_69"), ("", "resp_69"), ("conv_1", "")]


def test_session_is_no_thread_of_the_operating_system(store: Store) -> None:
    """Codex 0.169: each of its spans has the number of its thread beside the name of the conversation."""
    spans = [
        build_span({"thread.id": 3}),
        build_span({"thread.id": 3, "thread_id": "01a204a0-9b9b"}),
        build_span({"thread.id": 3, "conversation.id": "01a204a0-9b9b"}),
        build_span({"thread.id": "thread_7"}),
    ]

    rows = store_spans(store, spans, ("session_id",))

    assert [row["session_id"] for row in rows] == ["", "01a204a0-9b9b", "01a204a0-9b9b", "thread_7"]


def test_session_is_what_the_caller_of_litellms_proxy_says(store: Store) -> None:
    """LiteLLM 1.106.2: the metadata of the caller's request as Python shows them."""
    requester = "{'session_id': 's-1', 'trace_user_id': 'u-ana', 'headers': {'host': '127.0.0.1'}}"
    spans = [
        build_span({"metadata.requester_metadata": requester}),
        build_span({"metadata.requester_metadata": "{'headers': {}}"}),
    ]

    rows = store_spans(store, spans, ("session_id",))

    assert [row["session_id"] for row in rows] == ["s-1", ""]


def test_event_without_a_name_has_that_of_its_attribute(store: Store) -> None:
    """Rust's `tracing` names an event after its place in the source, where the sender gives it no name."""
    named = {"event.name": "codex.api_request"}
    place = "event otel/src/events/session_telemetry.rs:803"
    spans = [build_span(events=[(place, named), (place, {}), ("codex.retry", named), ("event of the day", named), ("", named)])]

    rows = store_spans(store, spans, ("event_names",))

    assert rows[0]["event_names"] == ["codex.api_request", place, "codex.retry", "event of the day", "codex.api_request"]


def test_turn_of_a_session_is_no_prompt(store: Store) -> None:
    """Gemini CLI 0.61 names the session and the number of the turn where the conventions have the name of a template."""
    spans = [
        build_span({"gen_ai.conversation.id": "2ce0b89b", "gen_ai.prompt.name": "2ce0b89b########1"}),
        build_span({"gen_ai.conversation.id": "2ce0b89b", "gen_ai.prompt.name": "2ce0b89b"}),
        build_span({"gen_ai.conversation.id": "2ce0b89b", "gen_ai.prompt.name": "triage"}),
        build_span({"gen_ai.prompt.name": "triage"}),
    ]

    rows = store_spans(store, spans, ("prompt_name",))

    assert [row["prompt_name"] for row in rows] == ["", "", "triage", "triage"]


def test_session_is_not_what_logfires_scrubber_left_of_it(store: Store) -> None:
    scrubbed = {"metadata": '{"session_id": "[Scrubbed due to \'session\']", "user_id": "u-ana"}'}
    spans = [build_span(scrubbed), build_span(scrubbed | {"gen_ai.conversation.id": "run-1"})]

    rows = store_spans(store, spans, ("session_id", "user_id"))

    assert [tuple(row.values()) for row in rows] == [("", "u-ana"), ("run-1", "u-ana")]
