"""Which attributes are content: everything that pages show as such, and nothing that numbers and filters are made of."""

from __future__ import annotations

import pytest

from dashboards.trace import content as shown
from tracestore.clickhouse.views.lookups import told
from tracestore.content import payloads
from tracestore.content.keys import _TOLD, REDACTED, Part, find_part, find_part_in_event, reduce_content, reduce_error
from tracestore.semconv.errors import FAILED_ANSWER_KEY
from tracestore.semconv.fields import FIELDS, USAGE_TEXTS
from tracestore.semconv.keys import wanted_keys

_TABLES = (payloads.INPUTS, payloads.OUTPUTS, payloads.ARGUMENTS, payloads.RESULTS)
_EVENTS = {"gen_ai.client.inference.operation.details", "gen_ai.choice", "gen_ai.*.message", "ai.response", "ai.result"}
_NAMES_OF_TOOLS = {"gen_ai.agent.tools", "smolagents.tools_names", "agno.tools"}


def test_everything_that_a_page_shows_as_content_is_content() -> None:
    keys = {key for table in _TABLES for key, _ in table} | {*payloads.INSTRUCTIONS, *shown._TOOL_LISTS} - _NAMES_OF_TOOLS
    indexed = {f"{key}.0.message.content" for key in ("llm.input_messages", "llm.output_messages")}
    indexed |= {"gen_ai.prompt.0.content", "gen_ai.completion.0.content", "llm.tools.0.tool.json_schema", "ai.response.text"}
    indexed |= {f"{key}.0.document.content" for key in shown._DOCUMENT_LISTS} | {"gen_ai.retrieval.documents"}

    assert {key for key in (keys - _EVENTS) | indexed if find_part(key) is not Part.CONTENT} == set()


def test_what_numbers_and_filters_are_made_of_is_not_content() -> None:
    may_hold_content = {*USAGE_TEXTS, "llm.invocation_parameters", "langfuse.observation.model.parameters"}
    may_hold_content |= {"braintrust.metadata", "request_data", FAILED_ANSWER_KEY}
    may_hold_content |= {
        source.key for name in ("tool_arguments", "tool_result", "error_text_attribute") for source in FIELDS[name]
    }

    assert {key for key in set(wanted_keys()) - may_hold_content if find_part(key) is not Part.OTHER} == set()


@pytest.mark.parametrize(
    "key",
    [
        "llm.input_messages.0.message.role", "gen_ai.completion.0.finish_reason", "gen_ai.prompt.name", "input.mime_type",
        "output.audio.mime_type",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name", "gen_ai.request.model", "ai.response.id",
        "ai.response.providerMetadata", "gen_ai.usage.input_tokens", "http.response.status_code", "exception.type", "thread.id",
    ],
)  # fmt: skip
def test_names_ids_and_counts_beside_content_stay(key: str) -> None:
    assert find_part(key) is Part.OTHER


@pytest.mark.parametrize(
    "key",
    [
        "acme.user_prompt",
        "acme:llmOutput",
        "acme.final-answer",
        "acme.chat.history",
        "requestBody",
        "output-json",
        "agent.messages.ui",
        "agent.stateSnapshot",
    ],
)
def test_content_of_unknown_dialects_is_told_by_its_name(key: str) -> None:
    assert find_part(key) is Part.CONTENT


@pytest.mark.parametrize(
    "key",
    [
        "gen_ai.response.tool_calls",
        "gen_ai.memory.records", "gen_ai.memory.query.text", "gen_ai.skill.description", "gen_ai.main_agent.description",
        "annotations.0.annotation.explanation", "trace.evaluations.12.evaluation.metadata", "llm.function_call",
        "input.images.0.image.url", "output.images.0.image.url", "tool.json_schema",
        "input.audio.url", "output.audio.url", "input.audio.transcript", "gen_ai.tool.0.description",
        "tool.refund.description", "arguments.reason", "request.params.arguments.reason", "arg_2", "arg_1.0_callable_name",
        "lk.pii.chat_ctx", "lk.pii.response.function_calls", "lk.pii.sip.phoneNumber", "lk.pii.participant_identity",
    ],
)  # fmt: skip
def test_what_conventions_call_content_is_content_whatever_its_last_word(key: str) -> None:
    assert find_part(key) is Part.CONTENT


@pytest.mark.parametrize("key", ["gen_ai.memory.store.id", "annotations.0.annotation.label", "annotations.0.annotation.score"])
def test_what_is_judged_and_where_is_no_content(key: str) -> None:
    assert find_part(key) is Part.OTHER


def test_events_that_carry_messages_are_content_but_for_role_and_name() -> None:
    assert find_part_in_event("gen_ai.choice", "anything") is Part.CONTENT
    assert find_part_in_event("gen_ai.choice", "finish_reason") is Part.OTHER
    assert find_part_in_event("exception", "exception.message") is Part.ERROR_TEXT
    assert find_part_in_event("exception", "exception.type") is Part.OTHER


def test_usage_is_found_as_the_view_finds_it() -> None:
    assert _TOLD.pattern.replace("\\", "\\\\").replace("'", "\\'") in told()


@pytest.mark.parametrize(
    ("key", "text", "stored"),
    [
        ("input.value", "hello", REDACTED),
        ("input.value", '{"graph": null, "update": null, "resume": "pay jane", "goto": []}',
         f'{REDACTED} {{"graph": null, "resume": true}}'),
        ("output.value", '{"usage": {"input_tokens": 5}, "x": "input_tokens: 9"}', REDACTED + ' {"tokens": {"input_tokens": 5}}'),
        ("output.value", "Usage(prompt_tokens=7, text='x')", REDACTED + ' {"tokens": {"prompt_tokens": 7}}'),
        ("output.value", '{"id": "chatcmpl-5", "service_tier": "default"}', REDACTED + ' "service_tier": "default"'),
        ("output.value", '{"__interrupt__": [{"value": "pay?"}]}', REDACTED + ' "__interrupt__"'),
        ("haystack.agent.step.llm.output", '{"replies": [{"meta": {"model": "gpt-4o", "usage": {"prompt_tokens": 5}}}]}',
         REDACTED + ' {"tokens": {"prompt_tokens": 5}} "model": "gpt-4o"'),
        ("output.value", f'{{"usage": {{"input_tokens": 5}}, "text": "{"y" * 200_000}"}}',
         REDACTED + ' {"tokens": {"input_tokens": 5}}'),
        ("output.value", f'{{"text": "{"y" * 200_000}", "usage": {{"input_tokens": 5}}}}',
         REDACTED + ' {"tokens": {"input_tokens": 5}}'),
        ("gen_ai.tool.call.result", "refund() missing 1 required positional argument: 'jane'",
         REDACTED + " refund() missing 1 required "),
        ("request_data", '{"messages":[{"role":"user","content":"jane"}],"model":"gpt-4o"}', REDACTED + ' "model":"gpt-4o"'),
        ("gen_ai.tool.call.result", "Unknown tool: rm for jane", REDACTED + " Unknown tool"),
        ("gen_ai.tool.call.arguments", '{"order": "A-1', "{"),
        ("gen_ai.tool.call.arguments", '{"order": "A-1"}', REDACTED),
        ("gen_ai.tool.call.arguments", "{'order': 'A-1'}", REDACTED),
        ("gen_ai.output.messages", '[{"role": "assistant", "parts": []}]', REDACTED),
        ("gen_ai.output.messages", '{"status":"success","response":{"resultDisplay":"jane"}}', REDACTED),
        ("gen_ai.output.messages", '{"status":"error","response":{"resultDisplay":"jane","errorType":"file_not_found"}}',
         '{"status":"error", "response": {"errorType": "file_not_found"}}'),
        ("llm.invocation_parameters", '{"model": "gpt-4o", "temperature": 0.5, "system": "x", "tools": []}',
         '{"model": "gpt-4o", "temperature": 0.5}'),
        ("llm.invocation_parameters", '{"service_tier": "flex", "user": "jane"}', '{"service_tier": "flex"}'),
        ("llm.invocation_parameters", "x", REDACTED),
        ("braintrust.metadata", '{"model": "gpt-4o", "provider": "openai", "tools": [], "user": "jane"}',
         '{"model": "gpt-4o", "provider": "openai"}'),
    ],
)  # fmt: skip
def test_of_content_only_what_numbers_need_is_kept(key: str, text: str, stored: str) -> None:
    assert reduce_content(key, text) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("the order of jane failed", REDACTED),
        ("GraphInterrupt((Interrupt(value='pay?'),))", "GraphInterrupt(...) [REDACTED]"),
        ("(Interrupt(value='pay?'),)", "(Interrupt(...) [REDACTED]"),
        ("pay?\n\nGraphInterrupt: pay?\n    at interrupt (/a.js:1:1)", "GraphInterrupt: [REDACTED]"),
        ("\n\nParentCommand\n    at branch (/a.js:1:1)", "ParentCommand: [REDACTED]"),
        ("ParentCommand", "ParentCommand: [REDACTED]"),
        ("Pay me", "[REDACTED]"),
        ("ToolFailure: gateway of jane", "ToolFailure: [REDACTED]"),
        ("tool refund not found for jane", "tool refund not found [REDACTED]"),
    ],
)
def test_of_an_error_only_its_kind_is_kept(text: str, stored: str) -> None:
    assert reduce_error(text) == stored
