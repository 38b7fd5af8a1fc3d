"""What a model call costs, from the genai-prices catalogue that ships with its package (no network)."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from functools import lru_cache

from genai_prices import Usage, calc_price

from tracestore.semconv import MAKERS

# Provider names of the OpenTelemetry conventions that the catalogue knows under another id.
_CATALOGUE_IDS = {"gcp.gen_ai": "google", "azure.ai.inference": "azure", "x_ai": "x-ai", "ibm.watsonx.ai": ""}
_NS_PER_DAY = 86_400 * 10**9


def price_call(
    provider: str,
    model: str,
    input_tokens: int,
    output_tokens: int,
    cache_read_tokens: int,
    cache_write_tokens: int,
    start_ns: int,
    *,
    reasoning_tokens: int = 0,
    cache_write_1h_tokens: int = 0,
    input_audio_tokens: int = 0,
    output_audio_tokens: int = 0,
) -> float | None:
    """Return the USD cost of one call at the list price of its day, or None when the catalogue has no price for the model.

    `input_tokens` includes cache reads, cache writes and audio, `output_tokens` reasoning and audio (as the catalogue expects).
    Calls of one day share a price, which lets equal calls be computed once.
    """
    if not model or not (input_tokens or output_tokens):
        return None
    return _price(
        provider,
        model,
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_write_tokens,
        reasoning_tokens,
        cache_write_1h_tokens,
        input_audio_tokens,
        output_audio_tokens,
        start_ns // _NS_PER_DAY,
    )


@lru_cache(maxsize=65_536)
def _price(
    provider: str,
    model: str,
    input_tokens: int,
    output_tokens: int,
    cache_read: int,
    cache_write: int,
    reasoning: int,
    cache_write_1h: int,
    input_audio: int,
    output_audio: int,
    day: int,
) -> float | None:
    usage = Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=cache_read or None,
        cache_write_tokens=cache_write or None,
        output_reasoning_tokens=reasoning or None,
        cache_write_1h_tokens=cache_write_1h or None,
        input_audio_tokens=input_audio or None,
        output_audio_tokens=output_audio or None,
        # The catalogue wants to know how many cached tokens are audio; nobody says. No more than text leaves room for.
        cache_audio_read_tokens=max(0, cache_read - (input_tokens - input_audio)) if input_audio and cache_read else None,
    )
    moment = datetime.fromtimestamp(day * 86_400 + 43_200, UTC)
    provider_id = _CATALOGUE_IDS.get(provider, provider)
    maker = next((maker for prefix, maker in MAKERS.items() if model.startswith(prefix)), None)
    maker = _CATALOGUE_IDS.get(maker, maker) if maker else None
    # An unknown provider may serve a model of a known maker: ask again by model name alone, then by who makes such names.
    for candidate in dict.fromkeys((provider_id or None, None, maker)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return float(calc_price(usage, model, provider_id=candidate, genai_request_timestamp=moment).total_price)
            except (LookupError, ValueError):
                continue
    return None
