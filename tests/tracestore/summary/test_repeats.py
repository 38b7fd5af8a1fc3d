"""Retries, loops, and what they wasted, from the spans of a trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.span_table import Span, build_columns, span, summarize, summarize_all
from tracestore.summary.calls import find_calls, find_tool_calls
from tracestore.summary.repeats import CUT, LOOP, RETRY, find_repeats

NAMES = {RETRY: "retry", LOOP: "loop", CUT: "cut"}
FAILS = {"error": "Timeout"}


def agent(span_id: str = "a", parent: str = "", **values: Any) -> Span:
    return _at(span_id, parent, "agent", **values)


def llm(span_id: str, parent: str = "a", **values: Any) -> Span:
    return _at(span_id, parent, "llm", **{"request_model": "gpt-4o", "tokens": (100, 10)} | values)


def tool(span_id: str, parent: str = "a", **values: Any) -> Span:
    return _at(span_id, parent, "tool", **{"tool": "search", "arguments_hash": 7} | values)


def _at(span_id: str, parent: str, kind: str, **values: Any) -> Span:
    """Spans start in the order of their names, one after the other."""
    start = 10 * sum(ord(letter) for letter in span_id)
    return span(span_id, parent, start, start + 1, kind, **values)


def repeats(*spans: Span, cut: str = "") -> tuple[list[tuple[str, str]], str]:
    """Return (kind, ids of the calls) of each group by its first call, and the ids of the spans whose usage was wasted."""
    columns = build_columns(list(spans))
    ids = [raw.rstrip(b"\0").decode() for raw in columns.span_ids_at(np.arange(columns.count)).to_pylist()]
    is_cut = np.array([span_id in cut for span_id in ids]) if cut else None
    found = find_repeats(columns, find_calls(columns), find_tool_calls(columns), columns.numbers("arguments_hash"), is_cut)
    groups = [
        (NAMES[kind], "".join(ids[at] for at in found.members[first:end]))
        for kind, first, end in zip(found.kinds.tolist(), found.offsets[:-1], found.offsets[1:], strict=True)
    ]
    return sorted(groups, key=lambda group: group[1]), "".join(ids[at] for at in np.flatnonzero(found.wasted))


def test_same_call_after_an_error_is_a_retry_that_wasted_the_turn_that_asked_again() -> None:
    spans = [agent(), llm("b"), tool("c", **FAILS), llm("d"), tool("e"), llm("f")]

    assert repeats(*spans) == ([("retry", "ce")], "d")


def test_same_call_twice_without_an_error_is_nothing() -> None:
    assert repeats(agent(), llm("b"), tool("c"), llm("d"), tool("e")) == ([], "")


def test_three_same_calls_are_a_loop_and_waste_all_but_the_first() -> None:
    assert repeats(agent(), llm("b"), tool("c"), llm("d"), tool("e"), llm("f"), tool("g")) == ([("loop", "ceg")], "df")


def test_retries_that_all_follow_an_error_are_no_loop() -> None:
    assert repeats(agent(), tool("b", **FAILS), tool("c", **FAILS), tool("d", **FAILS), llm("e")) == ([("retry", "bcd")], "")


def test_turn_that_also_asked_for_something_new_is_not_wasted() -> None:
    spans = [agent(), llm("b"), tool("c", **FAILS), llm("d"), tool("e"), tool("f", tool="refund")]

    assert repeats(*spans) == ([("retry", "ce")], "")


def test_what_ran_inside_a_repeated_call_is_wasted() -> None:
    spans = [agent(), tool("b", tool="expert", **FAILS), llm("c", "b"), tool("d", tool="expert"), agent("e", "d"), llm("f", "e")]

    assert repeats(*spans) == ([("retry", "bd")], "f")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"arguments_hash": 8}, id="arguments"),
        pytest.param({"arguments_hash": 0}, id="no arguments"),
        pytest.param({"tool": "refund"}, id="tool"),
        pytest.param({"parent": "x"}, id="agent"),
        pytest.param({"trace_id": "other", "parent": ""}, id="trace"),
    ],
)
def test_calls_that_differ_are_not_the_same(other: dict[str, Any]) -> None:
    spans = [agent(), tool("b", **FAILS), agent("x", "a", agent="x"), tool("y", **other)]

    assert repeats(*spans) == ([], "")


@pytest.mark.parametrize("name", ["", "support"])
def test_rounds_of_one_agent_are_the_same_agent(name: str) -> None:
    spans = [
        agent(agent="support"), agent("b", "a", agent=name), tool("c", "b", **FAILS), agent("d", "a", agent=name), tool("e", "d"),
    ]  # fmt: skip

    assert repeats(*spans) == ([("retry", "ce")], "")


def test_turn_again_after_a_failed_one_is_a_retry_that_wasted_the_failed_one() -> None:
    spans = [agent(), llm("b", **FAILS), _at("c", "a", "other"), llm("d"), llm("e")]

    assert repeats(*spans) == ([("retry", "bd")], "b")


@pytest.mark.parametrize("between", [tool("c"), _at("c", "a", "retriever"), llm("c", request_model="other")])
def test_turn_after_something_else_is_no_retry(between: Span) -> None:
    assert repeats(agent(), llm("b", **FAILS), between, llm("d")) == ([], "")


def test_turn_after_an_answer_that_was_cut_is_told_apart_and_wasted_nothing() -> None:
    spans = [agent(), llm("b"), llm("c"), llm("d", **FAILS), llm("e"), llm("f")]

    assert repeats(*spans, cut="bc") == ([("cut", "bcd"), ("retry", "de")], "d")
    assert repeats(*spans) == ([("retry", "de")], "d")


@pytest.mark.parametrize(("status", "is_retry"), [("ok", False), ("unset", True)])
def test_helper_that_failed_within_a_tool_that_says_ok_makes_no_retry(status: str, is_retry: bool) -> None:
    spans = [agent(), tool("b", status=status), _at("c", "b", "other", **FAILS), tool("d"), llm("e")]

    assert bool(repeats(*spans)[0]) is is_retry


def test_call_that_was_refused_and_made_again_is_a_retry() -> None:
    spans = [agent(), tool("b", signal="refused_call"), tool("c")]

    assert repeats(*spans)[0] == [("retry", "bc")]


def test_call_that_two_instrumentations_tell_of_repeats_nothing() -> None:
    spans = [agent(), tool("b", tool_call_id="1", **FAILS), tool("c", tool_call_id="1"), tool("d", "b", **FAILS), tool("e", "b")]

    assert repeats(*spans) == ([], "")


def test_summary_counts_calls_loops_tokens_and_cost_of_each_trace() -> None:
    looping = [agent(), llm("b"), tool("c"), llm("d"), tool("e"), llm("f"), tool("g"), llm("h", **FAILS), llm("i")]
    again = [span | {"trace_id": "again", "request_model": "house-7b" if span["kind"] == "llm" else ""} for span in looping]

    row = summarize(*looping)
    priced, unpriced = sorted(summarize_all([*looping, *again]), key=lambda row: row["cost_usd"] is None)

    price = 100 * 2.5e-6 + 10 * 1e-5
    assert (row["retried_calls"], row["loops"], row["looping_calls"]) == (1, 1, 2)
    assert (row["wasted_tokens"], row["wasted_cost_usd"]) == (330, pytest.approx(3 * price))
    assert row["wasted_cost_usd"] == priced["wasted_cost_usd"]
    assert (unpriced["wasted_tokens"], unpriced["wasted_cost_usd"]) == (330, 0)


def test_trace_that_repeats_nothing_wastes_nothing() -> None:
    row = summarize(agent(), llm("b"), tool("c"), llm("d"))

    names = ("retried_calls", "loops", "looping_calls", "wasted_tokens", "wasted_cost_usd")
    assert [row[name] for name in names] == [0, 0, 0, 0, 0.0]


def test_thousands_of_agents_in_agents_and_rings_of_parents_end() -> None:
    deep = [agent("0"), *(agent(str(number), str(number - 1), agent=f"n{number}") for number in range(1, 500))]
    ring = [tool("x", "y", **FAILS), tool("y", "x"), llm("z", "z")]

    assert repeats(*deep, tool("c", "499", **FAILS), tool("e", "499"))[0] == [("retry", "ce")]
    repeats(*ring)
