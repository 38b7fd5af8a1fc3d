"""What runs did that were slow, looped or escalated: which step took the time, which call came again, where to open them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.samples import Sample, sample_traces
from tracestore.queries.summaries import read_spans
from tracestore.summary.calls import find_calls, find_tool_calls
from tracestore.summary.columns import SpanColumns
from tracestore.summary.outcomes import ESCALATION_TOOL
from tracestore.summary.repeats import LOOP, find_repeats
from tracestore.summary.times import StepTime, measure_steps
from tracestore.timerange import NS_PER_S, TimeRange

# About a tenth of a second to read and as long to measure, for each side.
_MOST_TRACES, _MOST_SPANS = 300, 30_000
_SHOWN = 3
# A step that makes up less of what runs take longer is not what makes them slow.
_MOST_OF_IT = 0.5
_WORTH_A_LINE = 0.1
_CALLS = {"model_": "llm", "time_to_first_token_": "llm", "tool_": "tool"}


@dataclass(frozen=True)
class StepGrowth:
    """The seconds that steps of one kind and name were at work in a run, and how often they were called, on average.

    `before` is the same of the runs compared with. `kind` is that of the spans, `name` the tool's, the model's or the agent's.
    """

    kind: str
    name: str
    seconds: float
    seconds_before: float
    calls: float
    calls_before: float

    @property
    def growth_s(self) -> float:
        return self.seconds - self.seconds_before


@dataclass(frozen=True)
class SlowSteps:
    """Where the time went in `traces` of the `total` slow ones, against `traces_before` of the `total_before` from `start_ns` on.

    Durations are averages in seconds, `top` those steps whose time grew most. Where no trace was before, `top` took most.
    """

    traces: int
    total: int
    duration_s: float
    traces_before: int
    total_before: int
    duration_before_s: float
    start_ns: int
    end_ns: int
    top: list[StepGrowth]

    @property
    def named(self) -> StepGrowth | None:
        """The step that makes up most of what the slow runs took longer, None where no single one does."""
        longer_s = self.duration_s - self.duration_before_s
        return next((step for step in self.top if step.growth_s > 0 and step.growth_s >= _MOST_OF_IT * longer_s > 0), None)


@dataclass(frozen=True)
class Loop:
    """A tool that `traces` of the `looked_at` ones called over and over with the same arguments, `calls` times on average."""

    tool: str
    traces: int
    looked_at: int
    calls: float


def find_slow_steps(
    store: Store, *, project_id: int, query: Query, time_range: TimeRange, among: Query, before: TimeRange
) -> SlowSteps | None:
    """Compare the finished traces of `query` with those of `among` before; None when there is none of the former.

    Of very many traces some, chosen by chance, are looked at. Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    slow, usual = (
        sample_traces(store, project_id=project_id, time_range=when, query=which, most=_MOST_TRACES, most_spans=_MOST_SPANS)
        for which, when in ((query, time_range), (among, before))
    )
    if slow.spans is None:
        return None
    now, then = _average(slow), _average(usual)
    grown = []
    for key, (seconds, calls) in now.items():  # what the slow ones do not do has not grown
        seconds_before, calls_before = then.get(key, (0.0, 0.0))
        grown.append(StepGrowth(*key, seconds, seconds_before, calls, calls_before))
    grown.sort(key=lambda step: (-step.growth_s, step.kind, step.name))
    duration_s, duration_before_s = _mean_duration_s(slow), _mean_duration_s(usual)
    least_s = _WORTH_A_LINE * max(0.0, duration_s - duration_before_s)
    return SlowSteps(
        traces=len(slow.durations_ns),
        total=slow.total,
        duration_s=duration_s,
        traces_before=len(usual.durations_ns),
        total_before=usual.total,
        duration_before_s=duration_before_s,
        start_ns=before.start_ns,
        end_ns=before.end_ns,
        top=[step for step in grown if step.growth_s > 0 and step.growth_s >= least_s][:_SHOWN],
    )


def _mean_duration_s(sample: Sample) -> float:
    return sum(sample.durations_ns.values()) / NS_PER_S / max(1, len(sample.durations_ns))


def _average(sample: Sample) -> dict[tuple[str, str], tuple[float, float]]:
    """Return seconds at work and calls by kind and name, for a run on average; one without such a step counts as 0."""
    if sample.spans is None:
        return {}
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for of_trace in _measure(sample.spans):
        for key, time in of_trace.items():
            sums[key][0] += time.work_ns
            sums[key][1] += time.calls
    count = len(sample.durations_ns)
    return {key: (work_ns / NS_PER_S / count, calls / count) for key, (work_ns, calls) in sums.items()}


def _measure(spans: SpanColumns) -> list[dict[tuple[str, str], StepTime]]:
    return measure_steps(spans, find_calls(spans), find_tool_calls(spans))


def find_loops(store: Store, *, project_id: int, query: Query, time_range: TimeRange) -> list[Loop]:
    """Return which tools the traces of a query call in loops, the most frequent first: as metrics count loops.

    Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    sample = sample_traces(
        store, project_id=project_id, time_range=time_range, query=query, most=_MOST_TRACES, most_spans=_MOST_SPANS
    )
    if sample.spans is None:
        return []
    spans = sample.spans
    repeats = find_repeats(spans, find_calls(spans), find_tool_calls(spans), spans.numbers("arguments_hash"))
    which, tool = np.flatnonzero(repeats.kinds == LOOP), spans.labels("tool")
    calls: dict[str, Counter[int]] = defaultdict(Counter)
    for group in which.tolist():
        first = int(repeats.members[repeats.offsets[group]])
        calls[tool.values[tool.codes[first]]][int(spans.trace[first])] += int(np.diff(repeats.offsets)[group])
    loops = [Loop(name, len(of), len(sample.durations_ns), of.total() / len(of)) for name, of in calls.items()]
    return sorted(loops, key=lambda loop: (-loop.traces, -loop.calls, loop.tool))[:_SHOWN]


class TraceToOpen(Protocol):
    """What must be known of a trace to find its spans."""

    @property
    def trace_id(self) -> str: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def duration_ns(self) -> int: ...
    @property
    def span_count(self) -> int: ...


def find_steps_to_open(
    store: Store, *, project_id: int, traces: Iterable[TraceToOpen], metric: str, named: StepGrowth | None = None
) -> dict[str, str]:
    """Return the span at which to open each of these traces: where it was handed to a person, else where it took longest so far.

    Of metrics on calls of models or tools that is the longest such call, of others the step of the `named` kind and name, where
    the trace has it. Traces that are too large are left out. Raises QueryTooExpensive, StoreUnavailable or StoreError.
    """
    taken, left = [], _MOST_SPANS
    for trace in traces:
        if trace.span_count <= left:
            taken.append(trace)
            left -= trace.span_count
    if not taken:
        return {}
    table = read_spans(
        store, project_id=project_id, trace_ids=[trace.trace_id for trace in taken],
        min_start_ns=min(trace.start_ns for trace in taken),
        max_start_ns=max(trace.start_ns + trace.duration_ns for trace in taken),
    )  # fmt: skip
    spans = SpanColumns(table)
    if metric.startswith("escalation"):
        places = _find_escalations(spans)
    else:
        kind = next((kind for begins, kind in _CALLS.items() if metric.startswith(begins)), "")
        places = [_find_longest(of_trace, kind, named) for of_trace in _measure(spans)]
    trace_ids, span_ids = spans.first_trace_ids().to_pylist(), spans.span_ids_at(np.array(places, dtype=np.int64)).to_pylist()
    return {trace_ids[at].hex(): span_ids[at].hex() for at, place in enumerate(places) if place >= 0}


def _find_escalations(spans: SpanColumns) -> list[int]:
    """Return for each trace the last step that handed it to a person, -1 where none is told."""
    tools = find_tool_calls(spans)
    handed = tools.is_call & ~tools.failed & spans.labels("tool").matching(ESCALATION_TOOL.search)
    places = np.full(spans.trace_count, -1, dtype=np.int64)
    at = np.flatnonzero(handed | spans.labels("signal").where("human_escalation"))
    places[spans.trace[at]] = at
    return [int(place) for place in places]


def _find_longest(of_trace: dict[tuple[str, str], StepTime], kind: str, named: StepGrowth | None) -> int:
    chosen: Iterable[StepTime] = [time for key, time in of_trace.items() if key[0] == kind]
    if not kind and named:
        chosen = [time for key, time in of_trace.items() if key == (named.kind, named.name)]
    return max(chosen or of_trace.values(), key=lambda time: time.longest_ns, default=StepTime()).longest
