"""Whether a trace failed, by which rule, and because of which span."""

from __future__ import annotations

import pytest

from tests.span_table import ROOT, START_NS, TIMEOUT_NS, Span, span, summarize
from tracestore.summary.outcomes import OUTCOME_RULES

SOON_NS = START_NS + 10**9  # a moment after the spans of these tests


def outcome(*spans: Span, now_ns: int | None = None) -> tuple[str, str, str]:
    """Return (outcome, rule, failing span) of a trace."""
    row = summarize(*spans, now_ns=now_ns) if now_ns else summarize(*spans)
    return row["outcome"], row["outcome_rule"], row["failing_span_id"]


OUTCOMES: dict[str, tuple[list[Span], tuple[str, str, str]]] = {
    "nothing failed": ([ROOT, span("call", "root", 1, 10, "llm")], ("ok", "no_error", "")),
    "the root failed": ([span("root", end=100, kind="agent", error="E")], ("error", "root_error", "root")),
    "the root failed because of a tool": (
        [span("root", end=100, kind="agent", error="E"), span("tool", "root", 1, 10, "tool", tool="t", error="E")],
        ("error", "root_error", "tool"),
    ),
    "the last step failed under a root that says nothing": (
        [ROOT, span("call", "root", 1, 10, "llm"), span("tool", "root", 20, 30, "tool", tool="t", error="E")],
        ("error", "unrecovered_error", "tool"),
    ),
    "a root that says ok does not hide it": (
        [span("root", end=100, kind="agent", status="ok"), span("sub", "root", 20, 30, "agent", error="E")],
        ("error", "unrecovered_error", "sub"),
    ),
    "a retry succeeded": (
        [ROOT, span("try", "root", 1, 10, "tool", tool="t", error="E"), span("again", "root", 20, 30, "tool", tool="t")],
        ("ok", "recovered", ""),
    ),
    "one of two parallel tools failed and the model went on": (
        [
            ROOT, span("left", "root", 1, 10, "tool", tool="a", error="E"), span("right", "root", 1, 15, "tool", tool="b"),
            span("call", "root", 20, 30, "llm"),
        ],
        ("ok", "recovered", ""),
    ),
    "the next call starts in the millisecond in which the tool raised": (
        [
            ROOT, span("call", "root", 1, 10, "llm"),
            span("tool", "root", 10, kind="tool", tool="t", error="E", duration_ns=250_000),
            span("again", "root", 10, 20, "llm"),
        ],
        ("ok", "recovered", ""),
    ),
    "one model call spans the whole loop of tools": (
        [ROOT, span("call", "root", 1, 50, "llm"), span("tool", "root", 20, 30, "tool", tool="t", error="E")],
        ("ok", "recovered", ""),
    ),
    "another agent's call does not answer the tool": (
        [
            ROOT, span("left", "root", 1, 40, "agent"), span("tool", "left", 20, 30, "tool", tool="t", error="E"),
            span("right", "root", 1, 60, "agent"), span("call", "right", 2, 50, "llm"),
        ],
        ("error", "unrecovered_error", "tool"),
    ),
    "a call that began beside the tool does not answer it": (
        [ROOT, span("tool", "root", 20, 30, "tool", tool="t", error="E"), span("call", "root", 21, 50, "llm")],
        ("error", "unrecovered_error", "tool"),
    ),
    "parallel tools start in the same millisecond": (
        [
            ROOT, span("call", "root", 0, 1, "llm"),
            span("left", "root", 1, kind="tool", tool="a", error="E", duration_ns=250_000),
            span("right", "root", 1, 15, "tool", tool="b"),
        ],
        ("error", "unrecovered_error", "left"),
    ),
    "one of two parallel tools failed and nobody went on": (
        [
            ROOT, span("call", "root", 0, 1, "llm"), span("left", "root", 1, 10, "tool", tool="a", error="E"),
            span("right", "root", 1, 15, "tool", tool="b"),
        ],
        ("error", "unrecovered_error", "left"),
    ),
    # CrewAI without the instrumentation of a model's SDK.
    "a tool failed under an agent that says OK, and no model call is recorded": (
        [
            ROOT, span("agent", "root", 1, 90, "agent", status="ok"), span("tool", "agent", 2, 10, "tool", tool="t", error="E"),
        ],
        ("ok", "recovered", ""),
    ),
    # AutoGen: no model calls either, and of its agents those that failed say so.
    "a tool failed under an agent that says nothing, and no model call is recorded": (
        [ROOT, span("tool", "root", 2, 10, "tool", tool="t", error="E")], ("ok", "recovered", "")
    ),
    "a tool failed under a step that says nothing, and no model call is recorded": (
        [span("root", end=100, kind="chain"), span("tool", "root", 2, 10, "tool", tool="t", error="E")],
        ("error", "unrecovered_error", "tool"),
    ),
    "a tool failed under an agent that says OK, after its last model call": (
        [
            ROOT, span("agent", "root", 1, 90, "agent", status="ok"), span("call", "agent", 2, 5, "llm"),
            span("tool", "agent", 6, 10, "tool", tool="t", error="E"),
        ],
        ("error", "unrecovered_error", "tool"),
    ),
    "every retry failed": (
        [ROOT, span("try", "root", 1, 10, "llm", error="E"), span("again", "root", 20, 30, "llm", error="F")],
        ("error", "unrecovered_error", "again"),
    ),
    "a failing turn, of which no other span knows": (
        [
            span("root", end=90, kind="chain"),
            span("turn", "root", 1, 80, "other", is_error=True),
            span("call", "turn", 2, 70, "llm"),
        ],
        ("error", "unrecovered_error", "turn"),
    ),
    "a failing helper under a tool that is ok": (
        [ROOT, span("tool", "root", 1, 50, "tool", tool="t", status="ok"), span("http", "tool", 2, 10, "other", error="503")],
        ("ok", "recovered", ""),
    ),
    "a failing helper under a model call": (
        [ROOT, span("call", "root", 1, 50, "llm"), span("http", "call", 2, 10, "other", error="503")],
        ("ok", "recovered", ""),
    ),
    "the helper's error points at the step above it": (
        [
            ROOT, span("call", "root", 1, 50, "llm", error="APIError"), span("http", "call", 2, 10, "other", error="503"),
        ],
        ("error", "unrecovered_error", "call"),
    ),
    "one of two roots failed": (
        [span("one", end=10, kind="agent"), span("two", start=20, end=30, kind="agent", error="E")],
        ("error", "root_error", "two"),
    ),
    "steps without the agent above them": (
        [span("call", "lost", 1, 10, "llm"), span("tool", "lost", 20, 30, "tool", tool="t")], ("error", "interrupted", "tool")
    ),
    "an agent whose parent is elsewhere stands in for the root": (
        [span("agent", "lost", 1, 10, "agent"), span("call", "agent", 2, 5, "llm")], ("ok", "no_error", "")
    ),
    "and its error is the trace's": (
        [span("agent", "lost", 1, 10, "agent", error="E"), span("call", "agent", 2, 5, "llm")], ("error", "root_error", "agent")
    ),
    "a remote parent makes a root": (
        [span("call", "afar", 1, 10, "llm", flags=0x300)], ("ok", "no_error", "")
    ),
    "so does being a server": (
        [span("serve", "afar", 1, 10, "chain", span_kind="server", error="E")], ("error", "root_error", "serve")
    ),
    "a span that is its own parent": ([span("loop", "loop", 1, 10, "llm")], ("error", "interrupted", "loop")),
    "a cycle": ([span("a", "b", 1, 10, "llm"), span("b", "a", 2, 9, "llm")], ("error", "interrupted", "a")),
    "a cycle beside a good root": ([ROOT, span("a", "b", 1, 10, "llm"), span("b", "a", 2, 9, "llm")], ("ok", "no_error", "")),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTCOMES)
def test_outcome_rule_and_cause(case: str) -> None:
    spans, expected = OUTCOMES[case]

    assert outcome(*spans) == expected
    assert expected[1] in OUTCOME_RULES


def test_trace_whose_root_has_not_come_is_running_until_it_has_been_silent_for_long() -> None:
    steps = [span("call", "root", 1, 10, "llm"), span("tool", "root", 20, 30, "tool", tool="t", error="E")]

    assert outcome(*steps, now_ns=SOON_NS) == ("running", "running", "")
    assert outcome(*steps, now_ns=SOON_NS + TIMEOUT_NS)[0] == "error"
    assert outcome(*steps, span("root", end=40, kind="agent"), now_ns=SOON_NS) == ("error", "unrecovered_error", "tool")


def test_open_agent_above_arrived_steps_is_awaited() -> None:
    spans = [span("inner", "outer", 1, 10, "agent", error="E")]

    assert outcome(*spans, now_ns=SOON_NS) == ("running", "running", "")


def test_remote_parent_is_not_awaited() -> None:
    spans = [span("serve", "afar", 1, 10, "chain", flags=0x300), span("call", "serve", 2, 5, "llm")]

    assert outcome(*spans, now_ns=SOON_NS) == ("ok", "no_error", "")


def test_steps_under_an_open_agent_beside_a_remote_one_are_awaited() -> None:
    spans = [span("mcp", "tool", 1, 10, "chain", span_kind="server"), span("call", "agent", 2, 5, "llm")]

    assert outcome(*spans, now_ns=SOON_NS)[0] == "running"


def test_contains_errors_is_another_question_than_failed() -> None:
    row = summarize(*OUTCOMES["a retry succeeded"][0])

    assert (row["outcome"], row["has_errors"], row["error_count"], row["error_types"]) == ("ok", True, 1, ["E"])


def test_cause_of_the_failure_is_the_first_error_type() -> None:
    row = summarize(
        ROOT,
        span("early", "root", 1, 5, "tool", tool="t", error="Harmless"),
        span("call", "root", 10, 20, "llm"),
        span("late", "root", 30, 40, "tool", tool="t", error="Fatal", error_message="no funds"),
    )

    assert (row["error_types"], row["error_message"], row["failing_span_id"]) == (["Fatal", "Harmless"], "no funds", "late")
