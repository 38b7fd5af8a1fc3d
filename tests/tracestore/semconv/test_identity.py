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
