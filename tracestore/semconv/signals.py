"""Hand-offs, escalations and people who are asked: how a span shows them."""

from __future__ import annotations

# An application says outright what a span means for people: one of SIGNALS in this attribute, or an event of that name.
SIGNAL_KEY = "tracestore.signal"
ESCALATION_EVENT = "tracestore.human_escalation"
ESCALATION_REASON = "tracestore.escalation.reason"
# The same of a hand-off to another agent, as senders write it.
HANDOFF_REASONS = ("tracestore.handoff.reason", "gen_ai.handoff.reason", "agent.handoff.reason", "handoff.reason")
# The `reason` of arguments that are not plain JSON: within an envelope, or as Python writes a dict.
REASON_ARGUMENT = r"""reason\\*["']\s*:\s*\\*["']([^"'\\]{1,200})"""
SIGNALS = ("agent_handoff", "human_approval_requested", "human_approval_decided", "human_escalation", "human_wait")
# Tools that pass the conversation to another agent, and names of spans that stand for having done so.
HANDOFF_TOOL = (
    r"^(transfer_(back_)?to_|handoff_to_|hand_off_to_|handoff$|(Delegate work|Ask question) to coworker$"
    r"|(delegate_work|ask_question)_to_coworker$|(Task|Agent)$"
    r"|delegate_task_to_members?$)"
)
HANDOFF_NAME = r"^(Handoff: |handoff to |agent_handoff\b)| → .*\.handoff$"
# Microsoft's agent framework hands off without running the tool, and answers the call itself: {"handoff_to": "billing"}.
HANDOFF_ANSWER, HANDOFF_OUTPUTS = r"""\{\\*"handoff_to\\*": *\\*\"""", ("gen_ai.output.messages", "output.value")
HANDOFF_TARGETS = (
    "gen_ai.handoff.to_agent", "gen_ai.handoff.to_agent.name", "langgraph.command.goto_node", "langgraph.command.goto_nodes",
)  # fmt: skip
HANDOFF_SOURCES = ("gen_ai.agent.source",)  # OpenLIT: the agent named by the span was handed the run by this one
# A hand-off to one of these is to a person.
HUMAN = r"(?i)(^|[^a-z])(human|live[_-]?agent|operator|agent_desk|support_desk|representative)([^a-z]|$)"
# Operations in which an agent waits for a person (AG2).
WAITING_OPERATIONS = ("await_human_input",)
# Tools that ask the person at the keyboard (Claude Code).
APPROVAL_TOOLS = ("AskUserQuestion", "ExitPlanMode")
APPROVAL_EVENTS = {
    "human_feedback_requested": "human_approval_requested", "request_info": "human_approval_requested",
    "human_feedback_received": "human_approval_decided", ESCALATION_EVENT: "human_escalation",
}  # fmt: skip
# The last are pydantic-ai's DeferredToolRequests, with which a run ends that needs an approval, and what Agno's says then.
APPROVAL_TEXT = (
    r'"__interrupt__"|mcp_approval_request|tool-approval-request|FunctionApprovalRequestContent|"approvals": ?\[\{"tool_name"'
    r"|I have tools to execute, but I need (?:confirmation|user input)"
)
# A call whose input ends in such a part goes on after a person's answer: the AI SDK's, OpenAI's and Strands' names. Later calls
# repeat the part with more behind it, hence the last type or role that an input names.
APPROVAL_ANSWERS = ("tool-approval-response", "mcp_approval_response", "interrupt_response")
APPROVAL_INPUTS = (
    "ai.prompt", "ai.prompt.messages", "gen_ai.input.messages", "input.value", "mlflow.spanInputs", "langfuse.observation.input",
    "traceloop.entity.input", "gen_ai.prompt", "lmnr.span.input",
)  # fmt: skip
# LangGraph goes on after a person's answer where a run's whole input is `Command(resume=...)`, as senders of Python and of
# JavaScript write it; of one that only goes elsewhere `resume` is null or left out. Kept so where content is not stored.
RESUMED = (
    r'(?s)^(?:\[REDACTED\] )?(?:\{"inputs?": ?)?\{(?:"graph": ?[^,]*|"lg_name": ?"Command"), ?'
    r'(?:"update": ?.*, ?)?"resume": ?[^n ]'
)
LAST_PART_BYTES = 512  # as much of an input's end as is looked at
LAST_PART = r"""(?s).*\b(?:type|role)\\*["']\s*:\s*\\*["']([A-Za-z_-]+)"""
# With what the run of an agent ends that asks (Microsoft's agent framework, Mastra).
ASKED_PARTS = (
    ("gen_ai.output.messages", '"type": ?"function_approval_request"'),
    ("mastra.agent_run.output", '"reason": ?"tool-call-approval"'),
)
# How one that goes on then is called (Agno), what it is given (Mastra), and what the last message given to it begins with
# (Microsoft): the part holds the call that it is about, which has a type of its own.
CONTINUED_RUN = r"\.a?continue_run(?:_stream)?$"
DECISION_INPUT, DECISION = "mastra.agent_run.input", r'^(?:\[REDACTED\] )?\{"approved": ?(?:true|false)'
ANSWERED_MESSAGES, ANSWERED_PART = "gen_ai.input.messages", "function_approval_response"
LAST_MESSAGE_BYTES = 8192
LAST_MESSAGE = r'(?s).*"role": ?"[a-z]+", ?"parts": ?\[\{"type": ?"([a-z_]+)"'

# Events of coding agents' logs (Claude Code's and Codex's manuals): somebody decided about a tool call.
DECISION_EVENTS = ("claude_code.tool_decision", "codex.tool_decision")
# `decision` and `source` of such an event: yes or no, and by a person or by configuration and hooks.
ACCEPTED = ("accept", "accepted", "approved", "approvedforsession", "approved_for_session")
BY_PERSON = "^user"
