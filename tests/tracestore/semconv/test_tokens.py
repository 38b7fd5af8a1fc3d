"""Tokens as totals with their subsets, whichever way a sender counts cached ones and reasoning."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.tracestore.semconv.conftest import RowsOf, build_span, store_spans
from tracestore.clickhouse.client import Store


def _google_metadata(prompt: int, candidates: int) -> str:
    usage = {"cachedContentTokenCount": 32, "thoughtsTokenCount": 64, "promptTokenCount": prompt}
    usage |= {"candidatesTokenCount": candidates, "totalTokenCount": prompt + candidates + 64}
    return json.dumps({"google": {"serviceTier": None, "usageMetadata": usage}})


def _anthropic_metadata(input_tokens: int, *, read: int, written: int) -> str:
    usage = {"input_tokens": input_tokens, "cache_creation_input_tokens": written, "cache_read_input_tokens": read}
    return json.dumps({"anthropic": {"usage": usage, "cacheCreationInputTokens": written}})


IN, OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
READ, WRITE = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens"
REASONED, TOTAL = "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.total_tokens"
USAGE_DETAILS = "langfuse.observation.usage_details"


def langfuse(**usage: int) -> dict[str, str]:
    return {USAGE_DETAILS: json.dumps(usage)}


# case -> attributes, (input, output, cache read, cache write, reasoning)
TOKEN_CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int, int, int]]] = {
    "OpenInference's decision": ({"decision.token_count.input": 412, "decision.token_count.output": 2}, (412, 2, 0, 0, 0)),
    "inclusive by default": ({IN: 1000, OUT: 50, READ: 800, WRITE: 100}, (1000, 50, 800, 100, 0)),
    "more cached than input is exclusive": ({IN: 100, OUT: 50, READ: 800, WRITE: 100}, (1000, 50, 800, 100, 0)),
    "total equal to the parts is inclusive": ({IN: 1000, OUT: 50, READ: 800, TOTAL: 1050}, (1000, 50, 800, 0, 0)),
    "total with the cached tokens added is exclusive": ({IN: 1000, OUT: 50, READ: 800, TOTAL: 1850}, (1800, 50, 800, 0, 0)),
    "bare names are exclusive": (
        {"input_tokens": 1000, "output_tokens": 5, "cache_read_tokens": 200, "cache_creation_tokens": 30},
        (1230, 5, 200, 30, 0),
    ),
    "Qwen Code": (
        {IN: 399, OUT: 47, "gen_ai.usage.cache_read.input_tokens": 64, "thoughts_token_count": 12},
        (399, 47, 64, 0, 12),
    ),
    "reasoning inside output": ({IN: 10, OUT: 500, REASONED: 400}, (10, 500, 0, 0, 400)),
    "more reasoning than output is additive": ({IN: 10, OUT: 100, REASONED: 400}, (10, 500, 0, 0, 400)),
    "total with reasoning added is additive": ({IN: 10, OUT: 500, REASONED: 400, TOTAL: 910}, (10, 900, 0, 0, 400)),
    "Langfuse buckets are disjoint": (
        langfuse(input=100, output=20, input_cache_read=50, output_reasoning=7),
        (150, 27, 50, 0, 7),
    ),
    "Langfuse buckets with their total": (langfuse(input=100, output=20, input_cached_tokens=50, total=170), (150, 20, 50, 0, 0)),
    "OpenAI names inside Langfuse are inclusive": (
        {
            USAGE_DETAILS: json.dumps(
                {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 50}}
            )
        },
        (100, 20, 50, 0, 0),
    ),
    "pydantic-ai's older names": (
        {IN: 139, OUT: 44, "gen_ai.usage.details.cached_tokens": 64, "gen_ai.usage.details.reasoning_tokens": 12},
        (139, 44, 64, 0, 12),
    ),
    "Logfire's older versions hand on Anthropic's usage": (
        {
            "scope": "logfire.anthropic",
            "request_data": '{"max_tokens":500,"model":"claude-haiku-4-5"}',
            "response_data": json.dumps(
                {
                    "message": {"role": "assistant", "content": "Shipped."},
                    "usage": {
                        "cache_creation_input_tokens": 46,
                        "cache_read_input_tokens": 64,
                        "input_tokens": 360,
                        "output_tokens": 41,
                    },
                }
            ),
        },
        (470, 41, 64, 46, 0),
    ),
    "Logfire's own count is the total": (
        {
            "scope": "logfire.anthropic",
            "gen_ai.request.model": "claude-haiku-4-5",
            IN: 424,
            OUT: 41,
            "response_data": '{"usage":{"cache_read_input_tokens":64,"input_tokens":360,"output_tokens":41}}',
        },
        (424, 41, 64, 0, 0),
    ),
    "Logfire's older versions leave OpenAI's cached tokens in the answer": (
        {
            "scope": "logfire.openai",
            "gen_ai.request.model": "gpt-5-mini",
            IN: 360,
            OUT: 41,
            "response_data": '{"usage":{"prompt_tokens":360,"prompt_tokens_details":{"cached_tokens":64}}}',
        },
        (360, 41, 64, 0, 0),
    ),
    "ADK 1.5 tells the total as output": (
        {
            IN: 243,
            OUT: 287,
            "gen_ai.system": "gcp.vertex.agent",
            "gcp.vertex.agent.llm_response": json.dumps(
                {
                    "usage_metadata": {
                        "candidates_token_count": 32,
                        "prompt_token_count": 243,
                        "thoughts_token_count": 12,
                        "total_token_count": 287,
                    }
                }
            ),
        },
        (243, 44, 0, 0, 12),
    ),
    "output alone is the total": ({OUT: 50, TOTAL: 50}, (0, 50, 0, 0, 0)),
    "text": ({IN: "1000", OUT: "50"}, (1000, 50, 0, 0, 0)),
    "VoltAgent's agent": (
        {
            "entity.type": "agent",
            "usage.prompt_tokens": 191,
            "usage.completion_tokens": 208,
            "usage.total_tokens": 399,
            "usage.cached_tokens": 32,
            "usage.reasoning_tokens": 128,
        },
        (191, 208, 32, 0, 128),
    ),
    "Langfuse's wrapper of OpenAI's Responses API": (
        {
            USAGE_DETAILS: json.dumps(
                {
                    "input_tokens": 295,
                    "input_tokens_details": {"cached_tokens": 64},
                    "output_tokens": 82,
                    "output_tokens_details": {"reasoning_tokens": 14},
                    "total_tokens": 377,
                }
            )
        },
        (295, 82, 64, 0, 14),
    ),
    "LangWatch's metrics": (
        {
            "langwatch.span.type": "llm",
            "langwatch.metrics": '{"prompt_tokens": 191, "completion_tokens": 41, "reasoning_tokens": 12}',
            "gen_ai.usage.prompt_tokens": 191,
            "gen_ai.usage.completion_tokens": 41,
        },
        (191, 41, 0, 0, 12),
    ),
    "LangWatch's metrics in JavaScript": (
        {
            "langwatch.span.type": "llm",
            "langwatch.metrics": '{"type":"json","value":{"promptTokens":191,"completionTokens":41}}',
        },
        (191, 41, 0, 0, 0),
    ),
    "OpenLLMetry leaves out what Bedrock had cached": (
        {IN: 399, OUT: 20, TOTAL: 419, READ: 64, WRITE: 0, "scope": "opentelemetry.instrumentation.bedrock"},
        (463, 20, 64, 0, 0),
    ),
    "OpenLLMetry tells Gemini's thoughts in the total alone": (
        {IN: 399, OUT: 23, TOTAL: 435, "gen_ai.request.model": "gemini-2.5-flash"},
        (399, 36, 0, 0, 13),
    ),
    "a total says nothing of thoughts of others": (
        {IN: 399, OUT: 23, TOTAL: 435, "gen_ai.request.model": "gpt-4o-mini"},
        (399, 23, 0, 0, 0),
    ),
    "OpenLIT leaves Gemini's thoughts out of output and total": (
        {IN: 191, OUT: 20, "gen_ai.client.token.usage": 211, "gen_ai.usage.reasoning_tokens": 13}
        | {"gen_ai.request.model": "gemini-2.5-flash", "scope": "openlit.instrumentation.google_ai_studio"},
        (191, 33, 0, 0, 13),
    ),
    "OpenLIT leaves out what Anthropic had cached": (
        {IN: 500, OUT: 20, READ: 64, WRITE: 40, "scope": "openlit.instrumentation.anthropic"},
        (604, 20, 64, 40, 0),
    ),
    "Anthropic's usage handed to Langfuse": (
        {
            USAGE_DETAILS: json.dumps(
                {"input_tokens": 500, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 40, "output_tokens": 82}
            )
        },
        (604, 82, 64, 40, 0),
    ),
    "text inside JSON": ({USAGE_DETAILS: '{"prompt_tokens": "12", "completion_tokens": 7.0}'}, (12, 7, 0, 0, 0)),
    "null inside JSON is absent": ({USAGE_DETAILS: '{"prompt_tokens": null}', IN: 9}, (9, 0, 0, 0, 0)),
    "broken JSON is absent": ({USAGE_DETAILS: '{"input": 5', IN: 9}, (9, 0, 0, 0, 0)),
    "float": ({IN: 1000.0, OUT: 50.7}, (1000, 50, 0, 0, 0)),
    "exponent": ({IN: "1e3"}, (1000, 0, 0, 0, 0)),
    "zero": ({IN: 0, OUT: 0}, (0, 0, 0, 0, 0)),
    "negative": ({IN: -5, OUT: "-7"}, (0, 0, 0, 0, 0)),
    "not a number": ({IN: math.nan, OUT: "NaN"}, (0, 0, 0, 0, 0)),
    "infinite": ({IN: math.inf, OUT: "-inf"}, (0, 0, 0, 0, 0)),
    "1e21": ({IN: 1e21, OUT: "1e21"}, (0, 0, 0, 0, 0)),
    "Int64 maximum": ({IN: 2**63 - 1, OUT: "9" * 40}, (0, 0, 0, 0, 0)),
    "huge is capped": ({IN: 10**15, OUT: 10**15, READ: 10**15}, (10**12, 10**12, 10**12, 0, 0)),
    "not numbers": ({IN: "many", OUT: [1, 2], READ: {"a": 1}, REASONED: True}, (0, 0, 0, 0, 0)),
    "cached without input": ({READ: 30, WRITE: 4}, (34, 0, 30, 4, 0)),
    "fetched again": ({"gen_ai.operation.name": "fetch_response", IN: 100, OUT: 20, READ: 5}, (0, 0, 0, 0, 0)),
    "Strands passes Anthropic's numbers on": (
        {
            IN: 1000,
            OUT: 50,
            READ: 200,
            TOTAL: 1050,
            "scope": "strands.telemetry.tracer",
            "gen_ai.request.model": "claude-sonnet-4-5",
        },
        (1200, 50, 200, 0, 0),
    ),
    "Strands with OpenAI's": (
        {IN: 1000, OUT: 50, READ: 200, TOTAL: 1050, "scope": "strands.telemetry.tracer", "gen_ai.request.model": "gpt-4o"},
        (1000, 50, 200, 0, 0),
    ),
    "OpenInference on Bedrock's Converse, whose total holds what the prompt leaves out": (
        {
            "llm.token_count.prompt": 900,
            "llm.token_count.completion": 5,
            "llm.token_count.total": 1005,
            "llm.token_count.prompt_details.cache_read": 100,
            "scope": "openinference.instrumentation.bedrock",
        },
        (1000, 5, 100, 0, 0),
    ),
    "OpenInference on Bedrock's Converse, newer versions": (
        {
            "llm.token_count.prompt": 177,
            "llm.token_count.completion": 44,
            "llm.token_count.total": 221,
            "llm.token_count.prompt_details.cache_read": 64,
            "llm.token_count.prompt_details.cache_write": 0,
            "llm.model_name": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "llm.provider": "aws",
            "scope": "openinference.instrumentation.bedrock",
        },
        (177, 44, 64, 0, 0),
    ),
    "OpenInference on Bedrock adds up what Anthropic's models answer": (
        {
            "llm.token_count.prompt": 320,
            "llm.token_count.completion": 62,
            "llm.token_count.prompt_details.cache_read": 64,
            "llm.model_name": "claude-3-5-sonnet-20241022",
            "llm.system": "anthropic",
            "scope": "openinference.instrumentation.bedrock",
        },
        (320, 62, 64, 0, 0),
    ),
    "OpenTelemetry on botocore leaves out what Bedrock had cached": (
        {IN: 113, OUT: 23, READ: 64, "gen_ai.usage.cache_creation.input_tokens": 33, "gen_ai.system": "aws.bedrock"}
        | {"scope": "opentelemetry.instrumentation.botocore.bedrock-runtime"},
        (210, 23, 64, 33, 0),
    ),
    "OpenInference on Anthropic adds them itself": (
        {
            "llm.token_count.prompt": 1000,
            "llm.token_count.completion": 5,
            "llm.token_count.prompt_details.cache_read": 100,
            "scope": "openinference.instrumentation.anthropic",
            "llm.system": "anthropic",
        },
        (1000, 5, 100, 0, 0),
    ),
    "Anthropic's own names are exclusive": (
        {IN: 1000, OUT: 5, "gen_ai.usage.cache_read_input_tokens": 100, "gen_ai.system": "anthropic"},
        (1100, 5, 100, 0, 0),
    ),
    "the same names of another provider are not": (
        {IN: 1000, OUT: 5, "gen_ai.usage.cache_read_input_tokens": 100, "gen_ai.system": "openai"},
        (1000, 5, 100, 0, 0),
    ),
    "ADK: thoughts and cached tokens in the answer": (
        {
            "gen_ai.system": "gcp.vertex.agent",
            "gen_ai.request.model": "gemini-2.5-flash",
            IN: 100,
            OUT: 20,
            "gcp.vertex.agent.llm_response": json.dumps(
                {
                    "usage_metadata": {
                        "prompt_token_count": 100,
                        "candidates_token_count": 20,
                        "thoughts_token_count": 7,
                        "cached_content_token_count": 40,
                        "total_token_count": 127,
                    }
                }
            ),
        },
        (100, 27, 40, 0, 7),
    ),
    "Haystack 3: usage deep in the step's output": (
        {
            "haystack.agent.step.llm.output": json.dumps(
                {
                    "replies": [
                        {
                            "role": "assistant",
                            "meta": {
                                "model": "gpt-4o-mini-2024-07-18",
                                "usage": {
                                    "completion_tokens": 53,
                                    "prompt_tokens": 217,
                                    "total_tokens": 270,
                                    "completion_tokens_details": {"reasoning_tokens": 8, "text_tokens": None},
                                    "prompt_tokens_details": {"cache_write_tokens": None, "cached_tokens": 64},
                                },
                            },
                        }
                    ]
                }
            ),
        },
        (217, 53, 64, 0, 8),
    ),
    "Haystack 3: usage before a long answer": (
        {
            "haystack.agent.step.llm.output": json.dumps(
                {"replies": [{"meta": {"usage": {"completion_tokens": 53, "prompt_tokens": 217}}, "content": "y" * 200_000}]}
            )
        },
        (217, 53, 0, 0, 0),
    ),
    "usage behind a long answer": (
        {"gen_ai.operation.name": "chat", "output.value": "{'text': '" + "y" * 200_000 + "', 'usage': {'input_tokens': 7}}"},
        (7, 0, 0, 0, 0),
    ),
    "Haystack: usage deep in the component's output": (
        {
            "haystack.component.type": "OpenAIChatGenerator",
            "haystack.component.output": json.dumps(
                {
                    "replies": [
                        {
                            "role": "assistant",
                            "meta": {
                                "model": "gpt-4o",
                                "usage": {
                                    "completion_tokens": 20,
                                    "prompt_tokens": 100,
                                    "prompt_tokens_details": {"cached_tokens": 60},
                                    "completion_tokens_details": {"reasoning_tokens": 8},
                                },
                            },
                        }
                    ]
                }
            ),
        },
        (100, 20, 60, 0, 8),
    ),
    "a repr of the answer": (
        {
            "openinference.span.kind": "LLM",
            "llm.token_count.prompt": 100,
            "llm.token_count.completion": 20,
            "output.value": "ChatMessage(raw=ChatCompletion(usage=CompletionUsage(completion_tokens=20, prompt_tokens=100, "
            "prompt_tokens_details=PromptTokensDetails(audio_tokens=None, cached_tokens=60))))",
        },
        (100, 20, 60, 0, 0),
    ),
    "what an agent's answer quotes is not its usage": (
        {"openinference.span.kind": "AGENT", "output.value": '{"usage": {"prompt_tokens": 100}}'},
        (0, 0, 0, 0, 0),
    ),
    "what a message says is not the call's usage": (
        {"openinference.span.kind": "LLM", "output.value": json.dumps({"content": '{"prompt_tokens": 100}'})},
        (0, 0, 0, 0, 0),
    ),
    "LangSmith's details are a repr": (
        {
            IN: 100,
            OUT: 20,
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_token_details": "{'audio': 0, 'cache_read': 60}",
            "gen_ai.usage.output_token_details": "{'reasoning': 8}",
            TOTAL: 120,
            "gen_ai.completion": '{"token_usage": 1}',
        },
        (100, 20, 60, 0, 8),
    ),
    "Langfuse encoded twice": ({USAGE_DETAILS: json.dumps(json.dumps({"input": 100, "output": 20}))}, (100, 20, 0, 0, 0)),
    "AI SDK's provider metadata": (
        {
            "ai.usage.promptTokens": 100,
            "ai.usage.completionTokens": 20,
            "ai.response.providerMetadata": json.dumps({"openai": {"reasoningTokens": 8, "cachedPromptTokens": 60}}),
        },
        (100, 20, 60, 0, 8),
    ),
    # Version 5 takes the candidates alone for the output, and says nothing else but in the metadata; version 6 adds the thoughts.
    "AI SDK 5 without streaming has Gemini's counts in the metadata alone": (
        {IN: 83, OUT: 26, "ai.usage.promptTokens": 83, "ai.response.providerMetadata": _google_metadata(83, 26)},
        (83, 90, 32, 0, 64),
    ),
    "AI SDK 6 generates an object with Gemini": (
        {IN: 67, OUT: 103, "ai.usage.completionTokens": 103, "ai.response.providerMetadata": _google_metadata(67, 39)},
        (67, 103, 32, 0, 64),
    ),
    # Both as sent: the total is the SDK's own sum of Anthropic's numbers; what was written to the cache is in the metadata alone.
    "AI SDK 5 repeats Anthropic's numbers": (
        {
            IN: 91,
            OUT: 57,
            "ai.model.provider": "anthropic.messages",
            "ai.usage.totalTokens": 148,
            "ai.usage.cachedInputTokens": 32,
            "ai.response.providerMetadata": _anthropic_metadata(91, read=32, written=16),
        },
        (139, 57, 32, 16, 0),
    ),
    "AI SDK 5 without streaming has the cached count in the metadata alone": (
        {
            IN: 98,
            OUT: 38,
            "ai.model.provider": "anthropic.messages",
            "ai.usage.promptTokens": 98,
            "ai.response.providerMetadata": _anthropic_metadata(98, read=32, written=0),
        },
        (130, 38, 32, 0, 0),
    ),
    "AI SDK 4 on Anthropic, with OpenInference's total": (
        {
            IN: 91,
            OUT: 26,
            "ai.model.provider": "anthropic.messages",
            "llm.token_count.total": 117,
            "ai.response.providerMetadata": json.dumps(
                {"anthropic": {"cacheCreationInputTokens": 16, "cacheReadInputTokens": 32}}
            ),
        },
        (139, 26, 32, 16, 0),
    ),
    "AI SDK 6 adds Anthropic's numbers up": (
        {
            IN: 123,
            OUT: 57,
            "ai.model.provider": "anthropic.messages",
            "ai.usage.cachedInputTokens": 32,
            "ai.response.providerMetadata": _anthropic_metadata(91, read=32, written=0),
        },
        (123, 57, 32, 0, 0),
    ),
    "AI SDK on Bedrock": (
        {
            IN: 91,
            OUT: 57,
            "ai.model.provider": "amazon-bedrock",
            "ai.usage.totalTokens": 196,
            "ai.usage.cachedInputTokens": 32,
            "ai.response.providerMetadata": json.dumps({"bedrock": {"usage": {"cacheWriteInputTokens": 16}}}),
        },
        (139, 57, 32, 16, 0),
    ),
    "OpenLLMetry for JavaScript sends Anthropic's numbers as they are": (
        {
            IN: 80,
            OUT: 44,
            TOTAL: 124,
            READ: 32,
            "gen_ai.usage.cache_creation.input_tokens": 16,
            "gen_ai.provider.name": "anthropic",
            "scope": "@traceloop/instrumentation-anthropic",
        },
        (128, 44, 32, 16, 0),
    ),
    "OpenInference on Bedrock for JavaScript": (
        {
            "llm.token_count.prompt": 1000,
            "llm.token_count.completion": 5,
            "llm.token_count.prompt_details.cache_read": 100,
            "scope": "@arizeai/openinference-instrumentation-bedrock",
        },
        (1100, 5, 100, 0, 0),
    ),
    "embedding of the AI SDK": ({"ai.operationId": "ai.embed.doEmbed", "ai.usage.tokens": 12}, (12, 0, 0, 0, 0)),
    "LangSmith's turn of the Claude Agent SDK, which splits what it cached": (
        {
            "langsmith.span.kind": "llm",
            "gen_ai.system": "anthropic",
            "langsmith.metadata.usage_metadata": json.dumps(
                {
                    "input_tokens": 573,
                    "output_tokens": 29,
                    "total_tokens": 602,
                    "input_token_details": {
                        "cache_read": 64,
                        "ephemeral_5m_input_tokens": 33,
                        "ephemeral_1hr_input_tokens": 12,
                    },
                }
            ),
        },
        (573, 29, 64, 45, 0),
    ),
    "LiveKit's realtime session counts text alone": (
        {IN: 100, OUT: 10, "gen_ai.usage.input_audio_tokens": 800, "gen_ai.usage.output_audio_tokens": 90},
        (900, 100, 0, 0, 0),
    ),
    # OpenRouter sends these for what its customers' calls used, Sentry's SDKs call them so too.
    "OpenRouter's classes": (
        {
            IN: 1000,
            OUT: 500,
            "gen_ai.usage.input_tokens.cached": 800,
            "gen_ai.usage.input_tokens.cache_write": 100,
            "gen_ai.usage.output_tokens.reasoning": 400,
        },
        (1000, 500, 800, 100, 400),
    ),
    # The metrics that all of Braintrust's SDKs write as JSON.
    "Braintrust's metrics": (
        {
            "braintrust.span_attributes": '{"type":"llm"}',
            "braintrust.metrics": json.dumps(
                {
                    "prompt_tokens": 1000,
                    "completion_tokens": 50,
                    "tokens": 1050,
                    "prompt_cached_tokens": 800,
                    "prompt_cache_creation_tokens": 100,
                    "completion_reasoning_tokens": 7,
                    "time_to_first_token": 0.5,
                }
            ),
        },
        (1000, 50, 800, 100, 7),
    ),
    "aggregated usage is not usage": (
        {"gen_ai.aggregated_usage.input_tokens": 100, "gen_ai.usage.partial.input_tokens": 3},
        (0,) * 5,
    ),
}
TOKEN_SPANS = {
    case: build_span({key: value for key, value in attributes.items() if key != "scope"}, scope=attributes.get("scope", ""))
    for case, (attributes, _) in TOKEN_CASES.items()
}


@pytest.mark.parametrize("case", TOKEN_CASES)
def test_tokens_are_totals_with_subsets(rows_of: RowsOf, case: str) -> None:
    row = rows_of(TOKEN_SPANS)[case]

    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    assert tuple(row[name] for name in names) == TOKEN_CASES[case][1]


def test_openlit_counts_bedrocks_cached_tokens_beside_the_input(store: Store) -> None:
    attributes = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "aws.bedrock", "gen_ai.usage.input_tokens": 126,
        "gen_ai.request.model": "anthropic.claude-3-5-sonnet-20241022-v2:0", "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.usage.cache_creation.input_tokens": 0,
    }  # fmt: skip

    (row,) = store_spans(store, [build_span(attributes, scope="openlit.instrumentation.bedrock")], ("input_tokens",))

    assert row["input_tokens"] == 190
