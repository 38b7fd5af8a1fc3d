"""Pairs of steps: every step once, order kept, and the pairs that a reader would make."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.comparing import alignment
from dashboards.comparing.alignment import Pair, align_sequences, align_waterfalls
from dashboards.trace.waterfall import Waterfall, build_waterfall
from tests.spans import make_summary
from tracestore.model import SpanSummary
from tracestore.queries.digests import Digest

_KINDS = ("agent", "llm", "tool", "chain", "other")


def _span(number: int, parent: int | None, kind: str, name: str, **more: object) -> SpanSummary:
    return make_summary(
        span_id=f"{number:016x}",
        parent_span_id="" if parent is None else f"{parent:016x}",
        kind=kind,
        name=name,
        tool=name if kind == "tool" else "",
        start_ns=number,
        **more,
    )


def _trace(*steps: tuple[int | None, str, str]) -> Waterfall[SpanSummary]:
    """Steps as (position of the parent, kind, name); a name that begins with ! is of a step that failed."""
    return build_waterfall(
        [
            _span(at + 1, None if parent is None else parent + 1, kind, name.removeprefix("!"), is_error=name.startswith("!"))
            for at, (parent, kind, name) in enumerate(steps)
        ]
    )


def _pairs(a: Waterfall[SpanSummary], b: Waterfall[SpanSummary]) -> list[tuple[str, str]]:
    """The alignment as names, "" on the side that lacks the step."""

    def name(waterfall: Waterfall[SpanSummary], position: int | None) -> str:
        span = waterfall.rows[position].span if position is not None else None
        return span.name if span else ""

    return [(name(a, pair.a), name(b, pair.b)) for pair in align_waterfalls(a, b, {}, {}).pairs]


@st.composite
def _waterfalls(draw: st.DrawFn) -> Waterfall[SpanSummary]:
    count = draw(st.integers(0, 25))
    spans = []
    for number in range(1, count + 1):
        # Now and then a parent that never arrived, or a ring of parents.
        parent = draw(st.one_of(st.none(), st.integers(1, count + 2)))
        kind = draw(st.sampled_from(_KINDS))
        spans.append(_span(number, parent, kind, draw(st.sampled_from("abc")), is_error=draw(st.booleans())))
    return build_waterfall(spans)


@given(_waterfalls(), _waterfalls())
@settings(max_examples=150, deadline=None)
def test_every_step_of_both_stands_once_and_in_order(a: Waterfall[SpanSummary], b: Waterfall[SpanSummary]) -> None:
    pairs = align_waterfalls(a, b, {}, {}).pairs

    assert [pair.a for pair in pairs if pair.a is not None] == list(range(len(a.rows)))
    assert [pair.b for pair in pairs if pair.b is not None] == list(range(len(b.rows)))
    for pair in pairs:
        if pair.a is None or pair.b is None:
            continue
        one, other = a.rows[pair.a].span, b.rows[pair.b].span
        is_root = a.rows[pair.a].parent_row < 0 and b.rows[pair.b].parent_row < 0
        assert is_root or (one.kind if one else "") == (other.kind if other else "")


@given(_waterfalls())
@settings(max_examples=100, deadline=None)
def test_trace_aligned_with_itself_is_all_pairs(waterfall: Waterfall[SpanSummary]) -> None:
    assert align_waterfalls(waterfall, waterfall, {}, {}).pairs == [Pair(at, at) for at in range(len(waterfall.rows))]


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_sequences_share_a_longest_common_subsequence(a: str, b: str) -> None:
    letters = np.array([ord(letter) for letter in b], dtype=np.int32)

    pairs = align_sequences(len(a), len(b), lambda i: (letters == ord(a[i])).astype(np.int32))

    longest = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a)):
        for j in range(len(b)):
            longest[i + 1][j + 1] = longest[i][j] + 1 if a[i] == b[j] else max(longest[i][j + 1], longest[i + 1][j])
    assert len(pairs) == longest[-1][-1]
    assert all(a[i] == b[j] for i, j in pairs)
    assert pairs == sorted(pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


def test_step_that_only_one_has_leaves_the_others_paired() -> None:
    a = _trace((None, "agent", "support"), (0, "llm", "plan"), (0, "tool", "search"), (0, "llm", "answer"))
    b = _trace((None, "agent", "support"), (0, "llm", "plan"), (0, "tool", "search"), (0, "tool", "refund"), (0, "llm", "answer"))

    assert _pairs(a, b) == [("support", "support"), ("plan", "plan"), ("search", "search"), ("", "refund"), ("answer", "answer")]


def test_repeated_call_is_paired_with_the_one_that_ended_alike() -> None:
    a = _trace((None, "agent", "support"), (0, "tool", "search"), (0, "llm", "answer"))
    b = _trace((None, "agent", "support"), (0, "tool", "!search"), (0, "tool", "search"), (0, "llm", "answer"))

    assert [(pair.a, pair.b) for pair in align_waterfalls(a, b, {}, {}).pairs] == [(0, 0), (None, 1), (1, 2), (2, 3)]


def test_repeated_call_is_paired_with_the_one_that_said_the_same() -> None:
    a = _trace((None, "agent", "support"), (0, "tool", "search"))
    b = _trace((None, "agent", "support"), (0, "tool", "search"), (0, "tool", "search"))
    said_a = {f"{2:016x}": Digest(7, 9)}
    said_b = {f"{2:016x}": Digest(5, 5), f"{3:016x}": Digest(7, 9)}

    assert [(pair.a, pair.b) for pair in align_waterfalls(a, b, said_a, said_b).pairs] == [(0, 0), (None, 1), (1, 2)]


def test_steps_inside_one_more_layer_are_still_paired() -> None:
    a = _trace((None, "agent", "support"), (0, "llm", "plan"), (0, "tool", "search"), (0, "llm", "answer"))
    b = _trace(
        (None, "agent", "support"), (0, "chain", "graph"), (1, "chain", "node"), (2, "llm", "plan"), (2, "tool", "search"),
        (0, "llm", "answer"),
    )  # fmt: skip

    assert _pairs(a, b) == [
        ("support", "support"), ("", "graph"), ("", "node"), ("plan", "plan"), ("search", "search"), ("answer", "answer"),
    ]  # fmt: skip


def test_roots_are_paired_whatever_they_are_called() -> None:
    a = _trace((None, "agent", "support v1"), (0, "tool", "search"))
    b = _trace((None, "chain", "workflow"), (0, "tool", "search"))

    assert _pairs(a, b) == [("support v1", "workflow"), ("search", "search")]


def test_model_calls_are_paired_even_with_another_model_and_tools_are_not() -> None:
    a = _trace((None, "agent", "support"), (0, "llm", "chat small"), (0, "tool", "search"))
    b = _trace((None, "agent", "support"), (0, "llm", "chat large"), (0, "tool", "refund"))

    assert _pairs(a, b) == [("support", "support"), ("chat small", "chat large"), ("search", ""), ("", "refund")]


def test_five_thousand_siblings_are_aligned_whole() -> None:
    count = 5_000
    a = _trace((None, "agent", "loop"), *((0, "tool", f"t{at % 7}") for at in range(count - 1)))
    b = _trace((None, "agent", "loop"), *((0, "tool", f"t{(at + 3) % 7}") for at in range(count - 1)))

    alignment = align_waterfalls(a, b, {}, {})

    assert not alignment.is_partial
    assert sum(pair.a is not None and pair.b is not None for pair in alignment.pairs) >= count - 7


def test_chain_of_five_thousand_steps_is_aligned() -> None:
    def chain(last: str) -> Waterfall[SpanSummary]:
        return _trace(*((at - 1 if at else None, "chain", "step") for at in range(4_999)), (4_998, "tool", last))

    pairs = align_waterfalls(chain("search"), chain("refund"), {}, {}).pairs

    assert pairs[-2:] == [Pair(4_999, None), Pair(None, 4_999)]
    assert len(pairs) == 5_001


def test_chain_of_agents_against_a_long_list_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = _trace((None, "agent", "root"), *((at, "agent", f"a{at}") for at in range(300)))
    fan = _trace((None, "agent", "root"), *((0, "tool", f"t{at}") for at in range(300)))
    monkeypatch.setattr(alignment, "MAX_STEPS", 5000)
    compared: list[int] = []
    align = alignment.align_sequences

    def note_and_align(count_a: int, count_b: int, score: Callable[[int], npt.NDArray[np.integer]]) -> list[tuple[int, int]]:
        compared.append(count_a + count_b)
        return align(count_a, count_b, score)

    monkeypatch.setattr(alignment, "align_sequences", note_and_align)

    assert all(align_waterfalls(*pair, {}, {}).is_partial for pair in ((chain, fan), (fan, chain)))
    assert 1000 < sum(compared) <= 2 * 5000
