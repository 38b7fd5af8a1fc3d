"""The job that reads out of the contents of traces what they were asked and what they answered, for lists.

Apart from summaries, which must keep up with what arrives: texts are the larger part of spans, and Python reads them. So it waits
while the drain is behind, and a preview follows its summary within seconds otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import groupby

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.content.payloads import read_input, read_output
from tracestore.content.turns import find_answered, find_asked
from tracestore.queries import previews
from tracestore.queries.contents import StepContent
from tracestore.queries.previews import Preview, Unpreviewed
from tracestore.timerange import DAY_NS

# A summary becomes readable some time after its summarized_at, which is when its spans were read.
_OVERLAP_US = 60 * 10**6
_FIRST_LOOK_BACK_US = DAY_NS // 1000
_TRACES_PER_LOOK, _MOST_S = 10_000, 2.0
_CHARS = 300
_NOTHING = Preview("", "")


class Previews:
    """Writes the previews of traces that were summarised since the last look; one call of `tend` is one look."""

    def __init__(self) -> None:
        self._since_us: int | None = None
        self._inserts_at_rest: int | None = None

    def tend(self, store: Store, *, most_s: float = _MOST_S) -> int:
        """Write previews until none is missing, or for that long; returns how many. Raises StoreError.

        Two at a time would write the same.
        """
        inserts = store.insert_count
        if store.holds_merges or (inserts is not None and inserts == self._inserts_at_rest):
            return 0
        written, until = 0, time.monotonic() + most_s
        for part in self._find(store):
            previews.write_previews(store, list(zip(part, _preview(store, part), strict=True)), now_us=time.time_ns() // 1000)
            written += len(part)
            if time.monotonic() > until:
                return written
        self._inserts_at_rest = None if written else inserts
        return written

    def _find(self, store: Store) -> Iterator[list[Unpreviewed]]:
        """Yield traces of one project that began on the same day, few enough for one read, until none is left.

        Starts come from outside: one of years ago must not make the read of the others one of years.
        """
        now_us = time.time_ns() // 1000
        if self._since_us is None:
            self._since_us = max(previews.find_newest_previewed(store) - _OVERLAP_US, now_us - _FIRST_LOOK_BACK_US)
        self._since_us = min(self._since_us, now_us - _OVERLAP_US)  # the clock may have been set back
        while found := previews.find_unpreviewed(store, since_us=self._since_us, limit=_TRACES_PER_LOOK):
            for _, traces in groupby(sorted(found, key=_place), key=lambda trace: (trace.project_id, trace.start_ns // DAY_NS)):
                ordered = list(traces)
                for first in range(0, len(ordered), previews.MAX_STEPS):
                    yield ordered[first : first + previews.MAX_STEPS]
            self._since_us = max(self._since_us, found[-1].summarized_us - _OVERLAP_US)


def _place(trace: Unpreviewed) -> tuple[int, int]:
    return trace.project_id, trace.start_ns


def _preview(store: Store, traces: Sequence[Unpreviewed]) -> list[Preview]:
    """Return the preview of each trace; one whose contents are too much to read has an empty one."""
    try:
        return _read_previews(store, traces)
    except QueryTooExpensive:
        if len(traces) == 1:
            return [_NOTHING]
    half = len(traces) // 2
    return _preview(store, traces[:half]) + _preview(store, traces[half:])


def _read_previews(store: Store, traces: Sequence[Unpreviewed]) -> list[Preview]:
    """Read the root of each trace, then of those whose roots do not tell both the first and the last model call."""
    root_ids = {trace.trace_id: trace.trace_id + trace.root_span_id for trace in traces if trace.root_span_id}
    contents = previews.read_step_contents(store, traces, list(root_ids.values())) if root_ids else {}
    roots = {trace.trace_id: [contents[step] for step in (root_ids.get(trace.trace_id),) if step in contents] for trace in traces}
    found = {trace_id: _read_preview(root, root) for trace_id, root in roots.items()}
    silent = [trace for trace in traces if not (found[trace.trace_id].asked and found[trace.trace_id].answered)]
    calls = previews.find_calls(store, silent) if silent else {}
    if calls:
        wanted = {trace_id + span for trace_id, (first, last, _) in calls.items() for span in (first, last)}
        contents = previews.read_step_contents(store, silent, sorted(wanted))
    for trace_id, (first, last, is_answer) in calls.items():
        asking, answering = (
            [contents[trace_id + span] for span in spans if trace_id + span in contents]
            for spans in ((first, last), (last,) if is_answer else ())
        )
        found[trace_id] = _read_preview([*roots[trace_id], *asking], [*roots[trace_id], *answering])
    return [found[trace.trace_id] for trace in traces]


def _read_preview(asked: Sequence[StepContent], answered: Sequence[StepContent]) -> Preview:
    return Preview(
        _shorten(find_asked([read_input(step) for step in asked])),
        _shorten(find_answered([read_output(step) for step in answered])),
    )


def _shorten(text: str) -> str:
    """Return the beginning of a text as one line. Halves of surrogate pairs, which JSON can escape, are no UTF-8."""
    return " ".join(text[: 4 * _CHARS].split())[:_CHARS].encode(errors="replace").decode()
