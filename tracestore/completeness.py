"""Whether a trace is whole, and if not, what is missing and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.model import Outcome, Trace
from tracestore.queries.quality import TraceCounts, count_trace
from tracestore.queries.spans import find_trace_times
from tracestore.timerange import TimeRange


@dataclass(frozen=True)
class Gap:
    """One reason. `message` says what is missing and what to do; a gap that `is_harmless` leaves the trace complete."""

    reason: str
    count: int
    message: str
    is_harmless: bool = False


@dataclass(frozen=True)
class Completeness:
    """`state` is complete or incomplete."""

    reasons: list[Gap]

    @property
    def state(self) -> str:
        return "complete" if all(gap.is_harmless for gap in self.reasons) else "incomplete"


def find_completeness(store: Store, *, project_id: int, trace: Trace, time_range: TimeRange | None = None) -> Completeness:
    """Look at all spans of a trace that was read. `time_range` is that of the trace, if known.

    Raises TraceNotFound or StoreError.
    """
    trace_id = trace.summary.trace_id
    time_range = time_range or find_trace_times(store, project_id=project_id, trace_id=trace_id)
    return judge_completeness(trace, count_trace(store, project_id=project_id, trace_id=trace_id, time_range=time_range))


def judge_completeness(trace: Trace, counts: TraceCounts) -> Completeness:
    """Return what is known to be missing of a trace, the gravest first."""
    return Completeness(list(_find_gaps(trace, counts)))


def _find_gaps(trace: Trace, counts: TraceCounts) -> Iterator[Gap]:
    running = trace.summary.outcome == Outcome.RUNNING
    if not counts.roots:
        if running:
            yield Gap("no_root", 1, "The root span has not arrived yet: SDKs send it when the run ends.")
        else:
            yield Gap(
                "no_root", 1,
                "The root span never arrived. Flush the tracer provider before the process ends (force_flush or shutdown).",
            )  # fmt: skip
    orphans = _count_orphans(trace)
    if orphans:
        whose = f"{_number(orphans, 'step')} whose parent"
        if running:
            yield Gap("orphans", orphans, f"{whose} has not arrived yet.")
        else:
            advice = "Let every service of the trace export here, and keep samplers from dropping single spans."
            yield Gap("orphans", orphans, f"{whose} never arrived. {advice}")
    dropped = counts.dropped_attributes + counts.dropped_events + counts.dropped_links
    if dropped:
        parts = (
            (counts.dropped_attributes, "attribute", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
            (counts.dropped_events, "span event", "OTEL_SPAN_EVENT_COUNT_LIMIT"),
            (counts.dropped_links, "link", "OTEL_SPAN_LINK_COUNT_LIMIT"),
        )
        what = ", ".join(_number(count, name) for count, name, _ in parts if count)
        limits = " and ".join(limit for count, _, limit in parts if count)
        yield Gap("dropped", dropped, f"The sender's SDK left out {what}. Raise {limits} there (the default is 128).")
    if counts.truncated:
        yield Gap(
            "truncated", counts.truncated,
            f"{_number(counts.truncated, 'step')} with values that the sender cut off. Raise the length limit of its"
            " instrumentation, or OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT.",
        )  # fmt: skip
    copies = counts.received - counts.spans
    if copies > 0:
        said = "1 step arrived again" if copies == 1 else f"Steps arrived again {copies:,} times"
        yield Gap("duplicates", copies, f"{said}, as after a lost answer; each counts once.", is_harmless=True)


def _count_orphans(trace: Trace) -> int:
    if trace.truncated:
        return trace.summary.orphan_count
    present = {span.span_id for span in trace.spans}
    return sum(1 for span in trace.spans if span.parent_span_id and span.parent_span_id not in present)


def _number(count: int, name: str) -> str:
    return f"{count:,} {name}" + ("" if count == 1 else "s")
