from __future__ import annotations

import json
import time
from typing import Any

from dashboards.trace.waterfall import Row, Waterfall, build_waterfall, pack_rows
from tracestore.queries.events import EventMark
from tracestore.queries.tree import Step


def _step(span_id: str, parent: str = "", start: int = 0, duration: int = 10, **overrides: Any) -> Step:
    return Step(span_id, parent, span_id, "other", 1000 + start, duration)._replace(**overrides)


def _outline(waterfall: Waterfall[Step]) -> list[str]:
    return ["  " * row.depth + (row.span_id if row.span else f"missing {row.span_id}") for row in waterfall.rows]


def _row(waterfall: Waterfall[Step], span_id: str) -> Row[Step]:
    return next(row for row in waterfall.rows if row.span_id == span_id)


def test_children_stand_under_their_parent_in_start_order() -> None:
    late_first = [_step("c", "a", start=5), _step("b", "a", start=2), _step("d", "b", start=3), _step("a")]

    waterfall = build_waterfall(late_first)

    assert _outline(waterfall) == ["a", "  b", "    d", "  c"]
    assert [row.offset_ns for row in waterfall.rows] == [0, 2, 3, 5]


def test_duration_reaches_to_the_last_end_even_beyond_the_root() -> None:
    waterfall = build_waterfall([_step("a", duration=10), _step("b", "a", start=8, duration=30)])

    assert waterfall.duration_ns == 38


def test_children_of_a_parent_that_never_arrived_share_a_placeholder() -> None:
    waterfall = build_waterfall(
        [_step("x", "gone", start=4), _step("y", "gone", start=9, duration=3), _step("z", "lost", start=1)]
    )

    assert _outline(waterfall) == ["missing lost", "  z", "missing gone", "  x", "  y"]
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

    assert _row(waterfall, "slow").critical == ((10, 80),)
    assert _row(waterfall, "fast").critical == ()
    assert _row(waterfall, "a").critical == ((80, 100), (0, 10))


def test_critical_path_does_not_leave_its_step_when_children_overrun_it() -> None:
    waterfall = build_waterfall(
        [_step("a", start=5, duration=10), _step("early", "a", start=0, duration=7), _step("b", "a", start=12, duration=50)]
    )

    for row in waterfall.rows:
        assert all(0 <= start < end <= waterfall.duration_ns for start, end in row.critical)


def test_chain_deeper_than_the_stack_is_flattened_quickly() -> None:
    chain = [_step(f"{depth:016x}", f"{depth - 1:016x}" if depth else "", start=depth) for depth in range(20_000)]

    began_s = time.thread_time()
    waterfall = build_waterfall(chain)

    assert waterfall.rows[-1].depth == 19_999
    assert time.thread_time() - began_s < 10


def test_thousands_of_steps_that_are_their_own_parent_take_no_quadratic_time() -> None:
    began_s = time.thread_time()

    waterfall = build_waterfall([_step(f"{index:016x}", f"{index:016x}") for index in range(20_000)])

    assert len(waterfall.rows) == 20_000
    assert time.thread_time() - began_s < 10


def test_no_spans_give_no_rows() -> None:
    assert build_waterfall(list[Step]()).rows == []


def _packed(*steps: Step, **marks: list[EventMark]) -> dict[str, Any]:
    return pack_rows(build_waterfall(steps), marks)


def test_packed_rows_stay_small_and_survive_any_name() -> None:
    names = ["<script>", "bell \x07", "surrogate \ud83d", "x" * 10_000]
    usage = {"input_tokens": 12_000, "output_tokens": 700, "cost_usd": 0.012345}
    steps = [_step(f"{n:016x}", f"{n // 3:016x}", 10**9 + n, 10**8 + n, kind="llm", name="chat", **usage) for n in range(5_000)]
    steps[:4] = [step._replace(name=name) for step, name in zip(steps, names, strict=False)]

    packed = _packed(*steps)

    assert len(json.dumps(packed, separators=(",", ":"))) / 5_000 < 100
    assert {"bell \u2407", "surrogate \\ud83d"} <= set(packed["strings"])
    assert max(map(len, packed["strings"])) <= 200


def test_packed_columns_belong_together() -> None:
    packed = _packed(
        _step("a" * 16, duration=30, kind="agent", agent="triage"),
        _step("b" * 16, "a" * 16, start=5, kind="llm", model="gpt-5", input_tokens=7, output_tokens=3, cost_usd=0.25),
        _step("c" * 16, "9" * 16, start=20, is_error=True, error_type="Timeout", service="shop"),
        **{"b" * 16: [EventMark(1007, "retry")]},
    )

    assert packed["ids"] == "a" * 16 + "b" * 16 + "9" * 16 + "c" * 16
    assert packed["parent"] == [-1, 0, -1, 2]
    assert packed["offset_ns"] == [0, 5, 20, 20]
    assert packed["flags"] == [0, 16, 2, 1 | 8]
    assert (packed["input"], packed["output"], packed["cost"]) == ([0, 7, 0, 0], [0, 3, 0, 0], [None, 0.25, None, None])
    text = packed["strings"]
    assert [text[place] for place in packed["subject"]] == ["triage", "gpt-5", "", ""]
    assert (text[packed["error"][3]], text[packed["service"][3]]) == ("Timeout", "shop")
    row, offset_ns, name = packed["events"]
    assert (row, offset_ns, text[name]) == (1, 7, "retry")
    assert packed["critical"] == [0, 15, 30, 0, 0, 5]


def test_subject_that_the_name_says_already_is_marked() -> None:
    packed = _packed(
        _step("a", kind="tool", tool="refund"),
        _step("b", kind="tool", tool="refund", name="execute_tool refund"),
        _step("c", kind="llm", request_model="gpt-5", model="gpt-5-2026", name="chat gpt-5"),
    )

    assert [flags & 8 for flags in packed["flags"]] == [0, 8, 8]
    assert [packed["strings"][place] for place in packed["subject"]] == ["refund", "refund", "gpt-5-2026"]
