"""When the events of a trace's steps happened: what the waterfall marks on its bars."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.queries.conditions import IN_RANGE
from tracestore.queries.spans import find_trace_times

# Streaming instrumentations send an event per chunk: beyond these a bar is all dots anyway.
_EVENTS_PER_SPAN = 20
_SPANS_WITH_EVENTS = 5_000

_EVENT_MARKS = f"""
SELECT lower(hex(span_id)), arraySlice(event_times_ns, 1, {_EVENTS_PER_SPAN}), arraySlice(event_names, 1, {_EVENTS_PER_SPAN})
FROM spans
WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}}) AND notEmpty(event_times_ns)
ORDER BY received_at DESC
LIMIT 1 BY span_id
LIMIT {_SPANS_WITH_EVENTS}
"""


@dataclass(frozen=True)
class EventMark:
    """A span event without its attributes."""

    time_ns: int
    name: str


def find_event_marks(store: Store, *, project_id: int, trace_id: str) -> dict[str, list[EventMark]]:
    """Return the first events of each span of a trace by span id. Spans without events are absent. Raises TraceNotFound."""
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    rows = store.query_rows(
        _EVENT_MARKS, project_id=project_id, trace_id=trace_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns
    )
    return {span_id: [EventMark(*mark) for mark in zip(times, names, strict=True)] for span_id, times, names in rows}
