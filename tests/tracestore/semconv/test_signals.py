"""Hand-offs between agents, escalations, approvals and other waits for a person, and calls that were refused."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest.privacy import Cleaner
from tests.tracestore.semconv.conftest import Row, RowsOf, add_to, build_span, raised, store_spans
from tracestore.clickhouse.client import Store
from tracestore.privacy.masking import build_masker
from tracestore.privacy.policy import Policy

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"}
# As agent-framework 1.x sends it; the call itself has a type, too.
_MICROSOFTS_ANSWER = {
    "role": "user",
    "parts": [
        {
            "type": "function_approval_response",
            "function_call": {"type": "function_call", "name": "pay", "arguments": '{"to": ["jane"], "role": "user"}'},
            "approved": True,
            "id": "a1",
        }
    ],
}
SIGNAL_CASES = {
    "operation": (build_span({"gen_ai.operation.name": "handoff"}), "agent_handoff"),
    "contrib operation": (build_span({"gen_ai.operation.name": "agent_handoff"}), "agent_handoff"),
    "Traceloop kind": (build_span({"traceloop.span.kind": "handoff"}), "agent_handoff"),
    "Logfire name": (build_span(name="Handoff: triage → refunds"), "agent_handoff"),
    "OpenInference name": (build_span({"openinference.span.kind": "TOOL"}, name="handoff to refunds"), "agent_handoff"),
    "LangGraph's hand-off, which OpenInference calls an agent": (
        build_span(
            {"openinference.span.kind": "AGENT", "tool.name": "transfer_to_billing_agent"}, name="transfer_to_billing_agent"
        ),
        "agent_handoff",
    ),
    "Microsoft's agent answers its own hand-off": (
        build_span(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "triage",
                "gen_ai.output.messages": json.dumps(
                    [
                        {
                            "role": "tool",
                            "parts": [{"type": "tool_call_response", "id": "c1", "response": '{"handoff_to": "billing"}'}],
                        }
                    ]
                ),
            }
        ),
        "agent_handoff",
    ),
    "the same by OpenInference": (
        build_span({"openinference.span.kind": "AGENT", "output.value": '{"handoff_to": "billing"}'}),
        "agent_handoff",
    ),
    "a model's call that may hand off": (
        build_span({"gen_ai.operation.name": "chat", "gen_ai.output.messages": '[{"response": "{\\"handoff_to\\": \\"a\\"}"}]'}),
        "",
    ),
    "waiting for a person": (build_span({"span.type": "tool.blocked_on_user"}), "human_wait"),
    "Claude Code asked the person at the keyboard": (
        build_span({"span.type": "tool.blocked_on_user", "decision": "accept", "source": "user_temporary"}),
        "human_wait",
    ),
    "Claude Code without a terminal asked nobody": (
        build_span({"span.type": "tool.blocked_on_user", "decision": "unknown", "source": "unknown"}),
        "",
    ),
    "Claude Code without a terminal refused": (
        build_span({"span.type": "tool.blocked_on_user", "decision": "reject", "source": "unknown"}),
        "refused_call",
    ),
    "the person at the keyboard refused": (
        build_span({"span.type": "tool.blocked_on_user", "decision": "reject", "source": "user_reject"}),
        "refused_call",
    ),
    "Copilot refused": (
        build_span(
            TOOL | {"error.type": "denied"},
            status=2,
            status_message="Permission denied because no interactive user response was available.",
        ),
        "refused_call",
    ),
    "opencode's user refused": (
        build_span(
            TOOL,
            status=2,
            events=raised("PermissionRejectedError", "The user rejected permission to use this specific tool call."),
        ),
        "refused_call",
    ),
    "Copilot knows no such tool": (
        build_span(TOOL | {"error.type": "ToolError"}, status=2, status_message="Tool 'refund' does not exist."),
        "refused_call",
    ),
    "a tool that misses something": (
        build_span(TOOL | {"error.type": "ToolError"}, status=2, status_message="File of tool 'refund' does not exist."),
        "",
    ),
    "AG2 waits for a person": (build_span({"gen_ai.operation.name": "await_human_input"}), "human_wait"),
    "bad arguments to a tool of the Claude Agent SDK, by Logfire": (
        build_span(TOOL | {"error.type": "Input validation error: 'order_id' is a required property"}, status=2),
        "refused_call",
    ),
    "bad arguments": (build_span(TOOL, status=2, status_message="1 validation error for refund"), "refused_call"),
    "broken arguments": (build_span(TOOL | {"gen_ai.tool.call.arguments": '{"a": '}, status=2), "refused_call"),
    "arguments as Python shows them (OpenInference's LangChain)": (
        build_span(
            {"openinference.span.kind": "TOOL", "tool.name": "refund", "input.value": "{'order_id': 'NL-1'}"},
            status=2,
            events=raised("shop.RefundError", "payment gateway refused the refund"),
        ),
        "",
    ),
    "ADK knows no such tool": (
        build_span(
            TOOL
            | {
                "error.type": "ValueError",
                "gen_ai.tool.call.result": '{"error": "Invoking `refund()` failed as no tool with that name is available."}',
            },
            status=2,
            status_message="ValueError",
        ),
        "refused_call",
    ),
    "ADK waits for a person before it runs the tool": (
        build_span(
            TOOL | {"gen_ai.tool.call.result": '{"error": "This tool call requires confirmation, please approve or reject."}'}
        ),
        "refused_call",
    ),
    "ADK was told not to run the tool": (
        build_span(TOOL | {"error.type": "TOOL_ERROR", "gen_ai.tool.call.result": '{"error": "This tool call is rejected."}'}),
        "refused_call",
    ),
    "ADK was not given what the tool needs": (
        build_span(
            TOOL
            | {
                "error.type": "TOOL_ERROR",
                "gen_ai.tool.call.arguments": "{}",
                "gen_ai.tool.call.result": '{"error": "Invoking `refund()` failed as the following mandatory input parameters '
                'are not present:\\norder_id\\nYou could retry calling this tool"}',
            },
            status=2,
        ),
        "refused_call",
    ),
    "OpenAI's Agents SDK could not read the arguments": (
        build_span(
            {
                "openinference.span.kind": "TOOL",
                "tool.name": "refund",
                "output.value": "An error occurred while parsing tool arguments. Please try again with valid JSON.",
            },
            status=2,
            status_message='Error running tool (non-fatal): {"tool_name":"refund","error":"Tool execution failed. Error details '
            'are redacted."}',
        ),
        "refused_call",
    ),
    "Python could not call the tool (Haystack)": (
        build_span(
            {
                "haystack.tool.name": "refund",
                "haystack.tool.error": True,
                "haystack.agent.step.tool.output": '{"error": "Failed to invoke Tool `refund` with parameters {}. Error: '
                "refund() missing 1 required positional argument: 'order_id'\"}",
            },
            name="haystack.agent.step.tool",
        ),
        "refused_call",
    ),
    "Python could not call the tool's method": (
        build_span(TOOL, status=2, events=raised("TypeError", "Shop.refund() got an unexpected keyword argument 'id'")),
        "refused_call",
    ),
    "a tool that calls something else wrongly": (
        build_span(TOOL, status=2, events=raised("TypeError", "pay() missing 1 required positional argument: 'to'")),
        "",
    ),
    "ordinary tool error": (build_span(TOOL, status=2, status_message="connection refused"), ""),
    "ordinary tool": (build_span(TOOL), ""),
    "our own word": (build_span({"tracestore.signal": "human_escalation"}), "human_escalation"),
    "our own event": (build_span(events=[("tracestore.human_escalation", {})]), "human_escalation"),
    "a word that is none of ours": (build_span({"tracestore.signal": "lunch"}), ""),
    "hand-off to a person": (build_span({"openinference.span.kind": "TOOL"}, name="handoff to human_agent"), "human_escalation"),
    "hand-off operation to a person": (
        build_span({"gen_ai.operation.name": "handoff", "gen_ai.handoff.to_agent": "live_agent"}),
        "human_escalation",
    ),
    "Traceloop's name": (build_span(name="triage → billing.handoff"), "agent_handoff"),
    "OpenLIT's agent that was handed the run": (
        build_span(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "billing_agent",
                "gen_ai.agent.source": "support_agent",
            },
            name="invoke_agent billing_agent",
        ),
        "agent_handoff",
    ),
    "LangGraph's command": (build_span({"langgraph.command.goto_node": "billing"}), "agent_handoff"),
    **{
        f"hand-off tool {name}": (
            build_span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}),
            "agent_handoff",
        )
        for name in (
            "transfer_to_billing",
            "transfer_back_to_triage",
            "handoff_to_billing",
            "handoff_to_agent",
            "transfer_to_agent",
            "Delegate work to coworker",
            "Ask question to coworker",
            "delegate_work_to_coworker",
            "ask_question_to_coworker",
            "delegate_task_to_member",
            "Task",
            "handoff",
        )
    },
    "a sub-agent of that name is no tool": (build_span({"gen_ai.operation.name": "chat", "gen_ai.tool.name": "Task"}), ""),
    "deferred tool": (build_span({"pydantic_ai.tool.deferral.name": "ApprovalRequired"}), "human_approval_requested"),
    "run that ends with deferred calls": (
        build_span(
            {"gen_ai.operation.name": "invoke_agent", "final_result": '{"calls":[],"approvals":[{"tool_name":"issue_refund"}]}'}
        ),
        "human_approval_requested",
    ),
    "interrupted graph": (build_span(status=2, events=raised("GraphInterrupt")), "human_approval_requested"),
    "interrupted graph, by Langfuse for Python": (
        build_span(
            {"langfuse.observation.type": "chain", "langfuse.observation.status_message": "(Interrupt(value={'q': 1}, id='6'),)"}
        ),
        "human_approval_requested",
    ),
    "interrupted graph, by Langfuse for JavaScript": (
        build_span(
            {
                "langfuse.observation.type": "chain",
                "langfuse.observation.level": "ERROR",
                "langfuse.observation.status_message": 'GraphInterrupt: [\n  {\n    "id": "820d",\n    "value": {}\n  }\n]',
            }
        ),
        "human_approval_requested",
    ),
    "interrupted graph, by OpenInference for JavaScript": (
        build_span(
            {"openinference.span.kind": "CHAIN"},
            status=2,
            status_message='[{"id": "331"}]\n\nGraphInterrupt: [{"id": "331"}]\n    at interrupt (/app/interrupt.cjs:93:8)',
        ),
        "human_approval_requested",
    ),
    "interrupt in the answer": (
        build_span({"openinference.span.kind": "CHAIN", "output.value": '{"__interrupt__": []}'}),
        "human_approval_requested",
    ),
    "asks the user": (
        build_span({"span.type": "tool", "tool_name": "AskUserQuestion"}),
        "human_approval_requested",
    ),
    "CrewAI asks": (build_span(events=[("human_feedback_requested", {})]), "human_approval_requested"),
    "CrewAI has heard": (build_span(events=[("human_feedback_received", {})]), "human_approval_decided"),
    "the AI SDK goes on after an answer": (
        build_span(
            {
                "ai.operationId": "ai.streamText",
                "ai.prompt": json.dumps({"messages": [{"role": "tool", "content": [{"type": "tool-approval-response"}]}]}),
            }
        ),
        "human_approval_decided",
    ),
    "OpenAI goes on after an answer": (
        build_span(
            {"input.value": "{'input': [{'type': 'mcp_approval_response', 'approve': False, 'approval_request_id': 'mcpr_1'}]}"}
        ),
        "human_approval_decided",
    ),
    "Strands goes on after an answer, in JSON within JSON": (
        build_span(
            {"gen_ai.input.messages": json.dumps([json.dumps([{"role": "user", "content": [{"type": "interrupt_response"}]}])])}
        ),
        "human_approval_decided",
    ),
    **{
        f"LangGraph goes on after an answer, by {sender}": (build_span({key: value}), "human_approval_decided")
        for sender, key, value in (
            ("OpenInference", "input.value", '{"graph": null, "update": null, "resume": "approved", "goto": []}'),
            (
                "LangSmith",
                "gen_ai.prompt",
                '{"input":{"graph":null,"update":null,"resume":{"decisions":[{"type":"x"}]},"goto":[]}}',
            ),
            (
                "OpenLLMetry",
                "traceloop.entity.input",
                '{"inputs": {"graph": null, "update": null, "resume": false, "goto": []}, "tags": []}',
            ),
            ("MLflow", "mlflow.spanInputs", '{"graph": null, "update": {"messages": []}, "resume": "approved", "goto": []}'),
            ("Langfuse", "langfuse.observation.input", '{"graph": null, "update": null, "resume": "approved", "goto": []}'),
            ("Laminar", "lmnr.span.input", '{"graph":null,"update":null,"resume":"approved","goto":[]}'),
            ("OpenInference for JavaScript", "input.value", '{"lg_name":"Command","resume":"approved","goto":[]}'),
            (
                "Langfuse for JavaScript",
                "langfuse.observation.input",
                '{"lg_name":"Command","update":{"messages":[]},"resume":"approved","goto":[]}',
            ),
        )
    },
    "Microsoft's agent asks": (
        build_span(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.output.messages": json.dumps(
                    [
                        {
                            "role": "assistant",
                            "parts": [
                                {"type": "tool_call", "id": "c1", "name": "pay", "arguments": "{}"},
                                {
                                    "type": "function_approval_request",
                                    "function_call": {"type": "function_call", "name": "pay"},
                                    "id": "a1",
                                },
                            ],
                        }
                    ]
                ),
            }
        ),
        "human_approval_requested",
    ),
    "Microsoft's agent goes on after an answer": (
        build_span({"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": json.dumps([_MICROSOFTS_ANSWER])}),
        "human_approval_decided",
    ),
    "Microsoft's agent was answered further back": (
        build_span(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.input.messages": json.dumps(
                    [_MICROSOFTS_ANSWER, {"role": "user", "parts": [{"type": "text", "content": "thanks"}]}]
                ),
            }
        ),
        "",
    ),
    "Mastra's agent asks": (
        build_span(
            {
                "gen_ai.operation.name": "invoke_agent",
                "mastra.agent_run.output": '{"status":"suspended","reason":"tool-call-approval","toolName":"pay"}',
            }
        ),
        "human_approval_requested",
    ),
    "Mastra's agent waits for something else": (
        build_span(
            {"gen_ai.operation.name": "invoke_agent", "mastra.agent_run.output": '{"status":"suspended","reason":"timer"}'}
        ),
        "",
    ),
    "Mastra's agent goes on after an answer": (
        build_span(
            {
                "gen_ai.operation.name": "invoke_agent",
                "mastra.agent_run.input": '{"approved":false,"toolName":"pay","toolCallId":"c1"}',
            }
        ),
        "human_approval_decided",
    ),
    "Agno's agent asks": (
        build_span(
            {"openinference.span.kind": "AGENT", "output.value": "I have tools to execute, but I need confirmation."},
            name="support.run",
        ),
        "human_approval_requested",
    ),
    "Agno's agent goes on after an answer": (
        build_span({"openinference.span.kind": "AGENT", "output.value": "Paid."}, name="support.continue_run"),
        "human_approval_decided",
    ),
    "LangGraph is sent elsewhere": (
        build_span({"input.value": '{"graph": null, "update": {"messages": [["user", "x"]]}, "resume": null, "goto": "model"}'}),
        "",
    ),
    "talk about resuming is none": (build_span({"gen_ai.prompt": '{"messages": ["{\\"resume\\": \\"approved\\"}"]}'}), ""),
    "an answer further back is history": (
        build_span(
            {
                "ai.prompt.messages": json.dumps(
                    [{"role": "tool", "content": [{"type": "tool-approval-response"}]}, {"role": "user", "content": "thanks"}]
                )
            }
        ),
        "",
    ),
    "talk about answers is none": (build_span({"input.value": "what is a tool-approval-response?"}), ""),
    "an answer and another question": (
        build_span({"input.value": '[{"type": "mcp_approval_response"}]', "output.value": '[{"type": "mcp_approval_request"}]'}),
        "human_approval_requested",
    ),
    "Microsoft's workflow asks": (build_span(events=[("request_info", {})]), "human_approval_requested"),
    "a hook decided": (build_span({"span.type": "tool.blocked_on_user", "source": "hook"}), ""),
    "ADK's escalate only ends a loop": (
        build_span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "exit_loop", "gcp.vertex.agent.event_id": "e"}),
        "",
    ),
    "Codex's sandbox escalation": (build_span({"escalated_duration_ms": 5}), ""),
    "refused by a filter": (build_span({"gen_ai.response.finish_reasons": ["content_filter"]}), ""),
    "available hand-offs are no hand-off": (build_span({"gen_ai.agent.handoffs": ["a"]}), ""),
}


@pytest.mark.parametrize("case", SIGNAL_CASES)
def test_signal_is_given_for_what_signals(rows_of: RowsOf, case: str) -> None:
    assert rows_of(SIGNAL_CASES)[case]["signal"] == SIGNAL_CASES[case][1]


def test_signals_are_the_same_without_content(store: Store) -> None:
    request, private = ExportTraceServiceRequest(), []
    for number, (span, _) in enumerate(SIGNAL_CASES.values(), start=1):
        add_to(request, number, span)
    Cleaner(Policy(build_masker((), (), hash_key=b""), stores_content=False, stores_error_texts=False)).clean(request)
    for resource_spans in request.resource_spans:
        sent = resource_spans.scope_spans[0].spans[0]
        events = [(event.name, {kv.key: kv.value for kv in event.attributes}) for event in sent.events]
        attributes = [(kv.key, kv.value) for kv in sent.attributes]
        scope = resource_spans.scope_spans[0].scope.name
        status: Row = {"status": sent.status.code, "status_message": sent.status.message}
        private.append(build_span(attributes, name=sent.name, scope=scope, events=events, **status))

    rows = store_spans(store, private, ("signal",))

    assert {case: row["signal"] for case, row in zip(SIGNAL_CASES, rows, strict=True)} == {
        case: signal for case, (_, signal) in SIGNAL_CASES.items()
    }
