"""Calls of tools that stand only in the answers of models: where no span tells of any tool, or of a hand-off that took place."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tracestore.queries.summaries import MAX_ERRORS
from tracestore.queries.tool_requests import ToolRequest
from tracestore.semconv.signals import HANDOFF_TOOL, HUMAN
from tracestore.summary.columns import Ints, Mask, SpanColumns, ids_of, nearest_ancestor
from tracestore.summary.outcomes import ESCALATION_TOOL

# (ids of trace and span in one, first and last start in ns, deadline of time.monotonic) -> requests by id, as
# queries.tool_requests.read_tool_requests.
ReadRequests = Callable[[list[bytes], int, int, float], dict[bytes, list[ToolRequest]]]
# A tool's name -> one of SIGNALS or "".
ReadSignal = Callable[[str], str]
_HANDOFF_TOOL, _HUMAN = re.compile(HANDOFF_TOOL), re.compile(HUMAN)
# Of one trace. One that goes on for days is summarised again whenever a span of it comes.
_MAX_TOOLS, _MAX_CALLS = 200, 2000
_MOST_S = 10.0  # of one read of spans: more than their answers take, unless somebody means them to


@dataclass(frozen=True)
class Requested:
    """What models asked for, by number of trace: tools, and the reasons ("" for none) of hand-offs to people and agents.

    Only traces that have some are there.
    """

    tools: dict[int, list[str]] = field(default_factory=dict)
    escalations: dict[int, list[str]] = field(default_factory=dict)
    handoffs: dict[int, list[str]] = field(default_factory=dict)


def find_requested(spans: SpanColumns, is_call: Mask, read_requests: ReadRequests, read_signal: ReadSignal) -> Requested:
    """Return what the first _MAX_CALLS model calls of traces without a span of a tool asked for, each tool once.

    Whether it ran, and how it went, nobody says: arguments may have been refused, or the run ended. Of traces that have spans of
    tools the calls that another agent followed count, for hand-offs alone. `read_signal` is find_signal, or one that knows rules.
    """
    kind = spans.labels("kind")
    has_tool = spans.traces_with(kind.where("tool"))
    answered = is_call & kind.where("llm") & ~spans.mask("is_error")
    asking = np.union1d(np.flatnonzero(answered & ~has_tool[spans.trace]), _last_before_other_agents(spans, answered))
    rank = np.arange(len(asking)) - np.searchsorted(spans.trace[asking], spans.trace[asking])
    asking = asking[rank < _MAX_CALLS]
    requested, deadline_s = Requested(), time.monotonic() + _MOST_S
    for first in range(0, len(asking), MAX_ERRORS):
        at = asking[first : first + MAX_ERRORS]
        start_ns, ids = spans.numbers("start_ns")[at], ids_of(spans, at)
        told = read_requests(ids, int(start_ns.min()), int(start_ns.max()), deadline_s)
        for trace, span_id in zip(spans.trace[at].tolist(), ids, strict=True):
            for request in told.get(span_id, ()):
                _add(requested, trace, request, read_signal(request.name), with_tools=not has_tool[trace])
    return requested


def _last_before_other_agents(spans: SpanColumns, answered: Mask) -> Ints:
    """Return the positions of calls after which the next step of the run is another agent, beside the one that made the call.

    The OpenAI Agents SDK has no span for a hand-off in OpenTelemetry's own instrumentation. Where one is told, no call is asked.
    """
    kind, agent = spans.labels("kind"), spans.labels("agent").codes
    is_agent = kind.where("agent")
    has_told = spans.traces_with(spans.labels("signal").where("agent_handoff"))
    steps = np.flatnonzero((is_agent | kind.where("llm", "tool")) & ~has_told[spans.trace])
    last, following = steps[:-1], steps[1:]
    is_last = answered[last] & is_agent[following] & (spans.trace[last] == spans.trace[following])
    last, following = last[is_last], following[is_last]
    around = nearest_ancestor(spans.parent, last, is_agent)
    beside = (around >= 0) & (spans.parent[around] == spans.parent[following]) & (agent[around] != agent[following])
    return np.asarray(last[beside], dtype=np.int64)


def _add(requested: Requested, trace: int, request: ToolRequest, signal: str, *, with_tools: bool) -> None:
    tools = requested.tools.setdefault(trace, []) if with_tools else []
    if request.name not in tools and len(tools) < _MAX_TOOLS:
        tools.append(request.name)
    said = {"human_escalation": requested.escalations, "agent_handoff": requested.handoffs}.get(signal)
    if said is not None:
        said.setdefault(trace, []).append(request.reason)


def find_signal(tool: str) -> str:
    """Return what a call of a tool of that name says of a run (SIGNALS): human_escalation, agent_handoff or ""."""
    to_person = ESCALATION_TOOL.search(tool) is not None
    if not to_person and not _HANDOFF_TOOL.search(tool):
        return ""
    return "human_escalation" if to_person or _HUMAN.search(tool) else "agent_handoff"
