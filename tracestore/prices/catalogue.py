"""The genai-prices catalogue of list prices, which ships with its package (no network), asked in the names that senders use."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from typing import NamedTuple

from genai_prices import Usage, calc_price
from genai_prices.types import PriceCalculation, PriceContext

from tracestore.semconv.calls import MAKERS

# Provider names of the OpenTelemetry conventions that the catalogue knows under another id.
_CATALOGUE_IDS = {"gcp.gen_ai": "google", "azure.ai.inference": "azure", "x_ai": "x-ai", "ibm.watsonx.ai": ""}
# Who sells other makers' models lists them under the maker's name, which stands before a model's (semconv/calls.py) and is not
# kept: "openai/gpt-oss-120b" at Groq, "anthropic/claude-sonnet-4.5" at OpenRouter.
_LISTED_UNDER = ("openai", "anthropic", "google", "deepseek", "x-ai", "cohere", "perplexity")
# Bedrock's ids of models begin with who makes them, which OpenLLMetry leaves out: nova-pro-v1:0. Anthropic's have a price anyway.
_MAKERS_AT_BEDROCK = ("amazon", "meta", "mistral", "qwen", "writer", "deepseek", "openai")
# Microsoft's own models have a price at Azure alone; those of OpenAI are found under OpenAI, whose tiers have prices there.
_SOLD_BESIDE = {"azure.ai.openai": "azure"}


class TokenUsage(NamedTuple):
    """Tokens of one call by class.

    Those of input include cache reads, cache writes and audio, those of output reasoning and audio. Cache writes include
    those that are kept for an hour.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0


TOKEN_CLASSES = TokenUsage._fields


class Sold(NamedTuple):
    """What is paid for: a provider's model in a tier of service. A tier that the catalogue has no price of counts as none, ""."""

    provider: str
    model: str
    service_tier: str = ""


# Providers' words for a tier -> how the catalogue calls what has a price of its own.
_PRICED_TIERS: dict[str, PriceContext] = {
    "batch": {"processing": "batch"},
    **{tier: {"service_tier": tier} for tier in ("flex", "priority", "fast")},
}


_NAME_CHARS = 256


def name_sold(provider: str, model: str, service_tier: str) -> Sold:
    """Return what is sold, whatever a sender calls a tier that has no price of its own."""
    # Prices are kept by name, and a sender may make names of any length; no model has one of this.
    return Sold(provider[:_NAME_CHARS], model[:_NAME_CHARS], service_tier if service_tier in _PRICED_TIERS else "")


def calculate(sold: Sold, tokens: TokenUsage, day: int) -> PriceCalculation | None:
    """Return what a call costs at noon (UTC) of a day since the Unix epoch; None for a model that the catalogue does not know."""
    provider, model, tier = sold
    usage = read_usage(tokens)
    moment = datetime.fromtimestamp(day * 86_400 + 43_200, UTC)
    provider_id = _CATALOGUE_IDS.get(provider, provider)
    maker = next((maker for prefix, maker in MAKERS.items() if model.startswith(prefix)), None)
    maker = _CATALOGUE_IDS.get(maker, maker) if maker else None
    listed = [(provider_id, f"{prefix}/{model}") for prefix in _LISTED_UNDER if provider_id]
    if provider == "aws.bedrock":
        listed = [(provider_id, f"{prefix}.{model}") for prefix in _MAKERS_AT_BEDROCK]
    if provider in _SOLD_BESIDE:
        listed.append((_SOLD_BESIDE[provider], model))
    # An unknown provider may serve a model of a known maker: ask again by model name alone, then by who makes such names.
    for candidate, name in dict.fromkeys(((provider_id or None, model), *listed, (None, model), (maker, model))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return calc_price(
                    usage, name, provider_id=candidate, genai_request_timestamp=moment, price_context=_PRICED_TIERS.get(tier)
                )
            except (LookupError, ValueError):
                continue
    return None


def read_usage(tokens: TokenUsage) -> Usage:
    """Return what the catalogue computes prices from; classes without a token are None there, those of plain tokens 0."""
    cache_read, input_audio = tokens.cache_read_tokens, tokens.input_audio_tokens
    return Usage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cache_read_tokens=cache_read or None,
        cache_write_tokens=tokens.cache_write_tokens or None,
        output_reasoning_tokens=tokens.reasoning_tokens or None,
        cache_write_1h_tokens=tokens.cache_write_1h_tokens or None,
        input_audio_tokens=input_audio or None,
        output_audio_tokens=tokens.output_audio_tokens or None,
        # The catalogue wants to know how many cached tokens are audio; nobody says. No more than text leaves room for.
        cache_audio_read_tokens=max(0, cache_read - (tokens.input_tokens - input_audio)) if input_audio and cache_read else None,
    )
