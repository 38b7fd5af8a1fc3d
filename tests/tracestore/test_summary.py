"""What a trace comes to: tokens counted once, outcome, cause, tools, escalation."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.span_table import START_NS, TIMEOUT_NS, Span, build_columns, span, summarize, summarize_all
from tracestore.buckets import GROWTH
from tracestore.summary.calls import find_calls
from tracestore.summary.outcomes import OUTCOME_RULES

SOON_NS = START_NS + 10**9  # a moment after the spans of these tests


def tokens(*spans: Span) -> tuple[int, int, int]:
    """Return (input, output, model calls) of a trace."""
    row = summarize(*spans)
    return row["input_tokens"], row["output_tokens"], row["llm_calls"]


def outcome(*spans: Span, now_ns: int | None = None) -> tuple[str, str, str]:
    """Return (outcome, rule, failing span) of a trace."""
    row = summarize(*spans, now_ns=now_ns) if now_ns else summarize(*spans)
    return row["outcome"], row["outcome_rule"], row["failing_span_id"]


# --- tokens: one call, however many spans tell of it ---------------------------------------------------------------------

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


def test_call_in_a_cheaper_tier_costs_what_that_tier_costs() -> None:
    def cost(tier: str) -> float:
        row = summarize(
            span(
                "a",
                end=50,
                kind="llm",
                tokens=(1000, 200),
                request_model="claude-fable-5-2",
                provider="anthropic",
                service_tier=tier,
            ),
            span("b", start=60, end=90, kind="llm", tokens=(1000, 200), request_model="claude-fable-5-2", provider="anthropic"),
        )
        assert row["models.calls"] == [2]
        return float(row["cost_usd"])

    assert cost("batch") == pytest.approx(0.75 * cost(""))


def test_call_of_an_unpriced_model_around_a_silent_one_has_no_difference() -> None:
    row = summarize(
        span("outer", end=50, kind="llm", tokens=(10, 2), request_model="home-made", provider="acme", supplied_cost_usd=0.5),
        span("inner", "outer", 1, 49, "llm", request_model="gpt-4o", provider="openai", supplied_cost_usd=7.0),
    )

    assert (row["models.model"], row["models.provider"], row["models.calls"]) == (["home-made"], ["acme"], [1])
    assert (row["unpriced_models"], row["cost_usd"], row["supplied_cost_usd"]) == (["home-made"], None, 0.5)
    assert (row["compared_cost_usd"], row["cost_difference_usd"]) == (None, None)
    assert (row["models.supplied_cost_usd"], row["models.cost_difference_usd"]) == ([0.5], [None])


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


def test_traces_side_by_side_keep_their_own_costs() -> None:
    call: dict[str, Any] = {"kind": "llm", "tokens": (1_000_000, 0)}
    rows = summarize_all(
        [
            span("a", end=5, trace_id="one", request_model="gpt-4o", provider="openai", supplied_cost_usd=3.0, **call),
            span("a", end=5, trace_id="two", request_model="home-made", supplied_cost_usd=1.0, **call),
            span("a", end=5, trace_id="three", kind="chain", supplied_cost_usd=9.0),
            span("a", end=5, trace_id="vier", request_model="gpt-4o", provider="openai", **call),
        ]
    )

    found = {
        row["trace_id"]: (row["cost_usd"], row["supplied_cost_usd"], row["cost_difference_usd"], row["unpriced_models"])
        for row in rows
    }
    assert found == {
        "one": (2.5, 3.0, 0.5, []), "two": (None, 1.0, None, ["home-made"]), "three": (0.0, None, None, []),
        "vier": (2.5, None, None, []),
    }  # fmt: skip


def test_same_response_id_in_two_traces_is_two_calls() -> None:
    calls = [span("a", end=5, kind="llm", tokens=(10, 2), response_id="r1", trace_id=trace_id) for trace_id in ("one", "two")]

    rows = summarize_all(calls)

    assert [row["input_tokens"] for row in rows] == [10, 10]


# --- models and cost -------------------------------------------------------------------------------------------------


def test_durations_of_calls_and_steps_are_kept_by_tool_model_and_kind() -> None:
    row = summarize(
        span("run", end=9000, kind="agent", agent="triage"),
        span("call-1", "run", 0, 1000, "llm", request_model="gpt-4o", time_to_first_token_ns=250 * 10**6, tokens=(10, 1)),
        span("call-2", "run", 1000, 3000, "llm", request_model="gpt-4o", error="Overloaded"),
        span("use", "run", 3000, 7000, "tool", tool="refund"),
        span("http", "use", 3000, 6000),
        span("again", "run", 7000, 7500, "tool", tool="refund", error="Timeout"),
        span("on", "run", 8000, 8000, signal="agent_handoff"),
    )

    assert read_s(row["tools.durations"]) == [[4, 0.5]]
    assert read_s(row["models.durations"]) == [[1, 2]]
    assert read_s(row["models.first_tokens"]) == [[0.25]]
    assert dict(zip(row["steps.kind"], read_s(row["steps.durations"]), strict=True)) == {
        "agent": [9], "llm": [1, 2], "tool": [4, 0.5],
    }  # fmt: skip
    assert (row["llm_errors"], row["unpriced_calls"], row["handed_over"]) == (1, 0, True)


def read_s(lists: list[list[int]]) -> list[list[float]]:
    """Return seconds for numbers of buckets, to two digits."""
    return [[float(f"{GROWTH ** (bucket - 1) / 1e9:.2g}") for bucket in buckets] for buckets in lists]


def test_calls_group_by_the_model_that_was_asked() -> None:
    row = summarize(
        span("root", end=90, kind="agent"),
        span(
            "one",
            "root",
            1,
            10,
            "llm",
            tokens=(10, 1),
            request_model="gpt-4o",
            response_model="gpt-4o-2024-08-06",
            provider="openai",
        ),
        span("two", "root", 20, 30, "llm", tokens=(20, 2), response_model="gpt-4o-2024-08-06", provider="openai"),
        span("bad", "root", 40, 50, "llm", request_model="gpt-4o", provider="openai", error="RateLimitError"),
        span("three", "root", 60, 70, "llm", tokens=(1, 1), request_model="claude-sonnet-4-5", provider="anthropic"),
    )

    assert list(zip(row["models.model"], row["models.calls"], row["models.errors"], row["models.input_tokens"], strict=True)) == [
        ("gpt-4o", 3, 1, 30), ("claude-sonnet-4-5", 1, 0, 1),
    ]  # fmt: skip
    assert row["cost_usd"] == pytest.approx(sum(row["models.cost_usd"]))
    assert row["unpriced_models"] == []


def test_unpriced_model_is_named_and_its_cost_unknown() -> None:
    row = summarize(span("call", end=5, kind="llm", tokens=(10, 1), request_model="home-made"))

    assert (row["cost_usd"], row["unpriced_models"], row["models.cost_usd"]) == (None, ["home-made"], [None])
    assert row["unpriced_calls"] == 1


def test_trace_without_tokens_costs_nothing() -> None:
    assert summarize(span("root", end=5, kind="chain"))["cost_usd"] == 0.0


def test_supplied_costs_add_up_beside_the_computed_one() -> None:
    row = summarize(
        span("root", end=90, kind="agent", supplied_cost_usd=9.0),
        span("one", "root", 1, 10, "llm", tokens=(10, 1), request_model="gpt-4o", supplied_cost_usd=0.25),
        span("two", "root", 20, 30, "llm", tokens=(10, 1), request_model="gpt-4o", supplied_cost_usd=0.5),
    )

    assert row["supplied_cost_usd"] == 0.75
    assert 0 < row["cost_usd"] < 0.01


def test_supplied_cost_of_a_call_without_tokens_counts() -> None:
    row = summarize(
        span("root", end=90, kind="agent"),
        span("picture", "root", 1, 10, "llm", request_model="gpt-image-1", supplied_cost_usd=0.04),
        span("text", "root", 20, 30, "llm", tokens=(10, 1), request_model="gpt-4o", supplied_cost_usd=0.5),
    )

    assert row["supplied_cost_usd"] == 0.54
    assert dict(zip(row["models.model"], row["models.supplied_cost_usd"], strict=True)) == {"gpt-image-1": 0.04, "gpt-4o": 0.5}


def test_supplied_cost_below_an_agent_whose_usage_counts_is_part_of_it() -> None:
    row = summarize(
        span("root", end=90, kind="agent", tokens=(10, 1), request_model="gpt-4o", supplied_cost_usd=0.5),
        span("call", "root", 1, 10, "llm", request_model="gpt-4o", supplied_cost_usd=0.3),
    )

    assert row["supplied_cost_usd"] == 0.5


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


def test_costs_are_compared_over_the_calls_that_have_both() -> None:
    call: dict[str, Any] = {"tokens": (1_000_000, 0), "request_model": "gpt-4o", "provider": "openai"}  # $2.50
    row = summarize(
        span("root", end=90, kind="agent"),
        span("more", "root", 1, 10, "llm", supplied_cost_usd=3.0, **call),
        span("less", "root", 20, 30, "llm", supplied_cost_usd=2.25, **call),
        span("silent", "root", 40, 50, "llm", **call),
        span("own", "root", 60, 70, "llm", tokens=(10, 1), request_model="home-made", supplied_cost_usd=1.0),
    )

    assert (row["supplied_cost_usd"], row["cost_usd"]) == (6.25, 7.5)
    assert (row["compared_cost_usd"], row["cost_difference_usd"]) == (5.0, 0.25)
    by_model = {
        model: (supplied, compared, difference)
        for model, supplied, compared, difference in zip(
            row["models.model"], row["models.supplied_cost_usd"], row["models.compared_cost_usd"],
            row["models.cost_difference_usd"], strict=True,
        )
    }  # fmt: skip
    assert by_model == {"gpt-4o": (5.25, 5.0, 0.25), "home-made": (1.0, None, None)}


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


# --- outcome ---------------------------------------------------------------------------------------------------------

ROOT = span("root", end=100, kind="agent")
OUTCOMES: dict[str, tuple[list[Span], tuple[str, str, str]]] = {
    "nothing failed": ([ROOT, span("call", "root", 1, 10, "llm")], ("ok", "no_error", "")),
    "the root failed": ([span("root", end=100, kind="agent", error="E")], ("error", "root_error", "root")),
    "the root failed because of a tool": (
        [span("root", end=100, kind="agent", error="E"), span("tool", "root", 1, 10, "tool", tool="t", error="E")],
        ("error", "root_error", "tool"),
    ),
    "the last step failed under a root that says nothing": (
        [ROOT, span("call", "root", 1, 10, "llm"), span("tool", "root", 20, 30, "tool", tool="t", error="E")],
        ("error", "unrecovered_error", "tool"),
    ),
    "a root that says ok does not hide it": (
        [span("root", end=100, kind="agent", status="ok"), span("sub", "root", 20, 30, "agent", error="E")],
        ("error", "unrecovered_error", "sub"),
    ),
    "a retry succeeded": (
        [ROOT, span("try", "root", 1, 10, "tool", tool="t", error="E"), span("again", "root", 20, 30, "tool", tool="t")],
        ("ok", "recovered", ""),
    ),
    "one of two parallel tools failed and the model went on": (
        [
            ROOT, span("left", "root", 1, 10, "tool", tool="a", error="E"), span("right", "root", 1, 15, "tool", tool="b"),
            span("call", "root", 20, 30, "llm"),
        ],
        ("ok", "recovered", ""),
    ),
    "the next call starts in the millisecond in which the tool raised": (
        [
            ROOT, span("call", "root", 1, 10, "llm"),
            span("tool", "root", 10, kind="tool", tool="t", error="E", duration_ns=250_000),
            span("again", "root", 10, 20, "llm"),
        ],
        ("ok", "recovered", ""),
    ),
    "one model call spans the whole loop of tools": (
        [ROOT, span("call", "root", 1, 50, "llm"), span("tool", "root", 20, 30, "tool", tool="t", error="E")],
        ("ok", "recovered", ""),
    ),
    "another agent's call does not answer the tool": (
        [
            ROOT, span("left", "root", 1, 40, "agent"), span("tool", "left", 20, 30, "tool", tool="t", error="E"),
            span("right", "root", 1, 60, "agent"), span("call", "right", 2, 50, "llm"),
        ],
        ("error", "unrecovered_error", "tool"),
    ),
    "a call that began beside the tool does not answer it": (
        [ROOT, span("tool", "root", 20, 30, "tool", tool="t", error="E"), span("call", "root", 21, 50, "llm")],
        ("error", "unrecovered_error", "tool"),
    ),
    "parallel tools start in the same millisecond": (
        [
            ROOT, span("left", "root", 1, kind="tool", tool="a", error="E", duration_ns=250_000),
            span("right", "root", 1, 15, "tool", tool="b"),
        ],
        ("error", "unrecovered_error", "left"),
    ),
    "one of two parallel tools failed and nobody went on": (
        [ROOT, span("left", "root", 1, 10, "tool", tool="a", error="E"), span("right", "root", 1, 15, "tool", tool="b")],
        ("error", "unrecovered_error", "left"),
    ),
    # CrewAI without the instrumentation of a model's SDK.
    "a tool failed under an agent that says OK, and no model call is recorded": (
        [
            ROOT, span("agent", "root", 1, 90, "agent", status="ok"), span("tool", "agent", 2, 10, "tool", tool="t", error="E"),
        ],
        ("ok", "recovered", ""),
    ),
    "a tool failed under an agent that says OK, after its last model call": (
        [
            ROOT, span("agent", "root", 1, 90, "agent", status="ok"), span("call", "agent", 2, 5, "llm"),
            span("tool", "agent", 6, 10, "tool", tool="t", error="E"),
        ],
        ("error", "unrecovered_error", "tool"),
    ),
    "every retry failed": (
        [ROOT, span("try", "root", 1, 10, "llm", error="E"), span("again", "root", 20, 30, "llm", error="F")],
        ("error", "unrecovered_error", "again"),
    ),
    "a failing turn, of which no other span knows": (
        [
            span("root", end=90, kind="chain"),
            span("turn", "root", 1, 80, "other", is_error=True),
            span("call", "turn", 2, 70, "llm"),
        ],
        ("error", "unrecovered_error", "turn"),
    ),
    "a failing helper under a tool that is ok": (
        [ROOT, span("tool", "root", 1, 50, "tool", tool="t", status="ok"), span("http", "tool", 2, 10, "other", error="503")],
        ("ok", "recovered", ""),
    ),
    "a failing helper under a model call": (
        [ROOT, span("call", "root", 1, 50, "llm"), span("http", "call", 2, 10, "other", error="503")],
        ("ok", "recovered", ""),
    ),
    "the helper's error points at the step above it": (
        [
            ROOT, span("call", "root", 1, 50, "llm", error="APIError"), span("http", "call", 2, 10, "other", error="503"),
        ],
        ("error", "unrecovered_error", "call"),
    ),
    "one of two roots failed": (
        [span("one", end=10, kind="agent"), span("two", start=20, end=30, kind="agent", error="E")],
        ("error", "root_error", "two"),
    ),
    "steps without the agent above them": (
        [span("call", "lost", 1, 10, "llm"), span("tool", "lost", 20, 30, "tool", tool="t")], ("error", "interrupted", "tool")
    ),
    "an agent whose parent is elsewhere stands in for the root": (
        [span("agent", "lost", 1, 10, "agent"), span("call", "agent", 2, 5, "llm")], ("ok", "no_error", "")
    ),
    "and its error is the trace's": (
        [span("agent", "lost", 1, 10, "agent", error="E"), span("call", "agent", 2, 5, "llm")], ("error", "root_error", "agent")
    ),
    "a remote parent makes a root": (
        [span("call", "afar", 1, 10, "llm", flags=0x300)], ("ok", "no_error", "")
    ),
    "so does being a server": (
        [span("serve", "afar", 1, 10, "chain", span_kind="server", error="E")], ("error", "root_error", "serve")
    ),
    "a span that is its own parent": ([span("loop", "loop", 1, 10, "llm")], ("error", "interrupted", "loop")),
    "a cycle": ([span("a", "b", 1, 10, "llm"), span("b", "a", 2, 9, "llm")], ("error", "interrupted", "a")),
    "a cycle beside a good root": ([ROOT, span("a", "b", 1, 10, "llm"), span("b", "a", 2, 9, "llm")], ("ok", "no_error", "")),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTCOMES)
def test_outcome_rule_and_cause(case: str) -> None:
    spans, expected = OUTCOMES[case]

    assert outcome(*spans) == expected
    assert expected[1] in OUTCOME_RULES


def test_trace_whose_root_has_not_come_is_running_until_it_has_been_silent_for_long() -> None:
    steps = [span("call", "root", 1, 10, "llm"), span("tool", "root", 20, 30, "tool", tool="t", error="E")]

    assert outcome(*steps, now_ns=SOON_NS) == ("running", "running", "")
    assert outcome(*steps, now_ns=SOON_NS + TIMEOUT_NS)[0] == "error"
    assert outcome(*steps, span("root", end=40, kind="agent"), now_ns=SOON_NS) == ("error", "unrecovered_error", "tool")


def test_open_agent_above_arrived_steps_is_awaited() -> None:
    spans = [span("inner", "outer", 1, 10, "agent", error="E")]

    assert outcome(*spans, now_ns=SOON_NS) == ("running", "running", "")


def test_remote_parent_is_not_awaited() -> None:
    spans = [span("serve", "afar", 1, 10, "chain", flags=0x300), span("call", "serve", 2, 5, "llm")]

    assert outcome(*spans, now_ns=SOON_NS) == ("ok", "no_error", "")


def test_steps_under_an_open_agent_beside_a_remote_one_are_awaited() -> None:
    spans = [span("mcp", "tool", 1, 10, "chain", span_kind="server"), span("call", "agent", 2, 5, "llm")]

    assert outcome(*spans, now_ns=SOON_NS)[0] == "running"


def test_contains_errors_is_another_question_than_failed() -> None:
    row = summarize(*OUTCOMES["a retry succeeded"][0])

    assert (row["outcome"], row["has_errors"], row["error_count"], row["error_types"]) == ("ok", True, 1, ["E"])


def test_cause_of_the_failure_is_the_first_error_type() -> None:
    row = summarize(
        ROOT,
        span("early", "root", 1, 5, "tool", tool="t", error="Harmless"),
        span("call", "root", 10, 20, "llm"),
        span("late", "root", 30, 40, "tool", tool="t", error="Fatal", error_message="no funds"),
    )

    assert (row["error_types"], row["error_message"], row["failing_span_id"]) == (["Fatal", "Harmless"], "no funds", "late")


# --- tools -----------------------------------------------------------------------------------------------------------


def tools(*spans: Span) -> list[tuple[str, int, int]]:
    row = summarize(ROOT, *spans)
    return list(zip(row["tools.name"], row["tools.calls"], row["tools.errors"], strict=True))


TOOLS: dict[str, tuple[list[Span], list[tuple[str, int, int]]]] = {
    "in order of their first call": (
        [
            span("b", "root", 1, 2, "tool", tool="beta"), span("a", "root", 3, 4, "tool", tool="alpha"),
            span("c", "root", 5, 6, "tool", tool="beta", error="E"),
        ],
        [("beta", 2, 1), ("alpha", 1, 0)],
    ),
    "a span of the same tool inside it": (
        [span("outer", "root", 1, 9, "tool", tool="t", error="E"), span("inner", "outer", 2, 8, "tool", tool="t", error="E")],
        [("t", 1, 1)],
    ),
    # AutoGen's own span inside OpenInference's, which says OK.
    "an error inside it": (
        [
            span("outer", "root", 1, 9, "tool", tool="t", status="ok"), span("middle", "outer", 2, 8, "tool", tool="t"),
            span("inner", "middle", 3, 7, "tool", tool="t", error="E"),
        ],
        [("t", 1, 1)],
    ),
    "an error inside it that another attempt made up for": (
        [
            span("outer", "root", 1, 9, "tool", tool="t"), span("first", "outer", 2, 4, "tool", tool="t", error="E"),
            span("again", "outer", 5, 8, "tool", tool="t"),
        ],
        [("t", 1, 0)],
    ),
    "with a helper between them": (
        [
            span("outer", "root", 1, 9, "tool", tool="t"), span("mcp", "outer", 2, 8, "other"),
            span("inner", "mcp", 3, 7, "tool", tool="t"),
        ],
        [("t", 1, 0)],
    ),
    "another tool inside it is another call": (
        [span("outer", "root", 1, 9, "tool", tool="t"), span("inner", "outer", 2, 8, "tool", tool="u")],
        [("t", 1, 0), ("u", 1, 0)],
    ),
    "a tool that calls itself through an agent": (
        [
            span("outer", "root", 1, 9, "tool", tool="t"), span("agent", "outer", 2, 8, "agent"),
            span("inner", "agent", 3, 7, "tool", tool="t"),
        ],
        [("t", 2, 0)],
    ),
    "a repeated call id": (
        [
            span("one", "root", 1, 5, "tool", tool="t", tool_call_id="c1"),
            span("two", "root", 1, 5, "tool", tool="t", tool_call_id="c1", error="E"),
        ],
        [("t", 1, 1)],
    ),
    "one call id of two tools": (
        [
            span("one", "root", 1, 5, "tool", tool="t", tool_call_id="c1"),
            span("two", "root", 6, 9, "tool", tool="u", tool_call_id="c1"),
        ],
        [("t", 1, 0), ("u", 1, 0)],
    ),
    "a refused call is none": ([span("one", "root", 1, 5, "tool", tool="t", signal="refused_call", error="E")], []),
    "refused in the execution step below": (
        [span("one", "root", 1, 5, "tool", tool="t"), span("exec", "one", 2, 4, "other", signal="refused_call", error="E")], []
    ),
    "error in the execution step below": (
        [span("one", "root", 1, 5, "tool", tool="t"), span("exec", "one", 2, 4, "other", error="E")], [("t", 1, 1)]
    ),
    "error below a tool that says ok": (
        [span("one", "root", 1, 5, "tool", tool="t", status="ok"), span("http", "one", 2, 4, "other", error="E")], [("t", 1, 0)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOOLS)
def test_each_execution_of_a_tool_counts_once(case: str) -> None:
    spans, expected = TOOLS[case]

    assert tools(*spans) == expected


# --- escalation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "escalate", "escalate_to_human", "transfer_to_human", "transfer_to_human_agent", "handoff_to_user", "ask_human",
        "human_handoff",
        "call-human", "live_agent", "TransferToHumanAgent", "contact_human_support", "page_oncall", "transfer_to_operator",
        "create_escalation", "escalateTicket", "transfer_to_live_agent",
    ],
)  # fmt: skip
def test_tool_that_hands_over_to_a_person_escalates(name: str) -> None:
    assert summarize(ROOT, span("t", "root", 1, 2, "tool", tool=name))["escalated"] is True


@pytest.mark.parametrize(
    "name",
    [
        "transfer_to_refunds", "exit_loop", "transfer_money", "humanize_text", "format_for_humans", "get_escalation_policy",
        "check_escalation_status", "de_escalate", "deescalate_tone", "request_escalated_permissions", "human_readable_date", "",
        "page_down", "delegate_work_to_coworker", "list_escalations", "convert_to_human_readable",
    ],
)  # fmt: skip
def test_false_friend_does_not_escalate(name: str) -> None:
    assert summarize(ROOT, span("t", "root", 1, 2, "tool", tool=name))["escalated"] is False


def test_failed_hand_over_is_no_escalation() -> None:
    assert summarize(ROOT, span("t", "root", 1, 2, "tool", tool="transfer_to_human", error="E"))["escalated"] is False


def test_step_that_is_no_tool_does_not_escalate_by_its_name() -> None:
    assert summarize(ROOT, span("escalate_to_human"[:8], "root", 1, 2, "llm", name="escalate_to_human"))["escalated"] is False


# --- what the trace takes from its spans -------------------------------------------------------------------------------


def test_values_stand_in_the_order_of_their_first_appearance() -> None:
    row = summarize(
        span("root", end=100, kind="agent", agent="triage", version="v2", prompt_name="hello", prompt_version="3"),
        span("a", "root", 10, 20, "agent", agent="refunds", version="v3", service="tools", workflow="w"),
        span("b", "root", 30, 40, "agent", agent="triage", version="v2", prompt_name="bye"),
    )

    assert (row["agents"], row["versions"], row["services"]) == (["triage", "refunds"], ["v2", "v3"], ["bot", "tools"])
    assert (row["prompts"], row["workflows"]) == (["hello@3", "bye"], ["w"])


def test_session_of_the_root_wins_over_an_earlier_one() -> None:
    row = summarize(
        span("early", "root", 0, 5, "llm", session_id="made-up", user_id="u1"), span("root", start=1, end=100, session_id="real")
    )

    assert (row["session_id"], row["user_id"], row["name"]) == ("real", "u1", "root")


def test_trace_lasts_from_its_first_start_to_its_last_end() -> None:
    row = summarize(span("root", start=10, end=20), span("late", "root", 15, 90, "tool", tool="t"))

    assert (row["start_ns"], row["duration_ns"]) == (START_NS + 10 * 10**6, 80 * 10**6)


def test_orphans_are_counted() -> None:
    row = summarize(ROOT, span("a", "lost", 1, 2, "llm"), span("b", "a", 1, 2, "other"))

    assert (row["span_count"], row["orphan_count"], row["root_span_id"]) == (3, 1, "root")


def test_text_that_is_not_utf_8_is_replaced() -> None:
    assert summarize(span("root", end=5, version=b"v\xff"))["versions"] == ["v�"]


def test_no_spans_are_no_traces() -> None:
    assert summarize_all([]) == []


# --- any forest ------------------------------------------------------------------------------------------------------

KINDS = ("agent", "llm", "tool", "embedding", "chain", "other", "retriever")


@st.composite
def forests(draw: st.DrawFn) -> list[Span]:
    """Return spans of a few traces with any parents: cycles, orphans and several roots included."""
    size = draw(st.integers(1, 14))
    ids = [f"s{number}" for number in range(size)]
    spans = []
    for span_id in ids:
        start, length = draw(st.integers(0, 50)), draw(st.integers(0, 50))
        spans.append(
            span(
                span_id, draw(st.sampled_from(["", "gone", *ids])), start, start + length, draw(st.sampled_from(KINDS)),
                trace_id=draw(st.sampled_from(["t1", "t2", "t3"])), tokens=draw(st.tuples(st.integers(0, 9), st.integers(0, 9))),
                error=draw(st.sampled_from(["", "", "E", "F"])), status=draw(st.sampled_from(["unset", "ok", "error"])),
                tool=draw(st.sampled_from(["", "t", "escalate"])), tool_call_id=draw(st.sampled_from(["", "c1"])),
                response_id=draw(st.sampled_from(["", "", "r1"])), scope_name=draw(st.sampled_from(["a", "b"])),
                request_model=draw(st.sampled_from(["", "gpt-4o", "home"])), flags=draw(st.sampled_from([0, 0x100, 0x300])),
                signal=draw(st.sampled_from(["", "", "refused_call"])), cache_read_tokens=draw(st.integers(0, 1)),
            )
        )  # fmt: skip
    return spans


@settings(max_examples=100, deadline=None)
@given(forests(), st.randoms(use_true_random=False), st.sampled_from([START_NS, START_NS + 10 * TIMEOUT_NS]))
def test_any_forest_has_one_sane_summary(spans: list[Span], shuffler: random.Random, now_ns: int) -> None:
    rows = {row["trace_id"]: row for row in summarize_all(spans, now_ns)}
    shuffled = spans[:]
    shuffler.shuffle(shuffled)

    assert {row["trace_id"]: row for row in summarize_all(shuffled, now_ns)} == rows
    for trace_id, members in itertools.groupby(sorted(spans, key=lambda one: one["trace_id"]), key=lambda one: one["trace_id"]):
        check_sane(rows[trace_id], list(members))
    assert len(rows) == len({one["trace_id"] for one in spans})


def check_sane(row: dict[str, Any], members: list[Span]) -> None:
    ids = {one["span_id"] for one in members}
    usage = [one["input_tokens"] + one["output_tokens"] for one in members]
    counted = row["input_tokens"] + row["output_tokens"]
    parents = {one["parent_span_id"] for one in members}
    # Of calls that share a response id one counts: the one with detail, which need not be the largest.
    leaf_calls = [
        total
        for one, total in zip(members, usage, strict=True)
        if one["kind"] in ("llm", "embedding") and one["span_id"] not in parents and not one["response_id"]
    ]
    assert row["span_count"] == len(members)
    assert max(leaf_calls, default=0) <= counted <= sum(usage)
    assert row["error_count"] == sum(one["is_error"] for one in members)
    assert (row["failing_span_id"] in ids) is (row["outcome"] == "error")
    assert row["root_span_id"] in ids
    assert sum(row["tools.calls"]) <= sum(one["kind"] == "tool" for one in members)
    assert all(errors <= calls for calls, errors in zip(row["tools.calls"], row["tools.errors"], strict=True))
    assert row["llm_calls"] <= sum(one["kind"] in ("llm", "embedding") for one in members)


def test_deep_chain_of_spans_is_walked_once_each() -> None:
    spans = [span("s0", end=1, kind="agent")]
    spans += [span(f"s{number}", f"s{number - 1}", number, number + 1, "llm", tokens=(1, 0)) for number in range(1, 3000)]

    calls = find_calls(build_columns(spans))

    assert (calls.counts_usage.sum(), calls.is_call.sum()) == (1, 1)
