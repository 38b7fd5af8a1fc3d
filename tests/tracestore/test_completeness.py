"""When a trace counts as whole, and what is said when it does not."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.spans import make_summary
from tracestore.completeness import Completeness, judge_completeness
from tracestore.model import Outcome, Trace, TraceSummary
from tracestore.queries.quality import TraceCounts

WHOLE = TraceCounts(spans=2, roots=1, dropped_attributes=0, dropped_events=0, dropped_links=0, truncated=0, received=2)


def build_trace(*parents: str, outcome: str = Outcome.OK, truncated: bool = False, orphan_count: int = 0) -> Trace:
    """Return a trace of spans 1, 2, ... with these parents."""
    values: dict[str, Any] = dict.fromkeys((field.name for field in fields(TraceSummary)), "")
    summary = TraceSummary(**values | {"outcome": outcome, "orphan_count": orphan_count})
    spans = [make_summary(span_id=str(number), parent_span_id=parent) for number, parent in enumerate(parents, 1)]
    return Trace(summary, spans, truncated)


def reasons(completeness: Completeness) -> list[tuple[str, int]]:
    return [(gap.reason, gap.count) for gap in completeness.reasons]


def test_trace_with_root_and_parents_is_complete() -> None:
    completeness = judge_completeness(build_trace("", "1"), WHOLE)

    assert (completeness.state, completeness.reasons) == ("complete", [])


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"roots": 0}, ("no_root", 1), "force_flush"),
        ({"dropped_attributes": 1}, ("dropped", 1), "left out 1 attribute. Raise OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
        ({"dropped_events": 2, "dropped_links": 1}, ("dropped", 3), "2 span events, 1 link"),
        ({"truncated": 1}, ("truncated", 1), "1 step with values that the sender cut off"),
    ],
)
def test_what_is_missing_makes_it_incomplete_and_is_named(changes: dict[str, int], reason: tuple[str, int], said: str) -> None:
    completeness = judge_completeness(build_trace("", "1"), replace(WHOLE, **changes))

    assert completeness.state == "incomplete"
    assert reasons(completeness) == [reason]
    assert said in completeness.reasons[0].message


def test_copies_of_spans_leave_it_complete() -> None:
    completeness = judge_completeness(build_trace("", "1"), replace(WHOLE, received=3))

    assert (completeness.state, reasons(completeness)) == ("complete", [("duplicates", 1)])


def test_spans_from_before_arrivals_were_counted_are_no_copies() -> None:
    assert judge_completeness(build_trace("", "1"), replace(WHOLE, received=0)).reasons == []


def test_orphans_of_a_running_trace_may_still_get_their_parent() -> None:
    over = judge_completeness(build_trace("", "9", "9"), WHOLE)
    running = judge_completeness(build_trace("9", outcome=Outcome.RUNNING), replace(WHOLE, roots=0))

    assert reasons(over) == [("orphans", 2)]
    assert "2 steps whose parent never arrived." in over.reasons[0].message
    assert reasons(running) == [("no_root", 1), ("orphans", 1)]
    assert all("not arrived yet" in gap.message for gap in running.reasons)


def test_orphans_of_a_trace_that_is_loaded_in_part_come_from_its_summary() -> None:
    trace = build_trace("", "not loaded", truncated=True, orphan_count=7)

    assert reasons(judge_completeness(trace, WHOLE)) == [("orphans", 7)]
