"""One trace as a turn of a conversation: what the user said, what the agent answered, which tools ran in between. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.trace.content import read_content
from tracestore.content.turns import find_answered, find_asked
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
    asked = find_asked([content.input for content in contents])
    answering = [contents[0], *([contents[-1]] if _ends_with_call(trace) else [])] if contents else []
    answered = find_answered([content.output for content in answering])
    tools = [span for span in trace.spans if span.kind == "tool"]
    return Turn(asked, answered, tools[:TOOL_LIMIT], max(0, len(tools) - TOOL_LIMIT))


def _ends_with_call(trace: Trace) -> bool:
    """Whether no step failed after the last model call had ended."""
    last = next((span for span in reversed(trace.spans) if span.kind == "llm"), None)
    return last is not None and not any(_end_ns(span) > _end_ns(last) for span in trace.spans if span.is_error)


def _end_ns(span: SpanSummary) -> int:
    return span.start_ns + span.duration_ns
