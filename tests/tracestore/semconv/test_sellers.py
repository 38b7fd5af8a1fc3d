"""Who sells the model of a call, and in which tier: what its price depends on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.span_table import START_NS, span, summarize
from tests.tracestore.semconv.conftest import build_span, store_spans
from tracestore.clickhouse.client import Store
from tracestore.prices.catalogue import TokenUsage
from tracestore.prices.pricing import price_call


def read(store: Store, column: str, attributes: dict[str, Any], **overrides: Any) -> Any:
    (row,) = store_spans(store, [build_span(attributes, **overrides)], (column,))
    return row[column]


@pytest.mark.parametrize(
    ("attributes", "provider"),
    [
        # OpenLLMetry, of a call of anthropic.AnthropicBedrock.
        (
            {"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"},
            "aws.bedrock",
        ),
        ({"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-sonnet-4-5"}, "anthropic"),
        # LiteLLM's calls as OpenLIT and as Logfire tell of them.
        ({"gen_ai.provider.name": "litellm", "gen_ai.request.model": "groq/llama-3.3-70b-versatile"}, "groq"),
        ({"gen_ai.system": "openai", "gen_ai.request.model": "groq/openai/gpt-oss-120b"}, "groq"),
        ({"gen_ai.system": "anthropic", "gen_ai.request.model": "openrouter/anthropic/claude-sonnet-4.5"}, "openrouter"),
        # OpenAI's client at another provider's address.
        (
            {
                "gen_ai.system": "openai",
                "gen_ai.request.model": "llama-3.3-70b-versatile",
                "server.address": "api.groq.com",
            },
            "groq",
        ),
        ({"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o", "server.address": "llm.corp.example"}, "openai"),
    ],
)
def test_provider_is_who_sells_the_model(store: Store, attributes: dict[str, Any], provider: str) -> None:
    assert read(store, "provider", {"gen_ai.operation.name": "chat"} | attributes) == provider


@pytest.mark.parametrize(
    ("attributes", "tier"),
    [
        ({"llm.invocation_parameters": '{"model": "gpt-5-mini", "service_tier": "flex"}'}, "flex"),
        ({"langfuse.observation.model.parameters": '{"temperature": 1, "service_tier": "priority"}'}, "priority"),
        (
            {
                "llm.invocation_parameters": '{"model": "gpt-5-mini", "service_tier": "priority"}',
                "output.value": '{"id":"chatcmpl-519","object":"chat.completion","service_tier":"default"}',
            },
            "default",
        ),
    ],
)
def test_tier_is_what_was_served_else_what_was_asked_for(store: Store, attributes: dict[str, Any], tier: str) -> None:
    assert read(store, "service_tier", {"openinference.span.kind": "LLM"} | attributes) == tier


def test_call_through_a_profile_of_bedrock_costs_what_the_profile_does() -> None:
    profile, answer = "global.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"
    usage = TokenUsage(1000, 200)
    call = span(
        "call", kind="llm", end=10, provider="aws.bedrock", request_model=profile, response_model=answer, tokens=(1000, 200)
    )

    cost = price_call("aws.bedrock", profile, usage, START_NS)

    assert summarize(call)["cost_usd"] == pytest.approx(cost)
    assert cost != pytest.approx(price_call("aws.bedrock", answer, usage, START_NS))
