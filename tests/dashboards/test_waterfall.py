from __future__ import annotations

import json
import time

from dashboards.waterfall import Row, Waterfall, build_waterfall, pack_rows
from tests.spans import make_summary
from tracestore.model import SpanSummary
from tracestore.queries.events import EventMark


def _step(span_id: str, parent: str = "", start: int = 0, duration: int = 10, **overrides: object) -> SpanSummary:
    return make_summary(
        span_id=span_id, parent_span_id=parent, name=span_id, start_ns=1000 + start, duration_ns=duration, **overrides
    )


def _outline(waterfall: Waterfall) -> list[str]:
    return ["  " * row.depth + (row.span_id if row.span else f"missing {row.span_id}") for row in waterfall.rows]


def _row(waterfall: Waterfall, span_id: str) -> Row:
    row = waterfall.find_row(span_id)
    assert row is not None
    return row


def test_children_stand_under_their_parent_in_start_order() -> None:
    late_first = [_step("c", "a", start=5), _step("b", "a", start=2), _step("d", "b", start=3), _step("a")]

    waterfall = build_waterfall(late_first)

    assert _outline(waterfall) == ["a", "  b", "    d", "  c"]
    assert [row.offset_ns for row in waterfall.rows] == [0, 2, 3, 5]
    assert [row.subtree_size for row in waterfall.rows] == [3, 1, 0, 0]


def test_duration_reaches_to_the_last_end_even_beyond_the_root() -> None:
    waterfall = build_waterfall([_step("a", duration=10), _step("b", "a", start=8, duration=30)])

    assert waterfall.duration_ns == 38


def test_children_of_a_parent_that_never_arrived_share_a_placeholder() -> None:
    waterfall = build_waterfall(
        [_step("x", "gone", start=4), _step("y", "gone", start=9, duration=3), _step("z", "lost", start=1)]
    )

    assert _outline(waterfall) == ["missing lost", "  z", "missing gone", "  x", "  y"]
    assert (waterfall.missing_parents, waterfall.orphans) == (2, 3)
    assert (waterfall.rows[2].offset_ns, waterfall.rows[2].duration_ns) == (3, 10)


def test_ring_of_parents_is_cut_at_its_earliest_step() -> None:
    waterfall = build_waterfall(
        [_step("root"), _step("b", "c", start=5), _step("c", "b", start=3), _step("self", "self", start=7)]
    )

    assert _outline(waterfall) == ["root", "c", "  b", "self"]
    assert [row.in_cycle for row in waterfall.rows] == [False, True, False, True]


def test_errors_below_are_counted_up_to_the_root() -> None:
    waterfall = build_waterfall([_step("a"), _step("b", "a"), _step("c", "b", is_error=True), _step("d", "b", is_error=True)])

    assert [row.subtree_errors for row in waterfall.rows] == [2, 2, 0, 0]


def test_critical_path_is_what_the_end_waited_for() -> None:
    waterfall = build_waterfall(
        [_step("a", duration=100), _step("fast", "a", start=10, duration=20), _step("slow", "a", start=10, duration=70)]
    )

    assert _row(waterfall, "slow").critical == [(10, 80)]
    assert _row(waterfall, "fast").critical == []
    assert _row(waterfall, "a").critical == [(80, 100), (0, 10)]


def test_critical_path_does_not_leave_its_step_when_children_overrun_it() -> None:
    waterfall = build_waterfall(
        [_step("a", start=5, duration=10), _step("early", "a", start=0, duration=7), _step("b", "a", start=12, duration=50)]
    )

    for row in waterfall.rows:
        assert all(0 <= start < end <= waterfall.duration_ns for start, end in row.critical)


def test_chain_deeper_than_the_stack_is_flattened_quickly() -> None:
    chain = [_step(f"{depth:016x}", f"{depth - 1:016x}" if depth else "", start=depth) for depth in range(20_000)]

    began = time.monotonic()
    waterfall = build_waterfall(chain)

    assert waterfall.rows[-1].depth == 19_999
    assert time.monotonic() - began < 5


def test_thousands_of_steps_that_are_their_own_parent_take_no_quadratic_time() -> None:
    began = time.monotonic()

    waterfall = build_waterfall([_step(f"{index:016x}", f"{index:016x}") for index in range(20_000)])

    assert len(waterfall.rows) == 20_000
    assert time.monotonic() - began < 5


def test_no_spans_give_no_rows() -> None:
    assert build_waterfall([]).rows == []


def test_ancestors_are_listed_outermost_first() -> None:
    waterfall = build_waterfall([_step("a"), _step("b", "a"), _step("c", "b")])

    assert [row.span_id for row in waterfall.find_ancestors(_row(waterfall, "c"))] == ["a", "b"]


def test_packed_rows_stay_small_and_survive_any_name() -> None:
    names = ["<script>", "bell \x07", "surrogate \ud83d", "x" * 10_000]
    spans = [_step(f"{index:016x}", kind="llm") for index in range(5_000)]
    spans[:4] = [make_summary(span_id=f"{index:016x}", name=name, start_ns=1000) for index, name in enumerate(names)]

    packed = pack_rows(build_waterfall(spans), {spans[0].span_id: [EventMark(1004, "exception")]})

    text = json.dumps(packed, separators=(",", ":"))
    assert len(text) / 5_000 < 110
    strings = packed["strings"]
    assert isinstance(strings, list)
    assert "bell \u2407" in strings
    assert "surrogate \\ud83d" in strings
    assert max(map(len, strings)) <= 200


def test_label_beside_the_name_says_what_the_name_does_not() -> None:
    spans = [
        _step("a", kind="tool", tool="refund"),
        make_summary(span_id="b", name="execute_tool refund", kind="tool", tool="refund", start_ns=1000),
        make_summary(
            span_id="c", name="chat gpt-5", kind="llm", request_model="gpt-5", response_model="gpt-5-2026", start_ns=1000
        ),
    ]

    packed = pack_rows(build_waterfall(spans), {})

    strings, rows = packed["strings"], packed["rows"]
    assert isinstance(strings, list)
    assert isinstance(rows, list)
    assert {row[0]: strings[row[13]] for row in rows} == {"a": "refund", "b": "", "c": ""}
