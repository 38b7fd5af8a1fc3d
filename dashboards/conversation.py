"""One trace as a turn of a conversation: what the user said, what the agent answered, which tools ran in between. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.content import read_content
from tracestore.content.payloads import Payload
from tracestore.model import Span, SpanSummary, Trace

TOOL_LIMIT = 30


@dataclass(frozen=True)
class Turn:
    """Texts are whole, as recorded; "" when the sender recorded none. `hidden_tools` more ran than `tools` names."""

    asked: str
    answered: str
    tools: list[SpanSummary]
    hidden_tools: int


def find_telling_steps(trace: Trace) -> list[str]:
    """Return the ids of the steps whose contents tell the turn: the root, the first and the last model call, each once."""
    calls = [span.span_id for span in trace.spans if span.kind == "llm"]
    root = trace.summary.root_span_id or (trace.spans[0].span_id if trace.spans else "")
    return list(dict.fromkeys([root, *calls[:1], *calls[-1:]]))


def build_turn(trace: Trace, steps: Sequence[Span]) -> Turn:
    """Return the turn that a trace is; `steps` are those of find_telling_steps, in that order."""
    contents = [read_content(step) for step in steps]
    # What the root says is what the run was asked and answered; a model call may hold a template around it.
    asked = _find_text([content.input for content in contents], "user")
    answered = _find_text([content.output for content in (*contents[:1], *reversed(contents[1:]))], "assistant")
    tools = [span for span in trace.spans if span.kind == "tool"]
    return Turn(asked, answered, tools[:TOOL_LIMIT], max(0, len(tools) - TOOL_LIMIT))


def _find_text(payloads: Sequence[Payload | None], role: str) -> str:
    """Return the text of the first payload that has one: its last message of that role, or all of it when it is plain.

    An input may hold the whole conversation so far: its last message is the one of this turn.
    """
    for payload in payloads:
        if payload is None:
            continue
        for message in reversed(payload.messages):
            text = "\n".join(part.text for part in message.parts if part.kind == "text").strip()
            if message.role == role and text:
                return text
        if not payload.messages and not payload.is_json and payload.text.strip():
            return payload.text.strip()
    return ""
