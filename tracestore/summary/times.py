"""Where the time of runs went: how long each tool, model and agent was at work in them. Pure, computed on columns.

A step is at work while it lasts and no step inside it does: the time of a model call inside a tool is the model's, and what has
no kind, such as an HTTP request, is part of the step around it. Calls beside each other take the time of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tracestore.summary.calls import Calls, ToolCalls
from tracestore.summary.columns import SpanColumns, nearest_ancestor

_STEPS = ("agent", "llm", "tool", "retriever", "embedding", "guardrail", "evaluator")
_Piece = tuple[int, int]


@dataclass
class StepTime:
    """What the steps of one kind and name did in one run: ns at work, calls, and the span that was at work for longest."""

    work_ns: int = 0
    calls: int = 0
    longest: int = -1
    pieces: list[_Piece] = field(default_factory=list)
    longest_ns: int = -1


def measure_steps(spans: SpanColumns, calls: Calls, tools: ToolCalls) -> list[dict[tuple[str, str], StepTime]]:
    """Return per trace what its steps did, by kind and name: the name of the tool, the model or the agent, else the span's own.

    `longest` is a position in `spans`.
    """
    kinds = spans.labels("kind")
    found: list[dict[tuple[str, str], StepTime]] = [defaultdict(StepTime) for _ in range(spans.trace_count)]
    is_step = kinds.where(*_STEPS)
    steps = np.flatnonzero(is_step)
    start, end = spans.numbers("start_ns"), spans.numbers("start_ns") + spans.numbers("duration_ns")
    inside: dict[int, list[int]] = defaultdict(list)
    for step, outer in zip(steps.tolist(), nearest_ancestor(spans.parent, steps, is_step).tolist(), strict=True):
        inside[outer].append(step)
    is_counted = np.where(
        kinds.where("tool"), tools.is_call | tools.refused, np.where(kinds.where("llm", "embedding"), calls.is_call, True)
    )
    for step, key in zip(steps.tolist(), _keys(spans, steps.tolist()), strict=True):
        pieces = list(_cut((int(start[step]), int(end[step])), ((int(start[at]), int(end[at])) for at in inside[step])))
        time, own_ns = found[spans.trace[step]][key], sum(stop - begin for begin, stop in pieces)
        time.pieces += pieces
        time.calls += int(is_counted[step])
        if own_ns > time.longest_ns:
            time.longest, time.longest_ns = step, own_ns
    for of_trace in found:
        for time in of_trace.values():
            time.work_ns = sum(stop - begin for begin, stop in _join(time.pieces))
    return [dict(of_trace) for of_trace in found]


def _keys(spans: SpanColumns, steps: list[int]) -> Iterator[tuple[str, str]]:
    kinds, names = spans.labels("kind"), spans.labels("name")
    subjects = {
        "tool": (spans.labels("tool"),),
        "llm": (spans.labels("request_model"), spans.labels("response_model")),
        "embedding": (spans.labels("request_model"), spans.labels("response_model")),
        "agent": (spans.labels("agent"),),
    }
    for step in steps:
        kind = kinds.values[kinds.codes[step]]
        texts = (labels.values[labels.codes[step]] for labels in (*subjects.get(kind, ()), names))
        yield kind, next((text for text in texts if text), "")


def _join(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """Yield what the pieces cover, in order and without overlaps."""
    begin = stop = 0
    for left, right in sorted(pieces):
        if left > stop:
            if stop > begin:
                yield begin, stop
            begin, stop = left, right
        stop = max(stop, right)
    if stop > begin:
        yield begin, stop


def _cut(whole: _Piece, holes: Iterable[_Piece]) -> Iterator[_Piece]:
    """Yield what is left of the whole without the holes."""
    begin, end = whole
    for left, right in _join(holes):
        if left > begin:
            yield begin, min(left, end)
        begin = max(begin, right)
        if begin >= end:
            return
    if end > begin:
        yield begin, end
