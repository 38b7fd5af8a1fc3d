"""Any forest of spans, cycles and orphans included, has one sane summary."""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.span_table import START_NS, TIMEOUT_NS, Span, build_columns, span, summarize_all
from tracestore.summary.calls import find_calls

KINDS = ("agent", "llm", "tool", "embedding", "chain", "other", "retriever")


@st.composite
def forests(draw: st.DrawFn) -> list[Span]:
    """Return spans of a few traces with any parents: cycles, orphans and several roots included."""
    size = draw(st.integers(1, 14))
    ids = [f"s{number}" for number in range(size)]
    spans = []
    for span_id in ids:
        start, length = draw(st.integers(0, 50)), draw(st.integers(0, 50))
        spans.append(
            span(
                span_id, draw(st.sampled_from(["", "gone", *ids])), start, start + length, draw(st.sampled_from(KINDS)),
                trace_id=draw(st.sampled_from(["t1", "t2", "t3"])), tokens=draw(st.tuples(st.integers(0, 9), st.integers(0, 9))),
                error=draw(st.sampled_from(["", "", "E", "F"])), status=draw(st.sampled_from(["unset", "ok", "error"])),
                tool=draw(st.sampled_from(["", "t", "escalate"])), tool_call_id=draw(st.sampled_from(["", "c1"])),
                response_id=draw(st.sampled_from(["", "", "r1"])), scope_name=draw(st.sampled_from(["a", "b"])),
                request_model=draw(st.sampled_from(["", "gpt-4o", "home"])), flags=draw(st.sampled_from([0, 0x100, 0x300])),
                signal=draw(st.sampled_from(["", "", "refused_call"])), cache_read_tokens=draw(st.integers(0, 1)),
            )
        )  # fmt: skip
    return spans


@settings(max_examples=100, deadline=None)
@given(forests(), st.randoms(use_true_random=False), st.sampled_from([START_NS, START_NS + 10 * TIMEOUT_NS]))
def test_any_forest_has_one_sane_summary(spans: list[Span], shuffler: random.Random, now_ns: int) -> None:
    rows = {row["trace_id"]: row for row in summarize_all(spans, now_ns)}
    shuffled = spans[:]
    shuffler.shuffle(shuffled)

    assert {row["trace_id"]: row for row in summarize_all(shuffled, now_ns)} == rows
    for trace_id, members in itertools.groupby(sorted(spans, key=lambda one: one["trace_id"]), key=lambda one: one["trace_id"]):
        check_sane(rows[trace_id], list(members))
    assert len(rows) == len({one["trace_id"] for one in spans})


def check_sane(row: dict[str, Any], members: list[Span]) -> None:
    ids = {one["span_id"] for one in members}
    usage = [one["input_tokens"] + one["output_tokens"] for one in members]
    counted = row["input_tokens"] + row["output_tokens"]
    parents = {one["parent_span_id"] for one in members}
    # Of calls that share a response id one counts: the one with detail, which need not be the largest.
    leaf_calls = [
        total
        for one, total in zip(members, usage, strict=True)
        if one["kind"] in ("llm", "embedding") and one["span_id"] not in parents and not one["response_id"]
    ]
    assert row["span_count"] == len(members)
    assert max(leaf_calls, default=0) <= counted <= sum(usage)
    assert row["error_count"] == sum(one["is_error"] for one in members)
    assert (row["failing_span_id"] in ids) is (row["outcome"] == "error")
    assert row["root_span_id"] in ids
    assert sum(row["tools.calls"]) <= sum(one["kind"] == "tool" for one in members)
    assert all(errors <= calls for calls, errors in zip(row["tools.calls"], row["tools.errors"], strict=True))
    assert row["llm_calls"] <= sum(one["kind"] in ("llm", "embedding") for one in members)


def test_deep_chain_of_spans_is_walked_once_each() -> None:
    spans = [span("s0", end=1, kind="agent")]
    spans += [span(f"s{number}", f"s{number - 1}", number, number + 1, "llm", tokens=(1, 0)) for number in range(1, 3000)]

    calls = find_calls(build_columns(spans))

    assert (calls.counts_usage.sum(), calls.is_call.sum()) == (1, 1)
