"""What a trace takes from its spans: names, session, times and durations."""

from __future__ import annotations

from tests.span_table import ROOT, START_NS, span, summarize, summarize_all
from tracestore.statistics.buckets import GROWTH


def test_durations_of_calls_and_steps_are_kept_by_tool_model_and_kind() -> None:
    row = summarize(
        span("run", end=9000, kind="agent", agent="triage"),
        span("call-1", "run", 0, 1000, "llm", request_model="gpt-4o", time_to_first_token_ns=250 * 10**6, tokens=(10, 1)),
        span("call-2", "run", 1000, 3000, "llm", request_model="gpt-4o", error="Overloaded"),
        span("use", "run", 3000, 7000, "tool", tool="refund"),
        span("http", "use", 3000, 6000),
        span("again", "run", 7000, 7500, "tool", tool="refund", error="Timeout"),
        span("on", "run", 8000, 8000, signal="agent_handoff"),
    )

    assert read_s(row["tools.durations"]) == [[4, 0.5]]
    assert read_s(row["models.durations"]) == [[1, 2]]
    assert read_s(row["models.first_tokens"]) == [[0.25]]
    assert dict(zip(row["steps.kind"], read_s(row["steps.durations"]), strict=True)) == {
        "agent": [9], "llm": [1, 2], "tool": [4, 0.5],
    }  # fmt: skip
    assert (row["llm_errors"], row["unpriced_calls"], row["handed_over"]) == (1, 0, True)


def read_s(lists: list[list[int]]) -> list[list[float]]:
    """Return seconds for numbers of buckets, to two digits."""
    return [[float(f"{GROWTH ** (bucket - 1) / 1e9:.2g}") for bucket in buckets] for buckets in lists]


def test_values_stand_in_the_order_of_their_first_appearance() -> None:
    row = summarize(
        span("root", end=100, kind="agent", agent="triage", version="v2", prompt_name="hello", prompt_version="3"),
        span("a", "root", 10, 20, "agent", agent="refunds", version="v3", service="tools", workflow="w"),
        span("b", "root", 30, 40, "agent", agent="triage", version="v2", prompt_name="bye"),
    )

    assert (row["agents"], row["versions"], row["services"]) == (["triage", "refunds"], ["v2", "v3"], ["bot", "tools"])
    assert (row["prompts"], row["workflows"]) == (["hello@3", "bye"], ["w"])


def test_session_of_the_root_wins_over_an_earlier_one() -> None:
    row = summarize(
        span("early", "root", 0, 5, "llm", session_id="made-up", user_id="u1"), span("root", start=1, end=100, session_id="real")
    )

    assert (row["session_id"], row["user_id"], row["name"]) == ("real", "u1", "root")


def test_trace_lasts_from_its_first_start_to_its_last_end() -> None:
    row = summarize(span("root", start=10, end=20), span("late", "root", 15, 90, "tool", tool="t"))

    assert (row["start_ns"], row["duration_ns"]) == (START_NS + 10 * 10**6, 80 * 10**6)


def test_orphans_are_counted() -> None:
    row = summarize(ROOT, span("a", "lost", 1, 2, "llm"), span("b", "a", 1, 2, "other"))

    assert (row["span_count"], row["orphan_count"], row["root_span_id"]) == (3, 1, "root")


def test_text_that_is_not_utf_8_is_replaced() -> None:
    assert summarize(span("root", end=5, version=b"v\xff"))["versions"] == ["v�"]


def test_no_spans_are_no_traces() -> None:
    assert summarize_all([]) == []
