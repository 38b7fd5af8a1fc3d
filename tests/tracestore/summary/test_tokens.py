"""Tokens of a trace: each call counts once, however many spans tell of it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.span_table import Span, span, summarize, summarize_all


def tokens(*spans: Span) -> tuple[int, int, int]:
    """Return (input, output, model calls) of a trace."""
    row = summarize(*spans)
    return row["input_tokens"], row["output_tokens"], row["llm_calls"]


DOUBLE_COUNTING: dict[str, tuple[list[Span], tuple[int, int, int]]] = {
    "a: agent with the sum of its calls": (
        [
            span("agent", end=90, kind="agent", tokens=(30, 3)),
            span("one", "agent", 1, 10, "llm", tokens=(10, 1)),
            span("two", "agent", 20, 40, "llm", tokens=(20, 2)),
        ],
        (30, 3, 2),
    ),
    "a: agents in agents, each with the sum": (
        [
            span("outer", end=90, kind="agent", tokens=(15, 5)),
            span("inner", "outer", 1, 80, "agent", tokens=(15, 5)),
            span("call", "inner", 2, 10, "llm", tokens=(15, 5)),
        ],
        (15, 5, 1),
    ),
    "a: agent that alone has usage": (
        [span("agent", end=90, kind="agent", tokens=(30, 3)), span("call", "agent", 1, 10, "llm", request_model="m")],
        (30, 3, 1),
    ),
    "a: agent with the sum of a loop whose span tells the last of its calls": (
        [
            span("agent", end=90, kind="agent", tokens=(296, 128), scope_name="@voltagent/core", request_model="m"),
            span("loop", "agent", 1, 80, "llm", tokens=(105, 28), scope_name="@voltagent/core", request_model="m"),
            span("tool", "agent", 10, 12, "tool", tool="delegate_task"),
            span("sub", "tool", 10, 12, "agent", tokens=(30, 3), scope_name="@voltagent/core", request_model="m"),
            span("sub loop", "sub", 10, 11, "llm", tokens=(20, 2), scope_name="@voltagent/core", request_model="m"),
        ],
        (326, 131, 2),
    ),
    "a: agent that says nothing of a loop whose span tells the last of its calls": (
        [
            span("agent", end=90, kind="agent", scope_name="@voltagent/core", request_model="m"),
            span("loop", "agent", 1, 80, "llm", tokens=(105, 28), scope_name="@voltagent/core", request_model="m"),
        ],
        (105, 28, 1),
    ),
    "a: agent around a loop whose calls another instrumentation tells": (
        [
            span("agent", end=90, kind="agent", tokens=(30, 3), scope_name="@voltagent/core", request_model="m"),
            span("loop", "agent", 1, 80, "llm", tokens=(20, 2), scope_name="@voltagent/core", request_model="m"),
            span("one", "loop", 2, 10, "llm", tokens=(10, 1), scope_name="ai", request_model="m"),
            span("two", "loop", 20, 40, "llm", tokens=(20, 2), scope_name="ai", request_model="m"),
        ],
        (30, 3, 2),
    ),
    "a: conversation with the sum of the calls of its agents": (
        [
            span("chat", end=90, kind="chain", tokens=(30, 3), request_model="m"),
            span("agent", "chat", 1, 80, "agent"),
            span("one", "agent", 2, 10, "llm", tokens=(10, 1), request_model="m"),
            span("two", "agent", 20, 40, "llm", tokens=(20, 2), request_model="m"),
        ],
        (30, 3, 2),
    ),
    "a: calls without usage below one with the sum of all, tools within": (
        [
            span("agent", end=90, kind="agent"),
            span("chat", "agent", 1, 80, "llm", tokens=(30, 3), request_model="m"),
            span("step 0", "chat", 2, 20, "llm"),
            span("tool", "step 0", 10, 12, "tool", tool="t"),
            span("step 1", "chat", 21, 40, "llm"),
        ],
        (30, 3, 2),
    ),
    "a: hosted run, told again by whoever asks how far it is": (
        [
            span("root", end=90, kind="chain"),
            span("start", "root", 1, 10, "agent", response_id="run-1"),
            span("poll", "root", 20, 30, "other", tokens=(10, 1), response_id="run-1"),
            span("again", "root", 40, 50, "other", tokens=(10, 1), response_id="run-1"),
        ],
        (10, 1, 0),
    ),
    "b: framework span above SDK span": (
        [
            span("root", end=90, kind="chain"),
            span("langch", "root", 1, 50, "llm", tokens=(10, 2), scope_name="langchain", request_model="m"),
            span("openai", "langch", 2, 49, "llm", tokens=(10, 2), scope_name="openai", request_model="m"),
        ],
        (10, 2, 1),
    ),
    "b: with an HTTP span between them": (
        [
            span("langch", end=50, kind="llm", tokens=(10, 2)),
            span("http", "langch", 1, 49, "other"),
            span("proxy", "http", 2, 48, "llm", tokens=(10, 2)),
        ],
        (10, 2, 1),
    ),
    # OpenInference over LlamaIndex and over OpenAI's SDK.
    "b: streamed siblings, the first of which ended before the second began": (
        [
            span("root", end=90, kind="chain"),
            span(
                "llama",
                "root",
                1,
                30,
                "llm",
                tokens=(10, 2),
                scope_name="a",
                request_model="m",
                time_to_first_token_ns=60 * 10**6,
            ),
            span("openai", "root", 40, 85, "llm", tokens=(10, 2), scope_name="b", request_model="m"),
        ],
        (10, 2, 1),
    ),
    "b: siblings one after the other are two calls": (
        [
            span("root", end=90, kind="chain"),
            span(
                "first",
                "root",
                1,
                30,
                "llm",
                tokens=(10, 2),
                scope_name="a",
                request_model="m",
                time_to_first_token_ns=20 * 10**6,
            ),
            span("second", "root", 40, 85, "llm", tokens=(10, 2), scope_name="b", request_model="m"),
        ],
        (20, 4, 2),
    ),
    "b: siblings that share the response id": (
        [
            span("root", end=90, kind="agent"),
            span("left", "root", 1, 50, "llm", tokens=(10, 2), scope_name="a", response_id="r1"),
            span("right", "root", 2, 49, "llm", tokens=(10, 2), scope_name="b", response_id="r1"),
        ],
        (10, 2, 1),
    ),
    "b: sibling without the response id": (
        [
            span("root", end=90, kind="agent"),
            span("left", "root", 1, 50, "llm", tokens=(10, 2), scope_name="a", request_model="m", response_id="r1"),
            span("right", "root", 2, 49, "llm", tokens=(10, 2), scope_name="b", request_model="m"),
        ],
        (10, 2, 1),
    ),
    "b: siblings, neither with a response id": (
        [
            span("root", end=90, kind="agent"),
            span("left", "root", 1, 50, "llm", tokens=(10, 2), scope_name="a", request_model="m"),
            span("right", "root", 2, 49, "llm", tokens=(10, 2), scope_name="b", request_model="m"),
        ],
        (10, 2, 1),
    ),
    "c: task and turn spans with usage": (
        [
            span("task", end=90, kind="chain", tokens=(10, 2)),
            span("turn", "task", 1, 80, "chain", tokens=(10, 2)),
            span("call", "turn", 2, 50, "llm", tokens=(10, 2)),
        ],
        (10, 2, 1),
    ),
    "d: outer generateText": (
        [span("outer", end=90, kind="chain", tokens=(10, 2)), span("inner", "outer", 1, 80, "llm", tokens=(10, 2))],
        (10, 2, 1),
    ),
    "e: a log record of the call as a span": (
        [
            span("root", end=90, kind="agent"),
            span("call", "root", 1, 50, "llm", tokens=(10, 2), request_model="m", response_id="r1"),
            span("log", "root", 50, 50, "llm", request_model="m"),
        ],
        (10, 2, 1),
    ),
    # Copilot: JavaScript's clock counts milliseconds, and a refused connection takes none.
    "a call that failed at once and its repetition": (
        [
            span("agent", end=90, kind="agent"),
            span("refused", "agent", 1, 1, "llm", request_model="m", error="E"),
            span("again", "agent", 5, 20, "llm", request_model="m", tokens=(10, 1)),
        ],
        (10, 1, 2),
    ),
    "a call whose usage stands where its answer ends": (
        [
            span("turn", end=90, kind="agent"),
            span("call", "turn", 1, 80, "llm", request_model="gpt-5"),
            span("sampling", "call", 2, 80),
            span("part", "sampling", 3, 70),
            span("tool", "part", 4, 60, "tool", tool="exec_command"),
            span("end", "sampling", 75, 79, tokens=(321, 68)),
        ],
        (321, 68, 1),
    ),
    "streamed call with a tool and its sub-agent below": (
        [
            span("outer", end=90, kind="llm", tokens=(10, 1)),
            span("tool", "outer", 1, 80, "tool", tool="ask"),
            span("inner", "tool", 2, 50, "llm", tokens=(20, 2)),
        ],
        (30, 3, 2),
    ),
    "streamed call with an agent directly below": (
        [
            span("outer", end=90, kind="llm", tokens=(10, 1)),
            span("agent", "outer", 1, 80, "agent", tokens=(20, 2)),
            span("inner", "agent", 2, 50, "llm", tokens=(20, 2)),
        ],
        (30, 3, 2),
    ),
    # LangChain's stream of Anthropic by OpenLLMetry, beside the span of Anthropic's own SDK.
    "a call beside one that knows half of its tokens": (
        [
            span("root", end=90, kind="agent"),
            span("half", "root", 1, 50, "llm", tokens=(0, 2), scope_name="a", request_model="m"),
            span("whole", "root", 2, 49, "llm", tokens=(10, 2), scope_name="b", request_model="m", response_id="r1"),
        ],
        (10, 2, 1),
    ),
    # The AI SDK's two integrations at once, below a span of the application.
    "each of two instrumentations has a tree of its own": (
        [
            span("root", end=90),
            span("agent a", "root", 1, 80, "agent"),
            span("agent b", "root", 1, 81, "agent"),
            span("embed a", "agent a", 2, 5, "embedding", tokens=(9, 0), scope_name="a", request_model="e"),
            span("embed b", "agent b", 2, 6, "embedding", tokens=(9, 0), scope_name="b", request_model="e"),
            span("call a", "agent a", 10, 20, "llm", tokens=(10, 2), scope_name="a", request_model="m"),
            span("call b", "agent b", 11, 19, "llm", tokens=(10, 2), scope_name="b", request_model="m", response_id="r1"),
            span("fail a", "agent a", 30, 40, "llm", scope_name="a", request_model="m", error="E"),
            span("fail b", "agent b", 31, 41, "llm", scope_name="b", request_model="m", error="E"),
        ],
        (19, 2, 3),
    ),
    "answers of their own are two, however equal": (
        [
            span("root", end=90),
            span("call a", "root", 10, 20, "llm", tokens=(10, 2), scope_name="a", request_model="m", response_id="r1"),
            span("other", "root", 10, 20, "chain"),
            span("call b", "other", 11, 19, "llm", tokens=(10, 2), scope_name="b", request_model="m", response_id="r2"),
        ],
        (20, 4, 2),
    ),
    "two equal calls of one instrumentation are two": (
        [
            span("root", end=90, kind="agent"),
            span("one", "root", 1, 50, "llm", tokens=(10, 2), scope_name="a", request_model="m"),
            span("two", "root", 2, 49, "llm", tokens=(10, 2), scope_name="a", request_model="m"),
        ],
        (20, 4, 2),
    ),
    "calls that follow each other are two": (
        [
            span("root", end=90, kind="agent"),
            span("one", "root", 1, 20, "llm", tokens=(10, 2), scope_name="a", request_model="m"),
            span("two", "root", 30, 49, "llm", tokens=(10, 2), scope_name="b", request_model="m"),
        ],
        (20, 4, 2),
    ),
    "embedding and call are two": (
        [
            span("root", end=90, kind="chain"),
            span("embed", "root", 1, 20, "embedding", tokens=(5, 0)),
            span("call", "root", 30, 49, "llm", tokens=(10, 2)),
        ],
        (15, 2, 2),
    ),
    "b: only the outer of two nested has tokens": (
        [span("langch", end=50, kind="llm", tokens=(10, 2)), span("openai", "langch", 1, 49, "llm", response_id="r1")],
        (10, 2, 1),
    ),
    "b: only the inner of two nested has tokens": (
        [span("langch", end=50, kind="llm", response_id="r1"), span("openai", "langch", 1, 49, "llm", tokens=(10, 2))],
        (10, 2, 1),
    ),
    "b: only the outer has tokens, above a failed try and a good one": (
        [
            span("langch", end=50, kind="llm", tokens=(10, 2)),
            span("try", "langch", 1, 20, "llm", error="RateLimitError"),
            span("again", "langch", 30, 49, "llm"),
        ],
        (10, 2, 2),
    ),
    "g: a background response that is polled": (
        [
            span("root", end=90, kind="agent"),
            span("start", "root", 1, 5, "llm", response_id="r1"),
            span("poll", "root", 20, 22, "llm", tokens=(10, 2), response_id="r1"),
            span("again", "root", 40, 42, "llm", tokens=(10, 2), response_id="r1"),
        ],
        (10, 2, 1),
    ),
    "a chain that repeats a call beside it by its response id": (
        [
            span("root", end=90, kind="chain"),
            span("turn", "root", 1, 50, "chain", tokens=(10, 2), response_id="r1"),
            span("call", "root", 2, 49, "llm", tokens=(10, 2), response_id="r1"),
        ],
        (10, 2, 1),
    ),
    "one placeholder as the id of every answer": (
        [
            span("root", end=90, kind="agent"),
            span("one", "root", 1, 20, "llm", tokens=(10, 2), response_id="fake"),
            span("two", "root", 30, 49, "llm", tokens=(20, 3), response_id="fake"),
        ],
        (30, 5, 2),
    ),
}


@pytest.mark.parametrize("case", DOUBLE_COUNTING)
def test_every_token_counts_once(case: str) -> None:
    spans, expected = DOUBLE_COUNTING[case]

    assert tokens(*spans) == expected


def test_failed_call_around_its_steps_stands_for_the_last_of_them() -> None:
    row = summarize(
        span("agent", end=90, kind="agent"),
        span("chat", "agent", 1, 80, "llm", request_model="m", error="E"),
        span("step 0", "chat", 2, 20, "llm"),
        span("step 1", "chat", 21, 40, "llm"),
    )

    assert (row["llm_calls"], row["llm_errors"], row["models.model"], row["models.errors"]) == (2, 1, ["m"], [1])


@pytest.mark.parametrize("case", DOUBLE_COUNTING)
def test_order_of_arrival_does_not_matter(case: str) -> None:
    spans, _ = DOUBLE_COUNTING[case]
    shuffled = random.Random(case).sample(spans, len(spans))

    assert summarize(*shuffled) == summarize(*spans)


def test_copy_with_cache_detail_is_the_one_kept() -> None:
    row = summarize(
        span("root", end=90, kind="agent"),
        span("plain", "root", 1, 50, "llm", tokens=(10, 2), response_id="r1"),
        span("detail", "root", 2, 49, "llm", tokens=(10, 2), response_id="r1", cache_read_tokens=8, reasoning_tokens=1),
    )

    assert (row["input_tokens"], row["cached_input_tokens"], row["reasoning_tokens"]) == (10, 8, 1)


def test_copy_that_knows_more_parts_is_the_one_kept() -> None:
    row = summarize(
        span("root", end=90),
        span("some", "root", 1, 50, "llm", tokens=(10, 2), response_id="r1", cache_read_tokens=8, reasoning_tokens=1),
        span("fewer", "root", 2, 49, "llm", tokens=(10, 2), response_id="r1", cache_read_tokens=8),
        span("agent a", "root", 60, 80, "agent"),
        span("call a", "agent a", 61, 70, "llm", tokens=(7, 3), scope_name="a", request_model="m", cache_read_tokens=4),
        span("agent b", "root", 60, 80, "agent"),
        span("call b", "agent b", 61, 70, "llm", tokens=(7, 3), scope_name="b", request_model="m", reasoning_tokens=2,
             cache_read_tokens=4),
    )  # fmt: skip

    assert (row["input_tokens"], row["cached_input_tokens"], row["reasoning_tokens"], row["llm_calls"]) == (17, 12, 3, 2)


@pytest.mark.parametrize("id_inside", ["r1", ""])
def test_outer_call_counts_when_it_alone_knows_the_cached_tokens(id_inside: str) -> None:
    row = summarize(
        span("outer", end=50, kind="llm", tokens=(10, 2), response_id="r1", cache_read_tokens=8),
        span("inner", "outer", 1, 49, "llm", tokens=(10, 2), response_id=id_inside),
    )

    assert (row["input_tokens"], row["cached_input_tokens"], row["llm_calls"]) == (10, 8, 1)


def test_outer_call_counts_when_it_alone_knows_the_model() -> None:
    row = summarize(
        span("client", end=50, kind="llm", tokens=(10, 2), request_model="llama-4"),
        span("http", "client", 1, 49, "other"),
        span("server", "http", 2, 48, "llm", tokens=(10, 2)),
    )

    assert (row["models.model"], row["models.calls"], row["models.input_tokens"]) == (["llama-4"], [1], [10])
    assert (row["input_tokens"], row["llm_calls"]) == (10, 1)


def test_outer_call_with_other_tokens_is_a_sum_and_does_not_count() -> None:
    row = summarize(
        span("outer", end=50, kind="llm", tokens=(30, 4), cache_read_tokens=8),
        span("one", "outer", 1, 20, "llm", tokens=(10, 2)),
        span("two", "outer", 21, 49, "llm", tokens=(20, 2)),
    )

    assert (row["input_tokens"], row["cached_input_tokens"], row["llm_calls"]) == (30, 0, 2)


def test_call_and_its_tokens_belong_to_one_model_when_the_outer_span_has_the_tokens() -> None:
    row = summarize(
        span("outer", end=50, kind="llm", tokens=(10, 2), request_model="gpt-4o", provider="openai"),
        span("inner", "outer", 1, 49, "llm", request_model="gpt-4o-2024-08-06", provider="azure.ai.openai"),
    )

    assert (row["models.model"], row["models.calls"], row["models.input_tokens"]) == (["gpt-4o"], [1], [10])


@pytest.mark.parametrize("repeats", [True, False])
def test_call_whose_tokens_the_outer_span_knows_better_belongs_to_the_model_of_that(repeats: bool) -> None:
    row = summarize(
        span(
            "outer", end=50, kind="llm", tokens=(1000, 2), cache_write_tokens=800, request_model="gpt-4o", supplied_cost_usd=0.5
        ),
        span("inner", "outer", 1, 49, "llm", tokens=(1000, 2) if repeats else (0, 0), request_model="home-made"),
    )

    assert (row["models.model"], row["models.calls"], row["models.input_tokens"]) == (["gpt-4o"], [1], [1000])
    assert (row["llm_calls"], row["input_tokens"], row["cache_creation_input_tokens"]) == (1, 1000, 800)
    assert (row["unpriced_models"], row["supplied_cost_usd"]) == ([], 0.5)
    assert row["cost_difference_usd"] == pytest.approx(0.5 - row["cost_usd"])
    assert row["models.cost_difference_usd"] == [row["cost_difference_usd"]]


@pytest.mark.parametrize(
    "detail",
    [
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cache_write_1h_tokens",
        "input_audio_tokens",
        "output_audio_tokens",
    ],
)
@pytest.mark.parametrize("detailed", ["first", "second"])
def test_of_two_reports_of_one_answer_the_one_that_knows_its_parts_counts(detail: str, detailed: str) -> None:
    call: dict[str, Any] = {"kind": "llm", "tokens": (10, 5), "response_id": "r1"}
    spans = {
        "first": span("first", "root", 1, 10, request_model="gpt-4o", provider="openai", **call),
        "second": span("second", "root", 2, 9, request_model="gpt-4o-mini", provider="azure.ai.openai", **call),
    }
    spans[detailed] |= {detail: 3}
    row = summarize(span("root", end=90, kind="agent"), *spans.values())

    assert (row["models.model"], row["models.calls"], row["models.input_tokens"]) == (
        [spans[detailed]["request_model"]], [1], [10],
    )  # fmt: skip
    sums = {
        "cache_read_tokens": "cached_input_tokens", "cache_write_tokens": "cache_creation_input_tokens",
        "cache_write_1h_tokens": "cache_creation_1h_input_tokens",
    }  # fmt: skip
    assert row[sums.get(detail, detail)] == 3


def test_same_response_id_in_two_traces_is_two_calls() -> None:
    calls = [span("a", end=5, kind="llm", tokens=(10, 2), response_id="r1", trace_id=trace_id) for trace_id in ("one", "two")]

    rows = summarize_all(calls)

    assert [row["input_tokens"] for row in rows] == [10, 10]


def test_unnamed_copy_of_a_call_is_no_second_call() -> None:
    call: dict[str, Any] = {"kind": "llm", "tokens": (10, 1), "request_model": "gpt-4o"}
    row = summarize(
        span("root", end=90, kind="agent"),
        span("one", "root", 1, 10, response_id="r1", scope_name="a", **call),
        span("copy", "root", 20, 30, scope_name="b", **call),
    )

    assert (row["input_tokens"], row["llm_calls"]) == (10, 1)


def test_account_of_a_call_is_no_second_call() -> None:
    """As AG2 1.2 sends them: a span `record_usage model_call` after each call, with the model that answered alone."""
    of: dict[str, Any] = {"response_model": "gpt-5-mini-2025-08-07", "scope_name": "opentelemetry.instrumentation.ag2"}
    row = summarize(
        span("root", end=90, kind="agent"),
        span("one", "root", 1, 10, "llm", tokens=(425, 31), request_model="gpt-5-mini", **of),
        span("account", "root", 10, 11, "other", tokens=(425, 31), **of),
        span("two", "root", 20, 30, "llm", tokens=(438, 35), request_model="gpt-5-mini", **of),
        span("again", "root", 30, 31, "other", tokens=(438, 35), **of),
        span("compact", "root", 40, 41, "other", tokens=(90, 9), **of),
    )

    assert (row["input_tokens"], row["output_tokens"], row["llm_calls"]) == (953, 75, 2)


def test_tokens_with_a_price_of_their_own_add_up() -> None:
    classes: dict[str, Any] = {
        "cache_write_tokens": 6,
        "cache_write_1h_tokens": 4,
        "input_audio_tokens": 3,
        "output_audio_tokens": 2,
    }
    row = summarize(
        span("root", end=90, kind="agent", tokens=(20, 10), **classes),
        span("one", "root", 1, 10, "llm", tokens=(10, 5), **classes),
        span("two", "root", 20, 30, "llm", tokens=(10, 5), **classes),
    )

    assert (row["cache_creation_1h_input_tokens"], row["input_audio_tokens"], row["output_audio_tokens"]) == (8, 6, 4)
