"""The job that reads out of the contents of traces what they were asked and what they answered, for lists.

Apart from summaries, which must keep up with what arrives: texts are the larger part of spans, and Python reads them. So it waits
while the drain is behind, and a preview follows its summary within seconds otherwise.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import groupby

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive
from tracestore.content.payloads import read_input, read_output
from tracestore.content.turns import find_answered, find_asked
from tracestore.jobs.oddities import tell_once
from tracestore.queries import previews
from tracestore.queries.contents import StepContent
from tracestore.queries.previews import Preview, Unpreviewed
from tracestore.timerange import DAY_NS

log = logging.getLogger(__name__)

# A summary becomes readable some time after its summarized_at, which is when its spans were read.
_OVERLAP_US = 60 * 10**6
_FIRST_LOOK_BACK_US = DAY_NS // 1000
_TRACES_PER_LOOK, _MOST_S = 10_000, 2.0
_LEAST_S = 0.1  # for what one statement has read: it would be read again
_CHARS = 300
_NOTHING = Preview("", "")


class Previews:
    """Writes the previews of traces that were summarised since the last look; one call of `tend` is one look."""

    def __init__(self) -> None:
        self._tending = threading.Lock()
        self._since_us: int | None = None
        self._inserts_at_rest: int | None = None

    def tend(self, store: Store, *, most_s: float = _MOST_S) -> int:
        """Write previews until none is missing, or for about that long; returns how many. Raises StoreError.

        Two at a time would write the same, so the second one leaves it to the first.
        """
        if not self._tending.acquire(blocking=False):
            return 0
        try:
            return self._tend(store, most_s)
        finally:
            self._tending.release()

    def _tend(self, store: Store, most_s: float) -> int:
        inserts = store.insert_count
        if store.holds_merges or (inserts is not None and inserts == self._inserts_at_rest):
            return 0
        written, until = 0, time.monotonic() + most_s
        for part in self._find(store):
            read = _preview(store, part, max(most_s, _LEAST_S))
            # There may be no time for the last ones: they are found again.
            previews.write_previews(store, list(zip(part, read, strict=False)), now_us=time.time_ns() // 1000)
            written += len(read)
            if len(read) < len(part) or time.monotonic() > until:
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


def _preview(store: Store, traces: Sequence[Unpreviewed], most_s: float) -> list[Preview]:
    """Return the preview of each trace, or of the first ones that there is time for; one too much to read has an empty one.

    `most_s` is for what Python reads of roots, and once more of model calls: who means to makes that a matter of minutes.
    """
    try:
        return _read_previews(store, traces, most_s)
    except QueryTooExpensive:
        if len(traces) == 1:
            return [_NOTHING]
    half = len(traces) // 2
    first = _preview(store, traces[:half], most_s)
    return first if len(first) < half else first + _preview(store, traces[half:], most_s)


def _read_previews(store: Store, traces: Sequence[Unpreviewed], most_s: float) -> list[Preview]:
    """Read the root of each trace, then of those whose roots do not tell both the first and the last model call."""
    root_ids = {trace.trace_id: trace.trace_id + trace.root_span_id for trace in traces if trace.root_span_id}
    contents = previews.read_step_contents(store, traces, list(root_ids.values())) if root_ids else {}
    roots = {trace.trace_id: [contents[step] for step in (root_ids.get(trace.trace_id),) if step in contents] for trace in traces}
    found: dict[bytes, Preview] = {}
    until = time.monotonic() + most_s
    for number, trace in enumerate(traces):
        if number and time.monotonic() > until:
            traces = traces[:number]
            break
        found[trace.trace_id] = _read_preview(trace, roots[trace.trace_id], roots[trace.trace_id])
    silent = [trace for trace in traces if not (found[trace.trace_id].asked and found[trace.trace_id].answered)]
    calls = previews.find_calls(store, silent) if silent else {}
    if calls:
        wanted = {trace_id + span for trace_id, (first, last, _) in calls.items() for span in (first, last)}
        contents = previews.read_step_contents(store, silent, sorted(wanted))
    until = time.monotonic() + most_s
    for number, trace in enumerate(traces):
        if trace.trace_id not in calls:
            continue
        if number and time.monotonic() > until:
            traces = traces[:number]
            break
        first, last, is_answer = calls[trace.trace_id]
        asking, answering = (
            [contents[trace.trace_id + span] for span in spans if trace.trace_id + span in contents]
            for spans in ((first, last), (last,) if is_answer else ())
        )
        root = roots[trace.trace_id]
        found[trace.trace_id] = _read_preview(trace, [*root, *asking], [*root, *answering])
    return [found[trace.trace_id] for trace in traces]


def _read_preview(trace: Unpreviewed, asked: Sequence[StepContent], answered: Sequence[StepContent]) -> Preview:
    try:
        return Preview(
            _shorten(find_asked([read_input(step) for step in asked])),
            _shorten(find_answered([read_output(step) for step in answered])),
        )
    except Exception:  # whatever it is, no other trace must wait for it
        tell_once(log, "has no preview: what it says cannot be read", f"{trace.trace_id.hex()} of project {trace.project_id}")
        return _NOTHING


def _shorten(text: str) -> str:
    """Return the beginning of a text as one line. Halves of surrogate pairs, which JSON can escape, are no UTF-8."""
    return " ".join(text[: 4 * _CHARS].split())[:_CHARS].encode(errors="replace").decode()
