"""Which span is an error, of which type and with which message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.tracestore.semconv.conftest import Row, RowsOf, build_span, raised, store_spans
from tracestore.clickhouse.client import Store


def requests(*told: tuple[str, str], endpoint: str = "/responses") -> list[tuple[str, dict[str, Any]]]:
    """Return Codex's events of requests, from the answers' codes and what went wrong."""
    common = {"event.name": "codex.api_request", "endpoint": endpoint, "model": "gpt-5"}
    return [
        ("event otel/src/events/session_telemetry.rs:803",
         common | {"http.response.status_code": code, "attempt": str(attempt)} | ({"error.message": error} if error else {}))
        for attempt, (code, error) in enumerate(told)
    ]  # fmt: skip


# case -> span, (is_error, type, message)
ERROR_CASES: dict[str, tuple[Row, tuple[bool, str, str]]] = {
    "status": (build_span(status=2, status_message="boom"), (True, "unknown", "boom")),
    "type at the start of the message": (
        build_span(status=2, status_message="RangeError: too much"),
        (True, "RangeError", "RangeError: too much"),
    ),
    "type in the message that another quotes": (
        build_span(status=2, status_message='Error running tool: {"tool_name":"t","error":"RangeError: too much"}'),
        (True, "RangeError", 'Error running tool: {"tool_name":"t","error":"RangeError: too much"}'),
    ),
    "no type in a sentence": (
        build_span(status=2, status_message="the ValueError: was odd"),
        (True, "unknown", "the ValueError: was odd"),
    ),
    "status and type": (build_span({"error.type": "TimeoutError"}, status=2), (True, "TimeoutError", "")),
    "type alone": (build_span({"error.type": "429"}), (True, "429", "")),
    "fallback alone": (build_span({"error.type": "_OTHER"}), (True, "unknown", "")),
    "fallback beside an exception": (build_span({"error.type": "_OTHER"}, status=2, events=raised("B", "e")), (True, "B", "e")),
    "fallback beside a type in the message": (
        build_span({"error.type": "_OTHER"}, status=2, status_message="RangeError: too much"),
        (True, "RangeError", "RangeError: too much"),
    ),
    "exception event": (build_span(status=2, events=raised("ValueError", "bad")), (True, "ValueError", "bad")),
    "type before exception": (build_span({"error.type": "A"}, status=2, events=raised("B")), (True, "A", "")),
    "status message before exception's": (build_span(status=2, status_message="s", events=raised("B", "e")), (True, "B", "s")),
    "exception under an unset status": (build_span(events=raised("B")), (True, "B", "")),
    "exception that a span with status ok dealt with": (
        build_span({"output.value": "done"}, status=1, events=raised("B")),
        (False, "", ""),
    ),
    "exception that ended a span with status ok": (build_span(status=1, events=raised("B")), (True, "B", "")),
    # OpenInference's processor for the AI SDK sets the status of whatever ends after an error anywhere in the trace.
    "AI SDK's answer after an error elsewhere": (
        build_span({"ai.operationId": "ai.generateText", "ai.response.finishReason": "stop"}, status=2, status_message="429"),
        (False, "", ""),
    ),
    "AI SDK's answer that raised": (
        build_span({"ai.response.finishReason": "stop"}, status=2, events=raised("B", "e")),
        (True, "B", "e"),
    ),
    "AI SDK's answer that ended in an error": (
        build_span({"ai.response.finishReason": "error"}, status=2, status_message="overloaded"),
        (True, "unknown", "overloaded"),
    ),
    "Codex's tool in an event of the step around it": (
        build_span(events=[("event otel/src/tool_result.rs:54", {"event.name": "codex.tool_result", "success": "false"})]),
        (True, "unknown", ""),
    ),
    "Codex's request and its repetition": (
        build_span(events=requests(("500", "http 500"), ("429", "http 429")), name="endpoint_session.stream_encoded_json_with"),
        (True, "429", "http 429"),
    ),
    "Codex's request whose repetition was answered": (
        build_span(events=requests(("500", "http 500"), ("200", ""))),
        (False, "", ""),
    ),
    "what else Codex asked for": (build_span(events=requests(("404", "http 404"), endpoint="/models")), (False, "", "")),
    "Codex's tool that ran": (build_span(events=[("codex.tool_result", {"success": "true"})]), (False, "", "")),
    "what else did not succeed in an event": (build_span(events=[("cache.look_up", {"success": "false"})]), (False, "", "")),
    # Gemini CLI sets the status OK on every tool, and says in the content of its answer how it went.
    "Gemini CLI's tool": (
        build_span(
            {
                "gen_ai.operation.name": "tool_call",
                "gen_ai.tool.name": "read_file",
                "gen_ai.output.messages": json.dumps(
                    {
                        "status": "error",
                        "request": {"name": "read_file", "args": {"file_path": "none.txt"}},
                        "response": {
                            "error": {},
                            "responseParts": [{"functionResponse": {"response": {"error": "File not found: none.txt"}}}],
                            "resultDisplay": "File not found.",
                            "errorType": "file_not_found",
                        },
                    },
                    separators=(",", ":"),
                ),
            },
            name="tool_call",
            status=1,
        ),
        (True, "file_not_found", "File not found."),
    ),
    "Gemini CLI's tool that ran": (
        build_span(
            {"gen_ai.operation.name": "tool_call", "gen_ai.output.messages": '{"status":"success","response":{}}'}, status=1
        ),
        (False, "", ""),
    ),
    "success false": (build_span({"success": False}), (True, "unknown", "")),
    "gptme's tool failed": (build_span({"tool.name": "shell", "tool.success": False}), (True, "unknown", "")),
    "LangSmith's conversation of the Claude Agent SDK": (
        build_span({"langsmith.span.kind": "chain", "langsmith.metadata.is_error": "True"}, status=1),
        (True, "unknown", ""),
    ),
    "success true": (build_span({"success": True}), (False, "", "")),
    "Langfuse level": (build_span({"langfuse.observation.level": "ERROR"}), (True, "unknown", "")),
    "Langfuse warning": (build_span({"langfuse.observation.level": "WARNING"}), (False, "", "")),
    "graph interrupt": (build_span(status=2, events=raised("GraphInterrupt")), (False, "", "")),
    "graph interrupt with module": (build_span(status=2, events=raised("langgraph.errors.GraphInterrupt")), (False, "", "")),
    "approval required": (build_span(status=2, events=raised("pydantic_ai.exceptions.ApprovalRequired")), (False, "", "")),
    "parent command by message": (build_span(status=2, status_message="ParentCommand(goto='x')"), (False, "", "")),
    # LangGraph's JavaScript: Langfuse sends an error as its name and message, OpenInference the stack behind the message.
    "parent command by its name": (
        build_span({"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "ParentCommand"}),
        (False, "", ""),
    ),
    "parent command by its stack": (
        build_span(status=2, status_message="\n\nParentCommand\n    at RunnableCallable._controlBranch (/app/state.cjs:775:65)"),
        (False, "", ""),
    ),
    "graph interrupt by its stack": (
        build_span(
            status=2, status_message='[{"id": "3"}]\n\nGraphInterrupt: [{"id": "3"}]\n    at interrupt (/app/interrupt.cjs:93:8)'
        ),
        (False, "", ""),
    ),
    "type in the stack behind the message": (
        build_span(status=2, status_message="too much\n\nRangeError: too much\n    at refund (/app/tools.js:3:9)"),
        (True, "RangeError", "too much\n\nRangeError: too much\n    at refund (/app/tools.js:3:9)"),
    ),
    "a command that failed": (
        build_span(status=2, status_message="Command: no such file"),
        (True, "unknown", "Command: no such file"),
    ),
    "ok status": (build_span(status=1), (False, "", "")),
    "cancelled by the user": (build_span(status=2, events=raised("asyncio.exceptions.CancelledError")), (False, "", "")),
    "LangSmith's exception under ok": (
        build_span(status=1, events=raised("Exception", "TimeoutError('upstream')Traceback (most recent call last):")),
        (True, "TimeoutError", "TimeoutError('upstream')Traceback (most recent call last):"),
    ),
    # LangSmith 0.15: chains with "{}", models with a generation that holds the answer's headers.
    "LangSmith's exception on a span with a result": (
        build_span(
            {"langsmith.span.kind": "llm", "gen_ai.completion": '{"generations":[[{"text":""}]]}'},
            status=1,
            events=raised("Exception", "OpenAIAPIError('Error code: 500')Traceback (most recent call last):\n\n\n  File"),
        ),
        (True, "OpenAIAPIError", "OpenAIAPIError('Error code: 500')"),
    ),
    "LangSmith's interrupt": (
        build_span(status=1, events=raised("Exception", "GraphInterrupt(Interrupt(...))")),
        (False, "", ""),
    ),
    "exception before the framework's own type": (
        build_span({"gen_ai.framework.error.type": "F"}, status=2, events=raised("B")),
        (True, "B", ""),
    ),
    "Langfuse's message": (
        build_span({"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "no funds"}),
        (True, "unknown", "no funds"),
    ),
    "what a step put out is no message of its error": (
        build_span({"openinference.span.kind": "CHAIN", "output.value": "On its way."}, status=2),
        (True, "unknown", ""),
    ),
    "a message beside an output": (
        build_span({"openinference.span.kind": "CHAIN", "output.value": "x", "error.message": "no funds"}, status=2),
        (True, "unknown", "no funds"),
    ),
    "Haystack 3's failed tool": (
        build_span(
            {
                "haystack.tool.name": "refund",
                "haystack.tool.error": True,
                "haystack.agent.step.tool.output": '{"error": "Failed to invoke Tool `refund`. Error: refused"}',
            },
            name="haystack.agent.step.tool",
        ),
        (True, "unknown", '{"error": "Failed to invoke Tool `refund`. Error: refused"}'),
    ),
    # Strands by way of OpenInference's processor.
    "Strands' tool": (
        build_span(
            {"openinference.span.kind": "TOOL", "tool.status": "error", "output.value": "Error: RefundError - no"}, status=1
        ),
        (True, "unknown", "Error: RefundError - no"),
    ),
    "Strands' good tool": (build_span({"tool.status": "success"}, status=1), (False, "", "")),
    "Pipecat's result": (build_span({"tool.result_status": "error"}), (True, "unknown", "")),
    "Pipecat's good result": (build_span({"tool.result_status": "success"}), (False, "", "")),
    "AgentOps' run that raised": (
        build_span({"agentops.span.kind": "session", "agentops.session.end_state": "Indeterminate"}),
        (True, "unknown", ""),
    ),
    "AgentOps' run that nobody ended": (
        build_span({"agentops.span.kind": "session", "agentops.session.end_state": "Shutdown"}),
        (False, "", ""),
    ),
    "LiveKit's flag": (build_span({"lk.function_tool.is_error": True}), (True, "unknown", "")),
    # As OpenInference sends a realtime session of OpenAI's Agents SDK.
    "tool of a realtime session": (
        build_span(
            {
                "openinference.span.kind": "TOOL",
                "output.value": "An error occurred while running the tool. Please try again.",
            },
            status=1,
        ),
        (True, "unknown", "An error occurred while running the tool. Please try again."),
    ),
    # As ADK 2.0 for JavaScript sends a tool that raised, and one that returned.
    "ADK's silent tool": (build_span(name="execute_tool issue_refund", scope="gcp.vertex.agent"), (True, "unknown", "")),
    "ADK's tool that returned nothing": (
        build_span(
            {"gen_ai.operation.name": "execute_tool", "gcp.vertex.agent.tool_response": '{"result":null}'},
            name="execute_tool issue_refund",
            scope="gcp.vertex.agent",
        ),
        (False, "", ""),
    ),
    "ADK's invocation": (build_span(name="invocation", scope="gcp.vertex.agent"), (False, "", "")),
    "answer that ended in an error": (
        build_span({"gen_ai.response.finish_reasons": '["error"]'}, status=1),
        (True, "unknown", ""),
    ),
    "the same as a list": (build_span({"gen_ai.response.finish_reasons": ["error"]}), (True, "unknown", "")),
    "the same as Python shows it": (
        build_span({"gen_ai.response.finish_reason": "FinishReason.error"}),
        (True, "unknown", ""),
    ),
    "answer cut off": (build_span({"gen_ai.response.finish_reasons": ["length"]}), (False, "", "")),
    "nothing": (build_span(), (False, "", "")),
    "unknown status code": (build_span(status=7), (False, "", "")),
    "message without error": (build_span(status=1, status_message="fine"), (False, "", "")),
}


@pytest.mark.parametrize("case", ERROR_CASES)
def test_error_is_an_error_with_type_and_message(rows_of: RowsOf, case: str) -> None:
    row = rows_of(ERROR_CASES)[case]

    assert (row["is_error"], row["error_type"], row["error_message"]) == ERROR_CASES[case][1]


@pytest.mark.parametrize(
    ("attributes", "error_type"),
    [
        ({"http.request.method": "POST", "http.response.status_code": 429}, "429"),
        ({"http.method": "POST", "http.status_code": 500}, "500"),
        ({"http.response.status_code": 500, "error.type": "ConnectError"}, "ConnectError"),
        # The answer began well and broke off.
        ({"http.response.status_code": 200}, "unknown"),
    ],
)
def test_http_error_without_a_type_has_its_status_code(store: Store, attributes: dict[str, Any], error_type: str) -> None:
    (row,) = store_spans(store, [build_span(attributes, status=2, kind=3, name="POST")], ("error_type",))

    assert row["error_type"] == error_type
