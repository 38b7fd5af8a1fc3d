"""Transcripts of large traces, kept for a minute: each window of cards and the head of the page need all steps of the trace.

In the memory of one process and bounded by spans. A span that arrives meanwhile makes another story.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace

from dashboards.trace.transcript import Transcript, build_transcript
from tracestore.clickhouse.client import Store
from tracestore.model import Trace
from tracestore.queries.messages import find_messages
from tracestore.queries.spans import count_received_spans
from tracestore.queries.traces import get_trace

SPAN_LIMIT = 20_000
# A smaller trace is read in a few milliseconds. Those kept have about 30 MB together.
_WORTH_KEEPING_SPANS, _KEPT_SPANS, _KEPT_S = 1_000, 20_000, 60

_Key = tuple[int, str, int]


@dataclass(frozen=True)
class Story:
    """A trace with its first SPAN_LIMIT spans and what they tell. Shared by requests: not to be changed."""

    trace: Trace
    transcript: Transcript
    read_s: float


_kept: OrderedDict[_Key, Story] = OrderedDict()
_reading: dict[_Key, threading.Lock] = {}
_lock = threading.Lock()


def read_story(store: Store, *, project_id: int, trace_id: str) -> Story:
    """Return the story of a trace, perhaps as it was read within the last minute. Raises TraceNotFound or StoreError."""
    received = count_received_spans(store, project_id=project_id, trace_id=trace_id)
    if received < _WORTH_KEEPING_SPANS:
        return _read(store, project_id, trace_id)
    key = (project_id, trace_id, received)
    with _lock:
        reading = _reading.setdefault(key, threading.Lock())
    try:
        with reading:  # the page asks for the first window and for repeats at once
            story = _find(key)
            if story is None:
                story = _read(store, project_id, trace_id)
                _keep(key, story)
            return story
    finally:
        with _lock:
            _reading.pop(key, None)


def _read(store: Store, project_id: int, trace_id: str) -> Story:
    read_s = time.monotonic()
    trace = get_trace(store, project_id=project_id, trace_id=trace_id, span_limit=SPAN_LIMIT)
    said = find_messages(store, project_id=project_id, trace_id=trace_id, names=(span.name for span in trace.spans))
    if said:
        trace = replace(trace, spans=[replace(span, name=said.get(span.span_id, span.name)) for span in trace.spans])
    return Story(trace, build_transcript(trace.spans), read_s)


def _find(key: _Key) -> Story | None:
    with _lock:
        for old in [kept for kept, story in _kept.items() if time.monotonic() - story.read_s > _KEPT_S]:
            del _kept[old]
        if key in _kept:
            _kept.move_to_end(key)
        return _kept.get(key)


def _keep(key: _Key, story: Story) -> None:
    with _lock:
        _kept[key] = story
        while sum(len(kept.trace.spans) for kept in _kept.values()) > _KEPT_SPANS:
            _kept.popitem(last=False)
