"""What spans say whose name is a message template, as Logfire's are: `handle ticket {user_id}` says "handle ticket u-17".

Filters and metrics group by the template; where runs are told apart, or one is looked at, their own words stand. Attributes are
heavy: ask only for traces in which a name can be a template.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreError
from tracestore.model import Span, TraceSummary
from tracestore.queries.conditions import IN_RANGE
from tracestore.queries.spans import find_trace_times
from tracestore.timerange import NS_PER_S

logger = logging.getLogger(__name__)

# Beyond these the names stay templates.
MOST_SPANS = 5_000
_MESSAGE_CHARS = 500

_MESSAGES = f"""
SELECT lower(hex(span_id)), leftUTF8(attributes['logfire.msg'], {_MESSAGE_CHARS}) AS message
FROM spans
WHERE {IN_RANGE} AND trace_id = unhex({{trace_id:String}}) AND position(name, '{{') > 0
    AND attributes['logfire.msg_template'] = name AND message != ''
ORDER BY received_at DESC
LIMIT 1 BY span_id
LIMIT {MOST_SPANS}
"""
# By the whole sort key of `spans`, one row for each trace: a root that is not the first of its trace keeps its template.
_ROOT_MESSAGES = f"""
SELECT lower(hex(trace_id)), leftUTF8(attributes['logfire.msg'], {_MESSAGE_CHARS}) AS message
FROM spans
PREWHERE {IN_RANGE} AND (toStartOfMinute(start_time), trace_id, span_id) IN (
    SELECT toStartOfMinute(fromUnixTimestamp64Nano(key.1)), toFixedString(unhex(key.2), 16), toFixedString(unhex(key.3), 8)
    FROM (SELECT arrayJoin(arrayZip({{starts_ns:Array(Int64)}}, {{trace_ids:Array(String)}}, {{span_ids:Array(String)}})) AS key)
)
WHERE attributes['logfire.msg_template'] = name AND message != ''
ORDER BY received_at DESC
LIMIT 1 BY trace_id
"""


def name_of(span: Span) -> str:
    """Return the name of a span, or what it says when that is a template."""
    said = span.attributes.get("logfire.msg")
    is_template = "{" in span.summary.name and span.attributes.get("logfire.msg_template") == span.summary.name
    return said[:_MESSAGE_CHARS] if is_template and isinstance(said, str) and said else span.summary.name


def find_messages(store: Store, *, project_id: int, trace_id: str, names: Iterable[str]) -> dict[str, str]:
    """Return by span id what the spans of a trace say that are named by a template; nothing is read when none of `names` is one.

    Raises TraceNotFound or StoreError.
    """
    if not any("{" in name for name in names):
        return {}
    time_range = find_trace_times(store, project_id=project_id, trace_id=trace_id)
    rows = store.query_rows(
        _MESSAGES, project_id=project_id, trace_id=trace_id, start_ns=time_range.start_ns, end_ns=time_range.end_ns
    )
    return dict(rows)


def name_traces(store: Store, *, project_id: int, traces: list[TraceSummary]) -> list[TraceSummary]:
    """Return the traces, each that is named by a template by what its root span says; nothing is read when none is.

    The words are a help and no reason to show nothing: where the store cannot be asked for them the templates stay.
    """
    templates = [trace for trace in traces if "{" in trace.name and trace.root_span_id]
    if not templates:
        return traces
    starts_ns = [trace.start_ns for trace in templates]
    try:
        rows = store.query_rows(
            _ROOT_MESSAGES, project_id=project_id, start_ns=min(starts_ns), end_ns=max(starts_ns) + 60 * NS_PER_S,
            starts_ns=starts_ns, trace_ids=[trace.trace_id for trace in templates],
            span_ids=[trace.root_span_id for trace in templates],
        )  # fmt: skip
    except StoreError as error:
        logger.warning("what traces say that are named by a template could not be read: %s", error)
        return traces
    said = dict(rows)
    return [replace(trace, name=said.get(trace.trace_id, trace.name)) for trace in traces]
