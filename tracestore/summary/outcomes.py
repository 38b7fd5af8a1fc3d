"""Whether a run failed, and at which span."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tracestore.model import Outcome
from tracestore.summary.calls import ToolCalls
from tracestore.summary.columns import Ints, Mask, SpanColumns, mark_ancestors, nearest_ancestor

# Which rule decided the outcome -> the sentence that the trace page shows.
OUTCOME_RULES = {
    "root_error": "The root span reports an error.",
    "unrecovered_error": "A step failed and no step succeeded after it, although the root span does not report an error.",
    "interrupted": "Steps arrived but the agent span above them never did: the process stopped in the middle of the run.",
    "recovered": "Steps failed, but the run went on after them and its root span reports no error.",
    "no_error": "No span reports an error.",
    "running": "The root span has not arrived yet.",
}

# Tools that hand the conversation to a person. Matched on the tool's name; asking about escalations is not one, nor is calming
# somebody down, asking for higher privileges, or writing for human readers.
ESCALATION_TOOL = re.compile(
    r"^(?!(get|list|check|find|search|read|show|view|is|should)([_-]|(?-i:[A-Z]))).*?("
    r"(?<!de)(?<!de[_-])escalat(?!ed)|(to|with|for|ask|call)[_-]?human(?!i[sz]|s|[_-]?read)"
    r"|human[_-]?(agent|support|handoff|operator|help)|live[_-]?agent|handoff_to_user"
    r"|(transfer|handoff|hand_off)_to_(operator|agent_desk|support_desk|representative)|page[_-]?on[_-]?call)",
    re.IGNORECASE,
)

# flags bits 8 and 9 of a span: is it known whether the parent is remote, and is it (opentelemetry/proto/trace/v1/trace.proto).
_PARENT_KNOWN, _PARENT_REMOTE = 0x100, 0x200
_MILLISECOND_NS = 1_000_000


@dataclass(frozen=True)
class Outcomes:
    """Per trace: outcome, the rule that decided it, and the position of the failing span (-1 when it did not fail)."""

    outcome: list[str]
    rule: list[str]
    failing: Ints
    root: Ints


def decide_outcomes(spans: SpanColumns, tools: ToolCalls, *, now_ns: int, running_timeout_ns: int) -> Outcomes:
    """Decide for each trace whether the run failed.

    Status alone is no witness: roots stay OK above failed agents, and error spans occur in runs that recovered. So a run
    failed when its root says so, when the last thing that happened in it was a failure, or when it stopped in the middle.
    """
    count, trace = spans.trace_count, spans.trace
    start = spans.numbers("start_ns")
    end = start + spans.numbers("duration_ns")
    kind = spans.labels("kind")
    errors = spans.mask("is_error") | tools.failed

    is_root = (spans.parent < 0) & ~spans.is_orphan
    flags = spans.numbers("flags")
    remote = ((flags & _PARENT_REMOTE) != 0) | spans.labels("span_kind").where("server", "consumer")
    # A parent elsewhere may belong to a caller who does not report here: its child is the root as far as we can know.
    # Steps whose local parent is missing are different: agent and chain spans end last, so theirs is still open, or lost.
    is_step = kind.where("llm", "tool", "embedding", "retriever", "guardrail")
    stands_in = spans.is_orphan & (remote | ~is_step)
    has_root, has_stand_in = spans.traces_with(is_root), spans.traces_with(stands_in)
    top = np.where(has_root[trace], is_root, np.where(has_stand_in[trace], stands_in, spans.parent < 0))
    root = _find_roots(spans, top)

    # Did a step succeed after an error? Steps that started once it was over.
    succeeded = is_step & ~errors
    last_success = np.full(count, -1, dtype=np.int64)
    np.maximum.at(last_success, trace[succeeded], start[succeeded])
    # OpenTelemetry's SDK for JavaScript starts spans on whole milliseconds and measures what they take: a tool that raised at
    # once ends behind the start of the model call that follows. Parallel tools start together, and are no answer to each other.
    rounded = succeeded & kind.where("llm") & (start % _MILLISECOND_NS == 0) & (end - start >= _MILLISECOND_NS)
    np.maximum.at(last_success, trace[rounded], start[rounded] + _MILLISECOND_NS - 1)
    # Helper spans (HTTP, database) fail and are retried without anybody asking; their fate shows in the step above them.
    # What has steps below it is no helper, whatever it is called.
    matters = errors & (~kind.where("other") | top | mark_ancestors(spans.parent, is_step))
    answered = _find_answered(spans, succeeded & kind.where("llm"), tools.failed, start, end)
    unrecovered = matters & (last_success[trace] < end) & ~answered
    unrecovered[_find_forgiven(spans, np.flatnonzero(unrecovered & kind.where("tool")))] = False

    root_error = spans.traces_with(top & errors & (is_root | stands_in))
    last_end = np.zeros(count, dtype=np.int64)
    np.maximum.at(last_end, trace, end)

    rootless = ~has_root & ~has_stand_in
    recent = last_end > now_ns - running_timeout_ns
    # A caller elsewhere may never report here: only a parent that lives in this process is worth waiting for.
    expects_more = spans.traces_with(spans.is_orphan & ~remote)
    awaited = ~has_root & recent & (expects_more | rootless)
    conditions = [root_error & ~awaited, awaited, spans.traces_with(unrecovered), rootless, spans.traces_with(errors)]
    rules = ["root_error", "running", "unrecovered_error", "interrupted", "recovered"]
    rule = np.select(conditions, rules, default="no_error").tolist()
    outcome_of = {"running": Outcome.RUNNING, "recovered": Outcome.OK, "no_error": Outcome.OK}
    failing = _find_failing(spans, errors, unrecovered, end)
    last_span = _last_by_trace(trace, end, np.ones(spans.count, dtype=bool), count)
    failing = np.where(np.array(rule) == "interrupted", last_span, failing)
    failed = np.isin(rule, ["root_error", "unrecovered_error", "interrupted"])
    failing = np.where(failed, np.where(failing >= 0, failing, root), -1)
    return Outcomes([outcome_of.get(name, Outcome.ERROR).value for name in rule], rule, failing, root)


def _find_roots(spans: SpanColumns, top: Mask) -> Ints:
    """Return per trace the position of its earliest top span, of its first span when all parents form cycles."""
    root = np.full(spans.trace_count, -1, dtype=np.int64)
    tops = np.flatnonzero(top)[::-1]
    root[spans.trace[tops]] = tops  # reversed: the earliest wins
    return np.where(root < 0, spans.first, root)


def _find_forgiven(spans: SpanColumns, failed_tools: Ints) -> Ints:
    """Return those of the failed tools whose agent went on although no step shows it.

    Where model calls are not recorded (CrewAI's instrumentation and AutoGen have none of their own), the turn after the tool
    leaves no span: what is around the tool says whether the run went on. An agent that failed reports so (OpenTelemetry's
    agent spans, error.type); a chain is believed if it says OK.
    """
    kind = spans.labels("kind")
    has_call = spans.traces_with(kind.where("llm"))
    silent = failed_tools[~has_call[spans.trace[failed_tools]]]
    around = nearest_ancestor(spans.parent, silent, kind.where("agent", "chain"))
    went_on = spans.labels("status").where("ok") | (kind.where("agent") & ~spans.mask("is_error"))
    forgiven: Ints = silent[(around >= 0) & went_on[around]]
    return forgiven


def _find_answered(spans: SpanColumns, answers: Mask, failed: Mask, start: Ints, end: Ints) -> Mask:
    """Return which failed tools ran during a successful model call beside them: some send one span for a whole loop of tools."""
    failed, answers = failed & (spans.parent >= 0), answers & (spans.parent >= 0)
    first_failed = np.full(spans.count, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(first_failed, spans.parent[failed], start[failed])
    around = answers & (start <= first_failed[spans.parent])
    last_end = np.full(spans.count, -1, dtype=np.int64)
    np.maximum.at(last_end, spans.parent[around], end[around])
    return failed & (end < last_end[spans.parent])


def _last_by_trace(trace: Ints, end: Ints, candidates: Mask, count: int) -> Ints:
    """Return per trace the position of the candidate that ended last, -1 when it has none."""
    result = np.full(count, -1, dtype=np.int64)
    members = np.flatnonzero(candidates)
    members = members[np.argsort(end[members], kind="stable")]
    result[trace[members]] = members
    return result


def _find_failing(spans: SpanColumns, errors: Mask, unrecovered: Mask, end: Ints) -> Ints:
    """Return per trace the first cause: the error span with no error below it, unrecovered ones first, the last one of those."""
    deepest = errors & ~mark_ancestors(spans.parent, errors)
    steps = deepest & ~spans.labels("kind").where("other")
    result = np.full(spans.trace_count, -1, dtype=np.int64)
    # A helper's error points at the step above it, when that is an error too; else the helper is all there is.
    below_step = nearest_ancestor(spans.parent, np.flatnonzero(deepest & ~steps), errors & ~spans.labels("kind").where("other"))
    steps[below_step[below_step >= 0]] = True
    for candidates in (steps & unrecovered, deepest & unrecovered, unrecovered, steps, deepest):
        last = _last_by_trace(spans.trace, end, candidates, spans.trace_count)
        result = np.where(result >= 0, result, last)
    return result
