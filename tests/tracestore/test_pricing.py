"""Prices against the catalogue itself: cached and reasoning tokens, aliases, days, and models that nobody prices."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers
from genai_prices.types import ModelPrice, TieredPrices
from hypothesis import given, settings
from hypothesis import strategies as st

from tracestore.prices.catalogue import TOKEN_CLASSES, Sold, TokenUsage
from tracestore.prices.pricing import Call, explain_call, find_priced_names, price_call, price_calls, price_each

NOON_NS = int(datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()) * 10**9


def catalogue_price(model: str, provider: str, **usage: int) -> float:
    moment = datetime.fromtimestamp(NOON_NS / 1e9, UTC)
    return float(calc_price(Usage(**usage), model, provider_id=provider, genai_request_timestamp=moment).total_price)


def test_price_of_a_plain_call_is_the_catalogue_price() -> None:
    cost = price_call("openai", "gpt-4o", TokenUsage(1000, 200), NOON_NS)

    assert cost == pytest.approx(catalogue_price("gpt-4o", "openai", input_tokens=1000, output_tokens=200))


def test_cached_input_is_cheaper_than_the_same_input_uncached() -> None:
    cached = price_call("openai", "gpt-4o", TokenUsage(1000, 200, 800), NOON_NS)
    plain = price_call("openai", "gpt-4o", TokenUsage(1000, 200), NOON_NS)

    assert cached is not None
    assert plain is not None
    assert 0 < cached < plain
    assert cached == pytest.approx(
        catalogue_price("gpt-4o", "openai", input_tokens=1000, output_tokens=200, cache_read_tokens=800)
    )


def test_cache_writes_have_their_own_price() -> None:
    cost = price_call("anthropic", "claude-sonnet-4-5", TokenUsage(1000, 200, 100, 700), NOON_NS)

    assert cost == pytest.approx(
        catalogue_price(
            "claude-sonnet-4-5", "anthropic", input_tokens=1000, output_tokens=200, cache_read_tokens=100, cache_write_tokens=700
        )
    )
    assert cost != pytest.approx(price_call("anthropic", "claude-sonnet-4-5", TokenUsage(1000, 200), NOON_NS))


def test_reasoning_is_part_of_output_and_not_paid_twice() -> None:
    assert price_call("openai", "o3", TokenUsage(1000, 500, reasoning_tokens=400), NOON_NS) == pytest.approx(
        price_call("openai", "o3", TokenUsage(1000, 500), NOON_NS)
    )


def test_reasoning_has_its_own_price_where_the_provider_asks_one() -> None:
    with_reasoning = price_call("perplexity", "sonar-deep-research", TokenUsage(1000, 500, reasoning_tokens=400), NOON_NS)

    assert with_reasoning == pytest.approx(
        catalogue_price("sonar-deep-research", "perplexity", input_tokens=1000, output_tokens=500, output_reasoning_tokens=400)
    )
    assert with_reasoning != pytest.approx(price_call("perplexity", "sonar-deep-research", TokenUsage(1000, 500), NOON_NS))


@pytest.mark.parametrize(
    ("provider", "model", "known_as"),
    [
        ("gcp.gen_ai", "gemini-2.5-flash", "google"),
        ("gcp.gemini", "gemini-2.5-flash", "google"),
        ("gcp.vertex_ai", "gemini-2.5-flash", "google"),
        ("azure.ai.openai", "gpt-4o", "openai"),
        ("azure.ai.openai", "phi-4", "azure"),
        ("azure.ai.inference", "gpt-4o", "azure"),
        ("x_ai", "grok-3", "x-ai"),
        ("mistral_ai", "mistral-large-latest", "mistral"),
        ("", "gpt-4o", "openai"),
        ("a-gateway-nobody-knows", "claude-sonnet-4-5", "anthropic"),
    ],
)
def test_provider_aliases_find_the_same_price(provider: str, model: str, known_as: str) -> None:
    assert price_call(provider, model, TokenUsage(1000, 200), NOON_NS) == pytest.approx(
        catalogue_price(model, known_as, input_tokens=1000, output_tokens=200)
    )


@pytest.mark.parametrize(
    ("provider", "model", "listed_as"),
    [
        ("groq", "gpt-oss-120b", "openai/gpt-oss-120b"),
        ("together", "gpt-oss-120b", "openai/gpt-oss-120b"),
        ("openrouter", "claude-3-haiku", "anthropic/claude-3-haiku"),
        ("openrouter", "deepseek-chat-v3.1", "deepseek/deepseek-chat-v3.1"),
        ("huggingface_nebius", "gemma-3-27b-it", "google/gemma-3-27b-it"),
        ("aws.bedrock", "nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("aws.bedrock", "llama3-1-8b-instruct-v1:0", "meta.llama3-1-8b-instruct-v1:0"),
    ],
)
def test_who_sells_a_makers_model_has_a_price_of_its_own(provider: str, model: str, listed_as: str) -> None:
    assert price_call(provider, model, TokenUsage(1000, 200, 300), NOON_NS) == pytest.approx(
        catalogue_price(listed_as, provider, input_tokens=1000, output_tokens=200, cache_read_tokens=300)
    )


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("langchain", "eu.amazon.nova-pro-v1:0"),
        ("openai", "global.anthropic.claude-haiku-4-5-20251001-v1:0"),
    ],
)
def test_names_of_bedrock_have_its_prices_whoever_is_said_to_provide_them(provider: str, model: str) -> None:
    assert price_call(provider, model, TokenUsage(1000, 200), NOON_NS) == pytest.approx(
        catalogue_price(model, "aws", input_tokens=1000, output_tokens=200)
    )


@pytest.mark.parametrize("model", ["llama-on-my-laptop", "", "gpt\x00", "🦙" * 1000])
def test_model_without_a_price_is_none_and_not_zero(model: str) -> None:
    assert price_call("ollama", model, TokenUsage(1000, 200), NOON_NS) is None


def test_call_without_tokens_has_no_price() -> None:
    assert price_call("openai", "gpt-4o", TokenUsage(0), NOON_NS) is None


def test_price_is_that_of_the_day_of_the_call() -> None:
    may, july = (int(datetime(2025, month, 1, tzinfo=UTC).timestamp()) * 10**9 for month in (5, 7))

    before, after = price_call("openai", "o3", TokenUsage(10**6), may), price_call("openai", "o3", TokenUsage(10**6), july)

    assert before == pytest.approx(10.0)
    assert after == pytest.approx(2.0)


@pytest.mark.parametrize("start_ns", [0, 946_684_800 * 10**9, 4_102_444_800 * 10**9])
def test_any_day_that_a_span_may_bear_has_some_price(start_ns: int) -> None:
    assert price_call("openai", "gpt-4o", TokenUsage(10**12, 10**12), start_ns) is not None


def test_classes_with_a_price_of_their_own_are_paid_as_such() -> None:
    hour = price_call("anthropic", "claude-sonnet-4-5", TokenUsage(1000, 50, 0, 800, cache_write_1h_tokens=800), NOON_NS)
    audio = price_call("google", "gemini-2.5-flash", TokenUsage(1000, 50, input_audio_tokens=800), NOON_NS)

    assert hour == pytest.approx(
        catalogue_price(
            "claude-sonnet-4-5",
            "anthropic",
            input_tokens=1000,
            output_tokens=50,
            cache_write_tokens=800,
            cache_write_1h_tokens=800,
        )
    )
    assert hour != pytest.approx(price_call("anthropic", "claude-sonnet-4-5", TokenUsage(1000, 50, 0, 800), NOON_NS))
    assert audio == pytest.approx(
        catalogue_price("gemini-2.5-flash", "google", input_tokens=1000, output_tokens=50, input_audio_tokens=800)
    )
    assert audio != pytest.approx(price_call("google", "gemini-2.5-flash", TokenUsage(1000, 50), NOON_NS))


@pytest.mark.parametrize("cached", [0, 100, 900])
def test_cached_audio_has_a_price_although_nobody_says_which_tokens_were_cached(cached: int) -> None:
    assert price_call("openai", "gpt-realtime", TokenUsage(1000, 500, cached, input_audio_tokens=800), NOON_NS) is not None


def test_impossible_usage_is_unpriced_rather_than_an_error() -> None:
    assert price_call("openai", "gpt-4o", TokenUsage(100, 10, 800), NOON_NS) is None


SOLD = [(provider.id, model.id) for provider in providers for model in provider.models]
TIERED = [
    (provider.id, model.id)
    for provider in providers
    for model in provider.models
    for prices in ([model.prices] if isinstance(model.prices, ModelPrice) else [one.prices for one in model.prices])
    if any(isinstance(price, TieredPrices) for price in vars(prices).values())
]


@st.composite
def calls(draw: st.DrawFn) -> tuple[Sold, list[int], int]:
    """Return who sold which model, tokens by class (also ones that contradict each other), and the day of the call."""
    sold = draw(
        st.sampled_from([*SOLD, ("", "gpt-4o"), ("gcp.gen_ai", "gemini-2.5-pro"), ("openai", "home-made"), ("openai", "")])
    )
    sold = draw(st.sampled_from([sold, draw(st.sampled_from(TIERED))]))
    around_steps = st.sampled_from(
        [start + more for start in (32_000, 128_000, 200_000, 256_000, 272_000) for more in (-1, 0, 1)]
    )
    amounts = st.one_of(st.just(0), st.integers(0, 9), around_steps, st.integers(0, 3 * 10**6))
    rare = st.one_of(st.just(0), st.just(0), st.just(0), st.integers(0, 1000))
    tokens = [
        draw(amounts),
        draw(amounts),
        *(draw(st.one_of(st.just(0), amounts)) for _ in range(3)),
        *(draw(rare) for _ in range(3)),
    ]
    tier = draw(st.sampled_from(("", "", "batch", "flex", "priority", "whatever")))
    return Sold(*sold, tier), tokens, NOON_NS - draw(st.integers(0, 700)) * 86_400 * 10**9


@settings(max_examples=200, deadline=None)
@given(st.lists(calls(), max_size=12))
def test_many_calls_cost_what_each_costs_alone(many: list[tuple[Sold, list[int], int]]) -> None:
    sold = list(dict.fromkeys(pair for pair, _, _ in many))
    tokens = {name: np.array([used[index] for _, used, _ in many], dtype=np.int64) for index, name in enumerate(TOKEN_CLASSES)}

    together = price_calls(
        sold, np.array([sold.index(pair) for pair, _, _ in many], dtype=np.int64), tokens,
        np.array([start_ns for _, _, start_ns in many], dtype=np.int64),
    )  # fmt: skip

    np.testing.assert_allclose(together, [cost_alone(*call) for call in many], rtol=1e-12, atol=1e-12)


def cost_alone(sold: Sold, used: list[int], start_ns: int) -> float:
    cost = price_call(sold.provider, sold.model, TokenUsage(*used), start_ns, sold.service_tier)
    return np.nan if cost is None else cost


@pytest.mark.parametrize("sold", sorted(set(TIERED)), ids="/".join)
def test_step_of_a_price_list_holds_for_all_tokens_of_a_call(sold: tuple[str, str]) -> None:
    used = [[inputs, 700, inputs // 2, 0, 0, 0, 0, 0] for inputs in (10, 31_999, 128_000, 128_001, 200_000, 200_001, 10**6)]
    tokens = {name: np.array(column) for name, column in zip(TOKEN_CLASSES, zip(*used, strict=True), strict=True)}
    count = len(used)

    costs = price_calls([Sold(*sold)], np.zeros(count, dtype=np.int64), tokens, np.full(count, NOON_NS))

    np.testing.assert_allclose(costs, [cost_alone(Sold(*sold), row, NOON_NS) for row in used], rtol=1e-12)


def test_explanation_lists_each_class_of_token_with_its_price_and_adds_up_to_the_price() -> None:
    explained = explain_call("openai", "gpt-4o", TokenUsage(1000, 50, 200), NOON_NS)

    assert explained is not None
    lines = [(line.token_class, line.count, str(line.price_usd.normalize()), line.per) for line in explained.lines]
    assert lines == [("input", 800, "2.5", 1_000_000), ("cache read", 200, "1.25", 1_000_000), ("output", 50, "1E+1", 1_000_000)]
    assert sum(line.cost_usd for line in explained.lines) == explained.total_usd
    assert float(explained.total_usd) == price_call("openai", "gpt-4o", TokenUsage(1000, 50, 200), NOON_NS)
    assert (explained.provider, explained.model, explained.day) == ("OpenAI", "gpt-4o", "2026-05-01")
    assert explained.catalogue.startswith("genai-prices ")
    assert explained.source_url.startswith("https://")


def test_explanation_names_the_price_of_the_step_that_holds() -> None:
    explained = explain_call("google", "gemini-2.5-pro", TokenUsage(300_000, 10), NOON_NS)

    assert explained is not None
    assert [(line.token_class, float(line.price_usd)) for line in explained.lines] == [("input", 2.5), ("output", 15.0)]


@pytest.mark.parametrize(
    ("provider", "model", "tier", "share"),
    [
        ("openai", "gpt-4.1", "batch", 0.5),
        ("anthropic", "claude-sonnet-4-5", "batch", 0.5),
        ("openai", "gpt-5", "flex", 0.5),
        ("openai", "gpt-5", "priority", 2.0),
        ("openai", "gpt-5", "auto", 1.0),
        ("anthropic", "claude-sonnet-4-5", "standard", 1.0),
        # Without a price of its own.
        ("anthropic", "claude-sonnet-4-5", "flex", 1.0),
    ],
)
def test_tier_of_service_has_its_own_price(provider: str, model: str, tier: str, share: float) -> None:
    # The catalogue knows prices of tiers since October 2026; earlier calls are paid at the standard ones.
    day_ns = NOON_NS + 200 * 86_400 * 10**9
    usage = TokenUsage(1000, 200)
    standard, cost = price_call(provider, model, usage, day_ns), price_call(provider, model, usage, day_ns, tier)
    explained = explain_call(provider, model, usage, day_ns, tier)

    assert standard is not None
    assert cost == pytest.approx(share * standard)
    assert explained is not None
    assert float(explained.total_usd) == cost


def test_model_without_a_price_has_no_explanation() -> None:
    assert explain_call("", "house-blend-1", TokenUsage(10, 10), NOON_NS) is None
    assert explain_call("openai", "gpt-4o", TokenUsage(0), NOON_NS) is None


_COUNTS = st.integers(0, 10**6)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["gpt-4o", "o3", "gpt-4o-audio-preview", "claude-sonnet-4-5", "gemini-2.5-pro", "gemini-2.5-flash"]),
    *(_COUNTS for _ in range(6)),
)
def test_explanation_always_adds_up_to_the_price(
    model: str, fresh: int, cached: int, written: int, answer: int, reasoning: int, audio: int
) -> None:
    usage = TokenUsage(
        fresh + cached + written + audio,
        answer + reasoning,
        cached,
        written,
        reasoning_tokens=reasoning,
        input_audio_tokens=audio,
    )

    explained, price = explain_call("", model, usage, NOON_NS), price_call("", model, usage, NOON_NS)

    assert (explained is None) == (price is None)
    if explained is not None:
        assert sum(line.cost_usd for line in explained.lines) == explained.total_usd
        assert float(explained.total_usd) == price
        assert all(line.count > 0 for line in explained.lines)


def test_many_calls_cost_what_each_does_under_the_best_of_its_names() -> None:
    calls = [
        Call("openai", asked, answered, "", NOON_NS, TokenUsage(1000 + number, 200, number, 0, 0))
        for number, (asked, answered) in enumerate(
            [("gpt-4o", ""), ("no-such-model", "gpt-4o"), ("gpt-4o", "no-such-model"), ("no-such-model", ""), ("", ""),
             ("gpt-4o-mini", "gpt-4o")]
        )
    ]  # fmt: skip

    def price_alone(call: Call) -> float | None:
        names = find_priced_names(call.request_model, call.response_model)
        costs = (price_call(call.provider, name, call.usage, call.start_ns) for name in names)
        return next((cost for cost in costs if cost is not None), None)

    assert price_each(calls, project_id=1) == [price_alone(call) for call in calls]
    assert [cost is None for cost in price_each(calls, project_id=1)] == [False, False, False, True, True, False]
    assert price_each([], project_id=1) == []
