"""What a trace costs, by model: computed, as its spans tell, and compared."""

from __future__ import annotations

from typing import Any

import pytest

from tests.span_table import span, summarize, summarize_all
from tracestore.prices.catalogue import TokenUsage
from tracestore.prices.pricing import find_priced_names, price_call


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


def test_trace_costs_what_its_step_does_where_only_the_answer_has_a_price() -> None:
    """Bedrock's ids come before the model that answered, and not every one is in the catalogue."""
    asked, answered = "us.anthropic.claude-haiku-9-v1:0", "claude-haiku-4-5"

    row = summarize(
        span("a", kind="llm", tokens=(1000, 100), request_model=asked, response_model=answered, provider="aws.bedrock")
    )

    usage = TokenUsage(1000, 100)
    step = (price_call("aws.bedrock", name, usage, 0) for name in find_priced_names(asked, answered))
    assert row["cost_usd"] == pytest.approx(next(usd for usd in step if usd is not None))
    assert row["unpriced_models"] == []


def test_usage_of_a_step_within_a_call_is_that_of_the_calls_model() -> None:
    """Codex names the model where the request begins and the tokens where the answer ends."""
    row = summarize(
        span("turn", end=90, kind="agent"),
        span("call", "turn", 1, 40, "llm", request_model="gpt-5", provider="openai"),
        span("end", "call", 38, 39, tokens=(1000, 100)),
        span("again", "turn", 50, 80, "llm", request_model="gpt-5", provider="openai"),
        span("its end", "again", 78, 79, tokens=(2000, 200)),
    )

    assert (row["models.model"], row["models.calls"], row["models.input_tokens"]) == (["gpt-5"], [2], [3000])
    assert row["unpriced_models"] == []
    assert row["cost_usd"] == pytest.approx(price_call("openai", "gpt-5", TokenUsage(3000, 300), 0))


def test_failure_within_a_call_is_that_of_the_calls_model() -> None:
    row = summarize(
        span("turn", end=90, kind="agent"),
        span("first", "turn", 1, 40, "llm", request_model="gpt-5", provider="openai"),
        span("request", "first", 2, 39, "llm", error="429"),
        span("second", "turn", 50, 80, "llm", request_model="gpt-5", provider="openai"),
        span("end", "second", 78, 79, tokens=(2000, 200)),
    )

    assert (row["models.model"], row["models.calls"], row["models.errors"]) == (["gpt-5"], [2], [1])
    assert (row["llm_calls"], row["llm_errors"], row["outcome_rule"]) == (2, 1, "recovered")


def test_run_that_alone_knows_its_tokens_used_the_model_of_its_calls() -> None:
    # Logfire's of Claude's agents, when the last word is Claude Code's own and so no model's.
    row = summarize(
        span("run", end=90, kind="agent", tokens=(1000, 10), provider="anthropic"),
        span("call", "run", 1, 50, "llm", request_model="claude-sonnet-4-5", provider="anthropic"),
        span("word", "run", 60, 70, "llm", provider="anthropic", error="server_error"),
    )

    assert (row["models.model"], row["models.calls"], row["models.input_tokens"]) == (["claude-sonnet-4-5"], [1], [1000])
    assert (row["llm_calls"], row["llm_errors"], row["unpriced_models"]) == (2, 1, [])


def test_call_of_an_unpriced_model_around_a_silent_one_has_no_difference() -> None:
    row = summarize(
        span("outer", end=50, kind="llm", tokens=(10, 2), request_model="home-made", provider="acme", supplied_cost_usd=0.5),
        span("inner", "outer", 1, 49, "llm", request_model="gpt-4o", provider="openai", supplied_cost_usd=7.0),
    )

    assert (row["models.model"], row["models.provider"], row["models.calls"]) == (["home-made"], ["acme"], [1])
    assert (row["unpriced_models"], row["cost_usd"], row["supplied_cost_usd"]) == (["home-made"], None, 0.5)
    assert (row["compared_cost_usd"], row["cost_difference_usd"]) == (None, None)
    assert (row["models.supplied_cost_usd"], row["models.cost_difference_usd"]) == ([0.5], [None])


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
