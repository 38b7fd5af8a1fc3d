"""Which model was asked, which one answered, and who provided it."""

from __future__ import annotations

import pytest

from tests.tracestore.semconv.conftest import RowsOf, build_span, store_spans
from tracestore.clickhouse.client import Store
from tracestore.semconv.calls import FRAMEWORKS, MAKERS, PROVIDERS

PROVIDER_CASES = {
    **{name: (build_span({"gen_ai.provider.name": name}), canonical) for name, canonical in PROVIDERS.items()},
    **{
        f"{start}x": (build_span({"gen_ai.system": "langchain", "gen_ai.request.model": f"{start}x"}), maker)
        for start, maker in MAKERS.items()
    },
    "by the model's prefix": (build_span({"llm.model_name": "bedrock/us.anthropic.claude-3-haiku"}), "aws.bedrock"),
    "by the host": (build_span({"gen_ai.request.model": "my-tune", "server.address": "api.openai.com"}), "openai"),
    "Together by OpenLLMetry": (build_span({"gen_ai.system": "TogetherAI"}), "together"),
    "an unknown host is none": (build_span({"gen_ai.request.model": "my-tune", "server.address": "10.0.0.7"}), ""),
    **{name: (build_span({"gen_ai.system": name}), "") for name in FRAMEWORKS},
    "upper case": (build_span({"gen_ai.system": "OpenAI"}), "openai"),
    "Vercel": (build_span({"ai.model.provider": "openai.chat"}), "openai"),
    "Genkit's plugin": (
        build_span({"genkit:metadata:subtype": "model", "genkit:name": "googleai/gemini-2.5-flash"}),
        "gcp.gen_ai",
    ),
    "Braintrust's metadata": (build_span({"braintrust.metadata": '{"provider": "openai", "model": "gpt-4o"}'}), "openai"),
    "dotted names stay whole": (build_span({"gen_ai.provider.name": "aws.bedrock"}), "aws.bedrock"),
}


@pytest.mark.parametrize("case", PROVIDER_CASES)
def test_provider_has_one_name(rows_of: RowsOf, case: str) -> None:
    assert rows_of(PROVIDER_CASES)[case]["provider"] == PROVIDER_CASES[case][1]


def test_decisions_model_is_read(store: Store) -> None:
    named = {"decision.model_name": "jev-1.13.0", "decision.system": "typesafe", "openinference.span.kind": "DECISION"}
    both = {
        "decision.request.model_name": "jev-latest",
        "decision.response.model_name": "jev-1.13.0",
        "decision.provider": "vllm",
    }

    rows = store_spans(store, [build_span(named), build_span(named | both)])

    assert [(row["provider"], row["request_model"], row["response_model"]) for row in rows] == [
        ("typesafe", "", "jev-1.13.0"), ("vllm", "jev-latest", "jev-1.13.0"),
    ]  # fmt: skip


MODEL_CASES = {
    "openai/gpt-4o-mini": "gpt-4o-mini", "bedrock/converse/us.anthropic.claude-3": "us.anthropic.claude-3",
    "models/gemini-2.5-flash": "gemini-2.5-flash", "gpt-4o": "gpt-4o", "openrouter/openai/gpt-4o": "openai/gpt-4o",
    "projects/p/locations/eu/publishers/google/models/gemini-2.5-pro": "gemini-2.5-pro",
    "meta-llama/Llama-3": "meta-llama/Llama-3",
    "googleai/gemini-2.5-flash": "gemini-2.5-flash",
}  # fmt: skip
MODEL_SPANS = {sent: build_span({"gen_ai.request.model": sent}) for sent in MODEL_CASES}


@pytest.mark.parametrize("sent", MODEL_CASES)
def test_model_has_its_own_name_without_the_routers_prefix(rows_of: RowsOf, sent: str) -> None:
    assert rows_of(MODEL_SPANS)[sent]["request_model"] == MODEL_CASES[sent]


def test_model_is_read_where_only_a_name_or_json_tells_it(store: Store) -> None:
    spans = [
        build_span({"genkit:metadata:subtype": "model", "genkit:name": "googleai/gemini-2.5-flash"}),
        build_span({"genkit:metadata:subtype": "embedder", "genkit:name": "vertexai/text-embedding-005"}),
        build_span({"genkit:metadata:subtype": "tool", "genkit:name": "refund"}),
        build_span({"braintrust.metadata": '{"provider":"openai","model":"gpt-4o"}'}),
    ]
    output = '{"replies": [{"role": "assistant", "meta": {"model": "gpt-4o-mini-2024-07-18", "usage": {}}}]}'
    answered = [build_span({f"haystack.{part}.output": output}) for part in ("agent.step.llm", "component")]

    rows = store_spans(store, spans + answered, ("request_model", "response_model"))

    assert [row["request_model"] for row in rows] == ["gemini-2.5-flash", "text-embedding-005", "", "gpt-4o", "", ""]
    assert [row["response_model"] for row in rows[4:]] == ["gpt-4o-mini-2024-07-18"] * 2


def test_requested_model_of_langsmith_stays_the_one_that_was_asked_for(store: Store) -> None:
    # As Logfire hands the span on.
    sent = {"langsmith.metadata.ls_model_name": "gpt-5-mini", "gen_ai.response.model": "gpt-5-mini-2025-08-07"}
    sent |= {"langsmith.span.kind": "llm", "gen_ai.request.model": "gpt-5-mini-2025-08-07"}

    rows = store_spans(store, [build_span(sent)], ("request_model", "response_model"))

    assert rows == [{"request_model": "gpt-5-mini", "response_model": "gpt-5-mini-2025-08-07"}]


def test_requested_model_of_pipecat_is_that_of_its_parameters(store: Store) -> None:
    # As Pipecat 1.14 sends a session's second call.
    sent = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini-2025-08-07", "param.model": "gpt-5-mini"}

    (row,) = store_spans(store, [build_span(sent, scope="pipecat")], ("request_model",))

    assert row["request_model"] == "gpt-5-mini"


def test_parameters_that_echo_the_answer_are_no_request(store: Store) -> None:
    """The Responses API returns the request with its answer, the model being the answer's snapshot."""
    echoed = {"llm.model_name": "gpt-4.1-2025-04-14", "llm.invocation_parameters": '{"model": "gpt-4.1-2025-04-14"}'}
    asked = {"llm.model_name": "gpt-4.1-2025-04-14", "llm.invocation_parameters": '{"model": "gpt-4.1"}'}

    # With OPENINFERENCE_ENABLE_GENAI_SEMCONV.
    in_both = {"gen_ai.request.model": "gpt-4.1-2025-04-14"}
    spans = [build_span(echoed), build_span(asked), build_span(echoed | in_both), build_span(asked | in_both)]
    newest = {"llm.request.model_name": "gpt-4.1", "llm.response.model_name": "gpt-4.1-2025-04-14"}
    spans += [build_span(newest), build_span(newest | in_both)]

    rows = store_spans(store, spans, ("request_model", "response_model"))
    newest_rows = [rows.pop(), rows.pop()]

    assert [tuple(row.values()) for row in rows] == [("", "gpt-4.1-2025-04-14"), ("gpt-4.1", "gpt-4.1-2025-04-14")] * 2
    assert [tuple(row.values()) for row in newest_rows] == [("gpt-4.1", "gpt-4.1-2025-04-14")] * 2


def test_requested_model_that_is_the_answers_is_none(store: Store) -> None:
    """The contrib instrumentation of the OpenAI Agents SDK over the Responses API, and over chat completions."""
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini-2025-08-07"}
    scope = "opentelemetry.instrumentation.openai_agents"
    spans = [
        build_span(call | {"gen_ai.response.model": "gpt-5-mini-2025-08-07"}, scope=scope),
        build_span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini"}, scope=scope),
        build_span(call | {"gen_ai.response.model": "gpt-5-mini-2025-08-07"}),
    ]

    rows = store_spans(store, spans, ("request_model",))

    assert [row["request_model"] for row in rows] == ["", "gpt-5-mini", "gpt-5-mini-2025-08-07"]
